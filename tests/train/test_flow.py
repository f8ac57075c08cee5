"""The objective of the base model: what it sees, what it is judged by, and that it learns."""

import json
import math
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from happyhorse import checkpoint, media, world
from happyhorse.codec import load_codec
from happyhorse.codec.text import TextConfig, tokenize
from happyhorse.data.shards import Shards
from happyhorse.data.source import record_of
from happyhorse.flow.path import Mixture
from happyhorse.generate.denoiser import load_denoiser
from happyhorse.model.presets import HorseConfig
from happyhorse.train.conditions import ConditionConfig
from happyhorse.train.flow import FlowConfig, FlowObjective, draw_text
from happyhorse.train.loop import LoopConfig, read_log, train
from happyhorse.train.optim import OptimConfig
from happyhorse.train.report import write
from happyhorse.train.windows import Sets, cut

HORSE = HorseConfig(
    num_layers=2,
    hidden_size=64,
    head_dim=16,
    num_query_groups=2,
    text_in_channels=16,
    mm_layers=(0,),
    gelu7_layers=(0,),
    given_embedding=True,
    param_dtype="fp32",
)
TEXT = TextConfig(buckets=64, width=16)
NOTHING = ConditionConfig(0, 0, 0, 0, 0, 0)
PLAIN = FlowConfig(drop_text=0, drop_speech=0, conditions=NOTHING)
LOOP = LoopConfig(
    steps=30,
    batch=8,
    log_every=1,
    eval_every=30,
    preview_every=1000,
    save_every=1000,
    ema=0.9,
    autocast=False,
    optim=OptimConfig(muon_lr=0.02, adam_lr=0.02),
)


def objective(data: Shards, flow: FlowConfig = PLAIN, loop: LoopConfig = LOOP, **options) -> FlowObjective:
    heldout, codec = options.pop("heldout", data), options.pop("codec", None)
    return FlowObjective(HORSE, TEXT, flow, loop, Sets(data), heldout, codec, **options)


class Spy(torch.nn.Module):
    """A denoiser that remembers what it was given and answers with velocities of 0, changed by `answer`."""

    def __init__(
        self, like: torch.nn.Module, answer=lambda video, audio, given_video, given_audio: None
    ) -> None:
        super().__init__()
        self.text, self.answer, self.calls = like.text, answer, []

    def forward(self, video, audio, ids, times, given_video, given_audio, beside=None):
        self.beside = beside
        self.calls.append((video, audio, ids, times, given_video, given_audio))
        out = torch.zeros_like(video), torch.zeros_like(audio)
        self.answer(*out, given_video, given_audio)
        return out


def seen(flow: FlowObjective, step: int = 0, part: int = 0, parts: int = 1) -> tuple[Tensor, ...]:
    """What the denoiser is given for a step."""
    flow.module = Spy(flow.module)
    flow.loss(step, part, parts)
    (call,) = flow.module.calls
    return call


def test_learns_eight_clips_in_thirty_steps(latents, tmp_path):
    flow = objective(latents("train", 8))
    before = flow.evaluate()
    assert before["video_heldout"] == pytest.approx(2, rel=0.15), (
        "velocity 0: the variances of noise and data"
    )
    train(flow, LOOP, tmp_path / "run", {})
    lines = read_log(tmp_path / "run" / "log.jsonl")
    losses = [line["loss"] for line in lines]
    assert all(math.isfinite(loss) for loss in losses)
    assert sum(losses[-5:]) < 0.75 * sum(losses[:5])
    assert lines[-1]["video_heldout"] < 0.8 * before["video_heldout"]
    assert lines[-1]["audio_heldout"] < 0.8 * before["audio_heldout"]
    assert {f"{name}_q{q}" for name in ("video", "audio") for q in (1, 2, 3, 4)} <= {
        k for line in lines for k in line
    }


