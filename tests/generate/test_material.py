"""What is given, laid on the clock of the clip: which frames are known, which are made, and where."""

from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from happyhorse.generate.material import OVERLAP, gather
from happyhorse.given import Sound
from happyhorse.values import PONY, Clip, Request, latent_frames

PICTURE = np.full((32, 64, 3), 90, np.uint8)


def request(**asked):
    return Request(**({"prompt": "a ball", "width": 64, "height": 64, "seconds": 1.0} | asked))


def clip(frames):
    """Frame k has the brightness k, sample n the height n."""
    video = np.broadcast_to(np.arange(frames, dtype=np.uint8)[:, None, None, None], (frames, 64, 64, 3))
    return Clip(video=video.copy(), audio=np.arange(frames * 640, dtype=np.float32) / 1e6)


def latents(material):
    return np.flatnonzero(material.frames).tolist()


def test_a_prompt_alone_gives_nothing():
    material = gather(request(), PONY)
    assert material.whole == material.part == PONY.shape(1, 64, 64) and material.new == range(25)
    assert not material.frames.any() and not material.steps.any() and not material.stills


def test_pictures_lie_in_the_latent_frame_of_their_moment():
    """Latent frame 0 holds frame 0, latent frame t holds frames 4t-3 .. 4t."""
    material = gather(
        request(
            first_frame=PICTURE,
            key_frames=[(0.04, PICTURE), (0.2, PICTURE), (0.48, PICTURE)],
            last_frame=PICTURE,
        ),
        PONY,
    )
    assert list(material.stills) == [0, 1, 2, 3, 6]
    assert all(still.shape == (64, 64, 3) for still in material.stills.values())
    assert any("the key frame at 0.2 s (64x32)" in note for note in material.notes)


CONTRADICTIONS = {
    "with the first": (
        {"first_frame": PICTURE, "key_frames": [(0.01, PICTURE)]},
        "the first frame and the key frame at 0.01 s",
    ),
    "with the last": (
        {"last_frame": PICTURE, "key_frames": [(0.9, PICTURE)]},
        "at 0.9 s and the last frame fall together",
    ),
    "with each other": (
        {"key_frames": [(0.6, PICTURE), (0.64, PICTURE)]},
        r"leave out one of them, or move it by 0\.16 s",
    ),
    "after the end": (
        {"key_frames": [(1.0, PICTURE)]},
        "at 1 s is not inside the clip of 1 s; ask for more --seconds",
    ),
    "no such picture": ({"last_frame": "none.png"}, "no such picture"),
    "no such clip": ({"extend": "none.mp4"}, "no such file"),
    "a span after the end": (
        {"retake": clip(25), "span": (0.5, 1.2)},
        "from 0.5 to 1.2 s is not inside the clip, which lasts 1 s",
    ),
    "a span of everything": ({"retake": clip(25), "span": (0, 1)}, "of which nothing would be kept"),
    "too long in the end": ({"extend": clip(50), "seconds": 59}, "with 59 s more the clip would last 61 s"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_what_does_not_fit_together_is_refused(name):
    asked, message = CONTRADICTIONS[name]
    with pytest.raises(ValueError, match=message):
        gather(request(**asked), PONY)


def test_a_given_sound_is_the_sound_of_the_file():
    samples = np.linspace(-0.5, 0.5, 48_000, dtype=np.float32)
    material = gather(request(audio=Sound(samples, 48_000), first_frame=PICTURE), PONY)
    assert material.steps.all() and not material.frames.any() and list(material.stills) == [0]
    assert material.whole.audio.rate == 48_000 and material.part.audio.rate == 16_000
    assert np.array_equal(material.audio, samples) and material.whole.audio.samples == 48_000


def test_a_given_picture_is_the_picture_of_the_file():
    material = gather(request(video=clip(20)), PONY)
    assert material.whole.video.frames == 20 and material.frames.all() and not material.steps.any()
    assert not material.new and np.array_equal(material.video, clip(20).video)
    assert "the sound of the video is replaced" in material.notes
    assert gather(request(video=clip(20), seconds=0.4), PONY).whole.video.frames == 10


@pytest.mark.parametrize(("have", "before"), [(1, 1), (4, 1), (5, 2), (20, 5), (21, 6), (60, 6)])
def test_an_extension_goes_on_from_the_last_frames(have, before):
    material = gather(request(extend=clip(have)), PONY)
    given = 4 * (before - 1) + 1
    assert latents(material) == list(range(before)) and np.flatnonzero(material.steps).tolist() == list(
        range(given)
    )
    assert material.begin == have - given and material.new == range(have, have + 25)
    assert material.part.video.frames == given + 25 and material.whole.video.frames == have + 25
    assert material.room == pytest.approx((given / 25, given / 25 + 1))


def test_a_short_extension_sees_more_of_the_clip():
    assert latents(gather(request(extend=clip(60)), PONY, 20)) == list(range(13))  # 13 and 7 latent frames
    # three quarters
    assert latents(gather(request(extend=clip(60), seconds=0.2), PONY, 20)) == list(range(15))
    assert latents(gather(request(extend=clip(60), seconds=5), PONY, 20)) == list(range(OVERLAP))


def test_times_of_an_extension_count_from_where_it_begins():
    material = gather(
        request(extend=clip(60), key_frames=[(0, PICTURE), (0.5, PICTURE)], last_frame=PICTURE), PONY
    )
    assert list(material.stills) == [6, 9, 12]


@settings(max_examples=60)
@given(st.integers(2, 120), st.integers(0, 118), st.integers(1, 100), st.none() | st.integers(5, 30))
def test_a_retake_keeps_everything_else(have, first, length, window):
    last = first + length
    assume(last <= have and length < have)
    material = gather(request(retake=clip(have), span=(first / 25, last / 25)), PONY, window)
    assert material.new.start == first and last <= material.new.stop <= min(last + 3, have)
    # the part begins as a clip does; what it knows are whole latent frames before and after the new ones
    known, made = latents(material), np.flatnonzero(~material.frames)
    assert made.tolist() == list(range(made[0], made[-1] + 1))
    frames_of = [(0, 0)] + [(4 * t - 3, 4 * t) for t in range(1, material.part.video.latent[0])]
    assert material.begin + frames_of[made[0]][0] == first
    assert min(material.begin + frames_of[made[-1]][1], have - 1) == material.new.stop - 1
    assert all(0 <= material.begin + frames_of[t][1] < have for t in known)
    # picture and sound of the same moments are known
    steps = np.flatnonzero(~material.steps)
    assert (steps[0], steps[-1]) == (frames_of[made[0]][0], frames_of[made[-1]][1])
    assert material.part.video.latent[0] == len(material.frames) and material.part.audio.steps == len(
        material.steps
    )
    if window is not None:
        assert len(material.frames) <= max(window, len(made) + 2 * OVERLAP)
    else:
        assert material.begin < 4 and have - (material.begin + material.part.video.frames) < 4


def test_a_span_that_was_moved_is_told():
    moved = gather(request(retake=clip(50), span=(0.4, 0.6)), PONY)
    assert moved.new == range(10, 18) and "made to end at 0.72 s" in moved.notes[-1]
    assert gather(request(retake=clip(50), span=(0.4, 0.56)), PONY).notes == ()


def test_frames_count_as_the_codec_counts_them():
    for frame, start in product(range(30), (0, 21)):
        assert latent_frames(start + frame + 1) - 1 == -(-(start + frame) // 4)
