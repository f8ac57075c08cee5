"""The Ark dialect: content generation tasks, for clients of Seedance.

Fields that are documented there and ask for nothing special are accepted; a value that asks for what cannot be done is
refused by name. `--ratio 16:9 --dur 5` behind the prompt is read, as there.
"""

import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi import Path as InPath
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from happyhorse.generate.model import Model
from happyhorse.serve.http import content, sizes
from happyhorse.serve.http.access import Caller
from happyhorse.serve.http.body import Fields
from happyhorse.serve.http.context import Base, Body, Here, State, Who, body_of
from happyhorse.serve.http.desk import PRIORITIES, Order, give
from happyhorse.serve.http.errors import ArkError, bad, documented
from happyhorse.serve.jobs.records import Job, Status
from happyhorse.values import LONGEST_PROMPT

router = APIRouter(prefix="/api/v3", tags=["Ark dialect"])
STATES: dict[Status, str] = {
    "queued": "queued",
    "in_progress": "running",
    "completed": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
}
ROLES = {
    ("image_url", "first_frame"): "first_frame",
    ("image_url", "last_frame"): "last_frame",
    ("image_url", "reference_image"): "references",
    ("video_url", "reference_video"): "edit",
    ("audio_url", "reference_audio"): "audio",
    ("audio_url", "driving_audio"): "audio",
}
"""Types and roles of content, with the field of a request that they are."""
SHORT = {"rs": "resolution", "rt": "ratio", "dur": "duration", "wm": "watermark", "cf": "camera_fixed"}
OPTIONS = ("resolution", "ratio", "duration", "frames", "seed", "watermark", "camera_fixed", "generate_audio")
_OPTION = re.compile(r"\s*--([a-z_]+)\s+(\S+)\s*$")
Id = Annotated[str, InPath(max_length=100, description="Id of a task, as it was given.")]


class Content(BaseModel):
    """Words, or something that is given."""

    model_config = ConfigDict(extra="forbid")
    type: Literal["text", "image_url", "video_url", "audio_url", "draft_task"]
    text: str | None = None
    image_url: dict[str, str] | None = None
    video_url: dict[str, str] | None = None
    audio_url: dict[str, str] | None = None
    draft_task: dict[str, str] | None = None
    role: str | None = None


class NewTask(BaseModel):
    """A new task; `duration` in s."""

    model_config = ConfigDict(extra="forbid")
    model: str
    content: list[Content]
    resolution: str | None = None
    ratio: str | None = None
    duration: int | None = Field(
        None, ge=-1, le=60, description="-1: that of what is given, or the model's own."
    )
    frames: int | None = Field(None, ge=1, le=1500)
    seed: int | None = Field(None, ge=-1, le=2**32 - 1)
    generate_audio: bool | None = None
    return_last_frame: bool | None = None
    watermark: bool | None = None
    camera_fixed: bool | None = None
    omni_reference_task_type: Literal["auto", "reference", "edit"] | None = Field(
        None, description="What a reference_video is for: it is edited as the text says."
    )
    draft: bool | None = None
    priority: int | None = Field(None, ge=PRIORITIES[0], le=PRIORITIES[1])


class TaskId(BaseModel):
    """The id of a new task."""

    model_config = ConfigDict(extra="allow")
    id: str


class Task(BaseModel):
    """How a task is doing."""

    model_config = ConfigDict(extra="allow")
    id: str
    model: str
    status: Literal["queued", "running", "succeeded", "failed", "cancelled", "expired"]
    error: dict[str, str] | None
    created_at: int
    updated_at: int


class Tasks(BaseModel):
    """A page of tasks."""

    total: int
    items: list[Task]


def task_id(job: str) -> str:
    """The id of a job as a task."""
    return f"cgt-{job.removeprefix('video_')}"


def job_id(task: str) -> str:
    """The id of the job of a task."""
    return f"video_{task.removeprefix('cgt-')}"


def split_prompt(text: str) -> tuple[str, dict[str, str]]:
    """A prompt without the `--name value` pairs at its end, and those pairs by their full names."""
    options: dict[str, str] = {}
    while (match := _OPTION.search(text)) and SHORT.get(match[1], match[1]) in OPTIONS:
        options.setdefault(SHORT.get(match[1], match[1]), match[2])
        text = text[: match.start()]
    return text, options


