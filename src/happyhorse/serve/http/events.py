"""A job as it happens: server-sent events, from any server, whichever worker is at it.

`status` with the video object whenever something changed, `picture` with a small picture of the expected clip every few
steps, `draft` when a clip of the base size can be watched, `done` at the end.
"""

import asyncio
import base64
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse

from happyhorse.serve.http.errors import STORAGE
from happyhorse.serve.jobs.attempt import EXPECTED
from happyhorse.serve.jobs.records import Job, NoJobError
from happyhorse.serve.logs import first_line
from happyhorse.serve.service import Service

EVERY = 0.2  # seconds between two looks at the job
AWAY = 2.0  # seconds until a store that cannot be reached is tried again
WATCHED = 5.0  # seconds after which a worker is told again that someone looks on
BEAT = 15.0  # seconds after which a silent connection gets a comment, so that nobody on the way closes it

logger = logging.getLogger("happyhorse.http")

View = Callable[[Job], dict[str, Any]]


def stream(
    service: Service, request: Request, job: Job, view: View, stopping: asyncio.Event
) -> StreamingResponse:
    """Events of a job, whose object is given by `view`, until it is over, nobody listens, or the server stops."""
    events = _events(service, request, job, view, stopping)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def _events(
    service: Service, request: Request, job: Job, view: View, stopping: asyncio.Event
) -> AsyncIterator[str]:
    told: dict[str, Any] = {}
    picture, silent, number = 0, 0.0, 0
    had_draft = False
    while not stopping.is_set():
        seen = {"stage": job.stage, "step": job.done, "steps": job.total, "eta": job.eta, **view(job)}
        if seen != told:
            told, silent, number = seen, 0.0, number + 1
            yield _event("status", number, seen)
        if job.picture > picture and not job.is_over:
            picture = job.picture
            try:
                content = await run_in_threadpool(service.blobs.get, job.folder + EXPECTED)
                shown = "data:image/webp;base64," + base64.b64encode(content).decode()
                yield _event("picture", number, {"step": picture, "steps": job.total, "image": shown})
            except STORAGE:
                pass  # the clip is finished by now, or the store is away; there will be others
        if "preview" in job.blobs and not had_draft:
            had_draft = True
            yield _event("draft", number, {"id": job.id, "variant": "preview"})
        if job.is_over:
            yield _event("done", number, {"id": job.id, "status": job.status})
            return
        await asyncio.sleep(EVERY)
        silent += EVERY
        if silent >= BEAT:
            silent = 0.0
            yield ": still here\n\n"
        if await request.is_disconnected():
            return
        try:
            if time.time() - job.watched > WATCHED:
                await run_in_threadpool(service.store.watch, job.id)
            job = await run_in_threadpool(service.store.get, job.id)
        except NoJobError:
            yield _event("done", number + 1, {"id": job.id, "status": "deleted"})
            return
        except STORAGE as error:
            logger.warning("storage: %s", first_line(error), extra={"job": job.id})
            yield ": the server cannot reach its storage; this goes on when it can\n\n"
            await asyncio.sleep(AWAY)


def _event(kind: str, number: int, data: dict[str, Any]) -> str:
    return f"event: {kind}\nid: {number}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
