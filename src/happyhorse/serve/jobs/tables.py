"""The tables of a service and the engine that reaches them: SQLite in a file, or PostgreSQL.

The durable queue (`queue`) keeps its own tables in the same database, so that a job and its place in the queue are
written in one transaction.
"""

import secrets
import sqlite3
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from happyhorse.serve.settings import Settings

VERSION = 1  # of these tables
LOCK = 7237128888997146478  # among PostgreSQL's advisory locks, that of `alone`
PATIENCE = {"connect_timeout": 10, "tcp_user_timeout": 20_000}
"""Seconds for a connection to PostgreSQL, and milliseconds until one on which nothing is answered counts as lost."""

metadata = sa.MetaData()

jobs = sa.Table(
    "happyhorse_jobs",
    metadata,
    sa.Column("id", sa.String, primary_key=True),  # begins with the time, so that ids are in order
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("model", sa.String, nullable=False),  # as it was asked for
    sa.Column("request", sa.JSON, nullable=False),  # fields of values.Request; files are names of blobs
    sa.Column("extra", sa.JSON, nullable=False),  # what a dialect wants to remember
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("predicted", sa.Float, nullable=False),  # seconds of work
    sa.Column("idempotency", sa.String, unique=True),
    sa.Column("fingerprint", sa.String),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("started", sa.Float),
    sa.Column("finished", sa.Float),
    sa.Column("expires", sa.Float),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("worker", sa.String),
    sa.Column("nudged", sa.Float, nullable=False),
    sa.Column("stage", sa.String, nullable=False),
    sa.Column("done", sa.Integer, nullable=False),
    sa.Column("total", sa.Integer, nullable=False),
    sa.Column("progress", sa.Integer, nullable=False),  # percent
    sa.Column("eta", sa.Float),  # seconds
    sa.Column("picture", sa.Integer, nullable=False),  # number of the picture of the expected clip
    sa.Column("watched", sa.Float, nullable=False),  # when someone last asked for pictures
    sa.Column("blobs", sa.JSON, nullable=False),
    sa.Column("facts", sa.JSON, nullable=False),
    sa.Column("error", sa.JSON),
    sa.Index("happyhorse_jobs_owner", "owner", "id"),
    sa.Index("happyhorse_jobs_status", "status"),
)

workers = sa.Table(
    "happyhorse_workers",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("seen", sa.Float, nullable=False),  # by the clock of the database
    sa.Column("facts", sa.JSON, nullable=False),
)

usage = sa.Table(
    "happyhorse_usage",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("jobs", sa.Integer, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Index("happyhorse_usage_owner", "owner", "at"),
)

keys = sa.Table(
    "happyhorse_keys",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("hash", sa.String, nullable=False),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("rate", sa.Integer),
    sa.Column("seconds_a_day", sa.Integer),
    sa.Column("created", sa.Float, nullable=False),
)

facts = sa.Table(
    "happyhorse_facts",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("value", sa.String, nullable=False),
)


def connect(settings: Settings) -> sa.Engine:
    """An engine for the database of `settings`; nothing is created yet.

    Raises OSError when the folder of a file cannot be made.
    """
    if settings.is_local:
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    url = sa.make_url(settings.database_url)
    # Errors do not show the parameters of statements: prompts are nobody's business.
    options: dict[str, Any] = {"hide_parameters": True}
    if not settings.is_local:
        patience = {name: value for name, value in PATIENCE.items() if name not in url.query}
        options |= {"pool_pre_ping": True, "pool_size": 10, "max_overflow": 20, "connect_args": patience}
    engine = sa.create_engine(url, **options)
    if settings.is_local:
        event.listen(engine, "connect", _prepare)
        same = _Same(settings.data / "jobs.db")
        event.listen(engine, "do_connect", same.check)
        event.listen(engine, "checkout", same.check)
    return engine


def _prepare(connection: Any, record: Any) -> None:
    """Readers do not wait for the writer (WAL); writers wait for each other from the first statement on."""
    connection.isolation_level = "IMMEDIATE"
    connection.execute("PRAGMA busy_timeout=30000")
    connection.execute("PRAGMA journal_mode=WAL")


class _Same:
    """Refuses connections once the file is another one, or gone: what is written to it then would be lost."""

    def __init__(self, path: Path) -> None:
        self._path, self._first = path, 0

    def check(self, *given: Any) -> None:
        """Before a connection is made, which would make the file anew, and before one is used."""
        try:
            found = self._path.stat().st_ino
        except FileNotFoundError:
            found = 0
        self._first = self._first or found
        if found != self._first:
            gone = sqlite3.OperationalError(
                f"{self._path} was removed or replaced; put it back, or start again"
            )
            raise OperationalError("", None, gone)


def create(engine: sa.Engine) -> None:
    """Make the tables where they are missing. Raises ValueError when they are of another version."""
    with engine.begin() as connection:
        alone(connection)  # two servers may start at once
        metadata.create_all(connection)
        found = connection.execute(sa.select(facts.c.value).where(facts.c.name == "version")).scalar()
        if found is None:
            connection.execute(sa.insert(facts).values(name="version", value=str(VERSION)))
        elif found != str(VERSION):
            raise ValueError(
                f"the database has tables of version {found}, this happyhorse uses {VERSION}; use the happyhorse that "
                "made them, or another data folder"
            )


def alone(connection: sa.Connection) -> None:
    """Let no other process past this point until the transaction is over. It is the first statement of it."""
    shared = connection.dialect.name == "postgresql"
    connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({LOCK})" if shared else "BEGIN IMMEDIATE"))


def fact(connection: sa.Connection, name: str) -> str:
    """A random fact (256 bits, hexadecimal), the same for all processes of a service; made when first asked for."""
    wanted = sa.select(facts.c.value).where(facts.c.name == name)
    found = connection.execute(wanted).scalar()
    if found is None:
        # Others may ask for the first time now: one of them is first, and all get what that one made.
        made = sa.text("INSERT INTO happyhorse_facts VALUES (:name, :value) ON CONFLICT DO NOTHING")
        connection.execute(made, {"name": name, "value": secrets.token_hex(32)})
        found = connection.execute(wanted).scalar_one()
    return found


def now(engine: sa.Engine) -> sa.ColumnElement[float]:
    """Seconds since 1970 by the clock of the database, which all workers share."""
    if engine.dialect.name == "postgresql":
        return sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Float)
    return sa.literal_column("((julianday('now') - 2440587.5) * 86400.0)", sa.Float)
