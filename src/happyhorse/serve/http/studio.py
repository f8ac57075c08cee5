"""The studio page at /, built from the sources in `studio/`, and what it asks beside the OpenAI dialect.

The page knows nothing about models: what can be asked, how much of it, and which words are known comes from here.
"""

import hashlib
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter
from fastapi import Path as InPath
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from happyhorse import __version__, sizes
from happyhorse.flow.samplers import SAMPLERS
from happyhorse.generate.model import Model
from happyhorse.serve.http import content, operations
from happyhorse.serve.http.access import allow
from happyhorse.serve.http.context import Base, Here, State, Who
from happyhorse.serve.http.errors import ApiError, OpenAIError, documented
from happyhorse.serve.http.openai import WHOLE
from happyhorse.serve.http.sizes import RATIOS
from happyhorse.serve.jobs.stills import COLUMNS
from happyhorse.serve.service import Service
from happyhorse.values import LONGEST_PROMPT
from happyhorse.world import scene
from happyhorse.world.speech import LANGUAGES

BUILT = Path(__file__).parent / "studio"
MOST_TAKES = 16  # clips that the page asks for at once
GUIDANCE = (1, 30)  # what a `values.Request` takes
NUMBERS = {
    "steps": "Steps",
    "guidance": "Guidance of the picture",
    "audio_guidance": "Guidance of the sound",
    "upscale_steps": "Steps of super-resolution",
    "upscale_guidance": "Guidance of super-resolution",
}
AGAIN = ("first_frame", "last_frame", "audio", "video")  # given files that the page can give again
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}

router = APIRouter(prefix="/studio", tags=["Studio"])
pages = APIRouter(include_in_schema=False)


class Range(BaseModel):
    """Numbers that can be asked for, and the `usual` one."""

    least: float
    most: float
    usual: float
    step: float = Field(description="Step of a control; numbers between are taken too, unless it is 1.")


class Choice(BaseModel):
    """One of the values of an option."""

    value: str
    label: str


class Option(BaseModel):
    """A field of a new video that a person may want to change: a number (`range`), or one of `choices`."""

    name: str
    label: str
    range: Range | None = None
    choices: list[Choice] = []
    usual: str | None = None
    upscaling: bool = Field(default=False, description="It is of use only for sizes that have drafts.")


class Size(BaseModel):
    """A size that is made: its `ratio` in round numbers, the `name` of its resolution, whether it has drafts."""

    size: str
    ratio: str
    name: str
    drafts: bool


class ModelSettings(BaseModel):
    """What can be asked of a model."""

    id: str
    fps: int
    seconds: Range
    size: str
    sizes: list[Size]
    options: list[Option]
    takes: list[str] = Field(description="What can be given: prompt, first_frame, audio, extend, ...")
    examples: list[str]
    vocabulary: list[str] = Field(description="Words that it has seen; empty where any may be used.")


class Sheet(BaseModel):
    """How sprite sheets are laid out: at most `pictures` of them, in rows of `columns`."""

    columns: int
    pictures: int


class Settings(BaseModel):
    """What the page must know before the first clip."""

    version: str
    models: list[ModelSettings]
    makes: bool = Field(description="Whether this key may make clips.")
    longest_prompt: int
    takes: int = Field(description="The most takes at once.")
    picture_bytes: int
    media_bytes: int
    sheet: Sheet


class Line(BaseModel):
    """The queue: `workers` that make clips, videos `waiting` (of everyone), `places` of the caller's own, from 1."""

    workers: int
    waiting: int
    places: dict[str, int]


class KeyFrame(BaseModel):
    """A picture at a moment: the address of the `image`."""

    seconds: float
    image: str


class Recipe(BaseModel):
    """How a video was asked for, to ask again: fields of a new video, and addresses of `files` that were given."""

    fields: dict[str, Any]
    files: dict[str, str]
    key_frames: list[KeyFrame]


@router.get("/settings", response_model=Settings, responses=documented(OpenAIError))
def settings(here: Here, caller: Who) -> Settings:
    """What can be asked of the models of this server, and how much of it."""
    allow(caller, "read")
    limits = here.service.settings
    return Settings(
        version=__version__,
        models=[describe(here, name) for name in here.desk.models.names],
        makes=bool({"make", "admin"} & set(caller.scopes)),
        longest_prompt=LONGEST_PROMPT,
        takes=min(MOST_TAKES, limits.queue),
        picture_bytes=limits.picture_bytes,
        media_bytes=limits.media_bytes,
        sheet=Sheet(columns=COLUMNS, pictures=COLUMNS**2),
    )


@router.get("/queue", response_model=Line, responses=documented(OpenAIError))
def queue(here: Here, caller: Who) -> Line:
    """How many clips wait, and where in the line those of the caller stand."""
    sees = allow(caller, "read").sees
    store = here.service.store
    waiting = store.page(status=("queued",), oldest_first=True, limit=here.service.settings.queue)
    waiting.sort(key=lambda job: -job.priority)  # stable: the older one first
    places = {job.id: place for place, job in enumerate(waiting, 1) if sees in (None, job.owner)}
    return Line(workers=len(here.service.house.alive()), waiting=len(waiting), places=places)