def test_the_loss_of_zero_velocity_is_that_of_the_target(latents):
    """By hand: v = n - x0, and n follows from the noisy latents, x_s = (1 - s) x0 + s n; here s is the same for all."""
    flow = objective(latents("train", 8), replace(PLAIN, mixture=type(PLAIN.mixture)(0, 0, 0)))
    flow.module = Spy(flow.module)
    loss, values = flow.loss(3, 0, 1)
    assert float(loss.detach()) == pytest.approx(values["video"] + values["audio"])
    assert values["video"] == pytest.approx(2, rel=0.2) and values["audio"] == pytest.approx(2, rel=0.2)


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_channels_count_by_their_deviation_to_a_power(latents, power):
    """Parallelogram: what an error of +-a in one channel adds to the loss is a^2 times the weight of that channel."""
    data = latents("train", 8)
    flow = objective(data, replace(PLAIN, channel_power=power))
    like = flow.module

    def loss(channel: int, by: float) -> float:
        def answer(video, audio, given_video, given_audio):
            video[:, channel] = by

        flow.module = Spy(like, answer)
        return float(flow.loss(0, 0, 1)[0])

    added = torch.tensor([loss(c, 10.0) + loss(c, -10.0) - 2 * loss(c, 0.0) for c in range(4)])
    video = torch.cat([data[i][0].float().flatten(1) for i in range(8)], 1)
    weight = video.std(1).pow(power)
    assert torch.allclose(added, 200 * (weight / weight.mean())[:4] / len(weight), rtol=2e-3)


@pytest.mark.parametrize("kind", ["first", "prefix"])
def test_given_frames_are_clean_and_not_in_the_loss(latents, kind):
    def wild(video, audio, given_video, given_audio):
        video.transpose(1, 2)[given_video] = 1e3
        audio[given_audio] = 1e3

    def wrong(video, audio, given_video, given_audio):
        video.transpose(1, 2)[~given_video] = 1e3

    conditions = replace(NOTHING, **{kind: 1.0})
    flow = objective(latents("train", 8), replace(PLAIN, conditions=conditions))
    like = flow.module
    losses = []
    for answer in (lambda *_: None, wild, wrong):
        flow.module = Spy(like, answer)
        losses.append(float(flow.loss(0, 0, 1)[0]))
    assert losses[0] == losses[1] and losses[2] > 1e5
    video, audio, _, _, given_video, given_audio = flow.module.calls[0]
    assert given_video[:, 0].all() and not given_video.all() and bool(given_audio.any()) == (kind == "prefix")
    order = {
        tuple(clip[0][:, 0].flatten().tolist()): clip for clip in (flow.train.clips[i] for i in range(8))
    }
    for row in range(8):
        # the first frame is one of the clips', to the bit
        clean = order[tuple(video[row, :, 0].flatten().tolist())]
        frames, steps = given_video[row], given_audio[row]
        assert torch.equal(video[row][:, frames], clean[0][:, frames].float())
        assert torch.equal(audio[row][steps], clean[1][steps].float())
        assert not torch.equal(video[row][:, ~frames], clean[0][:, ~frames].float())


def test_a_clip_without_sound_teaches_its_picture_only(latents):
    """Its sound is noise throughout, never given, and what the denoiser says of it does not count."""

    def wild(video, audio, given_video, given_audio):
        audio[silent] = 1e3

    conditions = replace(NOTHING, prefix=1.0)
    flow = objective(latents("train", 8), replace(PLAIN, conditions=conditions, mixture=Mixture(0, 0.5, 0)))
    like, plain = flow.module, flow.loss(0, 0, 1)[1]
    order = flow.train.clips.batch(8, 0, 0)
    for record in flow.train.clips.records[::2]:
        record["has_audio"] = False
    silent = torch.tensor([i % 2 == 0 for i in order])
    losses = []
    for answer in (lambda *_: None, wild):
        flow.module = Spy(like, answer)
        losses.append(flow.loss(0, 0, 1)[1])
    assert losses[0] == losses[1] and losses[0]["video"] != losses[0]["audio"]
    _, audio, _, _, _, given_audio = flow.module.calls[0]
    assert not given_audio[silent].any() and given_audio[~silent].any()
    clean = torch.stack([flow.train.clips[i][1] for i in order]).float()
    near = (audio - clean).square().flatten(1).mean(1)
    assert (near[silent] > 1.0).all(), "noise, and nothing of the latents"
    unlike = torch.nn.functional.cosine_similarity(audio.flatten(1), clean.flatten(1))[silent]
    assert unlike.abs().max() < 0.2
    assert flow.evaluate().keys() == {"video_heldout", "video_seen_heldout", "audio_heldout"}
    for record in flow.train.clips.records:
        record["has_audio"] = False
    assert flow.evaluate().keys() == {"video_heldout", "video_seen_heldout"} and plain["audio"] > 0


