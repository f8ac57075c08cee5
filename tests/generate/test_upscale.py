"""Super-resolution of the tiny 15B, against the words of the specification."""

import math
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from happyhorse.flow import schedules
from happyhorse.generate import noise
from happyhorse.generate.condition import condition
from happyhorse.generate.denoise import denoise
from happyhorse.generate.material import gather
from happyhorse.generate.upscale import enlarge, upscale

PICTURE = np.random.default_rng(0).integers(0, 255, (80, 120, 3), np.uint8)


def drawn(shape, modality):
    return noise.draw(tuple(shape), seed=5, stage="upscale", step=-1, modality=modality)


def test_super_resolution_is_that_of_the_specification(exact, velocities_of, lend):
    """Corrupted enlargement, five UniPC steps on the picture alone, half-drowned sound, "v1", windows at 1080p."""
    model = exact["distill"]
    request = model.request("a horse", seed=5, first_frame=PICTURE, steps=2)
    material = gather(request, model.format)
    told = condition(request, model, material)
    small = denoise(request, model, material.part, told)
    request = model.request("a horse", seed=5, first_frame=PICTURE, width=192, height=120)
    large = gather(request, model.format)
    assert large.part.video.latent == (2, 8, 12) and large.whole.video.height == 120
    result = upscale(request, model, large, told.words, small)
    assert torch.equal(result.audio, small.audio)  # what is decoded is the sound of the base, to the bit

    still = model.encode_video(large.stills[0][None])[0, :, 0]
    keep = 0.8389104
    guess = F.interpolate(small.video[None], size=(2, 8, 12), mode="trilinear", align_corners=True)[0]
    video = keep * guess + math.sqrt(1 - keep**2) * drawn(guess.shape, "video")
    audio = 0.7 * drawn(small.audio.shape, "audio") + 0.3 * small.audio
    run, text = velocities_of("sr1080"), told.words.prompt
    with lend("sr1080") as horse:
        assert horse.config.local_attn_layers == (1,)

    def clean(x, sigma):
        x = x.clone()
        x[:, 0] = still
        return x, x - sigma * run(x, audio, text, "v1")[0]

    levels = schedules.shifted(5).tolist()
    assert [round(s, 4) for s in levels] == [0.9998, 0.9522, 0.8821, 0.7689, 0.5552, 0.0]
    literal = literal_unipc(clean, video, levels)
    literal[:, 0] = still
    torch.testing.assert_close(result.video, literal, atol=2e-4, rtol=1e-3)


def literal_unipc(clean, x, sigmas):
    """15B spec section 4.2, written out: predictor and corrector on clean estimates, in the order of the text."""
    n = len(sigmas) - 1
    lam = [math.log((1 - s) / s) if s else math.inf for s in sigmas]
    xs, ms, orders = [], [], []
    for k in range(n):
        x, m = clean(x, sigmas[k])
        if k:
            h = lam[k] - lam[k - 1]
            b, hh = math.expm1(-h), -h
            slope = 0.5 * (m - ms[-1])
            if orders[-1] == 2:
                r = (lam[k - 2] - lam[k - 1]) / h
                b1 = (b / hh - 1) / b
                b2 = 2 * ((b / hh - 1) / hh - 0.5) / b
                second = (b2 - r * b1) / (1 - r)
                slope = (b1 - second) * (ms[-2] - ms[-1]) / r + second * (m - ms[-1])
            x = (
                sigmas[k] / sigmas[k - 1] * xs[-1]
                - (1 - sigmas[k]) * b * ms[-1]
                - (1 - sigmas[k]) * b * slope
            )
        order = min(2, n - k, k + 1)
        xs, ms, orders = [*xs, x], [*ms, m], [*orders, order]
        if sigmas[k + 1] == 0:
            return m
        h = lam[k + 1] - lam[k]
        b = math.expm1(-h)
        ahead = sigmas[k + 1] / sigmas[k] * x - (1 - sigmas[k + 1]) * b * m
        if order == 2:
            ahead = ahead - (1 - sigmas[k + 1]) * b * 0.5 * (ms[-2] - m) / ((lam[k - 1] - lam[k]) / h)
        x = ahead
    return x


def test_guided_super_resolution_weighs_early_frames_less(models):
    model = models["distill"]
    request = model.request("a horse", seed=1, width=160, height=96, upscale_guidance=3.5)
    words = model.read(request, gather(request, model.format)).words
    assert words.negative is not None
    video, audio = torch.randn(1, 48, 15, 6, 10), torch.randn(1, 57, 64)
    with torch.inference_mode():
        with model.refining(replace(request, upscale_guidance=1.0), words) as refine:
            told = refine(video, audio)
        with model.refining(
            replace(request, upscale_guidance=1.0), replace(words, prompt=words.negative)
        ) as refine:
            untold = refine(video, audio)
        with model.refining(request, words) as refine:
            guided = refine(video, audio)
    scale = torch.tensor([2.0] * 13 + [3.5] * 2)[:, None, None]
    torch.testing.assert_close(guided, untold + scale * (told - untold), atol=1e-4, rtol=1e-4)


def test_corners_or_centres():
    line = torch.arange(3.0).expand(1, 1, 1, 2, 3)
    corners, centres = (enlarge(line, (1, 2, 5), flag)[0, 0, 0, 0] for flag in (True, False))
    torch.testing.assert_close(corners, torch.tensor([0, 0.5, 1, 1.5, 2]))
    torch.testing.assert_close(centres, torch.tensor([0, 0.4, 1, 1.6, 2]))
