"""Given and made pictures and sounds in one clip."""

import numpy as np
import pytest

from happyhorse.generate.material import gather
from happyhorse.generate.splice import BRIDGE, FADE, splice_audio, splice_video
from happyhorse.given import Sound
from happyhorse.values import PONY, Clip, Request

FADED = round(FADE * 16_000)


def clip(frames):
    video = np.broadcast_to(
        np.arange(frames, dtype=np.uint8)[:, None, None, None], (frames, 64, 64, 3)
    ).copy()
    return Clip(video=video, audio=np.full(frames * 640, 0.25, np.float32))


def material(**asked):
    return gather(Request(prompt="a", width=64, height=64, **({"seconds": 1.0} | asked)), PONY, 20)


def made(material, step=7, lost=0):
    """Frames of the part as a decoder gives them: given ones less `lost`, new ones 200; it counts those asked for."""
    frames = np.full((material.part.video.frames, 64, 64, 3), 200, np.uint8)
    for place in range(len(frames)):
        at = material.begin + place
        if material.video is not None and at not in material.new and at < len(material.video):
            frames[place] = material.video[at].astype(int) - lost
    for start in range(0, len(frames), step):
        made.asked = start + step
        yield frames[start : start + step]


def spliced(material, **options):
    return np.concatenate(list(splice_video(material, made(material, **options))))[:, 0, 0, 0]


def test_what_is_made_of_a_prompt_is_the_clip():
    one = material()
    assert (spliced(one) == 200).all() and len(spliced(one)) == 25
    wave = np.ones(16_000, np.float32)
    assert splice_audio(one, wave) is wave


def test_a_given_picture_is_not_decoded():
    one = material(video=clip(30), seconds=1.2)
    made.asked = 0
    assert spliced(one).tolist() == list(range(30)) and made.asked == 0
    assert splice_audio(one, np.zeros(30 * 640, np.float32)).shape == (30 * 640,)


def test_a_given_sound_stays_to_the_bit():
    samples = np.random.default_rng(0).standard_normal(44_100).astype(np.float32)
    one = material(audio=Sound(samples, 44_100))
    assert np.array_equal(splice_audio(one, np.zeros(16_000, np.float32)), samples)


def test_an_extension_is_the_clip_and_then_what_is_new():
    one = material(extend=clip(60))
    assert spliced(one).tolist() == [*range(60), *[200] * 25]
    sound = splice_audio(one, np.full(one.part.audio.samples, -0.25, np.float32))
    seam = 60 * 640
    assert (sound[: seam - FADED] == 0.25).all() and (sound[seam:] == -0.25).all() and len(sound) == 85 * 640
    fade = sound[seam - FADED : seam]
    assert (np.diff(fade) < 0).all() and abs(np.diff(fade)).max() < 2 * 0.5 / FADED


@pytest.mark.parametrize("span", [(0, 0.5), (0.4, 0.88), (1.6, 2.0), (0.04, 1.96)])
def test_a_retake_is_the_clip_but_for_the_span(span):
    one = material(retake=clip(50), span=span)
    new = slice(one.new.start, one.new.stop)
    expected = np.arange(50)
    expected[new] = 200
    assert spliced(one).tolist() == expected.tolist()
    assert made.asked <= one.new.stop + 1 - one.begin + 7  # no more is decoded than a frame after the span
    sound = splice_audio(one, np.full(one.part.audio.samples, -0.25, np.float32))
    first, last = new.start * 640, new.stop * 640
    after = min(last + FADED, one.begin * 640 + one.part.audio.samples)
    assert (sound[first : after - FADED] == -0.25).all() and len(sound) == 50 * 640
    assert (sound[: max(0, first - FADED)] == 0.25).all() and (sound[after:] == 0.25).all()
    assert np.abs(np.diff(sound)).max() < 2 * 0.5 / FADED


@pytest.mark.parametrize("lost", [20, -20])
def test_what_the_codec_loses_fades_in_and_out_of_the_new_frames(lost):
    """The codec makes all frames darker or lighter, which shows where new ones stand beside given ones."""
    one = material(retake=clip(75), span=(1.2, 1.8))
    found = spliced(one, lost=lost).astype(int) - 200
    first, last = found[one.new.start : one.new.stop][:BRIDGE], found[one.new.start : one.new.stop][-BRIDGE:]
    assert first.tolist() == last[::-1].tolist() and len(one.new) > 2 * BRIDGE
    assert abs(first[0] - lost) <= 2 and abs(first[-1]) <= 2 and (np.diff(first) * np.sign(lost) < 0).all()
    assert not found[one.new.start + BRIDGE : one.new.stop - BRIDGE].any()
    brief = material(retake=clip(75), span=(1.2, 1.32))  # shorter than one bridge: both reach everywhere
    assert (spliced(brief, lost=lost)[brief.new.start : brief.new.stop].astype(int) == 200 + lost).all()


def test_sound_that_is_too_short_is_followed_by_silence():
    short = Clip(video=clip(60).video, audio=np.full(640, 0.25, np.float32))
    one = material(extend=short)
    sound = splice_audio(one, np.zeros(one.part.audio.samples, np.float32))
    assert len(sound) == 85 * 640 and (sound[:640] == 0.25).all() and not sound[640:].any()
