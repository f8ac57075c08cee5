"""Shards: files of 64 clips, raw or as latents, made once in several processes and kept.

A shard is `NAME.safetensors` with two tensors, `video` and `audio`, and `NAME.jsonl` with a record a clip. Its folder
is named by everything that decides its tensors (world code and settings, or the files and how they are cut; codec
weights), so a cache is never stale: change anything and another folder is used. Shards are written atomically; making
goes on where it stopped.
"""

import hashlib
import json
import multiprocessing
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

import happyhorse.world
from happyhorse import config
from happyhorse.codec import latent_version, load_codec
from happyhorse.codec.pixels import as_video
from happyhorse.data.batches import indices
from happyhorse.data.source import RawClip, WorldConfig, render_seed, seed_of
from happyhorse.files import write_atomic
from happyhorse.precision import mixed
from happyhorse.world import scene

CLIPS = 64  # a shard
OPEN = 8  # shards kept open at once


class Plan(Protocol):
    """A set of clips of one shape to make shards of; it travels to other processes, so it can be pickled."""

    @property
    def clips(self) -> int:
        """How many clips are wanted."""
        ...

    @property
    def whole(self) -> int:
        """How many clips the shards hold: `clips`, or more where the set can grow and shards are always full."""
        ...

    @property
    def codec(self) -> str | None:
        """Path of the codec whose latents the shards hold; None: raw clips."""
        ...

    @property
    def key(self) -> str:
        """Name of the folder: everything that decides the tensors, hashed."""
        ...

    def clip(self, index: int) -> RawClip:
        """Render or read clip `index`."""
        ...


@dataclass(frozen=True)
class ShardPlan:
    """What a set of shards holds: `clips` of a `split`, as latents of the codec at `codec` or raw where it is None."""

    world: WorldConfig
    split: str
    clips: int
    codec: str | None = None

    @property
    def whole(self) -> int:
        """`clips`, rounded up to full shards."""
        return full(self.clips)

    @property
    def key(self) -> str:
        """Name of the folder; `clips` is not in it (sets grow), what "all families" means on this machine is."""
        world = replace(self.world, families=self.world.families or scene.available())
        return f"{self.split}-{config.fingerprint([config.plain(world), world_version(), codec_version(self.codec)])}"

    def clip(self, index: int) -> RawClip:
        """Render the scene of the split's seed `index`."""
        return render_seed(seed_of(self.split, index), self.world)