def read_order(here: State, caller: Caller, fields: Fields) -> Order:
    """A new task as an order. Raises ApiError for the first field that is wrong."""
    name = fields.text("model")
    if name is None:
        raise bad("model", "model is required", "missing_parameter")
    _, model = here.desk.models.find(name)
    text, files, params = _content(fields)
    prompt, options = split_prompt(text)
    if not prompt.strip():
        raise bad("content", "content needs an item of the type text with words in it", "missing_parameter")
    typed = Fields(options)
    asked = _size(
        model,
        fields.text("resolution") or typed.text("resolution"),
        fields.text("ratio") or typed.text("ratio"),
        files,
    )
    duration, frames = _either(fields, typed, "duration", -1, 60), _either(fields, typed, "frames", 1, 1500)
    if duration == 0:
        raise bad("duration", "duration is out of range; give 1 to 60, or -1 for that of what is given")
    if frames is not None:
        asked["seconds"] = frames / model.format.fps
    elif duration not in (None, -1):
        asked["seconds"] = float(duration)
    seed = _either(fields, typed, "seed", -1, 2**32 - 1)
    asked |= {"seed": seed} if seed not in (None, -1) else {}
    sound, mark = fields.flag("generate_audio"), fields.flag("watermark")
    extra = {
        "silent": sound is False or (sound is None and typed.flag("generate_audio") is False),
        "watermark": bool(typed.flag("watermark") if mark is None else mark),
        "return_last_frame": bool(fields.flag("return_last_frame")),
    }
    draft, priority = fields.flag("draft"), fields.whole("priority", *PRIORITIES)
    fields.text("safety_identifier")
    typed.refuse("cannot be asked of these models", "camera_fixed")
    fields.refuse("cannot be asked of these models", "camera_fixed", "tools")
    _check_task(fields, files)
    fields.refuse("is not called by this server; ask for the task until it is done", "callback_url")
    fields.refuse("is not known here", "service_tier", unless=(None, "default"))
    fields.refuse("is not written here", "output_format", unless=(None, "mp4"))
    fields.refuse("is not kept here", "execution_expires_after", unless=(None, 172800))
    fields.end()
    return Order(
        caller=caller, prompt=prompt, model=name, fields=asked, files=files, extra=extra, priority=priority or 0,
        params={"prompt": "content", "width": "ratio", "height": "ratio", "seconds": "duration", **params},
        draft=bool(draft),
    )  # fmt: skip


def _check_task(fields: Fields, files: dict[str, Any]) -> None:
    """Raise ApiError where the task is none that can be done with what is given.

    Seedance 2.5 refers to a reference_video, edits it or extends it, and reads off the text which of these is meant
    where no task is named. Here a clip is edited.
    """
    name = "omni_reference_task_type"
    task = fields.text(name)
    if task == "edit" and "edit" not in files:
        raise bad(name, f"{name} edit takes a clip: a video_url with the role reference_video")
    if task == "reference" and "edit" in files:
        raise bad(name, f"{name} reference takes pictures; a clip is edited: leave it out, or ask for edit")
    if task not in (None, "auto", "edit", "reference"):
        raise bad(name, f"{name} {task[:80]!r} cannot be asked of these models; choose edit or reference")


def _either(fields: Fields, typed: Fields, key: str, low: int, high: int) -> int | None:
    first, second = fields.whole(key, low, high), typed.whole(key, low, high)
    return second if first is None else first


def _size(model: Model, resolution: str | None, ratio: str | None, files: dict[str, Any]) -> dict[str, Any]:
    if ratio == "adaptive" or (not ratio and not resolution):
        ratio = None  # the model's own shape
    if "edit" in files:
        return sizes.of_edit(model, resolution, ratio, ("resolution", "ratio"))
    width, height = sizes.named(model, resolution, ratio, ("resolution", "ratio"))
    return {"width": width, "height": height}


def _content(fields: Fields) -> tuple[str, dict[str, Any], dict[str, str]]:
    """The prompt, what is given by fields of a request, and how the dialect calls these."""
    items = fields.take("content")
    if not isinstance(items, list) or not items:
        raise bad("content", "content is required: a list of objects with a type", "missing_parameter")
    words: list[str] = []
    files: dict[str, Any] = {}
    params: dict[str, str] = {}
    for number, item in enumerate(items):
        param = f"content.{number}"
        if not isinstance(item, dict):
            raise bad(param, f"{param} must be an object with a type")
        inner = Fields(item, f"{param}.")
        kind = inner.text("type")
        if kind == "text":
            words.append(inner.text("text", LONGEST_PROMPT) or "")
        else:
            role = inner.text("role") or ("first_frame" if kind == "image_url" else None)
            held = inner.table(str(kind)) if kind in ("image_url", "audio_url", "video_url") else None
            field = ROLES.get((str(kind), str(role)))
            if field is None or held is None:
                known = ", ".join(f"{kind} as {role}" for kind, role in ROLES)
                raise bad(
                    f"{param}.role",
                    f"{param} cannot be used; what can be given is text, {known}",
                    "unsupported_parameter",
                )
            url = held.text("url", 10**9)
            held.end()
            if url is None:
                raise bad(f"{param}.{kind}.url", f"{param} needs a url", "missing_parameter")
            give(files, params, field, url, f"{param}.{kind}.url")
        inner.end()
    return "\n".join(words), files, params


