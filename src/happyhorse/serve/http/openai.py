"""The OpenAI dialect: /v1/videos as the official client speaks it, with extensions that it passes on as they are.

Extensions: fields seed, steps, guidance, audio_guidance, sampler, language, last_frame, key_frames, references, audio,
video, draft, priority of a new video; keep and span of an edit (with a span it makes that anew); status "cancelled",
and the keys from `seed` on in the object; the routes cancel, promote, events and plan; variants preview and last_frame.
"""

from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query
from fastapi import Path as InPath
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from happyhorse.serve.http import content, events, sizes
from happyhorse.serve.http.access import Caller, allow
from happyhorse.serve.http.body import Fields
from happyhorse.serve.http.context import Base, Body, Here, State, Who, body_of
from happyhorse.serve.http.desk import PRIORITIES, Order
from happyhorse.serve.http.errors import ApiError, OpenAIError, bad, documented
from happyhorse.serve.http.models import takes
from happyhorse.serve.http.openai_schema import (
    Deleted,
    Edit,
    Extension,
    ModelCard,
    ModelCards,
    NewVideo,
    Plan,
    Remix,
    Video,
    Videos,
)
from happyhorse.serve.jobs import records
from happyhorse.serve.jobs.records import Job
from happyhorse.values import LONGEST_PROMPT

router = APIRouter(prefix="/v1", tags=["OpenAI dialect"])
POLL_MS = "1000"
FORM, JSON = "multipart/form-data", "application/json"
WITH_BODY = documented(OpenAIError, 404, 409, 413, 415)
NUMBERS = ("guidance", "audio_guidance", "upscale_guidance")
WHOLE = {"seed": (0, 2**63 - 1), "steps": (1, 1000), "upscale_steps": (1, 1000)}
Id = Annotated[str, InPath(max_length=100, description="Id of a video, as it was given.")]
Again = Annotated[str | None, Header(alias="Idempotency-Key", max_length=255)]


def view(here: State, base: str, job: Job) -> dict[str, Any]:
    """A job as a video object."""
    request, service = job.request, here.service
    width, height = job.facts.get("size") or (request["width"], request["height"])
    seconds = job.facts.get("seconds", request["seconds"])
    shown = {variant: job.blobs[blob] for variant, blob in content.VARIANTS.items() if blob in job.blobs}
    return {
        "id": job.id,
        "object": "video",
        "model": job.model,
        "status": job.status,
        "progress": job.progress,
        "created_at": int(job.created),
        "completed_at": int(job.finished) if job.finished and job.status == "completed" else None,
        "expires_at": int(job.expires) if job.expires else None,
        "prompt": request["prompt"],
        "size": f"{width}x{height}",
        "seconds": f"{seconds:g}",
        "remixed_from_video_id": job.extra.get("remixed_from"),
        "error": dict(job.error) if job.error else None,
        "seed": request["seed"],
        "draft": bool(job.extra.get("draft")),
        "notes": list(job.facts.get("notes", ())),
        "urls": {
            variant: content.signed(service, base, blob, job.expires) for variant, blob in shown.items()
        },
    }


def _answer(here: State, base: str, job: Job, status: int = 200) -> JSONResponse:
    headers = {} if job.is_over else {"openai-poll-after-ms": POLL_MS}
    return JSONResponse(view(here, base, job), status, headers)


def _prompt(fields: Fields) -> str:
    prompt = fields.text("prompt", LONGEST_PROMPT)
    if prompt is None or not prompt.strip():
        raise bad("prompt", "prompt is required: describe a scene", "missing_parameter")
    return prompt


def _seconds(fields: Fields) -> dict[str, float]:
    seconds = fields.number("seconds")
    return {} if seconds is None else {"seconds": seconds}


def _picture(value: Any, key: str) -> Any:
    """A picture, called `key`: a file, a text, or an object that holds one."""
    if isinstance(value, list):
        raise bad(key, f"{key} is one picture; pictures of a subject are given as references")
    if not isinstance(value, dict):
        return value
    inner = Fields(value, f"{key}.")
    inner.refuse("is not known here; send the picture itself", "file_id")
    url = inner.take("image_url")
    inner.end()
    if url is None:
        raise bad(key, f"{key} must be a picture, or an object with image_url", "missing_parameter")
    return url


