"""One worker's attempt at one job: the stages of `generate.pipeline`, with their results in the blob store.

What is finished is found there by whoever goes on, and sampling goes on from its last checkpoint. What is read from the
request (its words, its pictures) is read again: that is quick, and holds no more than the request does.
"""

import logging
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from safetensors import torch as tensors
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from torch import Tensor

from happyhorse.engine.prepare import prepare
from happyhorse.errors import explain
from happyhorse.generate.clock import Clock
from happyhorse.generate.condition import Conditions, condition
from happyhorse.generate.decode import decode_audio, decode_video
from happyhorse.generate.denoise import Pause, denoise
from happyhorse.generate.load import load
from happyhorse.generate.material import Material, gather
from happyhorse.generate.model import Model
from happyhorse.generate.mux import mux
from happyhorse.generate.pony import Pony
from happyhorse.generate.provenance import can_sign, signer
from happyhorse.generate.published import Published
from happyhorse.generate.splice import splice_audio, splice_video
from happyhorse.generate.upscale import upscale
from happyhorse.generate.windows import longest
from happyhorse.serve.blobs import Blobs, Unavailable
from happyhorse.serve.jobs.files import restore
from happyhorse.serve.jobs.queue import Step
from happyhorse.serve.jobs.records import Job, Lost
from happyhorse.serve.jobs.stills import Stills, encode, label
from happyhorse.serve.jobs.store import JobStore
from happyhorse.values import Latents, Request

BASE, LARGE, CHECKPOINT, EXPECTED = (
    "base.safetensors",
    "large.safetensors",
    "denoise.safetensors",
    "expected.webp",
)
WATCHING = 15.0  # seconds for which someone who asked for pictures is taken to look on
SELDOM = 0.25  # seconds between two reports of how far decoding is
# seconds for which a blob store that cannot be reached is tried again; a database is without end
PATIENCE = 600.0
LONGEST_WAIT = 8.0  # seconds between two tries
# percent, from and to
SHARES = {
    "condition": (0, 2),
    "denoise": (2, 85),
    "upscale": (40, 85),
    "decode": (85, 99),
}

T = TypeVar("T")
_placed: dict[str, Model] = {}  # the one that was used last, by how it was placed
logger = logging.getLogger("happyhorse.job")


def make(job: str, step: Step, worker: str, store: JobStore, blobs: Blobs, stopping: threading.Event) -> str:
    """Make the clip of a job, stage by stage, each written down by `step`; returns the word for how it ended.

    Raises Lost when the job is no longer this worker's, and when `stopping` is set, at the next step of the sampler.
    """
    claimed = patiently(lambda: store.claim(job, worker), job, stopping)
    if claimed is None:
        return "over"
    log, began = {"job": job, "worker": worker, "attempt": claimed.attempt}, time.monotonic()
    if claimed.attempt > store.settings.attempts:
        died = f"{store.settings.attempts} workers died at this clip; ask for a smaller one"
        patiently(lambda: store.fail(claimed, "worker_lost", died), job, stopping)
        return "failed"
    logger.info("begun", extra=log)
    with tempfile.TemporaryDirectory(prefix="happyhorse-") as folder:
        attempt = Attempt(claimed, store, blobs, stopping, Path(folder))
        ended: dict[str, Any] = {}
        try:
            for name, stage in attempt.stages():
                ended = step(name, lambda stage=stage: _guarded(stage, log))
                if "code" in ended:
                    code, message, took = ended["code"], ended["message"], time.monotonic() - began
                    patiently(lambda: store.fail(claimed, code, message, took), job, stopping)  # noqa: B023, called here
                    break
        except BaseException:  # Lost, or what the queue raises between the steps of a job that was cancelled
            with suppress(Exception):  # a count that is missing is no reason to lose a job
                store.spent(claimed, sum(attempt.clock.timings.values()))
            raise
    word = "failed" if "code" in ended else "completed"
    logger.info(word, extra=log | {"seconds": round(time.monotonic() - began, 3)} | ended)
    return word


def patiently(function: Callable[[], T], job: str, stopping: threading.Event) -> T:
    """Call `function`, again and again while a store cannot be reached.

    Without the database nothing can be said about the job, not even that it failed: that is waited for without end.
    Raises Lost when `stopping` is set meanwhile: someone else goes on.
    """
    wait, until = 0.25, time.monotonic() + PATIENCE
    while True:
        try:
            return function()
        except FileNotFoundError:
            raise
        except (OperationalError, InterfaceError) as error:
            reason = error
        except (Unavailable, OSError) as error:
            if time.monotonic() > until:
                raise
            reason = error
        logger.warning("waiting for a store: %s", explain(reason)[:200], extra={"job": job})
        if stopping.wait(wait):
            raise Lost(job)
        wait = min(2 * wait, LONGEST_WAIT)


