"""Clips longer than the training's: windows that go on from each other, without a seam."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from happyhorse.flow import schedules
from happyhorse.generate import noise, windows
from happyhorse.generate.condition import Conditions, Known, condition
from happyhorse.generate.denoise import denoise
from happyhorse.generate.load import load
from happyhorse.generate.material import OVERLAP, gather
from happyhorse.generate.pony import Tokens
from happyhorse.values import PONY, Clip

STEPS = 2


@pytest.fixture(scope="module")
def model(tiny_model):
    return load(tiny_model)


@given(st.integers(1, 400), st.integers(2, 40))
def test_windows_cover_everything_and_overlap(frames, longest):
    layout = windows.layout(frames, longest)
    overlap = min(OVERLAP, longest // 3)
    assert layout[0].start == 0 and layout[-1].stop == frames
    assert all(len(window) <= longest for window in layout)
    assert all(a.stop - b.start == overlap and len(b) > overlap for a, b in pairwise(layout))
    assert windows.layout(frames, None) == [range(frames)]


def test_a_clip_of_the_trained_length_is_one_window(model):
    assert windows.longest(model, 25) == 5 and windows.layout(5, 5) == [range(5)]
    assert windows.longest(replace(model, facts={}), 25) is None


class Walker(nn.Module):
    """A denoiser that knows how everything goes on: by SLOPE a latent frame (in picture and sound), from what is given.

    Without anything given it begins at a place that depends on the noise. So a window that does not go on from the one
    before it leaves a jump.
    """

    SLOPE = 0.1

    def __init__(self, text):
        super().__init__()
        self.text, self.calls, self.starts = text, 0, []
        self.unused = nn.Parameter(torch.zeros(1))
        self.sigmas = schedules.paired(STEPS, {"video": 3.0, "audio": 1.5})

    def forward(self, video, audio, ids, times, given_video, given_audio, beside=None):
        step, self.calls = self.calls % STEPS, self.calls + 1
        if step == 0:
            self.starts.append(float(video[0, 0, -1, 0, 0].tanh()))
        known = given_video[0].nonzero().flatten()[1:].tolist()  # the first is coded anew
        t = torch.arange(video.shape[2]).float()
        goal = self.starts[-1] + self.SLOPE * t
        if known:
            goal = video[0, 0, known[-1], 0, 0] + self.SLOPE * (t - known[-1])
        s = torch.arange(audio.shape[1]) / 4
        heard = self.starts[-1] + self.SLOPE * s
        if given_audio[0].any():
            last = int(given_audio[0].nonzero().max())
            heard = audio[0, last, 0] + self.SLOPE * (s - last / 4)
        levels = {name: float(sigma[step]) for name, sigma in self.sigmas.items()}
        clean = goal[:, None, None].expand_as(video), heard[:, None].expand_as(audio)
        return (video - clean[0]) / levels["video"], (audio - clean[1]) / levels["audio"]


def walk(model, seconds):
    walker = replace(
        model,
        denoiser=Walker(model.denoiser.text),
        facts=model.facts | {"world": {"seconds": 2.0, "width": 96, "height": 64}},
    )
    request = walker.request(
        "a ball", seed=1, seconds=seconds, steps=STEPS, sampler="euler", guidance=1, audio_guidance=1
    )
    material = gather(request, PONY)
    latents = denoise(request, walker, material.part, condition(request, walker, material))
    return latents, windows.layout(material.part.video.latent[0], windows.longest(walker, 25))


def test_no_jump_at_a_seam_is_larger_than_within_windows(model):
    latents, layout = walk(model, 7.0)
    assert len(layout) == 5
    for line, per_frame in ((latents.video[0, :, 0, 0], 1), (latents.audio[:, 0], 4)):
        jumps = line.diff().abs() * per_frame
        # between the last given and the first new
        seams = [per_frame * (window.start + OVERLAP - 1) for window in layout[1:]]
        within = np.delete(jumps.numpy(), seams)
        assert float(jumps[seams].max()) <= within.max() + 1e-4
        assert float(jumps.max()) < 1.01 * Walker.SLOPE


def test_windows_that_do_not_go_on_from_each_other_would_jump(model, monkeypatch):
    """The control of the test above."""

    def forget(told, known, window, model):
        cut = windows_cut(told, known, window, model)
        return replace(
            cut, known=replace(cut.known, frames=cut.known.frames & False, steps=cut.known.steps & False)
        )

    windows_cut = windows.cut
    monkeypatch.setattr(windows, "cut", forget)
    latents, _ = walk(model, 7.0)
    assert float(latents.video[0, :, 0, 0].diff().abs().max()) > 5 * Walker.SLOPE


def test_every_window_has_noise_of_its_own(model, monkeypatch):
    keys = []
    draw = noise.draw
    monkeypatch.setattr(
        noise, "draw", lambda shape, **key: keys.append(tuple(key.values())) or draw(shape, **key)
    )
    request = model.request("a ball", seed=4, seconds=2, sampler="renoise", steps=2)
    material = gather(request, PONY)
    denoise(request, model, material.part, condition(request, model, material))
    count = len(windows.layout(14, 5))
    stages = ["base", *(f"base/{number}" for number in range(1, count))]
    assert keys == [
        (4, stage, step, name) for stage in stages for step in (-1, 0) for name in ("video", "audio")
    ]


def counted(calls):
    return lambda done, total: calls.append((done, total))


def test_what_is_given_is_kept_in_every_window(model):
    clip = Clip(
        video=np.random.default_rng(0).integers(0, 255, (50, 64, 96, 3), np.uint8),
        audio=(np.random.default_rng(1).standard_normal(32_000) * 0.1).astype(np.float32),
    )
    for asked in (
        {"video": clip},
        {"audio": (clip.audio, 16_000), "first_frame": clip.video[0], "last_frame": clip.video[-1]},
    ):
        calls: list[tuple[int, int]] = []
        request = model.request("a ball", seed=1, **asked)
        material = gather(request, PONY)
        told = condition(request, model, material)
        latents = denoise(request, model, material.part, told, counted(calls))
        known = told.known
        assert torch.equal(latents.video[:, known.frames], known.video[0][:, known.frames])
        assert torch.equal(latents.audio[known.steps], known.audio[0][known.steps])
        total = 3 * len(windows.layout(14, 5))
        assert calls == [(done, total) for done in range(1, total + 1)]


def test_a_window_is_told_the_caption_and_what_is_said_in_it(model):
    ids = torch.ones(2, 5, 24, dtype=torch.int32)
    ids[1] = 0
    ids[0, 4] = 0  # padding
    told = Conditions(Tokens(ids, torch.tensor([[-2.0, -1.0, 1.5, 9.5, 0.0], [0.0] * 5])))
    known = Known.nothing(PONY.holding(49, 96, 64), model.device)
    known.video.normal_()
    here = windows.cut(told, known, range(8, 12), model)
    assert here.words.times[0].tolist() == [-2, -1, 1.5]
    assert here.words.ids.shape == (2, 3, 24) and not here.words.ids[1].any()
    assert here.known.video.shape[2] == 4 and here.known.audio.shape[1] == 13
    # and the first of them is coded alone
    assert torch.equal(here.known.video[:, :, 1:], known.video[:, :, 9:12])
    assert windows.cut(told, known, range(8, 13), model).known.audio.shape[1] == 17


def test_the_first_frame_of_a_window_is_the_last_pixel_frame_of_its_latent(model):
    """A codec that holds everything: the frame decoded alone is the frame that was encoded."""
    pixels = torch.zeros(1, 3, 9, 64, 96)
    pixels[:, :, 8] = 0.5
    latents = model.codec.video.encode(pixels)
    alone = windows._alone(latents, model)
    decoded = model.codec.video.decode(latents)[:, :, -1:].clamp(-1, 1)
    assert torch.allclose(alone, model.codec.video.encode(decoded), atol=0.2) and alone.shape == (
        1,
        48,
        1,
        4,
        6,
    )