def _references(fields: Fields) -> list[Any]:
    """Pictures of a subject, one or several; each as `_picture` has it."""
    value = fields.take("references")
    each = value if isinstance(value, list) else [] if value is None else [value]
    return [_picture(one, f"references.{number}") for number, one in enumerate(each)]


def _clip(here: State, caller: Caller, fields: Fields, required: bool = True) -> Any:
    """A clip: a file, a text, or an object with the id of a video of this server."""
    value = fields.take("video")
    if isinstance(value, dict):
        inner = Fields(value, "video.")
        found = inner.text("id")
        inner.end()
        if found is None:
            raise bad("video", "video must be a file, or an object with id", "missing_parameter")
        return here.desk.clip(caller, found, "video.id")
    if value is None and required:
        raise bad("video", "video is required: a file, or an object with id", "missing_parameter")
    return value


def _key_frames(fields: Fields) -> list[tuple[float, Any]]:
    values = fields.take("key_frames") or []
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise bad("key_frames", "key_frames is a list of objects with seconds and image")
    found = []
    for number, value in enumerate(values):
        inner = Fields(value, f"key_frames.{number}.")
        time, picture = inner.number("seconds"), inner.take("image")
        inner.end()
        if time is None or picture is None:
            raise bad("key_frames", "each key frame needs seconds and image", "missing_parameter")
        found.append((time, picture))
    return found


def read_order(here: State, caller: Caller, fields: Fields, again: str | None) -> Order:
    """A new video as an order. Raises ApiError for the first field that is wrong."""
    prompt, name = _prompt(fields), fields.text("model")
    _, model = here.desk.models.find(name)
    asked: dict[str, Any] = _seconds(fields)
    size = fields.text("size")
    if size is not None:
        asked["width"], asked["height"] = sizes.fit(model, *sizes.parse(size, "size"), "size")
    asked |= {key: fields.number(key) for key in NUMBERS}
    asked |= {key: fields.whole(key, *bounds) for key, bounds in WHOLE.items()}
    asked |= {key: fields.text(key) for key in ("sampler", "language")}
    files = {
        "first_frame": _picture(fields.take("input_reference"), "input_reference"),
        "last_frame": _picture(fields.take("last_frame"), "last_frame"),
        "key_frames": _key_frames(fields),
        "references": _references(fields),
        "audio": fields.take("audio"),
        "video": _clip(here, caller, fields, required=False),
    }
    params = {f"references-{number}": f"references.{number}" for number in range(len(files["references"]))}
    draft, priority = fields.flag("draft"), fields.whole("priority", *PRIORITIES)
    fields.end()
    return Order(
        caller=caller,
        prompt=prompt,
        model=name,
        fields={key: value for key, value in asked.items() if value is not None},
        files={key: value for key, value in files.items() if value is not None and value != []},
        params=params | {"width": "size", "height": "size", "first_frame": "input_reference"},
        priority=priority or 0,
        draft=bool(draft),
        idempotency=again,
    )


@router.post(
    "/videos", response_model=Video, responses=WITH_BODY, openapi_extra=body_of(NewVideo, FORM, JSON)
)
def create(here: Here, caller: Who, fields: Body, base: Base, idempotency_key: Again = None) -> Response:
    """Ask for a video; it is made in the background."""
    return _answer(here, base, here.desk.submit(read_order(here, caller, fields, idempotency_key)))


@router.post(
    "/videos/plan", response_model=Plan, responses=WITH_BODY, openapi_extra=body_of(NewVideo, FORM, JSON)
)
def plan(here: Here, caller: Who, fields: Body) -> dict[str, Any]:
    """Say what a video would take, without making it."""
    return here.desk.plan(read_order(here, caller, fields, None))