def _guarded(stage: Callable[[], None], log: dict[str, Any]) -> dict[str, Any]:
    """What became of a stage, as plain values; an end that is not this job's own fault says so."""
    try:
        stage()
    except ValueError as error:
        return {"code": "invalid_request", "message": explain(error)}
    except (Unavailable, DBAPIError, OSError):
        logger.exception("a store cannot be reached", extra=log)
        return {
            "code": "storage_unavailable",
            "message": "the clip could not be kept, for its store was full or away; ask for it again later",
        }
    except Exception as error:
        logger.exception("a fault", extra=log)
        return {
            "code": "server_error",
            "message": f"a fault in the server ({type(error).__name__}); it is in its log",
        }
    return {}


class Attempt:
    """The stages of one job; `folder` is for files on their way."""

    def __init__(
        self, job: Job, store: JobStore, blobs: Blobs, stopping: threading.Event, folder: Path
    ) -> None:
        self.job, self.store, self.blobs, self.stopping, self.folder = job, store, blobs, stopping, folder
        self.clock, self._reported = Clock(self._report), 0.0
        self._paces: dict[str, tuple[int, float]] = {}  # by stage: steps done at a time

    def stages(self) -> Iterator[tuple[str, Callable[[], Any]]]:
        """Names and functions, in order."""
        yield "denoise", lambda: self.base
        if self.is_enlarged:
            yield "draft", self.draft
            if self.job.extra.get("draft"):
                return
            yield "upscale", lambda: self.large
        yield "publish", self.publish

    @cached_property
    def model(self) -> Model:
        """The model, in the way in which it fits on this machine; kept for the next clip of the same kind."""
        model = load(self.job.request["model"])
        if not isinstance(model, Published):
            return model
        ready = prepare(model, self.request)
        kind = f"{model.name}: {ready.plan.policy if ready.plan else ''}"
        if kind not in _placed:
            _placed.clear()
            _placed[kind] = ready.model
        return _placed[kind]

    @cached_property
    def request(self) -> Request:
        """What was asked for, with files in the folder."""
        return restore(
            self.job.request, lambda name: self._patiently(lambda: self.blobs.get(name)), self.folder
        )

    @cached_property
    def small(self) -> Request:
        """The request at the size at which it is sampled."""
        width, height = self.model.format.base(self.request.width, self.request.height)
        return replace(self.request, width=width, height=height)

    @property
    def is_enlarged(self) -> bool:
        """Whether super-resolution follows."""
        return (self.small.width, self.small.height) != (self.request.width, self.request.height)

    @cached_property
    def material(self) -> Material:
        """What is given, at the size at which it is sampled."""
        return gather(self.small, self.model.format, longest(self.model, self.model.format.fps))

    @cached_property
    def conditions(self) -> Conditions:
        """What the denoiser is told."""
        with self.clock("condition"):
            return condition(self.small, self.model, self.material)

    @cached_property
    def base(self) -> Latents:
        """The sampled latents: kept ones, or made from the last checkpoint on."""
        kept = self._kept(BASE)
        if kept is not None:
            return Latents(kept["video"], kept["audio"])
        pause, checkpoint = None, self._kept(CHECKPOINT)
        if checkpoint is not None:
            pause = Pause(int(checkpoint.pop("done")), checkpoint)
            logger.info(
                "goes on", extra={"job": self.job.id, "attempt": self.job.attempt, "step": pause.done}
            )
        conditions = self.conditions
        with self.clock("denoise") as progress:
            latents = denoise(
                self.small,
                self.model,
                self.material.part,
                conditions,
                progress,
                watch=self._watch,
                resume=pause,
            )
        self._keep(BASE, {"video": latents.video, "audio": latents.audio})
        return latents

    @cached_property
    def large(self) -> Latents:
        """The latents after super-resolution."""
        kept = self._kept(LARGE)
        if kept is not None:
            return Latents(kept["video"], kept["audio"])
        base, words = self.base, self.conditions.words
        with self.clock("upscale") as progress:
            material = gather(self.request, self.model.format, longest(self.model, self.model.format.fps))
            latents = upscale(self.request, self.model, material, words, base, progress)
        self._keep(LARGE, {"video": latents.video, "audio": latents.audio})
        return latents

    def draft(self) -> None:
        """Publish the small clip, with its sound, while the large one is still to come; or it alone was asked for."""
        name, facts, stills = self._encode(self.small, self.material, self.base, "draft")
        if self.job.extra.get("draft"):
            self._finish({"video": name, "latents": self.job.folder + BASE, **stills}, facts)
        else:
            blobs = dict(self.job.blobs) | {"preview": name}
            self.job = self._patiently(lambda: self.store.report(self.job, blobs=blobs))

    def publish(self) -> None:
        """Decode, encode, sign; then the clip is there."""
        if self.is_enlarged:
            latents, material = (
                self.large,
                gather(self.request, self.model.format, longest(self.model, self.model.format.fps)),
            )
        else:
            latents, material = self.base, self.material
        name, facts, stills = self._encode(self.request, material, latents, "clip")
        self._finish({"video": name, **stills}, facts)

    def _encode(
        self, request: Request, material: Material, latents: Latents, what: str
    ) -> tuple[str, dict[str, Any], dict[str, str]]:
        """Write a clip and its pictures to the store under names of this attempt; their names and facts."""
        path = self.folder / f"{what}-{self.job.attempt}.mp4"
        stills = Stills(material.whole.video.frames)
        with self.clock("decode"):
            audio = splice_audio(material, decode_audio(latents, self.model, material.part))
        frames = splice_video(material, decode_video(latents, self.model, material.part))
        if self.job.extra.get("silent"):
            audio = np.zeros_like(audio)
        if self.job.extra.get("watermark"):
            frames = label(frames)
        counted = self.clock.over("decode", stills.over(frames), len, material.whole.video.frames)
        with self.clock("mux"):
            mux(path, material.whole, audio, counted, signer(request, path, self.clock))
        name = self.job.folder + path.name
        self._patiently(lambda: self.blobs.put(name, path))
        names = {}
        for kind, (file, content) in stills.files().items():
            names[kind] = f"{self.job.folder}{path.stem}-{file}"
            self._patiently(lambda kind=kind, content=content: self.blobs.put(names[kind], content))
        facts = {
            "seconds": material.whole.seconds,
            "frames": material.whole.video.frames,
            "fps": material.whole.fps,
            "size": [material.whole.video.width, material.whole.video.height],
            "bytes": path.stat().st_size,
            "signed": can_sign(path),
            "notes": list(self.conditions.notes),
            "spoken": round(self.conditions.spoken, 2),
            "tokens": self.material.part.video.tokens,
            "timings": {stage: round(seconds, 4) for stage, seconds in self.clock.timings.items()},
        }
        return name, facts, names

    def _finish(self, names: dict[str, str], facts: dict[str, Any]) -> None:
        given = {key: name for key, name in self.job.blobs.items() if key.startswith("given")}
        self._patiently(
            lambda: self.store.finish(self.job, given | names, facts, sum(self.clock.timings.values()))
        )
        kept = set((given | names).values())
        try:
            self.blobs.delete(name for name in self.blobs.list(self.job.folder) if name not in kept)
        except (Unavailable, OSError):
            logger.warning("leftovers stay for the next sweep", extra={"job": self.job.id})

    def _report(self, stage: str, done: int, total: int) -> None:
        """Write how far it is, and learn whether the job is still this worker's."""
        if self.stopping.is_set():
            raise Lost(self.job.id)
        now = time.monotonic()
        if stage == "decode" and done < total and now - self._reported < SELDOM:
            return
        self._reported = now
        start, end = SHARES[stage]
        if stage == "denoise" and self.is_enlarged:
            end = SHARES["upscale"][0]
        values = {
            "stage": stage,
            "done": done,
            "total": total,
            "progress": max(self.job.progress, int(start + (end - start) * done / max(1, total))),
            "eta": self._left(stage, done, total),
        }
        self.job = self._patiently(lambda: self.store.report(self.job, **values))

    def _left(self, stage: str, done: int, total: int) -> float:
        """Seconds that are left, by the pace of this stage and what was foreseen for this and the later ones."""
        foreseen: dict[str, float] = self.job.extra.get("seconds", {})
        names = list(foreseen)
        later = sum(foreseen[name] for name in names[names.index(stage) + 1 :]) if stage in names else 0.0
        now = time.monotonic()
        first, began = self._paces.setdefault(stage, (done, now))
        each = (now - began) / (done - first) if done > first else foreseen.get(stage, 0.0) / total
        return each * (total - done) + later

    def _watch(self, pause: Pause, expected: Callable[[], Latents]) -> None:
        """Every few steps: a checkpoint, and a picture of the expected clip where someone is looking."""
        if pause.done % self.store.settings.checkpoint:
            return
        self._keep(CHECKPOINT, {"done": torch.tensor(pause.done), **pause.tensors})
        if time.time() - self.job.watched < WATCHING and isinstance(self.model, Pony):
            video = expected().video
            middle = video.shape[1] // 2
            frames = next(iter(self.model.decode_video(video[:, middle : middle + 1])))
            picture = encode(Image.fromarray(frames[-1]), "WEBP")
            self._patiently(lambda: self.blobs.put(self.job.folder + EXPECTED, picture))
            self.job = self._patiently(lambda: self.store.report(self.job, picture=pause.done))

    def _kept(self, name: str) -> dict[str, Tensor] | None:
        try:
            content = self._patiently(lambda: self.blobs.get(self.job.folder + name))
        except FileNotFoundError:
            return None
        return {key: tensor.to(self.model.device) for key, tensor in tensors.load(content).items()}

    def _keep(self, name: str, values: dict[str, Tensor]) -> None:
        # some are one
        plain = {key: tensor.detach().cpu().contiguous().clone() for key, tensor in values.items()}
        content = tensors.save(plain)
        self._patiently(lambda: self.blobs.put(self.job.folder + name, content))

    def _patiently(self, function: Callable[[], T]) -> T:
        return patiently(function, self.job.id, self.stopping)
