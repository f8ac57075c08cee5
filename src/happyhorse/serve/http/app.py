"""The app: three dialects, the operators' routes, and the studio page, around one desk."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

import anyio.to_thread
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from happyhorse import __version__
from happyhorse.errors import explain
from happyhorse.serve.http import ark, dashscope, errors, openai, operations, origins, studio
from happyhorse.serve.http.access import Keys
from happyhorse.serve.http.context import State
from happyhorse.serve.http.desk import Desk
from happyhorse.serve.http.guard import Guard
from happyhorse.serve.http.models import Models
from happyhorse.serve.service import Service

THREADS = 64  # requests that may wait for the database or a decoder at once
logger = logging.getLogger("happyhorse.http")


def create_app(
    service: Service, models: Models | None = None, closed: bool = False, local: bool = False
) -> FastAPI:
    """The app of a service; `models` are those of its settings where none are given. The caller closes the service.

    `closed`: nobody comes in without a key, also when the last one was revoked. `local`: it listens to this machine
    alone, so requests that pages from elsewhere make its browsers send are refused (`origins`).
    """
    models = models or Models(service.settings.models)
    state = State(service, Desk(service, models), Keys(service.engine, service.settings, closed))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        loading = asyncio.create_task(_load(state, models))
        yield
        state.stopping.set()
        loading.cancel()

    app = FastAPI(
        title="happyhorse",
        version=__version__,
        summary="Video with sound from a prompt, in the dialects of OpenAI, DashScope and Ark.",
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.happyhorse = state
    for router in (
        openai.router,
        dashscope.router,
        ark.router,
        operations.router,
        studio.router,
        studio.pages,
    ):
        app.include_router(router)
    errors.install(app)
    known = {urlsplit(service.settings.public_url or "").hostname or "localhost"}
    check = partial(origins.check, known=known) if local else lambda headers: None
    app.add_middleware(Guard, limit=service.settings.media_bytes + 2**20, check=check)
    return app


async def _load(state: State, models: Models) -> None:
    """Load the models while the server answers already."""
    try:
        await run_in_threadpool(models.load_all)
        await run_in_threadpool(lambda: [models.describe(name) for name in models.names])
        state.ready = True
    except Exception as error:
        state.broken = True
        logger.error(
            "a model cannot be served: %s", explain(error), exc_info=not isinstance(error, ValueError)
        )
