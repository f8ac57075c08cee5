"""Shards: files of 64 clips, raw or as latents, made once from seeds in several processes and kept.

A shard is `NAME.safetensors` with two tensors, `video` and `audio`, and `NAME.jsonl` with a record a clip. Its folder
is named by everything that decides its content (world code, world settings, codec weights), so a cache is never
stale: change anything and another folder is used. Shards are written atomically; making goes on where it stopped.
"""

import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

import happyhorse.world
from happyhorse import checkpoint, config
from happyhorse.codec import load_codec
from happyhorse.data.source import WorldConfig, render_seed, seed_of

CLIPS = 64  # a shard


@dataclass(frozen=True)
class ShardPlan:
    """What a set of shards holds: `clips` of a `split`, as latents of the codec at `codec` or raw where it is None."""

    world: WorldConfig
    split: str
    clips: int
    codec: str | None = None

    @property
    def key(self) -> str:
        """Name of the folder: everything that decides the content, hashed. `clips` is not among it: sets grow."""
        codec = checkpoint.sha256(self.codec)[:12] if self.codec else "raw"
        return f"{self.split}-{config.fingerprint([config.plain(self.world), world_version(), codec])}"


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


def make(plan: ShardPlan, workers: int = 2, progress: Callable[[int, int], None] | None = None) -> Path:
    """Make the shards of `plan` that do not exist yet, in `workers` processes; returns their folder.

    `progress(done, total)` is called after every shard, in clips. Raises ValueError if a worker cannot render.
    """
    folder = cache_dir() / plan.key
    folder.mkdir(parents=True, exist_ok=True)
    todo = [i for i in range(-(-plan.clips // CLIPS)) if not (folder / f"{i:05d}.jsonl").exists()]
    done = plan.clips - CLIPS * len(todo)
    jobs = [(plan, index, str(folder)) for index in todo]
    if workers <= 1 or len(jobs) <= 1:
        results: Iterator[Any] = map(_make_shard, jobs)
        for _ in results:
            done = _report(progress, done, plan.clips)
        return folder
    # spawn, not fork: torch and espeak-ng keep threads and state that a forked child must not inherit
    with multiprocessing.get_context("spawn").Pool(min(workers, len(jobs))) as pool:
        for _ in pool.imap_unordered(_make_shard, jobs):
            done = _report(progress, done, plan.clips)
    return folder


def _report(progress: Callable[[int, int], None] | None, done: int, total: int) -> int:
    done = min(done + CLIPS, total)
    if progress:
        progress(max(done, 0), total)
    return done


def _make_shard(job: tuple[ShardPlan, int, str]) -> None:
    plan, index, folder = job
    count = min(CLIPS, max(plan.clips - index * CLIPS, 0)) if plan.clips < CLIPS else CLIPS
    if multiprocessing.parent_process() is not None:
        torch.set_num_threads(1)
    encode = _encoder(plan.codec) if plan.codec else _raw
    videos, audios, records = [], [], []
    for i in range(index * CLIPS, index * CLIPS + count):
        clip = render_seed(seed_of(plan.split, i), plan.world)
        video, audio = encode(torch.from_numpy(clip.video), torch.from_numpy(clip.audio))
        videos.append(video)
        audios.append(audio)
        records.append(json.dumps(clip.record))
    name = Path(folder) / f"{index:05d}"
    tensors = {"video": torch.stack(videos), "audio": torch.stack(audios)}
    checkpoint.write_atomic(name.with_suffix(".safetensors"), lambda path: save_file(tensors, path))
    checkpoint.write_atomic(name.with_suffix(".jsonl"), lambda path: Path(path).write_text("\n".join(records) + "\n"))


def _raw(video: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
    """uint8 [F, H, W, 3] and float32 [N] -> themselves, sound as int16."""
    return video, (audio * 32767).round().to(torch.int16)


@cache
def _encoder(path: str) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    codec = load_codec(path)

    @torch.no_grad()
    def encode(video: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 [F, H, W, 3] and float32 [N] -> bfloat16 [C, T, Y, X] and [S, C]."""
        pixels = video.permute(3, 0, 1, 2)[None].float() / 127.5 - 1
        with torch.autocast("cpu", torch.bfloat16):
            z = codec.video.encode(pixels)[0]
        return z.bfloat16(), codec.audio.encode(audio[None])[0].bfloat16()

    return encode


class Shards:
    """A folder of shards as one sequence of `len` clips; tensors stay on disk (memory-mapped) until sliced."""

    def __init__(self, folder: str | Path, clips: int | None = None) -> None:
        """Open what is complete in `folder`, the first `clips` of it. Raises ValueError if that is nothing."""
        self.files = sorted(p for p in Path(folder).glob("*.safetensors") if p.with_suffix(".jsonl").exists())
        lines = [p.with_suffix(".jsonl").read_text().splitlines() for p in self.files]
        self.places = [(f, i) for f, rows in enumerate(lines) for i in range(len(rows))][:clips]
        self.records: list[dict[str, Any]] = [json.loads(row) for rows in lines for row in rows][:clips]
        if not self.places:
            raise ValueError(f"no finished shards in {folder}: make them first (happyhorse data make)")
        self._open: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self.places)

    def slice(self, name: str, index: int) -> tuple[Any, int]:
        """The lazily read tensor `name` ("video" or "audio") of the shard of clip `index`, and its row there."""
        file, row = self.places[index]
        if file not in self._open:
            self._open[file] = safe_open(self.files[file], framework="pt")
        return self._open[file].get_slice(name), row

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, dict[str, Any]]:
        """Video, audio and record of one clip, as stored."""
        (video, row), (audio, _) = self.slice("video", index), self.slice("audio", index)
        return video[row], audio[row], self.records[index]
