"""For operators: is it alive, is it ready, how is it doing; and signed files."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi import Path as InPath
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from happyhorse.serve.http import content, metrics
from happyhorse.serve.http.access import allow
from happyhorse.serve.http.context import Here, Who
from happyhorse.serve.http.errors import ApiError, OpenAIError, documented

router = APIRouter(tags=["Operations"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:  # not in a thread: those may all be waiting for a store
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz", responses=documented(OpenAIError))
def readyz(here: Here) -> dict[str, Any]:
    """It can take orders: models are loaded, database and blob store can be reached, it is not stopping."""
    if here.stopping.is_set() or not here.ready:
        why = "is loading its models"
        if here.broken:
            why = "has a model that it cannot load; its log says why"
        if here.stopping.is_set():
            why = "is stopping"
        raise ApiError(503, "not_ready", f"the server {why}", retry=5)
    workers = here.service.house.alive()
    here.service.blobs.check()
    return {"status": "ok", "workers": len(workers), "waiting": here.service.store.count(status=("queued",))}


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, **documented(OpenAIError)},
)
def figures(here: Here, caller: Who) -> Response:
    """Figures for Prometheus; with keys in use it takes one with the scope `admin`."""
    allow(caller, "admin")
    return Response(metrics.text(here.service), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.api_route(
    "/files/{blob:path}",
    methods=["GET", "HEAD"],
    response_class=Response,
    include_in_schema=False,
)
async def signed(
    here: Here,
    request: Request,
    blob: Annotated[str, InPath(max_length=200)],
    until: Annotated[int, Query(ge=0, le=10**11)],
    signature: Annotated[str, Query(max_length=64)],
) -> Response:
    """A file by its signed address."""
    await run_in_threadpool(content.check, here.service, blob, until, signature)
    return await content.answer(here.service, request, blob)


def no_page() -> JSONResponse:
    """What stands at / where the studio page is not installed."""
    return JSONResponse({"service": "happyhorse", "documentation": "/docs", "videos": "/v1/videos"})