def test_a_part_of_the_steps_is_short(latents):
    flow = objective(
        latents("train", 8), replace(PLAIN, lengths=(2,), length_shares=(0.5,), length_batches=(3,))
    )
    lengths = set()
    for step in range(12):
        parts = [seen(flow, step, part, 2) for part in (0, 1)]
        frames = {call[0].shape[2] for call in parts}
        assert len(frames) == 1, "all parts of a step have the same length"
        (length,) = frames
        lengths.add(length)
        for video, audio, _, _, given_video, given_audio in parts:
            assert audio.shape[1] == 4 * (length - 1) + 1
            assert given_video.shape == video.shape[::2][:2] and given_audio.shape == audio.shape[:2]
            assert len(video) == (3 * flow.loop.batch if length == 2 else flow.loop.batch) // 2
    assert lengths == {2, 4}
    with pytest.raises(ValueError, match="go together"):
        FlowConfig(lengths=(4,))


def test_windows_lie_anywhere_and_keep_sound_and_picture_together():
    frames = torch.arange(7.0).expand(64, 7)
    video = frames[:, None, :, None, None].expand(-1, 2, -1, 1, 1)  # every latent frame says when it is
    audio = (torch.arange(25.0) / 4).expand(64, 25)[..., None]
    seen, heard, starts = cut(video, audio, 3, torch.Generator().manual_seed(0))
    assert seen.shape == (64, 2, 3, 1, 1) and heard.shape == (64, 9, 1)
    assert torch.equal(seen[:, 0, 0, 0, 0], torch.tensor(starts).float())
    assert torch.equal(heard[:, ::4, 0], seen[:, 0, :, 0, 0]), (
        "the sound of the last pixel frame of each latent"
    )
    assert set(starts) == {0, 1, 2, 3, 4} and 16 < starts.count(0) < 48
    whole, _, none = cut(video, audio, None, torch.Generator())
    assert whole is video and not any(none)


def test_words_and_sounds_of_a_window():
    record = {
        "captions": ["a red ball"],
        "phones": [["b", 0.0, 0.1, 0], ["a", 0.55, 0.7, 0], ["t", 2.0, 2.1, 0]],
    }
    settings, plain = (
        TextConfig(buckets=64, features=8, width=8),
        replace(PLAIN, drop_text=0.0, drop_speech=0.0),
    )
    ids, times = draw_text(record, 2, 3, plain, settings, torch.Generator().manual_seed(0))
    assert times[:3].tolist() == [-5.0, -4.0, -3.0], (
        "the caption stays before the clip, two frames before the window"
    )
    assert len(ids) == 4 and times[3] == pytest.approx(0.625 * 25 / 4 - 2), "what sounds outside is left out"


def test_captions_are_told_anew_as_often_as_asked_but_never_of_edits():
    record = record_of(world.sample(3, 3.0, ["drum"])) | {"captions": ["boo"]}
    lengths = Counter(
        len(draw_text(one, 0, 19, replace(PLAIN, retell=share), TEXT, torch.Generator().manual_seed(seed))[0])
        > 1
        for one, share in ((record, 0.5), (record, 0.0), (record | {"before": ()}, 1.0))
        for seed in range(100)
    )
    assert 30 <= lengths[True] <= 70, "of the first hundred only: the others keep their one word"


def test_text_is_dropped_as_often_as_asked(latents):
    data = latents("train", 8)
    _, _, ids, _, _, _ = seen(objective(data, replace(PLAIN, drop_text=1.0)))
    assert not ids.any()
    _, _, ids, times, _, _ = seen(objective(data, replace(PLAIN, drop_speech=1.0)))
    assert (ids > 0).any(-1).sum(1).ge(3).all() and not (times > 0).any()
    none = rows = 0
    for step in range(40):
        _, _, ids, _, _, _ = seen(objective(data, replace(PLAIN, drop_text=0.25)), step)
        none += int((~ids.any(-1).any(-1)).sum())
        rows += len(ids)
    assert none / rows == pytest.approx(0.25, abs=0.08)


def test_both_wordings_are_seen_and_the_heldout_one_only_in_judging(latents):
    flow = objective(latents("train", 8))

    def token(word: str) -> tuple[int, ...]:
        # the word itself, without its neighbours
        return tuple(tokenize(word, [], TEXT, 1)[0][0, :1].tolist())

    def tokens() -> set[tuple[int, ...]]:
        return {tuple(row[:1].tolist()) for call in flow.module.calls for row in call[2].flatten(0, 1)}

    flow.module = Spy(flow.module)
    for step in range(4):
        flow.loss(step, 0, 1)
    assert token("ball") in tokens() and token(":") in tokens() and token("look") not in tokens()
    for known in (False, True):
        flow.vocabulary |= {"look"} if known else set()
        flow.module.calls.clear()
        flow.evaluate()
        assert (token("look") in tokens()) == known and token("ball") not in tokens()


