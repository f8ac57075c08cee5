"""The parts that every process of a service has: settings, tables, queue, blobs, house."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError

from happyhorse.serve.blobs import Blobs
from happyhorse.serve.jobs import tables
from happyhorse.serve.jobs.house import House
from happyhorse.serve.jobs.queue import Queue
from happyhorse.serve.jobs.store import JobStore
from happyhorse.serve.logs import first_line
from happyhorse.serve.settings import Settings


@dataclass(frozen=True, eq=False)
class Service:
    """Everything that outlives a request; `secret` signs addresses of files and is the same for all processes."""

    settings: Settings
    engine: sa.Engine
    queue: Queue
    store: JobStore
    blobs: Blobs
    house: House
    secret: bytes

    def close(self) -> None:
        """Let go of connections."""
        self.queue.close()
        self.engine.dispose()


def open_service(settings: Settings) -> Service:
    """Connect to the database and the blob store, and make what is missing there.

    Raises ValueError, with a remedy, where that is not possible.
    """
    try:
        url = sa.make_url(settings.database_url)
    except (ArgumentError, ValueError):
        raise ValueError(
            "HAPPYHORSE_DATABASE_URL is no address that can be read; give postgresql://USER:PASSWORD@HOST/DATABASE, "
            "with special characters of the password written as %XX"
        ) from None
    try:
        with _by_turns(settings):
            engine = tables.connect(settings)
            tables.create(engine)
            queue = Queue(engine, settings)
            queue.prepare()
            with engine.begin() as connection:
                secret = bytes.fromhex(tables.fact(connection, "secret"))
    except (DBAPIError, OSError) as error:
        where, reason = url.render_as_string(), first_line(error)
        remedy = (
            "see that there is room and that the file is a database that can be written, or give another folder with "
            "--data"
            if settings.is_local
            else "start it, or correct HAPPYHORSE_DATABASE_URL"
        )
        raise ValueError(f"the database {where} cannot be used ({reason}); {remedy}") from None
    blobs = Blobs(settings)
    store = JobStore(engine, settings, queue.put)
    return Service(
        settings, engine, queue, store, blobs, House(engine, settings, store, queue, blobs), secret
    )


@contextmanager
def _by_turns(settings: Settings) -> Iterator[None]:
    """Processes that start on one data folder prepare its database one after another.

    Patience does not help where the file is new: SQLite refuses at once, instead of waiting, while another connection
    turns on its log (WAL).
    """
    if not settings.is_local:
        yield
        return
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(settings.data / "start.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def hold(settings: Settings) -> int:
    """Keep other servers from using the same data folder while this process lives; returns the open lock.

    Raises ValueError when another server does.
    """
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(settings.data / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        at = running(settings)
        raise ValueError(
            f"another server uses {settings.data}{f' (at {at})' if at else ''}; stop it, or give this one another "
            "folder with --data (more workers join with: happyhorse worker)"
        ) from None
    os.ftruncate(lock, 0)  # the address of one that died
    return lock


def note(lock: int, address: str) -> None:
    """Write the address of the server that holds the data folder where `running` finds it."""
    os.pwrite(lock, address.encode(), 0)


def running(settings: Settings) -> str | None:
    """The address of the server that holds the data folder; None where none does, or it does not listen yet."""
    try:
        with open(settings.data / "server.lock", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return lock.read() or None
    except FileNotFoundError:
        pass
    return None
