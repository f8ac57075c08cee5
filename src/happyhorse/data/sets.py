"""Clips of a manifest as shards: one folder for each bucket and split, to be read like those of the world."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from happyhorse import checkpoint, config, media
from happyhorse.data import footage, manifest
from happyhorse.data.batches import mixed
from happyhorse.data.buckets import FPS, Bucket
from happyhorse.data.manifest import Entry
from happyhorse.data.shards import Shards, codec_version, make
from happyhorse.data.source import SPLITS, RawClip
from happyhorse.files import write_atomic
from happyhorse.values import Clip


@dataclass(frozen=True)
class ClipPlan:
    """Shards of the `entries` of one bucket and split, whose manifest lies in `root`: latents of `codec`, or raw."""

    root: str
    entries: tuple[Entry, ...]
    codec: str | None = None

    @property
    def clips(self) -> int:
        """Number of entries."""
        return len(self.entries)

    @property
    def whole(self) -> int:
        """The same: another set is another folder."""
        return len(self.entries)

    @property
    def key(self) -> str:
        """Name of the folder: bytes, bucket and crop of each clip, the code that reads them, the codec; no captions."""
        first = self.entries[0]
        content = [[entry.content for entry in self.entries], reader_version(), codec_version(self.codec)]
        return f"{first.split}-{first.bucket.name}-{config.fingerprint(content)}"

    def clip(self, index: int) -> RawClip:
        """Read or render the clip of entry `index`."""
        return self.entries[index].load(Path(self.root))


@cache
def reader_version() -> str:
    """Hash of the code that reads files: read otherwise, they are other clips."""
    return config.fingerprint([checkpoint.sha256(str(module.__file__)) for module in (footage, media)])


def plans(entries: Iterable[Entry], root: Path, codec: Path | None = None) -> list[ClipPlan]:
    """A plan for each split and bucket that occurs, training first, buckets by size and length, clips by hash.

    The order of the entries in their manifest does not matter.
    """
    groups: dict[tuple[int, Bucket], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((SPLITS.index(entry.split), entry.bucket), []).append(entry)
    path = str(codec) if codec else None
    return [
        ClipPlan(str(root), tuple(sorted(group, key=lambda entry: (entry.sha256, entry.seed or 0))), path)
        for _, group in sorted(groups.items(), key=lambda item: item[0])
    ]


def open_plan(plan: ClipPlan, workers: int = 2, progress: Callable[[int, int], None] | None = None) -> Shards:
    """The shards of `plan`, made now where they do not exist, with the captions that its entries have now.

    `progress(done, total)` counts clips. Raises ValueError if a file is gone, has changed or cannot be read.
    """
    folder = make(plan, workers, progress)
    shards = Shards(folder)
    records = [
        entry.record() if entry.source else record
        for entry, record in zip(plan.entries, shards.records, strict=True)
    ]
    if records == shards.records:
        return shards
    for number, file in enumerate(shards.files):
        lines = [json.dumps(records[i]) for i, (f, _) in enumerate(shards.places) if f == number]
        text = "\n".join(lines) + "\n"
        write_atomic(
            file.with_suffix(".jsonl"), lambda path, text=text: path.write_text(text, encoding="utf-8")
        )
    return Shards(folder)


def open_manifest(
    path: Path,
    split: str,
    codec: Path | None = None,
    workers: int = 2,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[Bucket, Shards]:
    """The clips of one split of a manifest, by bucket: latents of `codec`, or raw; made now where they do not exist.

    `progress(stage, done, total)` counts clips of a bucket. Raises ValueError as `manifest.load` and `open_plan` do;
    a split without clips gives an empty mapping.
    """
    chosen = [entry for entry in manifest.load(path) if entry.split == split]
    opened = {}
    for plan in plans(chosen, path.parent, codec):
        name = f"{split} {plan.entries[0].bucket.name}"
        counted = (lambda done, total, name=name: progress(name, done, total)) if progress else None
        opened[plan.entries[0].bucket] = open_plan(plan, workers, counted)
    return opened


class Mixed:
    """Shards of several buckets as one sequence of clips, whose batches hold clips of one bucket each."""

    def __init__(self, buckets: Mapping[Bucket, Shards]) -> None:
        """The shards of each bucket, as `open_manifest` gives them. Raises ValueError where there are none."""
        if not buckets:
            raise ValueError(
                "there are no clips of this split in the manifest; import more, or edit the splits"
            )
        self.sets = [buckets[bucket] for bucket in sorted(buckets)]
        self.firsts = [sum(len(one) for one in self.sets[:i]) for i in range(len(self.sets))]
        self.records: list[dict[str, Any]] = [record for one in self.sets for record in one.records]

    @property
    def names(self) -> list[str]:
        """The names of the folders of its shards."""
        return [name for one in self.sets for name in one.names]

    def __len__(self) -> int:
        return len(self.records)

    def batch(self, size: int, seed: int, step: int) -> list[int]:
        """Clips of the batch of `step`, `size` of one bucket, a pure function of (seed, step)."""
        chosen, places = mixed([len(one) for one in self.sets], size, seed, step)
        return [self.firsts[chosen] + place for place in places]

    def groups(self, size: int, most: int) -> list[list[int]]:
        """Clips in groups of one bucket and up to `size`, `most` clips or some more: every bucket has its share."""
        groups = []
        for first, one in zip(self.firsts, self.sets, strict=True):
            share = max(1, round(most * len(one) / len(self)))
            groups += [[first + place for place in group] for group in one.groups(size, share)]
        return groups

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, dict[str, Any]]:
        """Video, audio and record of one clip, as stored; clips of different buckets have different shapes."""
        chosen = max(i for i, first in enumerate(self.firsts) if first <= index)
        return self.sets[chosen][index - self.firsts[chosen]]


def show(entries: Iterable[Entry], root: Path, folder: Path) -> list[Path]:
    """Write what the model sees of each clip, cut and shortened, into `folder`: MP4, or PNG for a still. Returns paths.

    Raises ValueError where a clip cannot be read, OSError where `folder` cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, entry in enumerate(entries):
        clip = entry.load(root)
        stem = folder / f"{number:03d}-{Path(entry.source).stem if entry.source else entry.seed}"
        if len(clip.video) == 1:
            paths.append(stem.with_name(stem.name + ".png"))
            Image.fromarray(clip.video[0]).save(paths[-1])
        else:
            paths.append(stem.with_name(stem.name + ".mp4"))
            media.write(Clip(video=clip.video, audio=clip.audio, fps=FPS), paths[-1])
    return paths