@router.get("/videos/{video_id}", response_model=Recipe, responses=documented(OpenAIError, 404))
def recipe(here: Here, caller: Who, base: Base, video_id: Annotated[str, InPath(max_length=100)]) -> Recipe:
    """How a video was asked for."""
    job = here.desk.get(caller, video_id)
    plain, asked = job.request, dict(job.extra.get("asked", {}))
    fields = {name: value for name, value in asked.items() if name not in ("width", "height", "span", "keep")}
    fields |= {"prompt": plain["prompt"], "model": job.model, "seed": plain["seed"]}
    fields |= {"size": f"{plain['width']}x{plain['height']}", "draft": bool(job.extra.get("draft"))}
    files = {name: plain[name] for name in AGAIN if plain.get(name) is not None}
    between = [
        KeyFrame(seconds=time, image=content.signed(here.service, base, blob))
        for time, blob in plain.get("key_frames") or ()
    ]
    return Recipe(
        fields=fields,
        files={name: content.signed(here.service, base, blob) for name, blob in files.items()},
        key_frames=between,
    )


def describe(here: State, name: str) -> ModelSettings:
    """What can be asked of a model. Raises ApiError 404."""
    _, model = here.desk.models.find(name)
    facts, usual = here.desk.models.describe(name), model.request("anything")
    least, most = facts["seconds"]
    every = [_size(model, size) for size in facts["sizes"]]
    made = [size for size in every if _takes(model, **_sides(size.size))]  # parts may not be installed
    return ModelSettings(
        id=name,
        fps=facts["fps"],
        seconds=Range(least=least, most=most, usual=usual.seconds, step=0.1),
        size=f"{usual.width}x{usual.height}",
        sizes=made,
        options=[
            one for one in _options(model, made) if one.name != "language" or "language" in facts["takes"]
        ],
        takes=facts["takes"],
        examples=_examples() if facts["examples"] else [],
        vocabulary=[word for word in model.facts.get("vocabulary", ()) if word[0].isalpha()],
    )


@cache
def _examples() -> list[str]:
    """A prompt of every family of the world, talking faces among them, that the small models know."""
    return [scene.sample(1, families=[family]).captions[0] for family in scene.available()]


def _sides(size: str) -> dict[str, int]:
    width, height = size.split("x")
    return {"width": int(width), "height": int(height)}


def _takes(model: Model, **asked: Any) -> bool:
    try:
        model.request("anything", **asked)
        return True
    except ValueError:
        return False


def _size(model: Model, size: str) -> Size:
    width, height = _sides(size).values()
    row = sizes.find(width, height) if model.format.tabled else None

    def off(ratio: str) -> float:
        across, down = map(int, ratio.split(":"))
        return abs(math.log(width / height * down / across))

    return Size(
        size=size,
        ratio=min(RATIOS, key=off),
        name=row.name if row else "",
        drafts=model.format.base(width, height) != (width, height),
    )


def _options(model: Model, made: list[Size]) -> Iterator[Option]:
    """The options that a model has: those of which it takes every value."""
    large = next((_sides(size.size) for size in made if size.drafts), None)
    for name, label in NUMBERS.items():
        upscaling = name.startswith("upscale")
        beside = large if upscaling else {}
        low, high = WHOLE.get(name, GUIDANCE)
        if beside is not None and all(_takes(model, **{name: value}, **beside) for value in (low, high)):
            usual = getattr(model.request("anything", **beside), name)
            bounds = Range(least=low, most=high, usual=usual, step=1 if name in WHOLE else 0.1)
            yield Option(name=name, label=label, range=bounds, upscaling=upscaling)
    known = [Choice(value=name, label=name) for name in SAMPLERS if _takes(model, sampler=name)]
    if len(known) > 1:
        yield Option(name="sampler", label="Sampler", choices=known, usual=model.request("anything").sampler)
    spoken = [
        Choice(value=code, label=name) for code, name in LANGUAGES.items() if _takes(model, language=code)
    ]
    if spoken:
        yield Option(name="language", label="Spoken language", choices=spoken)


def policy(service: Service) -> str:
    """What the page may load, as a Content-Security-Policy: this server, and the blob store where it has addresses."""
    address = service.blobs.address("page", 1)
    store = "" if address is None else " {0.scheme}://{0.netloc}".format(urlsplit(address))
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src 'self' data: blob:{store}",
            f"media-src 'self' blob:{store}",
            f"connect-src 'self'{store}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        )
    )


@pages.get("/")
@pages.head("/")
def page(here: Here, request: Request) -> Response:
    """The page; where it was not built, what the server is."""
    if not (BUILT / "index.html").is_file():
        return operations.no_page()
    headers = {"content-security-policy": policy(here.service), "referrer-policy": "no-referrer"}
    return _file(request, "index.html", headers | {"cache-control": "no-cache"})


@pages.get("/assets/{name}")
@pages.head("/assets/{name}")
def asset(request: Request, name: Annotated[str, InPath(max_length=100)]) -> Response:
    """A part of the page; its name changes with its content, so it can be kept for good. Raises ApiError 404."""
    names = {path.name for path in (BUILT / "assets").glob("*")}
    if name not in names:
        raise ApiError(404, "not_found", "the page has no such part; load the page again")
    return _file(request, f"assets/{name}", {"cache-control": "public, max-age=31536000, immutable"})


def _file(request: Request, name: str, headers: dict[str, str]) -> Response:
    body = (BUILT / name).read_bytes()
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = headers | {"etag": tag, "x-content-type-options": "nosniff"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=TYPES[Path(name).suffix])
