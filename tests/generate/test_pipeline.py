"""The life of a clip, from prompt to signed file, on a tiny model with random weights."""

import warnings
from importlib import import_module

import numpy as np
import pytest
import torch

import happyhorse
from happyhorse import media
from happyhorse.generate.clock import Clock
from happyhorse.generate.condition import condition
from happyhorse.generate.decode import decode_video
from happyhorse.generate.denoise import denoise
from happyhorse.generate.load import load
from happyhorse.generate.material import gather
from happyhorse.generate.pipeline import make, make_file
from happyhorse.values import PONY

STAGES = ["condition", "denoise", "decode", "mux", "provenance"]


@pytest.fixture(scope="module")
def model(tiny_model):
    return load(tiny_model)


def test_the_package_is_the_function(model):
    clip = happyhorse.generate("a red ball", model=model, seed=5)
    import_module("happyhorse.generate.mux")  # from here on the name is bound to the package
    again = happyhorse.generate("a red ball", model=model, seed=5)
    assert isinstance(clip, happyhorse.Clip)
    assert np.array_equal(clip.video, again.video) and np.array_equal(clip.audio, again.audio)
    assert clip.video.shape == (15, 64, 96, 3) and clip.audio.shape == (15 * 640,)
    assert clip.video.std() > 1 and np.abs(clip.audio).max() > 1e-4
    assert list(clip.timings) == STAGES[:3] and clip.request.seed == 5


@pytest.mark.parametrize("seconds", [0.4, 0.44, 0.48, 0.52, 0.56])
def test_sound_and_picture_are_equally_long(model, seconds):
    clip = happyhorse.generate("a red ball", model=model, seed=1, seconds=seconds)
    assert len(clip.video) == round(seconds * 25) and len(clip.audio) == len(clip.video) * 640


def test_a_fresh_seed_every_time_and_the_clip_remembers_it(model):
    one, two = (happyhorse.generate("a red ball", model=model) for _ in range(2))
    assert one.request.seed != two.request.seed
    again = happyhorse.generate("a red ball", model=model, seed=one.request.seed)
    assert np.array_equal(one.video, again.video)


def test_takes_do_not_depend_on_each_other(model):
    request = model.request("a red ball", seed=9, takes=3)
    third = np.concatenate(list(make(request.take(2), model).frames))
    assert np.array_equal(third, happyhorse.generate("a red ball", model=model, seed=11).video)
    with pytest.raises(ValueError, match=r"returns one clip.*seed \+ 1"):
        happyhorse.generate("a red ball", model=model, takes=3)


def test_decoding_leaves_no_mode_behind(model):
    making = make(model.request("a red ball", seconds=1), model)
    next(making.frames)
    assert not torch.is_inference_mode_enabled() and not torch.is_autocast_enabled("cpu")


def test_words_never_seen_are_a_warning_at_the_call(model):
    with pytest.warns(UserWarning, match="never seen 'zebra'") as caught:
        happyhorse.generate("a red zebra", model=model, seed=1)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        happyhorse.generate("a red ball", model=model, seed=1)


def test_an_unknown_option_is_named(model):
    with pytest.raises(ValueError, match="unknown option 'step'; did you mean 'steps'"):
        happyhorse.generate("a red ball", model=model, step=3)


def test_the_file_holds_the_clip_and_every_second_is_counted(model, tmp_path):
    request, calls = model.request("a red ball", seed=5), []
    making = make_file(request, model, tmp_path / "x.mp4", lambda *call: calls.append(call))
    clip = happyhorse.generate("a red ball", model=model, seed=5)
    back = media.read(tmp_path / "x.mp4")
    assert back.video.shape == clip.video.shape and len(back.audio) == len(clip.audio)
    luma = [video @ np.array([0.2126, 0.7152, 0.0722]) for video in (back.video, clip.video)]
    assert np.corrcoef(luma[0].ravel(), luma[1].ravel())[0, 1] > 0.97  # the colours of noise suffer in 4:2:0
    assert list(making.clock.timings) == ["condition", "denoise", "decode", "mux", "provenance"]
    assert [c for c in calls if c[0] == "denoise"] == [("denoise", i, 3) for i in (1, 2, 3)]
    assert calls[-1] == ("decode", 15, 15)
    facts = making.facts(tmp_path / "x.mp4")
    wanted = {"path", "model", "steps", "guidance", "seed", "width", "height", "fps", "seconds"}
    assert wanted <= set(facts) and facts["signed"] and facts["bytes"] > 1000


def test_streamed_pixels_equal_the_whole_decode(model):
    request = model.request("a red ball", seed=5, seconds=1.2)
    shape = PONY.shape(request.seconds, request.width, request.height)
    latents = denoise(request, model, shape, condition(request, model, gather(request, PONY)))
    pieces = list(decode_video(latents, model, shape))
    assert len(pieces) > 1 and sum(map(len, pieces)) == 30
    with torch.inference_mode(), model.precision():
        whole = model.codec.video.decode(latents.video[None])[0, :, :30]
    expected = (whole.float().clamp(-1, 1) * 127.5 + 127.5).round().byte().permute(1, 2, 3, 0).numpy()
    assert np.abs(np.concatenate(pieces).astype(int) - expected).max() <= 1


def test_a_failure_while_frames_are_decoded_leaves_no_file(model, tmp_path):
    def interrupt(stage, done, total):
        if stage == "decode":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_file(model.request("a red ball"), model, tmp_path / "x.mp4", interrupt)
    assert not list(tmp_path.iterdir())


def test_a_clip_plays_inline(model):
    clip = happyhorse.generate("a <red> ball", model=model, seed=1)
    shown = clip._repr_mimebundle_()
    assert shown["text/plain"] == repr(clip)
    assert "<video controls loop" in shown["text/html"] and "data:video/mp4;base64," in shown["text/html"]
    assert "a &lt;red&gt; ball" in shown["text/html"]


def test_the_clock_counts_each_second_once(monkeypatch):
    now = iter(range(100))
    monkeypatch.setattr("time.perf_counter", lambda: float(next(now)))
    clock = Clock()
    with clock("outer"):  # 0 .. 1
        with clock("inner"):  # 1 .. 2
            pass
        for _ in clock.over("items", [1, 2], lambda _: 1, 2):  # three times 1 s, and 1 s outside between
            pass
    assert clock.timings == {"outer": 5.0, "inner": 1.0, "items": 3.0}