def view(here: State, base: str, job: Job) -> dict[str, Any]:
    """A job as a task."""
    request, done = job.request, job.status == "completed"
    width, height = job.facts.get("size") or (request["width"], request["height"])
    seconds = job.facts.get("seconds", request["seconds"])
    shown: dict[str, Any] = {
        "id": task_id(job.id),
        "model": job.model,
        "status": STATES[job.status],
        "error": dict(job.error) if job.error else None,
        "created_at": int(job.created),
        "updated_at": int(job.finished or job.started or job.created),
        "seed": request["seed"],
        "resolution": f"{min(width, height)}p",
        "ratio": f"{width}:{height}",
        "duration": round(seconds),
        "generate_audio": not job.extra.get("silent"),
        "draft": bool(job.extra.get("draft")),
        "priority": job.priority,
    }
    if "draft_of" in job.extra:
        shown["draft_task_id"] = task_id(job.extra["draft_of"])
    if done:
        shown["content"] = {"video_url": content.signed(here.service, base, job.blobs["video"], job.expires)}
        if job.extra.get("return_last_frame"):
            address = content.signed(here.service, base, job.blobs["last_frame"], job.expires)
            shown["content"]["last_frame_url"] = address
        tokens = round(width * height * job.facts["frames"] / 1024)
        shown |= {"usage": {"completion_tokens": tokens, "total_tokens": tokens}}
        shown |= {"frames": job.facts["frames"], "framespersecond": job.facts["fps"]}
    return shown


@router.post(
    "/contents/generations/tasks",
    response_model=TaskId,
    responses=documented(ArkError, 404, 409, 413, 415),
    openapi_extra=body_of(NewTask, "application/json"),
)
def create(here: Here, caller: Who, fields: Body) -> Response:
    """Ask for a video, or, with content of the type draft_task, for a draft to be enlarged."""
    values = fields.peek("content")
    drafts = (
        [item for item in values if isinstance(item, dict) and item.get("type") == "draft_task"]
        if isinstance(values, list)
        else []
    )
    if drafts:
        held = drafts[0].get("draft_task")
        draft = str(held.get("id", "")) if isinstance(held, dict) else ""
        return JSONResponse({"id": task_id(here.desk.promote(caller, job_id(draft), {}).id)})
    return JSONResponse({"id": task_id(here.desk.submit(read_order(here, caller, fields)).id)})


@router.get("/contents/generations/tasks", response_model=Tasks, responses=documented(ArkError))
def page(
    here: Here,
    caller: Who,
    base: Base,
    page_num: Annotated[int, Query(ge=1, le=10**6)] = 1,
    page_size: Annotated[int, Query(ge=1, le=500)] = 10,
    status: Annotated[str | None, Query(alias="filter.status", max_length=20)] = None,
    model: Annotated[str | None, Query(alias="filter.model", max_length=200)] = None,
    tasks: Annotated[list[str] | None, Query(alias="filter.task_ids", max_length=500)] = None,
    tier: Annotated[str | None, Query(alias="filter.service_tier", max_length=20)] = None,
) -> dict[str, Any]:
    """Tasks, the newest first."""
    wanted = [ours for ours, theirs in STATES.items() if theirs == status]
    if status is not None and not wanted:
        raise bad("filter.status", f"filter.status must be one of {', '.join(STATES.values())}")
    asked = {"status": wanted, "model": model, "ids": [job_id(task) for task in tasks or ()]}
    if tier not in (None, "default"):
        return {"total": 0, "items": []}
    jobs = here.desk.page(caller, limit=page_size, offset=(page_num - 1) * page_size, **asked)
    return {"total": here.desk.count(caller, **asked), "items": [view(here, base, job) for job in jobs]}


@router.get("/contents/generations/tasks/{task}", response_model=Task, responses=documented(ArkError, 404))
def retrieve(here: Here, caller: Who, base: Base, task: Id) -> Response:
    """How a task is doing."""
    return JSONResponse(view(here, base, here.desk.get(caller, job_id(task))))


@router.delete("/contents/generations/tasks/{task}", responses=documented(ArkError, 404))
def delete(here: Here, caller: Who, task: Id) -> dict[str, Any]:
    """Stop a task that waits or runs, or forget one that is over."""
    job = here.desk.get(caller, job_id(task))
    if job.is_over:
        here.desk.delete(caller, job.id)
    else:
        here.desk.cancel(caller, job.id)
    return {}
