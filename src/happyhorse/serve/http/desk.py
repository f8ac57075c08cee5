"""The front desk: what every dialect can ask for, in one form. A dialect maps its fields to an `Order`."""

import hashlib
import json
import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from happyhorse.errors import did_you_mean
from happyhorse.flow.samplers import SAMPLERS
from happyhorse.generate.material import gather
from happyhorse.generate.model import Model
from happyhorse.generate.pony import Pony
from happyhorse.generate.windows import longest
from happyhorse.given import MOST_REFERENCES
from happyhorse.serve.forecast import Forecast
from happyhorse.serve.http.access import Caller, allow
from happyhorse.serve.http.errors import ApiError, bad
from happyhorse.serve.http.models import Models
from happyhorse.serve.http.sandbox import Kind
from happyhorse.serve.http.uploads import Uploads
from happyhorse.serve.jobs.attempt import BASE
from happyhorse.serve.jobs.files import SINGLE, renamed
from happyhorse.serve.jobs.records import Job, RefusedError, Status, folder, new_id
from happyhorse.serve.service import Service
from happyhorse.values import Request

KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(("first_frame", "last_frame", "key_frames", "references"), "picture"),
    "audio": "sound",
    **dict.fromkeys(("video", "extend", "retake", "edit"), "video"),
}
TOGETHER = {"width": "height", "height": "width", "span": "retake", "retake": "span", "keep": "edit"}
"""Fields that say nothing alone, with the one that they go with."""
PRIORITIES = (0, 9)  # lowest and highest that can be asked for


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that is a blob of the service already."""

    name: str


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a client asks for: `fields` of a `values.Request` that are no files, and `files` (of its fields that are)
    as the client gave them, or `Kept`; `key_frames` are pairs of a time and such a file, `references` a list of them.

    `params` are the names that the dialect has for these fields, for errors (and for each of several pictures, as
    "references-0"); `extra` is what it wants to remember.
    """

    caller: Caller
    prompt: str
    model: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 0
    draft: bool = False
    idempotency: str | None = None


def give(files: dict[str, Any], params: dict[str, str], field: str, value: Any, param: str) -> None:
    """Put what a client gives as `field` into the files and the params of an order; `param` is what the dialect calls
    it. Raises ApiError 400 for what can be given once, and was.
    """
    if field == "references":
        several = files.setdefault(field, [])
        params[f"{field}-{len(several)}"] = param
        several.append(value)
    elif field in files:
        raise bad(param, f"{param} is given twice; give one {field.replace('_', ' ')}")
    else:
        files[field] = value
    params.setdefault(field, param)


