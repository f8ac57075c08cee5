"""Keeping house: who is alive, whose jobs go to someone else, what is old enough to go."""

import datetime
import logging
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

import sqlalchemy as sa

from happyhorse.serve.blobs import Blobs
from happyhorse.serve.jobs import tables, usage
from happyhorse.serve.jobs.queue import Queue
from happyhorse.serve.jobs.records import NoJobError, folder
from happyhorse.serve.jobs.store import JobStore
from happyhorse.serve.logs import first_line
from happyhorse.serve.settings import Settings

W = tables.workers
# seconds after which a blob of no job is taken for left over: uploads come before their job
UNCLAIMED = 3600.0
MARK = "service"  # blob that says of which database the blobs are
logger = logging.getLogger("happyhorse.house")


class House:
    """What all processes of a service do now and then; it does no harm when several do it at once."""

    def __init__(
        self, engine: sa.Engine, settings: Settings, store: JobStore, queue: Queue, blobs: Blobs
    ) -> None:
        self.engine, self.settings, self.store, self.queue, self.blobs = engine, settings, store, queue, blobs

    def greet(self, worker: str, facts: Mapping[str, Any]) -> None:
        """Say that a worker is alive, by the clock of the database."""
        values = {"seen": tables.now(self.engine), "facts": dict(facts)}
        with self.engine.begin() as connection:
            if connection.execute(sa.update(W).where(W.c.id == worker).values(**values)).rowcount == 0:
                connection.execute(sa.insert(W).values(id=worker, **values))

    def leave(self, worker: str) -> None:
        """Say that a worker is gone; what it was at goes to others at once."""
        with self.engine.begin() as connection:
            connection.execute(sa.delete(W).where(W.c.id == worker))

    def alive(self) -> dict[str, dict[str, Any]]:
        """Workers that were heard of within the lease, with what they say about themselves."""
        recent = W.c.seen > tables.now(self.engine) - self.settings.lease
        with self.engine.connect() as connection:
            return {row.id: row.facts for row in connection.execute(sa.select(W).where(recent))}

    def adopt(self) -> list[str]:
        """Put the jobs of dead workers back in the queue; returns those that this call put back."""
        orphans = self.queue.orphans(self.alive())
        known, adopted = self.store.existing(orphans), []
        for job in orphans:
            if job not in known or known[job].is_over:
                self.queue.cancel(job)
            elif self.store.nudge(job):
                logger.warning("a worker died; its job goes back in the queue", extra={"job": job})
                self.queue.again(job)
                adopted.append(job)
        return adopted

    def astray(self, worker: str, at: Collection[str], before: Collection[str]) -> set[str]:
        """Jobs that are with a living worker which is not at them: the database was lost as it took or ended them.

        Those that were so `before`, a while ago, go back in the queue; returns the others.
        """
        found = set(self.queue.held(worker)) - set(at)
        for job in found.intersection(before):
            logger.warning(
                "a job was taken but is not at work; it goes back in the queue", extra={"job": job}
            )
            self.queue.again(job)
        return found.difference(before)

    def clean(self) -> int:
        """Forget jobs that were kept long enough, with their blobs, and workers that died; returns how many jobs."""
        old = self.store.expired()
        for job in old:
            with suppress(NoJobError):  # another process was first
                self.remove(job.id)
        with self.engine.begin() as connection:
            usage.clean(connection)
            connection.execute(
                sa.delete(W).where(W.c.seen < tables.now(self.engine) - 20 * self.settings.lease)
            )
        return len(old)

    def remove(self, job: str, owner: str | None = None) -> None:
        """Forget a job, stop it where it is at work, delete its blobs. Raises NoJobError where `owner` has none."""
        self.store.delete(job, owner)
        self.queue.cancel(job)
        self.blobs.delete(self.blobs.list(folder(job)))
        self.queue.forget(job)

    def sweep(self, unclaimed: float = UNCLAIMED) -> list[str]:
        """Delete blobs that belong to nothing: of jobs that are gone, and leftovers of jobs that are over.

        Blobs of no job are only deleted when they are older than `unclaimed` seconds, and none where the store has the
        mark of another database: that one knows their jobs. Returns the names of what was deleted.
        """
        if not self._is_ours():
            where = self.settings.blobs or self.settings.data / "blobs"
            logger.error(
                "the clips in %s are of another database, so nothing is deleted there; go back to that database, or "
                "delete the file %r there, which gives them to this one and forgets those that it does not know",
                where,
                MARK,
            )
            return []
        limit = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=unclaimed)
        written = self.blobs.list("jobs/")
        by_job: dict[str, list[str]] = {}
        for name in written:
            by_job.setdefault(name.split("/")[1], []).append(name)
        known, left = self.store.existing(by_job), []
        for job, names in by_job.items():
            if job not in known:
                left += [name for name in names if written[name] < limit]
            elif known[job].is_over:
                left += [name for name in names if name not in known[job].blobs.values()]
        self.blobs.delete(left)
        return left

    def _is_ours(self) -> bool:
        """Whether the blobs are of this database; the first one that asks gets them."""
        with self.engine.begin() as connection:
            mark = tables.fact(connection, "store").encode()
        try:
            return self.blobs.get(MARK) == mark
        except FileNotFoundError:
            self.blobs.put(MARK, mark)
            return True

    def keep(self, stop: threading.Event) -> None:
        """Do all of it again and again until `stop`, in a thread."""
        rounds, seldom = 0, max(1, round(600 / (self.settings.lease / 2)))
        while not stop.wait(self.settings.lease / 2):
            try:
                self.adopt()
                if rounds % 4 == 0:
                    self.clean()
                if rounds % seldom == 0:
                    self.sweep()
            except Exception as error:  # the database or the store is away: the next round tries again
                logger.warning("housekeeping has to wait: %s", first_line(error))
            rounds += 1
