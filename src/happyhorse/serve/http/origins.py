"""Who may speak to a server of this machine: this machine, and not a page that its browser happens to show.

A page from anywhere can send forms to 127.0.0.1, and one whose name its owner points at 127.0.0.1 can read the answers
too (DNS rebinding). Browsers say by which name they come (Host) and whose page asks (Origin), so both have to be this
machine, or the address that the operator gave.
"""

import ipaddress
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from happyhorse.serve.http.errors import ApiError


def is_here(name: str) -> bool:
    """Whether a name or an address is that of this machine, for every resolver."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def check(headers: Mapping[str, str], known: Collection[str]) -> None:
    """Let a request pass whose Host, and Origin if there is one, is this machine or one of the names `known`.

    Raises ApiError 403 for any other.
    """
    origin = headers.get("origin")
    for address in (f"//{headers.get('host', '')}", *([] if origin is None else [origin])):
        try:
            name = (urlsplit(address).hostname or "").lower()
        except ValueError:
            name = ""
        if not is_here(name) and name not in known:
            raise ApiError(
                403,
                "foreign_origin",
                f"this server answers its own machine only, and this request came by way of {address[:80]!r}; if that "
                "is its address, say so in HAPPYHORSE_PUBLIC_URL",
            )
