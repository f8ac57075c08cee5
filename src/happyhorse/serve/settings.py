"""Where a server keeps things, and how much it lets in: one frozen value, from the environment and the command line."""

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from happyhorse.errors import did_you_mean
from happyhorse.generate.installed import models_folder

PREFIX = "HAPPYHORSE_"
# where the variable is not just the field
_NAMES = {
    "database": "DATABASE_URL",
    "fetch_hosts": "FETCH_HOSTS",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All processes of one service share these, by `HAPPYHORSE_*` variables (`database`: HAPPYHORSE_DATABASE_URL).

    `data`: folder of the database and the blobs, where these are not elsewhere. `database`: URL of a PostgreSQL
    database. `blobs`: URL of an object store (s3://bucket/folder). `models`: names or folders; the first one is the
    default. `host` and `port` to listen on, `public_url` under which clients reach that, where they differ.

    Limits: `queue` jobs that wait; `per_key` jobs of one key that run at once; `rate` new jobs of one key a minute and
    `seconds_a_day` of work for it (0: no limit); `keep` seconds that a finished clip is kept; `picture_bytes`,
    `media_bytes` of an upload; `fetch_hosts` from which pictures may be fetched (none: nothing is fetched).

    Workers: `workers` processes started with the server; `lease` seconds without a sign of life after which a worker
    counts as dead; `checkpoint` steps of the sampler between checkpoints; `drain` seconds that a worker which is told
    to stop may still take for its clip; `attempts` at one clip before it is given up.
    """

    data: Path = field(default_factory=lambda: models_folder().parent / "serve")
    database: str | None = None
    blobs: str | None = None
    models: tuple[str, ...] = ("pony",)
    host: str = "127.0.0.1"
    port: int = 8000
    public_url: str | None = None
    queue: int = 200
    per_key: int = 4
    rate: int = 120
    seconds_a_day: int = 0
    keep: float = 24 * 3600.0
    picture_bytes: int = 20 * 2**20
    media_bytes: int = 100 * 2**20
    fetch_hosts: tuple[str, ...] = ()
    workers: int = 1
    lease: float = 15.0
    checkpoint: int = 4
    drain: float = 30.0
    attempts: int = 5

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", Path(self.data).expanduser().absolute())
        for name in ("queue", "per_key", "checkpoint", "attempts", "picture_bytes", "media_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give 1 or more")
        for name in ("rate", "seconds_a_day", "workers", "drain"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; give 0 or more")
        if not self.models:
            raise ValueError("there is no model to serve; name one, such as pony")
        if not (1 <= self.lease < math.inf and 0 < self.keep < math.inf and self.drain < math.inf):
            raise ValueError(
                "lease is at least 1 second, keep more than 0 seconds, and none of them is endless"
            )
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port is {self.port}; give 0 (any free one) to 65535")

    @property
    def database_url(self) -> str:
        """URL of the database for SQLAlchemy: PostgreSQL through psycopg, or a file in the data folder."""
        if not self.database:
            return f"sqlite:///{self.data / 'jobs.db'}"
        scheme, separator, rest = self.database.partition("://")
        if not separator or scheme.partition("+")[0] not in ("postgres", "postgresql"):
            raise ValueError(
                f"{scheme!r} is no database that jobs can be kept in; give postgresql://USER:PASSWORD@HOST/DATABASE, "
                "or leave HAPPYHORSE_DATABASE_URL unset for a file in the data folder"
            )
        return f"postgresql+psycopg://{rest}"

    @property
    def is_local(self) -> bool:
        """Whether jobs are kept in a file, so that all processes are on this machine."""
        return not self.database

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None, **given: Any) -> "Settings":
        """Settings from `HAPPYHORSE_*` variables, with what is `given` (and not None) before them.

        Raises ValueError, naming the variable, for a value that cannot be used.
        """
        environment = os.environ if environment is None else environment
        known = {f.name: f for f in fields(cls)}
        for name in given:
            if name not in known:
                raise ValueError(f"there is no setting {name!r}{did_you_mean(name, known)}")
        values = {}
        for name, f in known.items():
            text = environment.get(variable(name))
            if given.get(name) is not None:
                values[name] = given[name]
            elif text:
                kind = f.type.__name__ if isinstance(f.type, type) else str(f.type)
                try:
                    values[name] = _parse(kind, text)
                except ValueError:
                    raise ValueError(f"{variable(name)} is {text!r}; give {_HUMAN[kind]}") from None
        return cls(**values)

    def as_environment(self) -> dict[str, str]:
        """The variables from which `read` gives the same settings: how a server starts its workers."""
        values = {variable(name): _text(value) for name, value in asdict(self).items()}
        return {name: text for name, text in values.items() if text}


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + _NAMES.get(name, name.upper())


_HUMAN = {"int": "a whole number", "float": "a number"}


def _parse(kind: str, text: str) -> Any:
    if kind in ("int", "float"):
        return {"int": int, "float": float}[kind](text)
    if kind.startswith("tuple"):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return "" if value is None else str(value)
