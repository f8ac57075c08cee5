"""The 15B, tiny and with random weights, in the published formats: every mode and variant makes a clip, and what is
sampled is what the specification says.
"""

import itertools
import math
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from happyhorse import media, sizes
from happyhorse.codec.stable_audio import HOP
from happyhorse.generate import noise
from happyhorse.generate.condition import condition
from happyhorse.generate.denoise import denoise
from happyhorse.generate.load import load_published
from happyhorse.generate.material import gather
from happyhorse.generate.pipeline import make, make_file
from happyhorse.generate.published import run
from happyhorse.model.horse import Horse
from happyhorse.model.presets import HORSE_15B, HORSE_15B_1080P
from happyhorse.values import HAPPYHORSE_15B
from published import SIZES

CPU = torch.device("cpu")
PICTURE = np.random.default_rng(0).integers(0, 255, (80, 120, 3), np.uint8)
SOUND = (np.random.default_rng(1).standard_normal(5 * 1764) * 0.1).astype(np.float32), 44_100


def drawn(seed, shape, stage, step, modality):
    return noise.draw(tuple(shape), seed=seed, stage=stage, step=step, modality=modality)


# --- whole clips ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "given", "size"),
    [
        ("distill", "", SIZES[0]),
        ("distill", "picture", SIZES[1]),
        ("distill", "sound", SIZES[0]),
        ("base", "", SIZES[0]),
        ("base", "both", SIZES[2]),
    ],
    ids=lambda value: getattr(value, "name", value) or "text",
)
def test_every_mode_makes_a_file_with_sound(models, tmp_path, variant, given, size):
    asked = {"steps": 2, "upscale_steps": 2 if size is not SIZES[0] else None}
    asked |= {"first_frame": PICTURE} if given in ("picture", "both") else {}
    asked |= {"audio": SOUND} if given in ("sound", "both") else {}
    width, height = size.picture
    request = models[variant].request("a horse says hello", seed=3, width=width, height=height, **asked)
    seen = []
    making = make_file(
        request, models[variant], tmp_path / "clip.mp4", lambda *progress: seen.append(progress)
    )
    clip = media.read(tmp_path / "clip.mp4", rate=44_100)
    assert clip.video.shape == (5, height, width, 3) and clip.video.std() > 1
    assert len(clip.audio) == 5 * 1764 and np.abs(clip.audio).max() > 1e-3
    stages = list(dict.fromkeys(stage for stage, *_ in seen))
    assert stages == ["denoise", *(["upscale"] if size.name != "256p" else []), "decode"]
    assert making.shape.audio.channels == (1 if "audio" in asked else 2) == making.audio.ndim


def test_one_seed_one_clip_however_parts_are_lent(models, published_15b):
    model = models["distill"]
    # one part at a time
    other = replace(load_published(published_15b, "distill", CPU), format=models["distill"].format)
    request = model.request("a horse", seed=3, steps=2)
    one, two = (make(request, m) for m in (model, other))
    assert np.array_equal(one.audio, two.audio)
    assert np.array_equal(np.concatenate(list(one.frames)), np.concatenate(list(two.frames)))
    third = make(replace(request, seed=4), model)
    assert not np.array_equal(one.audio, third.audio)


def test_one_part_at_a_time_is_one(models, published_15b, monkeypatch):
    import gc
    import weakref

    from happyhorse.generate import parts

    alive, most, load = [], [], parts.load_part

    def watch(*where):
        part = load(*where)
        alive.append(weakref.ref(part))
        gc.collect()
        most.append(sum(ref() is not None for ref in alive))
        return part

    monkeypatch.setattr(parts, "load_part", watch)
    model = replace(load_published(published_15b, "distill", CPU), format=models["distill"].format)
    making = make(model.request("a horse", seed=1, steps=2, width=160, height=96, upscale_steps=1), model)
    list(making.frames)
    assert len(alive) == 5 and max(most) == 1


# --- what is sampled -----------------------------------------------------------------------------------------


def begin(model, **asked):
    request = model.request("a horse", seed=5, **asked)
    material = gather(request, model.format)
    return request, material, condition(request, model, material)


