"""The manifest: what is written is read, mistakes are named with their line, splits depend on bytes alone."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from happyhorse import checkpoint
from happyhorse.data import manifest
from happyhorse.data.buckets import Bucket, Buckets
from happyhorse.data.footage import UnusableError
from happyhorse.data.manifest import Entry
from happyhorse.data.source import HELDOUT, WorldConfig, record_of, render_seed
from happyhorse.world import scene

ENTRY = Entry(
    sha256="ab" * 32,
    captions=("a ball", 'a woman says "你好"'),
    bucket=Bucket(64, 32, 9),
    frames=12,
    crop=(1, 0, 62, 31),
    has_audio=False,
    split="train",
    source="sub/a.mp4",
)
TEXT = st.text(st.characters(categories=["L", "N", "P", "Zs"]), min_size=1, max_size=40)
CAPTIONS = TEXT.filter(lambda text: not manifest.fault(" ".join(text.split()))).map(
    lambda text: " ".join(text.split())
)


@settings(max_examples=30)
@given(st.lists(CAPTIONS, min_size=1, max_size=3), TEXT, st.booleans())
def test_what_is_written_is_read(tmp_path_factory, captions: list[str], source: str, sound: bool) -> None:
    path = tmp_path_factory.mktemp("manifest") / "m.jsonl"
    entries = [replace(ENTRY, captions=tuple(captions), source=source, has_audio=sound), ENTRY]
    entries.append(replace(ENTRY, source=None, seed=7, family="balls"))
    entries.append(replace(ENTRY, source="a\u2028b\nc.mp4"))
    assert manifest.load(manifest.write(path, entries)) == entries


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"captoins": ["x"]}, "did you mean 'captions'"),
        ({"captions": []}, "at least one caption"),
        ({"captions": ["a", ""]}, "caption is empty"),
        ({"captions": ['a "ball']}, "quotation mark"),
        ({"split": "test"}, "'train' or 'heldout', got 'test'"),
        ({"bucket": {"width": 64, "height": 32, "frames": 10}}, r"4k\+1"),
        ({"bucket": {"width": 60, "height": 32, "frames": 9}}, "ask for 64x32"),
        ({"crop": [0, 0, 5]}, "must have 4 values"),
        ({"seed": 3}, "either from a file"),
        ({"has_audio": "yes"}, "must be bool"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, change: dict, words: str) -> None:
    path = manifest.write(tmp_path / "m.jsonl", [ENTRY])
    row = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(path.read_text(encoding="utf-8") + json.dumps(row | change) + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=words) as caught:
        manifest.load(path)
    assert "m.jsonl, line 2: " in str(caught.value)


@pytest.mark.parametrize("text", [None, "", "\n", "not json\n", "[3]\n", b"\xff\xfe\x00"])
def test_no_manifest(tmp_path: Path, text: str | bytes | None) -> None:
    path = tmp_path / "m.jsonl"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=r"m\.jsonl"):
        manifest.load(path)


def test_a_twentieth_is_held_out_whatever_else_there_is() -> None:
    hashes = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(4000)]
    held = [digest for digest in hashes if manifest.split_of(digest) == "heldout"]
    assert abs(len(held) / 4000 - 0.05) < 0.01
    few = [replace(ENTRY, sha256=digest) for digest in hashes if digest not in held][:5]
    chosen = manifest.hold_out_one(few)
    assert [entry.sha256 for entry in chosen if entry.split == "heldout"] == [
        min(entry.sha256 for entry in few)
    ]
    assert [entry.sha256 for entry in chosen] == [entry.sha256 for entry in few]
    assert manifest.hold_out_one(few[:1]) == few[:1]
    with_one = [*few, replace(ENTRY, split="heldout")]
    assert manifest.hold_out_one(with_one) == with_one


def test_a_file_is_loaded_as_its_line_says(make_clip) -> None:
    path = make_clip("a.mp4", frames=12)
    entry = replace(ENTRY, sha256=checkpoint.sha256(path), source="a.mp4")
    clip = entry.load(path.parent)
    assert clip.video.shape == (9, 32, 64, 3) and clip.audio.shape == (9 * 640,)
    assert clip.record == entry.record() and not clip.record["has_audio"]
    assert set(record_of(scene.sample(0, 0.3))) - {"seed"} <= set(clip.record)  # the keys of a world's record
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(UnusableError, match="has changed"):
        entry.load(path.parent)
    path.unlink()
    with pytest.raises(UnusableError, match="is gone"):
        entry.load(path.parent)


def test_clips_of_the_world() -> None:
    entries = manifest.world_entries(40, Buckets(64, 32, 0.4))
    assert [entry.split for entry in entries].count("heldout") == 2
    assert entries[19].seed == HELDOUT + 19 and entries[18].seed == 18
    chosen = next(entry for entry in entries if entry.family == "balls")
    assert chosen.bucket == Bucket(64, 32, 9) and chosen.seed is not None
    clip = chosen.load(Path("nowhere"))
    expected = render_seed(chosen.seed, WorldConfig(64, 32, 9 / 25, ("balls",)))
    assert np.array_equal(clip.video, expected.video) and clip.video.shape == (9, 32, 64, 3)
    assert tuple(clip.record["captions"]) == chosen.captions and clip.record["has_audio"]
    with pytest.raises(UnusableError, match="another clip in this version"):
        replace(chosen, sha256="0" * 12).check(Path())
