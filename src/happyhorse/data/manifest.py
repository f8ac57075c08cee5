"""The manifest: one JSON line for each clip that can be trained on, from a file or from a world seed.

A line says everything that decides what the model sees of its clip: which bytes, which part of the picture, how many
frames, which captions, in training or held out. Edit captions, crops or splits there, or delete lines; the latents that
are kept of a clip follow its line.
"""

import dataclasses
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from happyhorse import checkpoint, config, world
from happyhorse.data.buckets import FPS, Bucket, Buckets, Crop
from happyhorse.data.captions import fault
from happyhorse.data.footage import UnusableError, read
from happyhorse.data.shards import world_version
from happyhorse.data.source import SPLITS, RawClip, WorldConfig, render_seed, seed_of
from happyhorse.files import write_atomic

NAME = "manifest.jsonl"
HELDOUT_SHARE = 20  # one clip in this many is held out


@dataclass(frozen=True)
class Entry:
    """A line: the file `source` (relative to the manifest) or the world `seed`, and how it is used.

    `sha256` of the file's bytes, or of the world's code; `bucket` with the frames used, from the first, of `frames` at
    25 a second; `crop` (left, top, width, height) in px of the picture as shown; `has_audio`: without it the sound is
    silence that must not be learnt. Raises ValueError where that cannot be.
    """

    sha256: str
    captions: tuple[str, ...]
    bucket: Bucket
    frames: int
    crop: Crop
    has_audio: bool
    split: str
    source: str | None = None
    seed: int | None = None
    family: str = "own"

    def __post_init__(self) -> None:
        if (self.source is None) == (self.seed is None):
            raise ValueError("a clip comes either from a file (source) or from the world (seed)")
        if self.split not in SPLITS:
            raise ValueError(f"split is {' or '.join(map(repr, SPLITS))}, got {self.split!r}")
        faults = [wrong for caption in self.captions if (wrong := fault(caption))]
        if faults or not self.captions:
            raise ValueError(faults[0] if faults else "a clip needs at least one caption")

    @property
    def name(self) -> str:
        """The file, or the seed."""
        return self.source or f"world seed {self.seed}"

    @property
    def content(self) -> tuple[Any, ...]:
        """Everything that decides the tensors of this clip; captions are not among it."""
        return (self.sha256, self.seed, self.family, dataclasses.astuple(self.bucket), self.crop)

    def record(self) -> dict[str, Any]:
        """The record that goes with a file's tensors, with the keys of a world clip's."""
        return {
            "source": self.source,
            "family": self.family,
            "attributes": {},
            "captions": list(self.captions),
            "heldout": list(self.captions),  # nobody wrote other wordings; what is held out is the clip
            "phones": [],
            "languages": [],
            "events": [],
            "has_audio": self.has_audio,
        }

    def load(self, root: Path) -> RawClip:
        """Read or render the clip; `root` is the manifest's folder.

        Raises ValueError where the file is missing, has changed since it was imported, or cannot be read.
        """
        if self.source is None:
            assert self.seed is not None
            settings = WorldConfig(
                self.bucket.width, self.bucket.height, self.bucket.frames / FPS, (self.family,)
            )
            clip = render_seed(self.seed, settings)
            return RawClip(clip.video, clip.audio, clip.record | {"has_audio": True})
        self.check(root)
        try:
            video, audio = read(root / self.source, self.bucket, self.crop)
        except UnusableError as error:
            raise ValueError(f"{self.source}: {error}") from None
        return RawClip(video, audio, self.record())

    def check(self, root: Path) -> None:
        """Raise UnusableError unless the file, or the world, is still what it was when the line was written."""
        if self.source is None:
            if self.sha256 != world_version():
                raise UnusableError(
                    "changed", f"{self.name} is another clip in this version of the world; import again"
                )
        elif not (root / self.source).is_file():
            raise UnusableError("missing", f"{root / self.source} is gone; put it back, or import again")
        elif checkpoint.sha256(root / self.source) != self.sha256:
            raise UnusableError(
                "changed", f"{root / self.source} has changed since it was imported; import again"
            )


def split_of(sha256: str) -> str:
    """The split of a file, by its bytes alone: 5 % are held out, wherever and among whatever they lie."""
    return "heldout" if int(sha256[:8], 16) % HELDOUT_SHARE == 0 else "train"


def hold_out_one(entries: Iterable[Entry]) -> list[Entry]:
    """The same entries; where none of several is held out, the one with the smallest hash is."""
    entries = list(entries)
    if len(entries) > 1 and all(entry.split == "train" for entry in entries):
        chosen = min(range(len(entries)), key=lambda i: entries[i].sha256)
        entries[chosen] = dataclasses.replace(entries[chosen], split="heldout")
    return entries


def world_entries(count: int, buckets: Buckets) -> list[Entry]:
    """`count` clips of the world in the largest bucket, to be learnt beside files; 5 % of them from held-out seeds."""
    bucket = Bucket(buckets.width, buckets.height, buckets.lengths[0])
    entries = []
    for index in range(count):
        split = "heldout" if index % HELDOUT_SHARE == HELDOUT_SHARE - 1 else "train"
        scene = world.sample(seed_of(split, index), bucket.frames / FPS)
        entries.append(
            Entry(
                sha256=world_version(),
                captions=scene.captions,
                bucket=bucket,
                frames=bucket.frames,
                crop=(0, 0, bucket.width, bucket.height),
                has_audio=True,
                split=split,
                seed=scene.seed,
                family=scene.family,
            )
        )
    return entries


def write(path: Path, entries: Iterable[Entry]) -> Path:
    """Write a manifest, whole or not at all; returns its path. Raises OSError where it cannot be written."""
    lines = [json.dumps(config.plain(entry), ensure_ascii=False) for entry in entries]
    text = "".join(line + "\n" for line in lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, lambda hidden: hidden.write_text(text, encoding="utf-8"))
    return path


def load(path: Path) -> list[Entry]:
    """Read a manifest. Raises ValueError, naming the line, where it is missing, malformed or empty."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # not splitlines: names may hold U+2028
    except FileNotFoundError:
        raise ValueError(f"no manifest at {path}; write one with: happyhorse data import FOLDER") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no manifest: it is not text") from None
    entries = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
            if not isinstance(values, dict):
                raise ValueError("a line holds one JSON object")
            entries.append(config.build(Entry, values))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
    if not entries:
        raise ValueError(f"{path} lists no clips; write it anew with: happyhorse data import FOLDER")
    return entries


def relative(file: Path, root: Path) -> str:
    """How a manifest in the folder `root` names `file`: relative to it, or absolute on another drive."""
    try:
        return Path(os.path.relpath(file.resolve(), root.resolve())).as_posix()
    except ValueError:
        return file.resolve().as_posix()
