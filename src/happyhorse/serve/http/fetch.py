"""Fetching a file from an address, for hosts that the operator named, and nowhere else.

A server that fetches what strangers tell it to reaches places that the strangers cannot. So: no host is allowed unless
it is listed; https only; a name is resolved once, every address it has must be a public one, and that very address is
dialled; each redirect (three at most) goes through all of it again; size and time are bounded.
"""

import http.client
import ipaddress
import socket
import ssl
import time
from collections.abc import Collection
from urllib.parse import urljoin, urlsplit

HOPS = 3
SECONDS = 20.0
EMBEDDING = tuple(
    map(
        ipaddress.IPv6Network,
        ("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16"),
    )
)
"""Addresses that lead to an IPv4 address inside of them, which may be anyone's: mapped, translated, tunnelled."""


def fetch(url: str, hosts: Collection[str], limit: int) -> bytes:
    """The content at `url`, at most `limit` bytes. Raises ValueError, saying why, where it may not or cannot be had."""
    until = time.monotonic() + SECONDS
    for _ in range(HOPS + 1):
        answer = _get(url, hosts, limit, until)
        if isinstance(answer, bytes):
            return answer
        url = urljoin(url, answer)
    raise ValueError(f"is an address with more than {HOPS} redirects")


def check(url: str, hosts: Collection[str]) -> tuple[str, int, str]:
    """Host, port and path of an address that may be fetched. Raises ValueError for any other."""
    if not hosts:
        raise ValueError(
            "is an address, and this server fetches nothing; upload the file, or send a data URL"
        )
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port or 443
    except ValueError:
        raise ValueError("is no address") from None
    if parts.scheme != "https" or parts.username or parts.password or any(c in url for c in "\r\n\t\\ "):
        raise ValueError("must be an https:// address without a password, a file, or a data URL")
    if host not in hosts or port != 443:
        raise ValueError(f"is at {host[:80]!r}, from where this server fetches nothing; upload the file")
    return host, port, f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"


def public(host: str, port: int) -> str:
    """One address of a host, all of whose addresses are public. Raises ValueError."""
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError:
        found = set()
    if not found:
        raise ValueError(f"is at {host!r}, which cannot be found")
    for address in found:
        ip = ipaddress.ip_address(address.partition("%")[0])
        disguised = ip.version == 6 and any(ip in network for network in EMBEDDING)
        if disguised or not ip.is_global or ip.is_multicast:
            raise ValueError(f"is at {host!r}, which is not on the public internet")
    return sorted(found)[0]


def _get(url: str, hosts: Collection[str], limit: int, until: float) -> bytes | str:
    """The content, or where it is said to be."""
    host, port, path = check(url, hosts)
    address = public(host, port)
    connection = http.client.HTTPConnection(host, port, timeout=_left(until))
    try:
        plain = socket.create_connection((address, port), _left(until))  # the one that was looked at
        connection.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        connection.request(
            "GET", path.encode("ascii").decode(), headers={"User-Agent": "happyhorse", "Accept": "*/*"}
        )
        answer = connection.getresponse()
        if answer.status in (301, 302, 303, 307, 308) and answer.getheader("location"):
            return str(answer.getheader("location"))
        if answer.status != 200:
            raise ValueError(f"cannot be fetched: the host answers {answer.status}")
        content = bytearray()
        while piece := answer.read1(2**16):
            content += piece
            if len(content) > limit:
                raise ValueError(f"has more than {limit // 2**20} MB")
            if connection.sock:
                connection.sock.settimeout(_left(until))
        return bytes(content)
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        raise ValueError(f"cannot be fetched: {type(error).__name__}") from None
    finally:
        connection.close()


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