def test_parts_differ_and_repeat(latents):
    flow = objective(latents("train", 8))
    first, again, other = seen(flow, 0, 0, 2), seen(flow, 0, 0, 2), seen(flow, 0, 1, 2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert len(first[0]) == len(other[0]) == 4 and not torch.equal(first[0], other[0])


def test_release_and_start(latents, tmp_path):
    data = latents("train", 8)
    flow = objective(data)
    weights = {key: torch.full_like(value, 0.5) for key, value in flow.module.state_dict().items()}
    path = flow.release(tmp_path, weights, {"steps": 1})
    model, facts = load_denoiser(path)
    assert (
        model.horse.config == HORSE
        and facts["shifts"] == {"video": 3.0, "audio": 1.5}
        and facts["steps"] == 1
    )
    # no held-out words
    assert facts["vocabulary"] == sorted({"a", "red", "blue", "ball", ",", ":", "<line>"})
    started = objective(data, start=path)
    assert all(torch.equal(value, weights[key]) for key, value in started.module.state_dict().items())


def test_preview_makes_a_clip_with_sound_for_each_family(latents, tmp_path, tiny_model):
    codec = load_codec(str(tiny_model / "codec.safetensors"))
    flow = objective(latents("train", 8), codec=codec)
    flow.preview(None, 7)
    assert not (tmp_path / "preview").exists()
    state = torch.get_rng_state()
    flow.preview(tmp_path / "preview", 7)
    assert torch.equal(state, torch.get_rng_state())
    names = sorted(path.name for path in (tmp_path / "preview").iterdir())
    assert names == ["000007-balls.mp4", "000007-clock.mp4", "000007.png", "captions.json"]
    captions = json.loads((tmp_path / "preview" / "captions.json").read_text())
    assert captions["balls"].startswith("look, it is ")
    clip = media.read(tmp_path / "preview" / "000007-balls.mp4")
    assert (
        clip.video.shape == (13, 32, 32, 3) and len(clip.audio) == 13 * 640 and np.abs(clip.audio).max() > 0
    )
    loss, _ = flow.loss(0, 0, 1)  # sampling leaves nothing behind that training cannot use
    loss.backward()


SCRIPT = """
import sys
from collections import Counter
sys.path.insert(0, {here!r})
from test_flow import run
run({data!r}, {codec!r}, {folder!r}, micro=1)
"""


def run(data: str, codec: str, folder: str, micro: int) -> None:
    """Four steps of everything: crops, conditions, dropped text, previews, the page."""
    short = {"lengths": (2,), "length_shares": (0.5,), "length_batches": (2,)}
    flow = replace(PLAIN, drop_text=0.2, conditions=ConditionConfig(), **short)
    loop = replace(LOOP, steps=4, micro=micro, preview_every=2)
    made = objective(Shards(data), flow, loop, codec=load_codec(codec))
    train(made, loop, Path(folder), {}, page=write)


def test_two_processes_do_what_one_does(latents, tmp_path, tiny_model):
    """Joined over gloo, previews and all: the same parts of the same batches, so the same curve and weights."""
    data, codec = latents("train", 8), str(tiny_model / "codec.safetensors")
    place = str(data.files[0].parent)
    run(place, codec, str(tmp_path / "one"), micro=2)
    script = tmp_path / "run.py"
    here = str(Path(__file__).parent)
    script.write_text(SCRIPT.format(here=here, data=place, codec=codec, folder=str(tmp_path / "two")))
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        str(script),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, timeout=500, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]

    one, two = (read_log(tmp_path / folder / "log.jsonl") for folder in ("one", "two"))
    for a, b in zip(one, two, strict=True):
        assert a.keys() == b.keys()
        for name in a.keys() - {"seconds", "clips_per_second"}:
            assert a[name] == pytest.approx(b[name], rel=5e-3), (a["step"], name)
    first, second = (
        checkpoint.load(tmp_path / folder / "denoiser.safetensors", "denoiser").weights
        for folder in ("one", "two")
    )
    start = objective(
        data
    ).module.state_dict()  # entry by entry Adam turns a gradient of +-0 into a step of +-lr
    moved = sum(float((first[key] - start[key]).square().sum()) for key in start)
    apart = sum(float((first[key] - second[key]).square().sum()) for key in start)
    assert apart < 0.01 * moved
    for folder in ("one", "two"):
        assert (tmp_path / folder / "preview" / "000004-balls.mp4").exists()
        assert "data:video/mp4" in (tmp_path / folder / "report.html").read_text()
