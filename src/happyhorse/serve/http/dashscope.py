"""The DashScope dialect: video synthesis as an asynchronous task, for clients of HappyHorse 1.x and Wan.

Fields that are documented there and ask for nothing special are accepted; a value that asks for what cannot be done is
refused by name. The prompt is read as it is, so `prompt_extend` changes nothing. A key is a bearer token, as there.
"""

import datetime
import uuid
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query
from fastapi import Path as InPath
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from happyhorse.given import MOST_REFERENCES
from happyhorse.serve.http import content, sizes
from happyhorse.serve.http.access import Caller
from happyhorse.serve.http.body import Fields
from happyhorse.serve.http.context import Base, Body, Here, State, Who, body_of
from happyhorse.serve.http.desk import Order, give
from happyhorse.serve.http.errors import ApiError, DashScopeError, bad, documented
from happyhorse.serve.http.models import ALIASES
from happyhorse.serve.jobs.records import Job, NoJobError, Status

router = APIRouter(prefix="/api/v1", tags=["DashScope dialect"])
STATES: dict[Status, str] = {
    "queued": "PENDING",
    "in_progress": "RUNNING",
    "completed": "SUCCEEDED",
    "failed": "FAILED",
    "cancelled": "CANCELED",
}
MEDIA = {
    "first_frame": "first_frame",
    "last_frame": "last_frame",
    "driving_audio": "audio",
    "first_clip": "extend",
    "reference_image": "references",
    "video": "edit",
}
"""Types of media, with the field of a request that they are."""
NEEDED = {
    "i2v": (
        {"first_frame", "extend"},
        "begins with a picture; give one of the type first_frame, or a clip to go on from of the type first_clip",
    ),
    "r2v": (
        {"references"},
        f"goes by pictures of a subject; give 1 to {MOST_REFERENCES} of the type reference_image",
    ),
    "edit": ({"edit"}, "changes a clip; give one of the type video"),
}
"""By what is in the name of a model: fields of a request of which one has to be there, and what to do where none is."""
PLAIN = {
    "img_url": "first_frame",
    "first_frame_url": "first_frame",
    "head_frame": "first_frame",
    "last_frame_url": "last_frame",
    "tail_frame": "last_frame",
    "audio_url": "audio",
}
SHAPE = ("parameters.resolution", "parameters.ratio")
DURATIONS = (2, 15)  # seconds
LONGEST_PROMPT, LONGEST_CHINESE = 5000, 2500  # characters
TASK = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
Id = Annotated[str, InPath(max_length=100, description="Id of a task, as it was given.")]


class Media(BaseModel):
    """Something that is given."""

    model_config = ConfigDict(extra="forbid")
    type: str = Field(description=", ".join(MEDIA))
    url: str


class Input(BaseModel):
    """What is to be seen and heard."""

    model_config = ConfigDict(extra="forbid")
    prompt: str = Field(min_length=1, max_length=LONGEST_PROMPT)
    media: list[Media] | None = None
    img_url: str | None = None
    first_frame_url: str | None = None
    last_frame_url: str | None = None
    audio_url: str | None = None
    negative_prompt: str | None = None


class Parameters(BaseModel):
    """How; `duration` in s."""

    model_config = ConfigDict(extra="forbid")
    resolution: str | None = None
    ratio: str | None = None
    size: str | None = None
    duration: int | None = Field(None, ge=DURATIONS[0], le=DURATIONS[1])
    seed: int | None = Field(None, ge=-1, le=2**31 - 1)
    watermark: bool | None = None
    prompt_extend: bool | None = None
    audio: bool | None = None
    audio_setting: Literal["auto", "origin"] | None = Field(
        None, description="origin: as in the clip to edit."
    )


class Synthesis(BaseModel):
    """A new task."""

    model_config = ConfigDict(extra="forbid")
    model: str
    input: Input
    parameters: Parameters | None = None


class Output(BaseModel):
    """How a task is doing."""

    model_config = ConfigDict(extra="allow")
    task_id: str
    task_status: Literal["PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELED", "UNKNOWN"]


class Task(BaseModel):
    """An answer about a task."""

    model_config = ConfigDict(extra="allow")
    request_id: str
    output: Output


class Tasks(BaseModel):
    """A page of tasks."""

    request_id: str
    data: list[dict[str, Any]]
    total: int
    total_page: int
    page_no: int
    page_size: int


def task_id(job: str) -> str:
    """The id of a job as a task: DashScope's are UUIDs."""
    return str(uuid.UUID(hex=job.removeprefix("video_")))