@pytest.mark.parametrize("driven", [False, True])
def test_distilled_is_the_renoising_of_the_specification(exact, velocities_of, driven):
    """Eight steps, one pass each, fresh noise for picture and sound; a given sound stays clean throughout."""
    model = exact["distill"]
    request, material, told = begin(model, first_frame=PICTURE, **({"audio": SOUND} if driven else {}))
    assert (request.steps, request.sampler, request.guidance, request.audio_guidance) == (8, "renoise", 1, 1)
    latents = denoise(request, model, material.part, told)
    run, text, known = velocities_of("distill"), told.words.prompt, told.known
    steps = 5 if driven else 6  # 15B spec section 3.4
    video, audio = drawn(5, (48, 2, 4, 6), "base", -1, "video"), drawn(5, (steps, 64), "base", -1, "audio")
    levels = (0.9997998, 0.9720060, 0.9372655, 0.8926018, 0.8330554, 0.7496998, 0.6246874, 0.4163888, 0.0)
    for k, (here, there) in enumerate(itertools.pairwise(levels)):
        video[:, 0] = known.video[0, :, 0]
        audio = known.audio[0] if driven else audio
        of_video, of_audio = run(video, audio, text, "v2")
        video, audio = video - here * of_video, audio - here * of_audio
        if there:
            video = (1 - there) * video + there * drawn(5, video.shape, "base", k, "video")
            audio = (1 - there) * audio + there * drawn(5, audio.shape, "base", k, "audio")
    video[:, 0] = known.video[0, :, 0]
    audio = known.audio[0] if driven else audio
    torch.testing.assert_close(latents.video, video, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(latents.audio, audio, atol=2e-5, rtol=1e-4)


def test_base_is_guided_by_five_and_then_two(exact, velocities_of):
    model = exact["base"]
    request, _, told = begin(model)
    assert (request.steps, request.sampler, request.guidance, request.audio_guidance) == (32, "unipc", 5, 5)
    assert sum(int(1000 * float(s)) > 500 for s in model.schedules(request)["video"][:-1]) == 27
    run, words = velocities_of("base"), told.words
    state = {"video": torch.randn(1, 48, 2, 4, 6), "audio": torch.randn(1, 6, 64)}
    told, untold = (
        dict(zip(state, run(state["video"][0], state["audio"][0], text, "v2"), strict=True))
        for text in (words.prompt, words.negative)
    )
    with model.sampling(request, words, None) as velocity, torch.inference_mode():
        for sigma, picture in ((0.5354, 5.0), (0.5011, 5.0), (0.5009, 2.0), (0.4805, 2.0)):
            out = velocity(state, {"video": sigma, "audio": sigma})
            for name, weight in (("video", picture), ("audio", 5.0)):
                guided = untold[name] + weight * (told[name] - untold[name])
                torch.testing.assert_close(out[name][0], guided, atol=1e-4, rtol=1e-4)


def test_a_driving_sound_is_one_latent_a_frame(models):
    """Mono, at 51.2 kHz, sampled from its posterior with noise of its own."""
    model = models["distill"]
    _, _, told = begin(model, audio=SOUND)
    assert told.known.steps.all() and told.known.audio.shape == (1, 5, 64)
    wave = np.zeros(6 * HOP, np.float32)
    wave[: 5 * HOP] = 0.1
    fixed = noise.given({("encode", -1, "audio"): torch.zeros(6, 64)})
    still = model.encode_audio(wave[: 5 * HOP], 6, fixed)
    with model.lend("audio") as codec:
        assert torch.equal(still, codec.encode(torch.from_numpy(wave)[None], torch.zeros(1, 6, 64)))
    assert not torch.equal(model.encode_audio(wave, 6, noise.of_seed(1)), still)


def test_noise_from_elsewhere_makes_the_same_clip(models):
    model = models["distill"]
    asked = {"steps": 2, "width": 160, "height": 96, "upscale_steps": 2, "audio": SOUND}
    request = model.request("a horse", seed=7, **asked)
    keys = []

    def spy(shape, *, stage, step, modality):
        keys.append((stage, step, modality))
        return drawn(7, shape, stage, step, modality)

    first = np.concatenate(list(make(request, model, draw=spy).frames))
    assert (
        keys[0] == ("encode", -1, "audio")
        and ("upscale", -1, "video") in keys
        and ("base", 0, "video") in keys
    )
    shapes = {"base": (48, 2, 4, 6), "upscale": (48, 2, 6, 10)}
    tensors = {key: drawn(7, shapes[key[0]] if key[2] == "video" else (5, 64), *key) for key in keys}
    again = make(replace(request, seed=8), model, draw=noise.given(tensors))
    assert np.array_equal(first, np.concatenate(list(again.frames)))
    tensors.pop(("base", 0, "video"))
    with pytest.raises(
        ValueError, match=r"noise \('base', 0, 'video'\) is missing; give a tensor of \[48, 2, 4, 6\]"
    ):
        make(request, model, draw=noise.given(tensors))


# --- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"prompt": "  "}, "the prompt is empty"),
        ({"prompt": "x" * 6000}, "use at most 5,000"),
        (
            {"width": 640, "height": 480},
            r"does not make 640x480; ask for one of 256p 96x64; 540p 160x96; 1080p 192x120",
        ),
        ({"seconds": 20}, "makes 0.1 to 15 s"),
        ({"guidance": 3}, "trained without guidance; leave it out, or use --model happyhorse-15b/base"),
        ({"last_frame": PICTURE}, "not trained with last_frame; it takes a prompt, first_frame and audio"),
        ({"key_frames": [(0.1, PICTURE)], "language": "ja"}, "not trained with key_frames and language"),
        ({"upscale_steps": 4}, "upscale_steps do nothing at 96x64"),
        ({"colour": 1}, "unknown option 'colour'"),
    ],
)
def test_what_cannot_be_made_is_refused_before_any_weight_is_read(models, asked, message):
    def nothing(part):
        raise AssertionError(part)

    model = replace(models["distill"], lend=nothing)
    with pytest.raises(ValueError, match=message):
        model.request(**{"prompt": "a horse"} | asked)


