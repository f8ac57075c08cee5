"""How much each key has used: jobs a minute and seconds of work a day, exact over any number of servers."""

import time
from dataclasses import dataclass

import sqlalchemy as sa

from happyhorse.serve.jobs.records import WAITING, RefusedError
from happyhorse.serve.jobs.tables import jobs as J
from happyhorse.serve.jobs.tables import usage as T

MINUTE, DAY = 60.0, 24 * 3600.0
SOON = 30.0  # seconds, the least that a client is asked to wait where work has to be done first


@dataclass(frozen=True, slots=True)
class Limits:
    """New jobs a minute, and seconds of work in 24 hours, that of clips that are not over among it; 0 is no limit."""

    jobs_a_minute: int = 0
    seconds_a_day: int = 0


def note(connection: sa.Connection, owner: str, jobs: int = 0, seconds: float = 0.0) -> None:
    """Count `jobs` that were taken and `seconds` of work that were done."""
    connection.execute(sa.insert(T).values(owner=owner, at=time.time(), jobs=jobs, seconds=seconds))


def check(connection: sa.Connection, owner: str, limits: Limits) -> None:
    """Raise RefusedError when the owner may not start another job yet."""
    now = time.time()
    if limits.jobs_a_minute:
        recent = (
            sa.select(T.c.at).where(T.c.owner == owner, T.c.jobs > 0, T.c.at > now - MINUTE).order_by(T.c.at)
        )
        begun = connection.execute(recent).scalars().all()
        if len(begun) >= limits.jobs_a_minute:
            raise RefusedError(
                "rate_limit_exceeded",
                f"this key may ask for {limits.jobs_a_minute} clips a minute; slow down",
                begun[-limits.jobs_a_minute] + MINUTE - now,
            )
    if limits.seconds_a_day:
        spent = connection.execute(
            sa.select(sa.func.sum(T.c.seconds), sa.func.min(T.c.at)).where(
                T.c.owner == owner, T.c.seconds > 0, T.c.at > now - DAY
            )
        ).one()
        asked = sa.select(sa.func.sum(J.c.predicted)).where(J.c.owner == owner, J.c.status.in_(WAITING))
        done, coming = spent[0] or 0.0, connection.execute(asked).scalar() or 0.0
        if done + coming >= limits.seconds_a_day:
            raise RefusedError(
                "quota_exceeded",
                f"this key may use {limits.seconds_a_day} seconds of work a day; {done:.0f} are used, and {coming:.0f} "
                "foreseen for its clips that are not over; wait, or ask for a larger quota",
                spent[1] + DAY - now if done >= limits.seconds_a_day else SOON,
            )


def clean(connection: sa.Connection) -> None:
    """Forget what no limit looks back to."""
    connection.execute(sa.delete(T).where(T.c.at < time.time() - DAY))
