"""What a route needs: the desk of the app, who calls, the body, and the address by which clients reach the server."""

import asyncio
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from happyhorse.serve.http.access import Caller, Keys
from happyhorse.serve.http.body import Fields, read_body
from happyhorse.serve.http.desk import Desk
from happyhorse.serve.service import Service


@dataclass(eq=False)
class State:
    """What an app holds; `stopping` is set when it is told to stop, `ready` when its models are loaded, `broken` when
    one cannot be.
    """

    service: Service
    desk: Desk
    keys: Keys
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    ready: bool = False
    broken: bool = False


def state_of(request: Request) -> State:
    """The state of the app that a request came to."""
    return request.app.state.happyhorse


async def caller_of(request: Request) -> Caller:
    """Who sends a request. Raises ApiError 401."""
    return await run_in_threadpool(state_of(request).keys.caller, request.headers.get("authorization"))


async def fields_of(request: Request, caller: Annotated[Caller, Depends(caller_of)]) -> Fields:
    """The body of a request, after its key was looked at. Raises ApiError 400 or 415."""
    return Fields(await read_body(request))


def base_of(request: Request) -> str:
    """The address of the server without a slash at its end, as clients know it."""
    settings = state_of(request).service.settings
    return (settings.public_url or str(request.base_url)).rstrip("/")


Here = Annotated[State, Depends(state_of)]
Who = Annotated[Caller, Depends(caller_of)]
Body = Annotated[Fields, Depends(fields_of)]
Base = Annotated[str, Depends(base_of)]


def body_of(model: type[Any], *kinds: str) -> dict[str, Any]:
    """The `openapi_extra` of a route whose body is read by `fields_of`: `model` as each of the media types `kinds`."""
    schema = model.model_json_schema(ref_template="{model}")
    whole = _filled(schema, schema.pop("$defs", {}))
    return {"requestBody": {"required": True, "content": {kind: {"schema": whole} for kind in kinds}}}


def _filled(part: Any, models: dict[str, Any]) -> Any:
    """A part of a schema with the `models` that it refers to in their places: the document does not list them."""
    if isinstance(part, list):
        return [_filled(item, models) for item in part]
    if not isinstance(part, dict):
        return part
    own = {key: _filled(value, models) for key, value in part.items() if key != "$ref"}
    return {**_filled(models[part["$ref"]], models), **own} if "$ref" in part else own
