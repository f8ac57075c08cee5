"""Clips of a manifest as shards: the latents of the right codec, the captions of now, one folder a bucket."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from happyhorse import checkpoint, media
from happyhorse.codec import load_codec
from happyhorse.codec.text import TextConfig
from happyhorse.data import folder as folders
from happyhorse.data import manifest, sets
from happyhorse.data.buckets import Bucket, Buckets
from happyhorse.data.footage import read
from happyhorse.data.shards import Shards
from happyhorse.model.presets import HorseConfig
from happyhorse.train.flow import FlowConfig, FlowObjective
from happyhorse.train.loop import LoopConfig, Stopped, train
from happyhorse.train.recipe import load_recipe, train_flow
from happyhorse.train.windows import Sets

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


def objective(listed: Path, tiny_model: Path, loop: LoopConfig) -> FlowObjective:
    """A new small denoiser that trains on all buckets of the manifest."""
    codec = tiny_model / "codec.safetensors"
    train, heldout = (sets.Mixed(sets.open_manifest(listed, name, codec, 1)) for name in ("train", "heldout"))
    horse = HorseConfig(
        num_layers=2, hidden_size=32, head_dim=16, num_query_groups=1, text_in_channels=16,
        mm_layers=(0,), gelu7_layers=(0,), given_embedding=True, param_dtype="fp32",
    )  # fmt: skip
    return FlowObjective(
        horse, TextConfig(buckets=256, width=16), FlowConfig(), loop, Sets(train), heldout, None
    )


def test_batches_mix_buckets(listed: Path, tiny_model: Path) -> None:
    flow = objective(listed, tiny_model, LoopConfig(steps=1, batch=4, autocast=False))
    assert len(flow.train.clips) == 6 and len(flow.heldout) == 1
    shapes = set()
    for step in range(3):  # an epoch: a batch for each of the three buckets
        clips = flow.train.clips.batch(4, 0, step)
        (shape,) = {flow.train.clips[i][0].shape for i in clips}
        shapes.add(shape)
        loss, _ = flow.loss(step, 0, 1)
        assert torch.isfinite(loss) and flow.train.clips.batch(4, 0, step) == clips
    assert len(shapes) == 3
    loss.backward()
    groups = flow.train.clips.groups(8, 64)
    assert sorted(i for group in groups for i in group) == list(range(6)) and len(groups) == 3
    assert all(flow.train.clips[i][2] == flow.train.clips.records[i] for i in range(6))
    assert all(np.isfinite(value) and value > 0 for value in flow.evaluate().values())
    with pytest.raises(ValueError, match="import more"):
        sets.Mixed({})


def test_a_run_that_was_stopped_goes_on_to_the_bit(listed: Path, tiny_model: Path, tmp_path: Path) -> None:
    loop = LoopConfig(steps=6, batch=2, log_every=3, eval_every=100, ema=0.5)
    train(objective(listed, tiny_model, loop), loop, tmp_path / "whole", {})

    def stop(step: int, values: dict[str, float]) -> None:
        if step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Stopped):
        train(objective(listed, tiny_model, loop), loop, tmp_path / "parts", {}, report=stop)
    train(objective(listed, tiny_model, loop), loop, tmp_path / "parts", {})
    one, two = (checkpoint.load_bundle(tmp_path / run / "resume.pt") for run in ("whole", "parts"))
    assert one["step"] == two["step"] == 6
    assert all(torch.equal(tensor, two["module"][key]) for key, tensor in one["module"].items())


RECIPE = """
name = "own"
[world]
width = 64
height = 32
[codec]
clips = 1
heldout = 1
video_loop = { steps = 1 }
audio_loop = { steps = 1 }
[flow]
clips = 0
heldout = 0
manifest = "MANIFEST"
text = { buckets = 256, width = 16 }
loop = { steps = 2, batch = 2, log_every = 1 }
[flow.horse]
num_layers = 2
hidden_size = 32
head_dim = 16
num_query_groups = 1
text_in_channels = 16
mm_layers = [0]
gelu7_layers = [0]
given_embedding = true
param_dtype = "fp32"
"""


def test_a_folder_of_three_clips_trains(make_clip, tiny_model: Path, tmp_path: Path) -> None:
    for name, frames, loud in (("a.mp4", 9, 0.5), ("b.mp4", 6, 0.0), ("c.mp4", 9, 0.2)):
        clips = make_clip(name, frames=frames, loud=loud, shade=frames + ord(name[0])).parent
    entries = folders.usable(folders.examine(clips, BUCKETS), clips)
    path = manifest.write(clips / manifest.NAME, entries)
    (tmp_path / "own.toml").write_text(RECIPE.replace("MANIFEST", str(path)))
    recipe = load_recipe(tmp_path / "own.toml")
    start, codec = tiny_model / "denoiser.safetensors", tiny_model / "codec.safetensors"
    made = train_flow(recipe, tmp_path / "run", codec, start, workers=1)
    part = checkpoint.load(made, "denoiser")
    assert {"humming", "horse"} <= set(part.facts["vocabulary"]), "new words beside those it knew"
    assert part.facts["manifest"] == checkpoint.sha256(path)
    with pytest.raises(ValueError, match=r"flow\.clips=0"):
        load_recipe(tmp_path / "own.toml", ["flow.clips=4"])
