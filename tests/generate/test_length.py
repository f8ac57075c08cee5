"""How long and how large a clip is when nobody said so."""

from dataclasses import replace

import numpy as np
import pytest

from happyhorse import media
from happyhorse.generate import speech
from happyhorse.generate.language import read_lines
from happyhorse.generate.length import settle
from happyhorse.given import Sound
from happyhorse.values import HAPPYHORSE_15B, PONY, Clip, Request
from happyhorse.world import espeak

needs_espeak = pytest.mark.skipif(not espeak.available(), reason="espeakng-loader is not installed")
CLIP = Clip(video=np.zeros((40, 96, 160, 3), np.uint8), audio=np.zeros(40 * 640, np.float32))
WORDS = (
    "the quick brown fox jumps over the lazy dog and then it sleeps for a very long time under the old tree"
)


def settled(asked=(), **values):
    return settle(Request(**({"prompt": "a ball"} | values)), PONY, asked)


def test_a_prompt_has_the_models_own_length_and_size():
    assert settled() == Request(prompt="a ball")


@needs_espeak
def test_lines_ask_for_the_shortest_length_that_holds_them():
    assert settled(prompt='a man says "hello"').seconds == 3
    long = settled(prompt=f'a man says "{WORDS}"')
    needed = speech.seconds_for(read_lines(long.prompt)[1])
    assert needed <= long.seconds < needed + 0.2 and long.seconds > 3
    assert speech.place(read_lines(long.prompt)[1], 0, long.seconds)
    assert settled(prompt=f'a man says "{WORDS}"', seconds=2.0, asked=["seconds"]).seconds == 2
    both = settled(prompt=f'man: "{WORDS}" woman: "{WORDS}"')
    assert both.seconds > 1.8 * long.seconds


@needs_espeak
def test_lines_too_long_for_any_clip_are_refused():
    short = replace(PONY, lengths=(0.4, 4.0))
    with pytest.raises(
        ValueError, match=r"take \d+\.\d s and pony makes up to 4 s; say less, or make several"
    ):
        settle(Request(prompt=f'a man says "{WORDS}"'), short, ())


def test_speech_that_is_not_installed_is_an_error_with_its_remedy(monkeypatch):
    speech._sounds.cache_clear()
    monkeypatch.setattr(espeak, "_engine", espeak._Engine())
    monkeypatch.setitem(__import__("sys").modules, "espeakng_loader", None)
    with pytest.raises(ValueError, match=r'pip install "happyhorse\[speech\]"'):
        settled(prompt='a man says "something that nobody has said before"')


def test_the_last_key_frame_is_inside():
    assert settled(key_frames=[(5.0, "a.png")]).seconds > 5.0
    assert settled(key_frames=[(1.0, "a.png")]).seconds == 3


def test_a_sound_says_how_long():
    assert settled(audio=Sound(np.zeros(70_000, np.float32), 16_000)).seconds == pytest.approx(4.375)
    assert (
        settled(audio=Sound(np.zeros(70_000, np.float32), 16_000), seconds=2, asked=["seconds"]).seconds == 2
    )
    assert settled(audio=Sound(np.zeros(800, np.float32), 16_000)).seconds == 0.4
    with pytest.raises(ValueError, match="the sound lasts more than the 60 s"):
        settled(audio=Sound(np.zeros(8_000 * 62, np.float32), 8_000))


@pytest.mark.parametrize("samples", [44_100 * 3, 44_100 * 3 + 1, 1764 * 81, 1764 * 81 + 1])
def test_the_15b_loses_nothing_of_a_sound(samples):
    sound = Sound(np.zeros(samples, np.float32), 44_100)
    request = settle(Request(prompt="a ball", audio=sound), HAPPYHORSE_15B, ())
    shape = HAPPYHORSE_15B.shape(request.seconds, driven=True)
    assert samples <= shape.audio.samples < samples + 4 * 1764


def test_a_clip_says_how_long_and_how_large(tmp_path):
    path = media.write(CLIP, tmp_path / "x.mp4")
    for clip in (CLIP, path):
        for given in ({"video": clip}, {"retake": clip, "span": (0.2, 0.6)}):
            request = settled(**given)
            assert (request.seconds, request.width, request.height) == (1.6, 160, 96)
        extension = settled(extend=clip)
        assert (extension.seconds, extension.width, extension.height) == (3.0, 160, 96)
    other = settled(video=CLIP, width=64, height=64, asked=["width", "height"])
    assert (other.width, other.height) == (64, 64)
    odd = Clip(video=np.zeros((10, 100, 200, 3), np.uint8), audio=CLIP.audio)
    assert (settled(video=odd).width, settled(video=odd).height) == (PONY.width, PONY.height)


def test_the_length_of_a_retake_is_not_open(tmp_path):
    with pytest.raises(ValueError, match="a retake is as long as its clip; leave out seconds"):
        settled(retake=CLIP, span=(0.2, 0.6), seconds=2, asked=["seconds"])
    (tmp_path / "x.mp4").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"x\.mp4 cannot be used: it cannot be decoded"):
        settled(extend=tmp_path / "x.mp4")