class Desk:
    """Takes orders and answers questions; its methods block, and are called from threads."""

    def __init__(self, service: Service, models: Models) -> None:
        self.service, self.models, self.store = service, models, service.store
        self.uploads, self.forecast = Uploads(service.settings), Forecast(service.store)

    def submit(self, order: Order) -> Job:
        """Take an order. Raises ApiError for a field that is wrong, RefusedError when there is no room."""
        caller = allow(order.caller, "make")
        repeat = self._admit(caller, order.idempotency)
        with tempfile.TemporaryDirectory(prefix="happyhorse-") as place:
            request, model, paths = self._complete(order, Path(place))
            outlook = self.forecast.of(request, request.model, model)
            job = Job(
                id=new_id(),
                owner=caller.owner,
                model=order.model or self.models.names[0],
                request=request.as_dict(),
                extra={
                    **order.extra,
                    "draft": order.draft,
                    "seconds": dict(outlook.seconds),
                    "asked": dict(order.fields),
                },
                priority=order.priority,
                predicted=outlook.total,
                idempotency=repeat,
                fingerprint=_fingerprint(order, paths),
            )
            return self._take(job, caller, paths)

    def _admit(self, caller: Caller, idempotency: str | None) -> str | None:
        """The key of a repeat as it is kept. Raises RefusedError where there is no room for what is no repeat."""
        repeat = _digest(caller.owner, idempotency) if idempotency else None
        if not self.store.knows(repeat):
            self.store.admit(caller.owner, caller.limits)
        return repeat

    def plan(self, order: Order) -> dict[str, Any]:
        """What an order would take, without taking it. Raises ApiError as `submit` does."""
        allow(order.caller, "read")
        with tempfile.TemporaryDirectory(prefix="happyhorse-") as place:
            request, model, _ = self._complete(order, Path(place))
        outlook = self.forecast.of(request, request.model, model)
        waiting = self.store.waiting_seconds()
        return {
            "model": order.model or self.models.names[0],
            "size": f"{request.width}x{request.height}",
            "clip_seconds": model.format.shape(
                request.seconds, request.width, request.height, driven=request.audio is not None
            ).seconds,
            "steps": request.steps,
            "stages": dict(outlook.seconds),
            "seconds": round(outlook.total, 3),
            "measured": outlook.measured,
            "memory": outlook.memory,
            "wait": round(waiting / max(1, len(self.service.house.alive())), 3),
        }

    def promote(
        self, caller: Caller, draft: str, extra: Mapping[str, Any], idempotency: str | None = None
    ) -> Job:
        """The large clip of a draft, from the latents that were kept. Raises ApiError 409 where there are none."""
        allow(caller, "make")
        repeat = self._admit(caller, idempotency)
        old = self.store.get(draft, caller.sees)
        if old.status != "completed" or "latents" not in old.blobs:
            raise ApiError(
                409, "not_a_draft", f"{draft} is no finished draft, so there is nothing to enlarge", "id"
            )
        job = Job(
            id=new_id(),
            owner=caller.owner,
            model=old.model,
            request=dict(old.request),
            extra={**old.extra, **extra, "draft": False, "draft_of": old.id},
            priority=old.priority,
            predicted=old.predicted,
            idempotency=repeat,
            fingerprint=_digest("promote", old.id),
        )
        given = {key: name for key, name in old.blobs.items() if key.startswith("given")}
        blobs = {key: folder(job.id) + Path(name).name for key, name in given.items()}
        moved = {name: blobs[key] for key, name in given.items()}
        for name, new in {**moved, old.blobs["latents"]: folder(job.id) + BASE}.items():
            self.service.blobs.put(new, self.service.blobs.get(name))
        return self._submit(replace(job, blobs=blobs, request=_moved(job.request, moved)), caller)

    def remake(self, caller: Caller, old: Job, prompt: str) -> Order:
        """An order for the same as `old` with another prompt: the same seed, size, length, and what was given."""
        plain, kept = old.request, renamed(old.request, Kept)
        files = {key: kept[key] for key in (*SINGLE, "references", "key_frames") if kept.get(key)}
        same = ("seed", "width", "height", "seconds")
        if "retake" in files or "edit" in files:  # which are as long as their clip
            same = same[:-1]
        fields = {**old.extra["asked"], **{key: plain[key] for key in same}}
        return Order(caller=caller, prompt=prompt, model=old.model, fields=fields, files=files)

    def get(self, caller: Caller, job: str) -> Job:
        """A job that the caller may see. Raises NoJobError."""
        return self.store.get(job, allow(caller, "read").sees)

    def page(self, caller: Caller, **asked: Any) -> list[Job]:
        """Jobs that the caller may see; `asked` as `JobStore.page` takes it."""
        return self.store.page(allow(caller, "read").sees, **asked)

    def count(self, caller: Caller, **asked: Any) -> int:
        """How many jobs there are that the caller may see; `asked` as `JobStore.count` takes it."""
        return self.store.count(allow(caller, "read").sees, **asked)

    def cancel(self, caller: Caller, job: str) -> Job:
        """Stop a job; one that is over stays as it is. Raises NoJobError."""
        cancelled = self.store.cancel(job, allow(caller, "make").sees)
        if cancelled.status == "cancelled":
            self.service.queue.cancel(job)
        return cancelled

    def delete(self, caller: Caller, job: str) -> None:
        """Forget a job with its clip; one that is at work is stopped. Raises NoJobError."""
        self.service.house.remove(job, allow(caller, "make").sees)

    def clip(
        self, caller: Caller, job: str, param: str, statuses: Collection[Status] = ("completed",)
    ) -> Kept:
        """The finished clip of a job, to make another one from. Raises ApiError 409 where it is not finished."""
        found = self.get(caller, job)
        if found.status not in statuses or "video" not in found.blobs:
            raise ApiError(409, "video_not_ready", f"{job} is {found.status}, and has no clip", param)
        return Kept(found.blobs["video"])

    def _complete(self, order: Order, place: Path) -> tuple[Request, Model, dict[str, Path]]:
        """The whole request with its files in `place`, the model, and the files by the name of their field."""
        path, model = self.models.find(order.model)
        paths, asked = self._files(order, place)
        try:
            request = model.request(order.prompt, **order.fields, **asked)
            if request.sampler not in SAMPLERS:
                known = did_you_mean(request.sampler, SAMPLERS)
                raise bad(
                    order.params.get("sampler", "sampler"), f"no sampler called {request.sampler!r}{known}"
                )
            base = model.format.base(request.width, request.height)
            model.format.shape(request.seconds, request.width, request.height)
            small = replace(request, width=base[0], height=base[1])
            material = gather(small, model.format, longest(model, model.format.fps))
            if isinstance(model, Pony):  # others load an encoder of text for it
                model.read(small, material)
        except ValueError as error:
            message = str(error).replace("--", "").replace(str(place), "")
            raise bad(_blame(model, order, asked, message), message) from None
        if order.draft and base == (request.width, request.height):
            raise bad(
                order.params.get("draft", "draft"),
                f"a clip of {request.width}x{request.height} is made without super-resolution, so a draft would be the "
                "clip itself; leave draft out",
                "unsupported_parameter",
            )
        return replace(request, model=path), model, paths

    def _files(self, order: Order, place: Path) -> tuple[dict[str, Path], dict[str, Any]]:
        """Files by names ("first_frame", "key_frames-0"), and as fields of a request."""

        def take(value: Any, kind: Kind, param: str) -> Path:
            if isinstance(value, Kept):
                target = place / f"kept-{len(list(place.iterdir()))}{Path(value.name).suffix}"
                target.write_bytes(self.service.blobs.get(value.name))
                return target
            return self.uploads.take(value, kind, param, place)

        def param(name: str, number: int | None = None) -> str:
            return order.params.get(f"{name}-{number}", order.params.get(name, name))

        def several(values: Iterable[Any], name: str) -> list[Path]:
            found = [take(value, KINDS[name], param(name, number)) for number, value in enumerate(values)]
            paths.update((f"{name}-{number}", path) for number, path in enumerate(found))
            return found

        paths: dict[str, Path] = {}
        asked: dict[str, Any] = {}
        for name, value in order.files.items():
            if name == "references":
                if len(value) > MOST_REFERENCES:  # none of them is decoded
                    raise bad(
                        param(name, MOST_REFERENCES),
                        f"there are {len(value)} references; give 1 to {MOST_REFERENCES} pictures, all of one subject",
                    )
                asked[name] = tuple(several(value, name))
            elif name == "key_frames":
                times, pictures = zip(*value, strict=True)
                asked[name] = tuple(zip(times, several(pictures, name), strict=True))
            else:
                asked[name] = paths[name] = take(value, KINDS[name], param(name))
        return paths, asked

    def _take(self, job: Job, caller: Caller, paths: Mapping[str, Path]) -> Job:
        blobs = {f"given-{name}": f"{job.folder}given-{name}{path.suffix}" for name, path in paths.items()}
        moved = {str(path): blobs[f"given-{name}"] for name, path in paths.items()}
        for name, path in paths.items():
            self.service.blobs.put(blobs[f"given-{name}"], path)
        return self._submit(replace(job, blobs=blobs, request=_moved(job.request, moved)), caller)

    def _submit(self, job: Job, caller: Caller) -> Job:
        """Give a job to the store. Where that fails half-way its blobs stay: it may be there. The sweep knows later."""
        try:
            taken = self.store.submit(job, caller.limits)
        except RefusedError:
            self._drop(job)
            raise
        if taken.id != job.id:  # it was there before
            self._drop(job)
        return taken

    def _drop(self, job: Job) -> None:
        self.service.blobs.delete(self.service.blobs.list(job.folder))


