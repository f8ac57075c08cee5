"""Clips of a manifest as shards: the latents of the right codec, the captions of now, one folder a bucket."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from happyhorse import media
from happyhorse.codec import load_codec
from happyhorse.codec.text import TextConfig
from happyhorse.data import folder as folders
from happyhorse.data import manifest, sets
from happyhorse.data.buckets import Bucket, Buckets
from happyhorse.data.footage import read
from happyhorse.data.shards import Shards
from happyhorse.model.presets import HorseConfig
from happyhorse.train.flow import FlowConfig, FlowObjective
from happyhorse.train.loop import LoopConfig

BUCKETS = Buckets(64, 32, 0.4)  # 9 and 5 frames


@pytest.fixture
def listed(make_clip) -> Path:
    """A manifest of three clips of nine frames, one of five, one still, two of the world; four splits by hand."""
    clips = make_clip("a.mp4").parent
    make_clip("b.mp4", shade=40)
    make_clip("held.mp4", shade=60)
    make_clip("short.mp4", frames=6, loud=0.0)
    Image.fromarray(np.full((32, 64, 3), 90, np.uint8)).save(clips / "still.png")
    (clips / "still.txt").write_text("a wall")
    entries = folders.usable(folders.examine(clips, BUCKETS), clips)
    split = {entry.name: "heldout" if entry.name == "held.mp4" else "train" for entry in entries}
    entries = [replace(entry, split=split[entry.name]) for entry in entries]
    return manifest.write(clips / "m.jsonl", [*entries, *manifest.world_entries(2, BUCKETS)])


def test_one_folder_for_each_bucket_and_split(listed: Path, tiny_model: Path, cache: Path) -> None:
    path = tiny_model / "codec.safetensors"
    counted: list[tuple[str, int, int]] = []
    train = sets.open_manifest(listed, "train", path, 1, lambda *report: counted.append(report))
    heldout = sets.open_manifest(listed, "heldout", path, 1)
    assert {bucket.name: len(shards) for bucket, shards in train.items()} == {
        "64x32x1": 1,
        "64x32x5": 1,
        "64x32x9": 4,
    }
    assert ("train 64x32x9", 4, 4) in counted and list(heldout) == [Bucket(64, 32, 9)]
    assert len(list(cache.iterdir())) == 4
    codec = load_codec(str(path))
    for bucket, shards in (train | heldout).items():
        steps = (bucket.frames - 1) // 4 + 1
        for i in range(len(shards)):
            video, audio, record = shards[i]
            assert video.shape == (48, steps, 2, 4) and audio.shape == (bucket.frames, 64)
            assert record["captions"] and record["heldout"] and isinstance(record["phones"], list)
            if record.get("source"):
                frames, wave = read(listed.parent / record["source"], bucket, (0, 0, 64, 32))
                pixels = torch.from_numpy(frames).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
                expected = codec.video.encode(pixels)[0]
                assert (video.float() - expected).abs().max() < 0.05 * expected.abs().max()
                expected = codec.audio.encode(torch.from_numpy(wave)[None])[0]
                assert (audio.float() - expected).abs().max() < 0.01 * expected.abs().max() + 0.01
    sound = {r.get("source") or "world": r["has_audio"] for shards in train.values() for r in shards.records}
    assert sound == {"a.mp4": True, "b.mp4": True, "short.mp4": False, "still.png": False, "world": True}


def test_captions_are_those_of_now_and_tensors_are_kept(listed: Path) -> None:
    bucket = Bucket(64, 32, 9)
    before = sets.open_manifest(listed, "train")[bucket]
    stamps = {file: os.stat(file).st_mtime_ns for file in before.files}
    entries = [
        replace(entry, captions=("new words", "and more")) if entry.source == "b.mp4" else entry
        for entry in manifest.load(listed)
    ]
    manifest.write(listed, reversed(entries))  # their order says nothing
    after = sets.open_manifest(listed, "train")[bucket]
    assert {file: os.stat(file).st_mtime_ns for file in after.files} == stamps
    captions = {record.get("source"): record["captions"] for record in after.records}
    assert captions["b.mp4"] == ["new words", "and more"]
    assert captions["a.mp4"] == ["a grey wall, a humming sound"]
    assert Shards(after.files[0].parent).records == after.records
    for i in range(len(after)):
        assert torch.equal(before[i][0], after[i][0])


def test_the_key_follows_what_decides_the_tensors(listed: Path, tiny_model: Path) -> None:
    plan = next(plan for plan in sets.plans(manifest.load(listed), listed.parent) if plan.clips == 4)
    one, *rest = plan.entries
    others = [
        replace(plan, codec=str(tiny_model / "codec.safetensors")),
        replace(plan, entries=tuple(rest)),
        replace(plan, entries=(replace(one, crop=(2, 1, 62, 31)), *rest)),
        replace(plan, entries=(replace(one, sha256="00" * 32), *rest)),
    ]
    assert len({plan.key, *(other.key for other in others)}) == 5
    same = replace(plan, root="elsewhere", entries=(replace(one, captions=("x",), has_audio=False), *rest))
    assert same.key == plan.key


def test_a_crop_by_hand_is_used(listed: Path) -> None:
    entries = [replace(e, crop=(0, 0, 4, 2)) if e.source == "a.mp4" else e for e in manifest.load(listed)]
    manifest.write(listed, entries)
    shards = sets.open_manifest(listed, "train")[Bucket(64, 32, 9)]
    (index,) = (i for i, record in enumerate(shards.records) if record.get("source") == "a.mp4")
    assert int(shards[index][0].min()) > 200  # nothing but the white edge


def test_a_file_that_changed_stops_the_making(listed: Path, make_clip) -> None:
    make_clip("a.mp4", shade=100)
    with pytest.raises(ValueError, match=r"a\.mp4 has changed"):
        sets.open_manifest(listed, "train", workers=1)


def test_what_the_model_sees_can_be_looked_at(listed: Path, tmp_path: Path) -> None:
    chosen = [entry for entry in manifest.load(listed) if entry.source in ("a.mp4", "still.png")]
    clip, still = sets.show(chosen, listed.parent, tmp_path / "seen")
    assert (clip.name, still.name) == ("000-a.mp4", "001-still.png")
    assert media.read(clip).video.shape == (9, 32, 64, 3) and Image.open(still).size == (64, 32)


def test_the_denoiser_trains_on_them(listed: Path, tiny_model: Path) -> None:
    codec = tiny_model / "codec.safetensors"
    train, heldout = (sets.open_manifest(listed, split, codec, 1) for split in ("train", "heldout"))
    horse = HorseConfig(
        num_layers=2, hidden_size=32, head_dim=16, num_query_groups=1, text_in_channels=16,
        mm_layers=(0,), gelu7_layers=(0,), given_embedding=True, param_dtype="fp32",
    )  # fmt: skip
    loop = LoopConfig(steps=1, batch=4, autocast=False)
    for bucket, shards in train.items():
        judged = heldout.get(bucket, shards)
        text = TextConfig(buckets=256, width=16)
        objective = FlowObjective(horse, text, FlowConfig(), loop, shards, judged, None)
        losses = [objective.loss(step, 0, 1)[0] for step in range(4)]
        assert all(torch.isfinite(loss) for loss in losses)
        losses[-1].backward()
        assert all(np.isfinite(value) and value > 0 for value in objective.evaluate().values())