def job_id(task: str) -> str:
    """The id of the job of a task. Raises NoJobError."""
    try:
        return f"video_{uuid.UUID(task).hex}"
    except ValueError:
        raise NoJobError(task) from None


def read_order(here: State, caller: Caller, fields: Fields) -> Order:
    """A new task as an order. Raises ApiError for the first field that is wrong."""
    name = fields.text("model")
    if name is None:
        raise bad("model", "model is required", "missing_parameter")
    _, model = here.desk.models.find(name)
    given, how = fields.table("input"), fields.table("parameters") or Fields({}, "parameters.")
    fields.end()
    if given is None:
        raise bad("input", "input is required: an object with prompt", "missing_parameter")
    prompt = _prompt(given)
    files, params = _files(given, name)
    given.refuse("cannot be asked of these models", "negative_prompt", "template")
    given.refuse(
        "is not read; give pictures as media of the type reference_image", "reference_url", "reference_urls"
    )
    given.refuse("cannot be asked of these models", "reference_video_urls", "reference_video_description")
    given.take("extend_prompt")  # the official client always sends it, and this:
    given.refuse("cannot be asked of these models", "function", unless=(None, "video-synthesis"))
    given.end()
    asked: dict[str, Any] = {}
    resolution, ratio, size = how.text("resolution"), how.text("ratio"), how.text("size")
    if size is not None:
        asked["width"], asked["height"] = sizes.fit(
            model, *sizes.parse(size, "parameters.size"), "parameters.size"
        )
    elif "edit" in files:
        asked |= sizes.of_edit(model, resolution, ratio, SHAPE)
    elif resolution or ratio or not files:
        asked["width"], asked["height"] = sizes.named(model, resolution, ratio, SHAPE)
    duration, seed = how.whole("duration", *DURATIONS), how.whole("seed", -1, 2**31 - 1)
    asked |= {"seconds": float(duration)} if duration is not None else {}
    asked |= {"seed": seed} if seed not in (None, -1) else {}
    extra = {"watermark": bool(how.flag("watermark")), "silent": how.flag("audio") is False}
    how.take("prompt_extend")
    how.refuse(
        "cannot be asked of these models", "shot_type", "enable_thinking", unless=(None, False, "single")
    )
    asked |= _kept(how, files)
    how.end()
    return Order(
        caller=caller, prompt=prompt, model=name, fields=asked, files=files, extra=extra,
        params={"prompt": "input.prompt", "width": "parameters.size", "height": "parameters.size",
                "seconds": "parameters.duration", "seed": "parameters.seed", "keep": "parameters.audio_setting",
                **params},
    )  # fmt: skip


def _kept(how: Fields, files: dict[str, Any]) -> dict[str, str]:
    """What of a clip to edit is kept: its sound, where `audio_setting` says so."""
    name, setting = how.name("audio_setting"), how.text("audio_setting")
    if setting not in (None, "auto", "origin"):
        raise bad(name, f"{name} {setting!r} is unknown; choose auto or origin")
    if setting != "origin":
        return {}
    if "edit" not in files:
        raise bad(
            name, f"{name} origin keeps the sound of a clip to edit; give one, as media of the type video"
        )
    return {"keep": "sound"}


def _prompt(given: Fields) -> str:
    prompt = given.text("prompt", LONGEST_PROMPT)
    if prompt is None or not prompt.strip():
        raise bad("input.prompt", "input.prompt is required: describe a scene", "missing_parameter")
    if len(prompt) > LONGEST_CHINESE and sum("\u4e00" <= c <= "\u9fff" for c in prompt) > len(prompt) / 2:
        raise bad("input.prompt", f"input.prompt has more than {LONGEST_CHINESE:,} Chinese characters")
    return prompt


def _files(given: Fields, model: str) -> tuple[dict[str, Any], dict[str, str]]:
    """What is given, by fields of a request, and how the dialect calls these."""
    files: dict[str, Any] = {}
    params: dict[str, str] = {}

    for key, field in PLAIN.items():
        if (value := given.text(key, 10**9)) is not None:
            give(files, params, field, value, f"input.{key}")
    media = given.take("media") or []
    if not isinstance(media, list):
        raise bad("input.media", "input.media is a list of objects with type and url")
    for number, item in enumerate(media):
        param = f"input.media.{number}"
        if not isinstance(item, dict):
            raise bad(param, f"{param} must be an object with type and url")
        inner = Fields(item, f"{param}.")
        kind, value = inner.text("type"), inner.text("url", 10**9)
        inner.end()
        if kind not in MEDIA or value is None:
            raise bad(f"{param}.type", f"{param} needs a url and a type that can be used: {', '.join(MEDIA)}")
        give(files, params, MEDIA[kind], value, f"{param}.url")
    asked = model if ALIASES.fullmatch(model) else ""
    for part, (fields, remedy) in NEEDED.items():
        if part in asked and not fields & files.keys():
            raise bad("input.media", f"{model} {remedy}", "missing_parameter")
    return files, params


