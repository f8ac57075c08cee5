"""Sampling: guidance, given frames, noise by key, progress, refusals; the real network with random weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from happyhorse.generate import denoise as stage
from happyhorse.generate.condition import Known, condition
from happyhorse.generate.load import load
from happyhorse.generate.material import gather
from happyhorse.generate.pony import Tokens
from happyhorse.values import PONY


@pytest.fixture(scope="module")
def model(tiny_model):
    return load(tiny_model)


def run(model, progress=lambda done, total: None, **asked):
    request = model.request("a red ball", **{"seed": 1} | asked)
    shape = PONY.shape(request.seconds, request.width, request.height)
    told = condition(request, model, gather(request, PONY))
    return stage.denoise(request, model, shape, told, progress), told


def test_shapes_and_determinism(model):
    latents, _ = run(model)
    again, _ = run(model)
    assert latents.video.shape == (48, 5, 4, 6) and latents.audio.shape == (17, 64)
    assert torch.equal(latents.video, again.video) and torch.equal(latents.audio, again.audio)
    other, _ = run(model, seed=2)
    assert not torch.equal(latents.video, other.video)


@pytest.mark.parametrize("sampler", ["unipc", "heun", "euler", "renoise"])
def test_every_sampler_runs_and_depends_on_the_prompt(model, sampler):
    calls = []
    latents, _ = run(model, lambda done, total: calls.append((done, total)), sampler=sampler)
    assert calls == [(1, 3), (2, 3), (3, 3)]
    request = model.request("blue horse", seed=1, sampler=sampler)
    shape = PONY.shape(request.seconds, request.width, request.height)
    other = stage.denoise(request, model, shape, condition(request, model, gather(request, PONY)))
    assert not torch.equal(latents.video, other.video)


def test_the_first_frame_is_kept_to_the_bit_and_changes_the_rest(model):
    picture = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    free, _ = run(model)
    for sampler in "unipc", "euler", "renoise":
        latents, told = run(model, first_frame=picture, sampler=sampler)
        assert torch.equal(latents.video[:, :1], told.known.video[0, :, :1])
        assert not torch.equal(latents.video[:, 1:], free.video[:, 1:])


def test_given_frames_are_marked_for_the_network(model, monkeypatch):
    seen = []
    original = type(model.denoiser).forward

    def spy(self, video, audio, ids, times, given_video, given_audio, beside):
        seen.append((video[:, :, 0].clone(), given_video.clone(), given_audio.clone()))
        return original(self, video, audio, ids, times, given_video, given_audio, beside)

    monkeypatch.setattr(type(model.denoiser), "forward", spy)
    _, told = run(model, first_frame=np.zeros((64, 96, 3), np.uint8))
    for first, given_video, given_audio in seen:
        assert torch.equal(first, told.known.video[:, :, 0].expand_as(first))  # clean at every call
        assert given_video[:, 0].all() and not given_video[:, 1:].any() and not given_audio.any()
    seen.clear()
    run(model)
    assert not any(given_video.any() for _, given_video, _ in seen)


def test_guidance_adds_the_difference_to_no_prompt(model):
    request = model.request("a red ball", seed=1, guidance=3, audio_guidance=1)
    told = condition(request, model, gather(request, PONY))
    generator = torch.Generator().manual_seed(0)
    state = {
        "video": torch.randn(1, 48, 5, 4, 6, generator=generator),
        "audio": torch.randn(1, 17, 64, generator=generator),
    }
    sigma = {"video": 0.5, "audio": 0.5}

    def velocity(request, told):
        known = Known.nothing(gather(request, PONY).part, model.device)
        with torch.inference_mode(), model.sampling(request, told.words, known) as guided:
            return guided(state, sigma)

    plain = replace(request, guidance=1.0)
    empty = model.request("a", seed=1, guidance=1, audio_guidance=1)
    words = told.words
    nothing = replace(told, words=Tokens(torch.zeros_like(words.ids), torch.zeros_like(words.times)))
    with_text, without = velocity(plain, told), velocity(empty, nothing)
    guided = velocity(request, told)
    expected = with_text["video"] + 2 * (with_text["video"] - without["video"])
    assert (with_text["video"] - without["video"]).abs().max() > 1e-3
    assert torch.allclose(guided["video"], expected, atol=1e-4)
    assert torch.allclose(guided["audio"], with_text["audio"], atol=1e-4)  # its weight is 1


def test_an_exception_in_progress_cancels(model):
    class CancelledError(Exception):
        pass

    def cancel(done, total):
        if done == 2:
            raise CancelledError

    with pytest.raises(CancelledError):
        run(model, cancel, steps=50)


def test_unknown_sampler_and_divergence_are_refused(model, monkeypatch):
    with pytest.raises(ValueError, match="no sampler called 'eulr'; did you mean 'euler'"):
        run(model, sampler="eulr")
    monkeypatch.setitem(
        stage.samplers.SAMPLERS, "unipc", lambda v, x, s, **_: {k: t / 0 for k, t in x.items()}
    )
    with pytest.raises(ValueError, match=r"diverged.*less --guidance"):
        run(model)


@pytest.mark.parametrize(("seconds", "sampler"), [(0.6, "unipc"), (0.6, "renoise"), (1.6, "unipc")])
def test_sampling_goes_on_after_any_step_to_the_same_bits(model, seconds, sampler):
    """In one window and in several (the tiny model was trained on 0.6 s)."""
    request = model.request("a red ball", seed=1, seconds=seconds, sampler=sampler)
    shape = PONY.shape(request.seconds, request.width, request.height)
    told = condition(request, model, gather(request, PONY))
    pauses, guesses = [], []

    def watch(pause, expected):
        pauses.append(pause)
        guesses.append(expected())

    whole = stage.denoise(request, model, shape, told, watch=watch)
    assert len(pauses) == 3 * len(stage.windows.layout(shape.video.latent[0], 5))
    assert torch.allclose(guesses[-1].video, whole.video) and guesses[0].video.shape == whole.video.shape
    for pause in pauses:
        seen = []
        again = stage.denoise(
            request, model, shape, told, lambda done, total, seen=seen: seen.append(done), resume=pause
        )
        assert seen == list(range(pause.done + 1, len(pauses) + 1))
        assert torch.equal(again.video, whole.video) and torch.equal(again.audio, whole.audio)
