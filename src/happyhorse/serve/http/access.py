"""Who may come in: API keys, hashed and with scopes, in the database of the service."""

import hashlib
import hmac
import re
import secrets
import time
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from happyhorse.serve.http.errors import ApiError
from happyhorse.serve.jobs import tables
from happyhorse.serve.jobs.usage import Limits
from happyhorse.serve.settings import Settings

K = tables.keys
SCOPES = ("make", "read", "admin")
"""`make`: ask for clips, cancel and delete them; `read`: look at them; `admin`: both, for the clips of all keys."""
LOCAL = "local"  # the owner of everything where no keys are in use
_FORM = re.compile(r"hh-([0-9a-f]{12})-([0-9a-f]{64})")
FRESH = 15.0  # seconds for which a key is not looked up again


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the id of the key, what it may do, and how much."""

    owner: str
    scopes: tuple[str, ...]
    limits: Limits

    @property
    def sees(self) -> str | None:
        """Whose jobs are shown: None for those of everyone."""
        return None if "admin" in self.scopes else self.owner


class Keys:
    """The keys of a service. Where there are none, everyone may do everything, or nobody anything (`closed`)."""

    def __init__(self, engine: sa.Engine, settings: Settings, closed: bool = False) -> None:
        self._engine, self._settings, self._closed = engine, settings, closed
        self._seen: dict[str, tuple[float, Caller]] = {}
        self._used: tuple[float, bool] = (0.0, False)

    def add(
        self,
        name: str,
        scopes: tuple[str, ...] = ("make", "read"),
        rate: int | None = None,
        seconds: int | None = None,
    ) -> str:
        """Make a key and return it; only its hash is kept, so it is never shown again.

        `rate` new jobs a minute and `seconds` of work a day are those of the settings where they are None. Raises
        ValueError for a scope that does not exist.
        """
        for scope in scopes:
            if scope not in SCOPES:
                raise ValueError(f"there is no scope {scope!r}; choose from {', '.join(SCOPES)}")
        key, secret = secrets.token_hex(6), secrets.token_hex(32)
        values = {
            "id": key,
            "name": name,
            "hash": _hash(secret),
            "scopes": list(scopes),
            "created": time.time(),
        }
        with self._engine.begin() as connection:
            connection.execute(sa.insert(K).values(rate=rate, seconds_a_day=seconds, **values))
        return f"hh-{key}-{secret}"

    def list(self) -> list[dict[str, Any]]:
        """What is known about each key, without its hash."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(K).order_by(K.c.created)).mappings().all()
        return [{name: value for name, value in row.items() if name != "hash"} for row in rows]

    def revoke(self, key: str) -> None:
        """Let a key in no more, from within FRESH seconds. Raises ValueError when there is none with that id."""
        with self._engine.begin() as connection:
            if connection.execute(sa.delete(K).where(K.c.id == key)).rowcount == 0:
                raise ValueError(f"there is no key {key!r}; happyhorse keys list shows them")

    @property
    def are_used(self) -> bool:
        """Whether there is a key, so that callers must have one."""
        if time.monotonic() - self._used[0] > FRESH or not self._used[0]:
            with self._engine.connect() as connection:
                found = connection.execute(sa.select(K.c.id).limit(1)).first()
            self._used = (time.monotonic(), found is not None)
        return self._used[1]

    def caller(self, header: str | None) -> Caller:
        """Who sent an Authorization header. Raises ApiError 401."""
        if not self._closed and not self.are_used:
            return Caller(LOCAL, SCOPES, Limits(self._settings.rate, self._settings.seconds_a_day))
        scheme, _, token = (header or "").partition(" ")
        match = _FORM.fullmatch(token.strip())
        if scheme.lower() != "bearer" or match is None:
            raise ApiError(
                401, "invalid_api_key", "send an API key of this server, as: Authorization: Bearer hh-..."
            )
        fingerprint, now = _hash(token.strip()), time.monotonic()
        if fingerprint in self._seen and now - self._seen[fingerprint][0] < FRESH:
            return self._seen[fingerprint][1]
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(K).where(K.c.id == match[1])).first()
        if row is None or not hmac.compare_digest(row.hash, _hash(match[2])):
            raise ApiError(401, "invalid_api_key", "this API key is unknown or was revoked")
        limits = Limits(
            self._settings.rate if row.rate is None else row.rate,
            self._settings.seconds_a_day if row.seconds_a_day is None else row.seconds_a_day,
        )
        caller = Caller(row.id, tuple(row.scopes), limits)
        if len(self._seen) > 10_000:
            self._seen.clear()
        self._seen[fingerprint] = (now, caller)
        return caller


def allow(caller: Caller, scope: str) -> Caller:
    """`caller` itself. Raises ApiError 403 when the key lacks a scope."""
    if scope not in caller.scopes and "admin" not in caller.scopes:
        raise ApiError(403, "missing_scope", f"this API key may not do that; it lacks the scope {scope!r}")
    return caller


def _hash(secret: str) -> str:
    """SHA-256 is enough for a secret of 256 random bits: there is nothing to guess, so nothing to slow down."""
    return hashlib.sha256(secret.encode()).hexdigest()