def test_a_picture_that_is_none_and_a_sound_of_another_length(models, tmp_path):
    model = models["distill"]
    (tmp_path / "no.png").write_text("no picture")
    request = model.request("a horse", seed=1, first_frame=tmp_path / "no.png")
    with pytest.raises(ValueError, match="not a picture that can be read"):
        make(request, model)
    for seconds, remark in (
        (0.1, "longer than the clip"),
        (0.6, "the sound lasts 0.2 s; what follows in the clip is silent"),
    ):
        making = make(model.request("a horse", seed=1, steps=1, seconds=seconds, audio=SOUND), model)
        assert any(remark in note for note in making.notes)
        assert len(making.audio) == making.shape.video.frames * 1764


def test_a_long_prompt_is_cut_with_a_word(models):
    making = make(models["distill"].request("a" * 700, seed=1, steps=1), models["distill"])
    assert "the prompt has 701 tokens, of which 640 are read" in making.notes[0]


def test_weights_that_diverge_are_noticed(models):
    model = models["distill"]
    request, material, told = begin(model)
    broken = replace(told, words=replace(told.words, prompt=told.words.prompt * math.nan))
    with pytest.raises(ValueError, match="diverged"):
        denoise(request, model, material.part, broken)


# --- parts that are not there, and all of them at their full size --------------------------------------------


@pytest.mark.parametrize(
    ("part", "asked", "message"),
    [
        (
            "t5gemma-9b-9b-ul2",
            {},
            r"a prompt needs t5gemma-9b-9b-ul2/config.json.*which are missing; get them with: happyhorse pull",
        ),
        ("stable-audio-open-1.0", {}, r"sound needs stable-audio-open-1.0/vae/config.json"),
        (
            "540p_sr",
            {"width": 160, "height": 96},
            r"540p needs 540p_sr/model.safetensors.index.json.*--variant sr540$",
        ),
        (
            "Wan2.2-TI2V-5B-Diffusers",
            {"first_frame": PICTURE},
            r"a picture needs Wan2.2-TI2V-5B-Diffusers/vae/config",
        ),
    ],
)
def test_a_missing_part_is_named_when_it_is_needed(models, published_15b, tmp_path, part, asked, message):
    folder = tmp_path / "happyhorse-15b"
    shutil.copytree(published_15b, folder, ignore=lambda *_: [part], copy_function=os.link)
    model = replace(models["distill"], folder=folder)
    with pytest.raises(ValueError, match=message):
        model.request("a horse", **asked)