@router.post(
    "/videos/edits", response_model=Video, responses=WITH_BODY, openapi_extra=body_of(Edit, FORM, JSON)
)
def edit(here: Here, caller: Who, fields: Body, base: Base, idempotency_key: Again = None) -> Response:
    """Change a clip as the prompt says, or, with `span`, make that span of it anew; the rest of it stays."""
    prompt, name, seed = _prompt(fields), fields.text("model"), fields.whole("seed", *WHOLE["seed"])
    clip, span, keep = _clip(here, caller, fields), fields.take("span"), fields.text("keep")
    fields.end()
    field = "edit" if span is None else "retake"
    asked = {"seed": seed, "keep": keep, "span": None if span is None else _span(span)}
    if span is None:
        _check_edits(here, name)
    order = Order(
        caller=caller, prompt=prompt, model=name, files={field: clip}, params={field: "video"},
        fields={key: value for key, value in asked.items() if value is not None}, idempotency=idempotency_key,
    )  # fmt: skip
    return _answer(here, base, here.desk.submit(order))


def _check_edits(here: State, name: str | None) -> None:
    """Raise ApiError for a model that can make a span anew, and that alone."""
    can = takes(here.desk.models.find(name)[1])
    if "retake" in can and "edit" not in can:
        raise bad(
            "span",
            'span is required: from and to which second the clip is made anew, such as "1-2.5"; a change to the whole '
            "clip takes a model that was trained with edits (docs/how-to/train.md), which this one was not",
            "missing_parameter",
        )


def _span(span: Any) -> tuple[float, float]:
    """From and to which second, of "1-2.5" or [1, 2.5]."""
    if isinstance(span, str):
        span = span.split("-")
    try:
        start, end = (float(value) for value in span)
    except (TypeError, ValueError):
        raise bad(
            "span",
            'span must be from and to which second the clip is made anew, such as "1-2.5"; without it all of it is '
            "changed as the prompt says",
        ) from None
    return start, end


@router.post(
    "/videos/extensions",
    response_model=Video,
    responses=WITH_BODY,
    openapi_extra=body_of(Extension, FORM, JSON),
)
def extend(here: Here, caller: Who, fields: Body, base: Base, idempotency_key: Again = None) -> Response:
    """Go on from a clip; the new one holds both."""
    prompt, name, seed = _prompt(fields), fields.text("model"), fields.whole("seed", *WHOLE["seed"])
    clip, asked = _clip(here, caller, fields), _seconds(fields)
    fields.end()
    order = Order(
        caller=caller, prompt=prompt, model=name, fields=asked | ({} if seed is None else {"seed": seed}),
        files={"extend": clip}, params={"extend": "video"}, idempotency=idempotency_key,
    )  # fmt: skip
    return _answer(here, base, here.desk.submit(order))


@router.post("/videos/characters", responses=documented(OpenAIError, 413, 415), status_code=400)
def characters(caller: Who) -> Response:
    """Not possible: the models here know no characters."""
    raise ApiError(
        400, "unsupported", "the models here keep no characters; give pictures of the person as references"
    )