def full(clips: int) -> int:
    """As many `clips`, rounded up to full shards."""
    return -(-clips // CLIPS) * CLIPS


def codec_version(codec: str | None) -> str:
    """What names a codec in keys: the hash of its weights, or "raw" for none."""
    return latent_version(codec) if codec else "raw"


@cache
def world_version() -> str:
    """Hash of the world's source files: another drawing is another data set."""
    digest = hashlib.sha256()
    for file in sorted(Path(happyhorse.world.__path__[0]).rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def cache_dir() -> Path:
    """`$HAPPYHORSE_CACHE`, else `$XDG_CACHE_HOME/happyhorse`, else `~/.cache/happyhorse`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("HAPPYHORSE_CACHE") or Path(base) / "happyhorse")


def make(plan: Plan, workers: int = 2, progress: Callable[[int, int], None] | None = None) -> Path:
    """Make the shards of `plan` that do not exist yet, in `workers` processes; returns their folder.

    `progress(done, total)` is called after every shard, in clips. Raises ValueError if a clip cannot be made.
    """
    folder = cache_dir() / plan.key
    folder.mkdir(parents=True, exist_ok=True)
    shards = -(-plan.whole // CLIPS)
    todo = [i for i in range(shards) if not (folder / f"{i:05d}.jsonl").exists()]
    jobs = [(plan, index, str(folder)) for index in todo]

    def report(made: int) -> None:
        if progress:
            progress(min((shards - len(todo) + made) * CLIPS, plan.clips), plan.clips)

    if workers <= 1 or len(jobs) <= 1:
        for made, job in enumerate(jobs, 1):
            _make_shard(job)
            report(made)
        return folder
    # spawn, not fork: torch and espeak-ng keep threads and state that a forked child must not inherit
    with multiprocessing.get_context("spawn").Pool(min(workers, len(jobs))) as pool:
        for made, _ in enumerate(pool.imap_unordered(_make_shard, jobs), 1):
            report(made)
    return folder


def _make_shard(job: tuple[Plan, int, str]) -> None:
    plan, index, folder = job
    if multiprocessing.parent_process() is not None:
        torch.set_num_threads(1)
    encode = _encoder(plan.codec) if plan.codec else _raw
    videos, audios, records = [], [], []
    for i in range(index * CLIPS, min((index + 1) * CLIPS, plan.whole)):
        clip = plan.clip(i)
        video, audio = encode(torch.from_numpy(clip.video), torch.from_numpy(clip.audio))
        videos.append(video)
        audios.append(audio)
        records.append(json.dumps(clip.record))
    name = Path(folder) / f"{index:05d}"
    tensors = {"video": torch.stack(videos), "audio": torch.stack(audios)}
    write_atomic(name.with_suffix(".safetensors"), lambda path: save_file(tensors, path))
    write_atomic(
        name.with_suffix(".jsonl"), lambda path: path.write_text("\n".join(records) + "\n", encoding="utf-8")
    )


def _raw(video: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
    """uint8 [F, H, W, 3] and float32 [N] -> themselves, sound as int16."""
    return video, (audio * 32767).round().to(torch.int16)


@cache
def _encoder(path: str) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    codec = load_codec(path)

    @torch.no_grad()
    def encode(video: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 [F, H, W, 3] and float32 [N] -> bfloat16 [C, T, Y, X] and [S, C]."""
        with mixed():
            z = codec.video.encode(as_video(video[None]))[0]
        return z.bfloat16(), codec.audio.encode(audio[None])[0].bfloat16()

    return encode


class Shards:
    """A folder of shards as one sequence of `len` clips; tensors stay on disk (memory-mapped) until sliced."""

    def __init__(
        self, folder: str | Path, clips: int | None = None, repeat: Mapping[str, int] | None = None
    ) -> None:
        """Open what is complete in `folder`, the first `clips` of it. Raises ValueError if that is nothing.

        The clips of a family in `repeat` come so many times in each epoch of batches, the others once.
        """
        self.files = sorted(p for p in Path(folder).glob("*.safetensors") if p.with_suffix(".jsonl").exists())
        lines = [p.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines() for p in self.files]
        self.places = [(f, i) for f, rows in enumerate(lines) for i in range(len(rows))][:clips]
        self.records: list[dict[str, Any]] = [json.loads(row) for rows in lines for row in rows][:clips]
        if not self.places:
            raise ValueError(f"no finished shards in {folder}: make them first (happyhorse data make)")
        self._repeat = dict(repeat or {})
        times = [self._repeat.get(record.get("family", ""), 1) for record in self.records]
        self._epoch = [i for i, count in enumerate(times) for _ in range(count)]
        self._open: OrderedDict[int, Any] = OrderedDict()  # the shards used last, oldest first

    def __len__(self) -> int:
        return len(self.places)

    @property
    def names(self) -> list[str]:
        """The name of its folder, which says what it was made from, and what comes several times in an epoch."""
        return [self.files[0].parent.name, *(f"{name} x {count}" for name, count in self._repeat.items())]

    def batch(self, size: int, seed: int, step: int) -> list[int]:
        """Clips of the batch of `step`, `size` of them, a pure function of (seed, step)."""
        return [self._epoch[place] for place in indices(len(self._epoch), size, seed, step)]

    def groups(self, size: int, most: int) -> list[list[int]]:
        """The first `most` clips in groups of `size`; what fills no group is left out, unless no group is full."""
        count = min(most, len(self) // size * size) or len(self)
        return [list(range(first, min(first + size, count))) for first in range(0, count, size)]

    def slice(self, name: str, index: int) -> tuple[Any, int]:
        """The lazily read tensor `name` ("video" or "audio") of the shard of clip `index`, and its row there."""
        file, row = self.places[index]
        if file not in self._open:
            self._open[file] = safe_open(self.files[file], framework="pt")
            if len(self._open) > OPEN:
                self._open.popitem(last=False)
        self._open.move_to_end(file)
        return self._open[file].get_slice(name), row

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, dict[str, Any]]:
        """Video, audio and record of one clip, as stored."""
        (video, row), (audio, _) = self.slice("video", index), self.slice("audio", index)
        return video[row], audio[row], self.records[index]