def test_a_damaged_denoiser_is_noticed_before_the_prompt_is_read(models, published_15b, tmp_path):
    folder = tmp_path / "happyhorse-15b"
    shutil.copytree(published_15b, folder, copy_function=os.link)
    shard = folder / "540p_sr" / "model-00001-of-00002.safetensors"
    whole = shard.read_bytes()
    shard.unlink()
    shard.write_bytes(whole[:-10])
    model = replace(models["distill"], folder=folder)
    model.request("a horse")
    with pytest.raises(
        ValueError, match=r"model-00001-of-00002\.safetensors is truncated: it has .*pull it again"
    ):
        model.request("a horse", width=160, height=96)
    shard.write_bytes(whole)
    model.request("a horse", width=160, height=96)


@pytest.mark.parametrize(
    "name",
    [
        "turbo_vae/checkpoint-340000.ckpt",
        "t5gemma-9b-9b-ul2/model.safetensors",
        "t5gemma-9b-9b-ul2/tokenizer.json",
        "stable-audio-open-1.0/vae/diffusion_pytorch_model.safetensors",
        "Wan2.2-TI2V-5B-Diffusers/vae/diffusion_pytorch_model.safetensors",
    ],
)
def test_any_damaged_part_is_noticed_before_the_first_step(models, published_15b, tmp_path, name):
    folder = tmp_path / "happyhorse-15b"
    shutil.copytree(published_15b, folder, copy_function=os.link)
    whole = (folder / name).read_bytes()
    (folder / name).unlink()
    (folder / name).write_bytes(whole[:-40])
    model = replace(models["distill"], folder=folder)
    with pytest.raises(ValueError, match=rf"{name} is damaged \(.*\); copy or pull it again"):
        model.request("a horse", first_frame=PICTURE)
    (folder / name).write_bytes(whole)
    model.request("a horse", first_frame=PICTURE)


def test_without_the_small_decoder_the_codec_decodes(models, published_15b, tmp_path):
    folder = tmp_path / "happyhorse-15b"
    shutil.copytree(published_15b, folder, ignore=lambda *_: ["turbo_vae"], copy_function=os.link)
    model = replace(models["distill"], folder=folder)
    request = model.request("a horse", seed=1, steps=1)
    pieces = list(make(request, model).frames)
    assert [len(piece) for piece in pieces] == [1, 4]
    other = np.concatenate(list(make(request, models["distill"]).frames))
    assert other.shape == np.concatenate(pieces).shape and not np.array_equal(other, np.concatenate(pieces))


def test_an_own_negative_prompt(models, published_15b, tmp_path):
    folder = shutil.copytree(published_15b, tmp_path / "x", ignore=lambda *_: ["stable-audio-open-1.0"])
    (folder / "negative_prompt.txt").write_text("blur\n")
    model = models["base"]
    request = model.request("a horse")
    material = gather(request, model.format)
    ours, theirs = (replace(model, folder=f).read(request, material).words for f in (model.folder, folder))
    assert ours.negative.shape[1] > 400 and theirs.negative.shape[1] == 5
    assert torch.equal(ours.prompt, theirs.prompt)


@pytest.mark.parametrize("size", ["256p", "540p", pytest.param("1080p", marks=pytest.mark.slow)])
def test_the_whole_network_at_full_size(size):
    """On the meta device: 40 layers, 5 s, the longest prompt; nothing is computed, every shape must fit."""
    row = sizes.named(size)
    shape = HAPPYHORSE_15B.coded(HAPPYHORSE_15B.shape(5.0, *row.picture))
    t, y, x = shape.video.latent
    assert (t, 16 * y, 16 * x) == (32, row.latent[1], row.latent[0])
    with torch.device("meta"):
        horse = Horse(HORSE_15B_1080P if size == "1080p" else HORSE_15B)
        video, audio, text = torch.empty(1, 48, t, y, x), torch.empty(1, 126, 64), torch.empty(1, 640, 3584)
        with torch.inference_mode():
            out = run(horse, video, audio, text, "v2" if size == "256p" else "v1")
    assert out["video"].shape == video.shape and out["audio"].shape == audio.shape
