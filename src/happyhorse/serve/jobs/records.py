"""A job as everyone sees it, and what can be wrong with asking for one."""

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["queued", "in_progress", "completed", "failed", "cancelled"]
STATUSES: tuple[Status, ...] = ("queued", "in_progress", "completed", "failed", "cancelled")
WAITING: tuple[Status, ...] = ("queued", "in_progress")


_ID = re.compile(r"video_[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One clip that was asked for. Times are seconds since 1970; `eta` and `predicted` are seconds of work.

    `owner` is the id of a key; `model` the name that was asked for; `request` the plain form of a `values.Request` in
    which files are names of blobs; `extra` what the dialect remembers; `progress` percent, made of `done` of `total`
    in a `stage`; `blobs` names of blobs by what they are ("video", "thumbnail", ...); `facts` what there is to say
    about the finished clip; `error` {"code", "message"}. `attempt` counts the workers that took the job.
    """

    id: str
    owner: str
    model: str
    request: dict[str, Any]
    status: Status = "queued"
    extra: dict[str, Any] = field(default_factory=dict)
    priority: int = 0
    predicted: float = 0.0
    idempotency: str | None = None
    fingerprint: str | None = None
    created: float = field(default_factory=time.time)
    started: float | None = None
    finished: float | None = None
    expires: float | None = None
    attempt: int = 0
    worker: str | None = None
    nudged: float = 0.0
    stage: str = ""
    done: int = 0
    total: int = 0
    progress: int = 0
    eta: float | None = None
    picture: int = 0
    watched: float = 0.0
    blobs: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, str] | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more."""
        return self.status not in WAITING

    @property
    def folder(self) -> str:
        """Where its blobs are."""
        return folder(self.id)


def folder(job: str) -> str:
    """The prefix of the blobs of a job."""
    return f"jobs/{job}/"


def new_id() -> str:
    """A name for a job that no client chose: the time first, so that names sort by age, then 72 random bits."""
    return f"video_{time.time_ns() // 1000:014x}{secrets.token_hex(9)}"


def check_id(job: str) -> str:
    """`job` itself. Raises NoJobError for what is no id of a job at all."""
    if not _ID.fullmatch(job):
        raise NoJobError(job)
    return job


class RefusedError(Exception):
    """A job that is not taken: `code` says why in one word, the message to a person; `retry` after so many seconds."""

    def __init__(self, code: str, message: str, retry: float | None = None) -> None:
        super().__init__(message)
        self.code, self.retry = code, retry


class NoJobError(LookupError):
    """There is no such job, or it belongs to someone else."""


class Lost(BaseException):
    """The job is no longer this worker's: it was cancelled, deleted, or taken over by another one.

    A BaseException, so that it passes through the durable queue, which records exceptions as results of steps.
    """