def view(here: State, base: str, job: Job) -> dict[str, Any]:
    """A job as the output of a task."""
    shown: dict[str, Any] = {"task_id": task_id(job.id), "task_status": STATES[job.status]}
    for key, at in (
        ("submit_time", job.created),
        ("scheduled_time", job.started),
        ("end_time", job.finished),
    ):
        if at is not None:
            shown[key] = datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[
                :-3
            ]
    if job.status == "completed":
        shown["video_url"] = content.signed(here.service, base, job.blobs["video"], job.expires)
        shown["orig_prompt"] = job.request["prompt"]
    if job.error:
        shown |= {"code": _code(job.error["code"]), "message": job.error["message"]}
    return shown


def _code(code: str) -> str:
    return "InvalidParameter" if code == "invalid_request" else "InternalError"


def _usage(job: Job) -> dict[str, Any]:
    width, height = job.facts["size"]
    return {
        "video_count": 1,
        "video_duration": round(job.facts["seconds"]),
        "duration": job.facts["seconds"],
        "size": f"{width}*{height}",
        "video_ratio": f"{width}*{height}",
    }


Sync = Annotated[str | None, Header(alias="X-DashScope-Async")]


@router.post(
    "/services/aigc/video-generation/video-synthesis",
    response_model=Task,
    responses=documented(DashScopeError, 404, 409, 413, 415),
    openapi_extra=body_of(Synthesis, "application/json"),
)
def create(here: Here, caller: Who, fields: Body, asynchronous: Sync = None) -> Response:
    """Ask for a video; X-DashScope-Async: enable has to be sent."""
    if asynchronous != "enable":
        raise ApiError(
            403,
            "not_asynchronous",
            "current user api does not support synchronous calls; send X-DashScope-Async: enable",
        )
    job = here.desk.submit(read_order(here, caller, fields))
    return _answer({"output": {"task_id": task_id(job.id), "task_status": STATES[job.status]}})


@router.get("/tasks/", response_model=Tasks, include_in_schema=False)  # as people write it
@router.get("/tasks", response_model=Tasks, responses=documented(DashScopeError))  # as the client does
def page(
    here: Here,
    caller: Who,
    base: Base,
    page_no: Annotated[int, Query(ge=1, le=10**6)] = 1,
    page_size: Annotated[int, Query(ge=1, le=100)] = 10,
    status: Annotated[str | None, Query(max_length=20)] = None,
    model_name: Annotated[str | None, Query(max_length=200)] = None,
) -> dict[str, Any]:
    """Tasks, the newest first."""
    wanted = [ours for ours, theirs in STATES.items() if theirs == status]
    if status is not None and not wanted:
        raise bad("status", f"status must be one of {', '.join(STATES.values())}")
    asked = {"status": wanted, "model": model_name}
    total = here.desk.count(caller, **asked)
    jobs = here.desk.page(caller, limit=page_size, offset=(page_no - 1) * page_size, **asked)
    return {
        "request_id": str(uuid.uuid4()),
        "data": [
            {"model_name": job.model, "status": STATES[job.status], **view(here, base, job)} for job in jobs
        ],
        "total": total,
        "total_page": -(-total // page_size),
        "page_no": page_no,
        "page_size": page_size,
    }


@router.get("/tasks/{task}", response_model=Task, responses=documented(DashScopeError))
def retrieve(here: Here, caller: Who, base: Base, task: Id) -> Response:
    """How a task is doing; UNKNOWN where there is none, or none any more."""
    try:
        job = here.desk.get(caller, job_id(task))
    except NoJobError:
        return _answer({"output": {"task_id": task, "task_status": "UNKNOWN"}})
    answer = {"output": view(here, base, job)}
    return _answer(answer | ({"usage": _usage(job)} if job.status == "completed" else {}))


@router.post("/tasks/{task}/cancel", response_model=Task, responses=documented(DashScopeError, 404, 409))
def cancel(here: Here, caller: Who, base: Base, task: Id) -> Response:
    """Stop a task that waits or runs."""
    job = here.desk.get(caller, job_id(task))
    if job.is_over:
        raise ApiError(409, "task_is_over", f"the task is {STATES[job.status]} already")
    return _answer({"output": view(here, base, here.desk.cancel(caller, job.id))})


def _answer(body: dict[str, Any]) -> JSONResponse:
    return JSONResponse({"request_id": str(uuid.uuid4()), **body})