def _moved(plain: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The plain form of a request with other names for those of its files that have one."""
    return renamed(plain, lambda name: names.get(name, name))


def _blame(model: Model, order: Order, asked: Mapping[str, Any], message: str) -> str | None:
    """The field that is wrong by itself, in the words of the dialect; None where they only do not go together."""
    said = {**order.fields, **asked}
    together = [{key: said[key] for key in (name, TOGETHER.get(name)) if key in said} for name in said]
    together.sort(key=lambda fields: "keep" in fields)  # last: what it goes with may be wrong by itself
    for fields in [{}, *together]:
        try:
            request = model.request("anything" if fields else order.prompt, **fields)
            model.format.shape(request.seconds, request.width, request.height)
        except ValueError:
            name = next((key for key in fields if key != "retake"), "prompt")
            return order.params.get(name, name)
    told = {
        "leave out seconds": "seconds",
        "leave out references": "references",
        "quotation": "prompt",
        "span": "span",
        "key frame": "key_frames",
        "spoken": "prompt",
    }
    name = next((name for words, name in told.items() if words in message), None)
    return order.params.get(name, name) if name else None


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _fingerprint(order: Order, paths: Mapping[str, Path]) -> str:
    """What makes two orders the same: everything that was said, and the contents of files."""
    files = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths.items()}
    times = [time for time, _ in order.files.get("key_frames", ())]
    said = [order.prompt, order.model, dict(order.fields), files, times, order.priority, order.draft]
    return _digest(json.dumps(said, sort_keys=True, default=str))