@router.get("/videos", response_model=Videos, responses=documented(OpenAIError, 404))
def page(
    here: Here,
    caller: Who,
    base: Base,
    after: Annotated[str | None, Query(max_length=100)] = None,
    limit: Annotated[int, Query(ge=0, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
) -> dict[str, Any]:
    """Videos, the newest first, after the id `after`."""
    if after is not None:
        records.check_id(after)
    found = here.desk.page(caller, after=after, limit=limit + 1, oldest_first=order == "asc")
    shown = [view(here, base, job) for job in found[:limit]]
    ends = (
        {"first_id": shown[0]["id"], "last_id": shown[-1]["id"]}
        if shown
        else {"first_id": None, "last_id": None}
    )
    return {"object": "list", "data": shown, **ends, "has_more": len(found) > limit and limit > 0}


@router.get("/videos/{video_id}", response_model=Video, responses=documented(OpenAIError, 404))
def retrieve(here: Here, caller: Who, base: Base, video_id: Id) -> Response:
    """How a video is doing."""
    return _answer(here, base, here.desk.get(caller, video_id))


@router.delete("/videos/{video_id}", response_model=Deleted, responses=documented(OpenAIError, 404))
def delete(here: Here, caller: Who, video_id: Id) -> dict[str, Any]:
    """Forget a video, and stop it where it is still being made."""
    here.desk.delete(caller, video_id)
    return {"id": video_id, "object": "video.deleted", "deleted": True}


@router.post("/videos/{video_id}/cancel", response_model=Video, responses=documented(OpenAIError, 404))
def cancel(here: Here, caller: Who, base: Base, video_id: Id) -> Response:
    """Stop a video at the next step of its sampler; one that is over stays as it is."""
    return _answer(here, base, here.desk.cancel(caller, video_id))


@router.post(
    "/videos/{video_id}/remix",
    response_model=Video,
    responses=WITH_BODY,
    openapi_extra=body_of(Remix, JSON, FORM),
)
def remix(
    here: Here, caller: Who, fields: Body, base: Base, video_id: Id, idempotency_key: Again = None
) -> Response:
    """The same seed, size, length and pictures with another prompt."""
    old, prompt = here.desk.get(caller, video_id), _prompt(fields)
    fields.end()
    order = here.desk.remake(caller, old, prompt)
    order = replace(order, extra={"remixed_from": old.id}, idempotency=idempotency_key)
    return _answer(here, base, here.desk.submit(order))


@router.post("/videos/{video_id}/promote", response_model=Video, responses=documented(OpenAIError, 404, 409))
def promote(here: Here, caller: Who, base: Base, video_id: Id, idempotency_key: Again = None) -> Response:
    """Enlarge a draft: the same clip after super-resolution, from the latents that were kept."""
    extra = {"remixed_from": video_id}
    return _answer(here, base, here.desk.promote(caller, video_id, extra, idempotency_key))


_FILES = {"video/mp4": {}, "image/webp": {}, "image/jpeg": {}, "image/png": {}}
_BINARY: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in _FILES},
    },
    206: {"description": "A part of the file."},
    302: {"description": "Where the file is."},
    304: {"description": "The file that the client has already."},
}


@router.get(
    "/videos/{video_id}/content",
    response_class=Response,
    responses={**_BINARY, **documented(OpenAIError, 404, 416)},
)
async def download(
    here: Here,
    caller: Who,
    request: Request,
    video_id: Id,
    variant: Annotated[str, Query(max_length=20)] = "video",
) -> Response:
    """The clip, or a picture of it: video, thumbnail, spritesheet, preview or last_frame."""
    job = await run_in_threadpool(here.desk.get, caller, video_id)
    return await content.answer(here.service, request, content.blob_of(job, variant))


@router.get(
    "/videos/{video_id}/events",
    response_class=Response,
    responses={
        200: {
            "description": "Server-sent events: status, picture, draft, done.",
            "content": {"text/event-stream": {}},
        },
        **documented(OpenAIError, 404),
    },
)
async def watch(here: Here, caller: Who, request: Request, base: Base, video_id: Id) -> Response:
    """Follow a video as it is made, until it is over."""
    job = await run_in_threadpool(here.desk.get, caller, video_id)
    return events.stream(here.service, request, job, lambda job: view(here, base, job), here.stopping)


@router.get("/models", response_model=ModelCards, responses=documented(OpenAIError))
def models(here: Here, caller: Who) -> dict[str, Any]:
    """The models of this server, the default one first."""
    allow(caller, "read")
    return {"object": "list", "data": [_card(here, name) for name in here.desk.models.names]}


@router.get("/models/{model}", response_model=ModelCard, responses=documented(OpenAIError, 404))
def model(here: Here, caller: Who, model: Annotated[str, InPath(max_length=200)]) -> dict[str, Any]:
    """One model, or what an alias stands for."""
    allow(caller, "read")
    return _card(here, model)


def _card(here: State, name: str) -> dict[str, Any]:
    facts = here.desk.models.describe(name)
    return {"id": name, "object": "model", "created": 0, "owned_by": "happyhorse", "happyhorse": facts}
