"""The rows of jobs: every change of a job is one guarded statement here, so that a client sees each end exactly once.

A worker owns a job by the number of its attempt. What it writes is written only while that number and the status still
stand; when they do not, it learns so at once (`Lost`), however long it was asleep.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from happyhorse.serve.jobs import tables, usage
from happyhorse.serve.jobs.records import WAITING, Job, Lost, NoJobError, RefusedError, Status, check_id
from happyhorse.serve.settings import Settings

T = tables.jobs
Enqueue = Callable[[sa.Connection, Job], None]
AT_ONCE = 1000  # ids in one statement; databases bound the values of one


class JobStore:
    """Jobs in a database. `enqueue` puts a new job in the queue, in the transaction that writes its row."""

    def __init__(self, engine: sa.Engine, settings: Settings, enqueue: Enqueue) -> None:
        self.engine, self.settings, self._enqueue = engine, settings, enqueue

    # What clients do

    def submit(self, job: Job, limits: usage.Limits) -> Job:
        """Take a job, or give back the one that the same idempotency key made before.

        Raises RefusedError ("queue_full", "rate_limit_exceeded", "quota_exceeded", "idempotency_conflict").
        """
        try:
            with self.engine.begin() as connection:
                tables.alone(connection)  # so that limits hold however many ask at once
                known = self._same(connection, job)
                if known is not None:
                    return known
                self._check_room(connection)
                usage.check(connection, job.owner, limits)
                connection.execute(sa.insert(T).values(**asdict(job)))
                usage.note(connection, job.owner, jobs=1)
                self._enqueue(connection, job)
            return job
        except IntegrityError:  # the same key at the same time
            with self.engine.begin() as connection:
                known = self._same(connection, job)
            if known is None:
                raise
            return known

    def knows(self, idempotency: str | None) -> bool:
        """Whether there is a job that was made under an idempotency key."""
        if idempotency is None:
            return False
        with self.engine.connect() as connection:
            return (
                connection.execute(sa.select(T.c.id).where(T.c.idempotency == idempotency)).first()
                is not None
            )

    def admit(self, owner: str, limits: usage.Limits) -> None:
        """Raise RefusedError where `submit` would, before anything is done for a job."""
        with self.engine.connect() as connection:
            self._check_room(connection)
            usage.check(connection, owner, limits)

    def waiting_seconds(self) -> float:
        """Seconds of work that are foreseen for all jobs that wait."""
        with self.engine.connect() as connection:
            query = sa.select(sa.func.sum(T.c.predicted)).where(T.c.status == "queued")
            return float(connection.execute(query).scalar() or 0.0)

    def _same(self, connection: sa.Connection, job: Job) -> Job | None:
        if job.idempotency is None:
            return None
        row = connection.execute(sa.select(T).where(T.c.idempotency == job.idempotency)).first()
        if row is None:
            return None
        if row.fingerprint != job.fingerprint:
            raise RefusedError(
                "idempotency_conflict",
                "this Idempotency-Key was used before with another request; send a new key with a new request",
            )
        return _job(row)

    def _check_room(self, connection: sa.Connection) -> None:
        waiting, seconds = connection.execute(
            sa.select(sa.func.count(), sa.func.sum(T.c.predicted)).where(T.c.status == "queued")
        ).one()
        if waiting >= self.settings.queue:
            each = (seconds or 0.0) / waiting
            raise RefusedError(
                "queue_full",
                f"{waiting} clips are waiting already; try again later",
                max(usage.SOON, min(600.0, each)),
            )

    def get(self, job: str, owner: str | None = None) -> Job:
        """A job, of `owner` only (None: of anyone). Raises NoJobError."""
        with self.engine.connect() as connection:
            row = connection.execute(sa.select(T).where(*_of(owner), T.c.id == check_id(job))).first()
        if row is None:
            raise NoJobError(job)
        return _job(row)

    def page(
        self,
        owner: str | None = None,
        *,
        after: str | None = None,
        limit: int = 20,
        offset: int = 0,
        oldest_first: bool = False,
        status: Collection[Status] = (),
        model: str | None = None,
        ids: Collection[str] = (),
    ) -> list[Job]:
        """Jobs in the order of their making, the newest first, those after the id `after` in that order.

        `limit` of them at most, after the first `offset` (both in units of jobs).
        """
        query = sa.select(T).where(*_of(owner), *_where(status, model, ids))
        if after is not None:
            query = query.where(T.c.id > after if oldest_first else T.c.id < after)
        query = query.order_by(T.c.id.asc() if oldest_first else T.c.id.desc()).limit(limit).offset(offset)
        with self.engine.connect() as connection:
            return [_job(row) for row in connection.execute(query)]

    def count(
        self,
        owner: str | None = None,
        *,
        status: Collection[Status] = (),
        model: str | None = None,
        ids: Collection[str] = (),
    ) -> int:
        """How many such jobs there are."""
        query = sa.select(sa.func.count()).select_from(T).where(*_of(owner), *_where(status, model, ids))
        with self.engine.connect() as connection:
            return connection.execute(query).scalar_one()

    def cancel(self, job: str, owner: str | None = None) -> Job:
        """Stop a job that is not over yet; one that is over stays as it is. Raises NoJobError."""
        now = time.time()
        ended = {"finished": now, "expires": now + self.settings.keep, "eta": None, "worker": None}
        self._change(check_id(job), [*_of(owner), T.c.status.in_(WAITING)], status="cancelled", **ended)
        return self.get(job, owner)

    def delete(self, job: str, owner: str | None = None) -> Job:
        """Forget a job, whatever its status; returns what it was, with the names of its blobs. Raises NoJobError."""
        with self.engine.begin() as connection:
            row = connection.execute(
                sa.delete(T).where(*_of(owner), T.c.id == check_id(job)).returning(T)
            ).first()
        if row is None:
            raise NoJobError(job)
        return _job(row)

    def watch(self, job: str) -> None:
        """Note that someone wants to see pictures of a job."""
        self._change(job, [], watched=time.time())

    # What workers do

    def claim(self, job: str, worker: str) -> Job | None:
        """Begin an attempt at a job; None when there is nothing to do any more."""
        row = self._change(
            job, [T.c.status.in_(WAITING)], status="in_progress", attempt=T.c.attempt + 1, worker=worker,
            started=sa.func.coalesce(T.c.started, time.time()),
        )  # fmt: skip
        return None if row is None else _job(row)

    def report(self, job: Job, **values: Any) -> Job:
        """Write how far an attempt is; returns the row as it is now. Raises Lost."""
        row = self._change(job.id, _owned(job), **values)
        if row is None:
            raise Lost(job.id)
        return _job(row)

    def finish(self, job: Job, blobs: Mapping[str, str], facts: Mapping[str, Any], seconds: float) -> None:
        """Publish the end of an attempt, and count its `seconds` of work. Raises Lost."""
        self._end(
            job, seconds, status="completed", progress=100, blobs=dict(blobs), facts=dict(facts), error=None
        )

    def fail(self, job: Job, code: str, message: str, seconds: float = 0.0) -> None:
        """End an attempt without a clip, after `seconds` of work. Raises Lost."""
        self._end(job, seconds, status="failed", error={"code": code, "message": message})

    def spent(self, job: Job, seconds: float) -> None:
        """Count the `seconds` of work on an attempt that came to nothing because the job was cancelled or deleted."""
        with self.engine.begin() as connection:
            status = connection.execute(sa.select(T.c.status).where(T.c.id == job.id)).scalar()
            if status in (None, "cancelled") and seconds > 0:
                usage.note(connection, job.owner, seconds=seconds)

    def _end(self, job: Job, seconds: float, **values: Any) -> None:
        now = time.time()
        ended = {"finished": now, "expires": now + self.settings.keep, "eta": None, "worker": None}
        with self.engine.begin() as connection:
            update = sa.update(T).where(T.c.id == job.id, *_owned(job)).values(**ended, **values)
            if connection.execute(update).rowcount != 1:
                raise Lost(job.id)
            usage.note(connection, job.owner, seconds=seconds)

    # What keeps house

    def nudge(self, job: str) -> bool:
        """Whether this caller is the one that may put a job back in the queue: one in each lease."""
        now = tables.now(self.engine)
        due = T.c.nudged < now - self.settings.lease
        return self._change(job, [T.c.status.in_(WAITING), due], nudged=now) is not None

    def expired(self, limit: int = 100) -> list[Job]:
        """Jobs that were kept long enough."""
        query = sa.select(T).where(T.c.expires < time.time()).limit(limit)
        with self.engine.connect() as connection:
            return [_job(row) for row in connection.execute(query)]

    def existing(self, jobs: Iterable[str]) -> dict[str, Job]:
        """Those of `jobs` that there are, by id."""
        wanted, found = list(jobs), {}
        with self.engine.connect() as connection:
            for start in range(0, len(wanted), AT_ONCE):
                part = sa.select(T).where(T.c.id.in_(wanted[start : start + AT_ONCE]))
                found |= {row.id: _job(row) for row in connection.execute(part)}
        return found

    def _change(self, job: str, conditions: Iterable[Any], **values: Any) -> Any:
        update = sa.update(T).where(T.c.id == job, *conditions).values(**values).returning(T)
        with self.engine.begin() as connection:
            return connection.execute(update).first()


def _of(owner: str | None) -> list[Any]:
    return [] if owner is None else [T.c.owner == owner]


def _owned(job: Job) -> list[Any]:
    return [T.c.status == "in_progress", T.c.attempt == job.attempt]


def _where(status: Collection[Status], model: str | None, ids: Collection[str]) -> list[Any]:
    found: list[Any] = [T.c.status.in_(list(status))] if status else []
    found += [T.c.model == model.replace("\0", "")] if model else []  # PostgreSQL keeps no such characters
    return found + ([T.c.id.in_([one for one in ids if "\0" not in one])] if ids else [])


def _job(row: Any) -> Job:
    return Job(**row._mapping)
