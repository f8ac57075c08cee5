"""Shapes, requests and clips: the geometry of both sizes, and every refusal with its remedy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from happyhorse import world
from happyhorse.values import (
    HAPPYHORSE_15B,
    PONY,
    Clip,
    Request,
    VideoShape,
    decoded_frames,
    latent_frames,
)


def test_the_world_keeps_the_clock_of_the_small_model():
    """It imports numpy alone, so its rates are its own; they must be those of the clips that are made of it."""
    assert (PONY.fps, PONY.rate) == (world.FPS, world.RATE)


def test_pony_geometry_is_that_of_the_brief():
    shape = PONY.shape()
    assert (shape.video.frames, shape.video.width, shape.video.height) == (75, 224, 128)
    assert shape.video.latent == (20, 8, 14)
    assert shape.video.decoded_frames == 77
    assert shape.audio.steps == 77
    assert shape.audio.samples == 48_000
    assert shape.video.tokens == 20 * 4 * 7
    assert shape.seconds == 3.0


@pytest.mark.parametrize(
    ("seconds", "steps", "latents", "frames", "tokens"),
    [(4, 101, 26, 101, 2912), (5, 126, 32, 125, 3584), (10, 251, 63, 249, 7056)],
)
def test_15b_geometry_is_the_table_of_spec_section_3_4(seconds, steps, latents, frames, tokens):
    shape = HAPPYHORSE_15B.shape(seconds, 448, 256)
    assert shape.audio.steps == steps
    assert shape.video.latent[0] == latents
    assert shape.video.frames == shape.video.decoded_frames == frames
    assert shape.video.tokens == tokens
    assert shape.audio.samples == frames * 1764  # sound is cut to the picture


@pytest.mark.parametrize(("seconds", "latents"), [(3, 19), (4, 25), (5, 32), (10, 63)])
def test_a_driving_sound_has_25_latents_a_second_and_none_more(seconds, latents):
    shape = HAPPYHORSE_15B.shape(seconds, 448, 256, driven=True)
    assert shape.audio.steps == 25 * seconds and shape.video.latent[0] == latents
    assert PONY.shape(seconds, driven=True) == PONY.shape(seconds)


@given(st.integers(1, 5000))
def test_latents_cover_the_frames_and_no_more(frames):
    latents = latent_frames(frames)
    assert decoded_frames(latents) >= frames > decoded_frames(latents - 1)


@given(st.sampled_from([PONY, HAPPYHORSE_15B]), st.floats(0.4, 10), st.integers(2, 16), st.integers(2, 16))
def test_sound_is_as_long_as_the_picture(size, seconds, columns, rows):
    seconds = max(seconds, size.lengths[0])
    columns, rows = max(columns, size.sides[0] // 32), max(rows, size.sides[0] // 32)
    shape = size.shape(seconds, *((448, 256) if size.tabled else (columns * 32, rows * 32)))
    assert shape.audio.samples * shape.fps == shape.video.frames * shape.audio.rate
    assert shape.audio.steps >= shape.video.frames
    assert abs(shape.seconds - seconds) <= 3 / size.fps


@pytest.mark.parametrize(
    ("width", "height", "instead"),
    [(225, 128, "224x128"), (224, 1, "224x64"), (10_000, 128, "512x128"), (0, -5, "64x64")],
)
def test_impossible_size_names_a_possible_one(width, height, instead):
    with pytest.raises(ValueError, match=rf"{width}x{height} is impossible.*ask for {instead}"):
        PONY.shape(3, width, height)
    PONY.shape(3, *map(int, instead.split("x")))


@pytest.mark.parametrize("seconds", [0, -1, 0.39, 60.5, float("inf"), float("nan")])
def test_impossible_length_names_the_range(seconds):
    with pytest.raises(ValueError, match=r"pony makes 0\.4 to 60 s; ask for 3 s"):
        PONY.shape(seconds)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"prompt": " \n"}, "prompt is empty; describe"),
        ({"prompt": "x" * 10_000}, "10,000 characters; use at most 5,000"),
        ({"prompt": "a \x00 ball"}, r"not text.*U\+0000"),
        ({"prompt": b"\xff\xfe".decode("utf-8", "surrogateescape")}, r"not text.*U\+DCFF"),
        ({"seed": -1}, "seed -1"),
        ({"seed": 2**63}, "out of range"),
        ({"steps": 0}, "from 1 to 1000"),
        ({"takes": 0}, "from 1 to 1000"),
        ({"guidance": float("nan")}, r"guidance nan.*1 \(off\)"),
        ({"audio_guidance": 0.5}, "audio guidance 0.5"),
        ({"first_frame": np.zeros((4, 4), np.uint8)}, r"uint8 \[H, W, 3\]"),
        ({"first_frame": np.zeros((4, 4, 3))}, "not float64"),
    ],
)
def test_request_refuses_with_a_remedy(values, message):
    with pytest.raises(ValueError, match=message):
        Request(**({"prompt": "a ball"} | values))


def test_prompts_in_any_script_and_with_line_breaks_pass():
    for prompt in ("一匹马在奔跑", "言葉\tと\n音", "a ball \N{HORSE}", "e\u0301"):
        assert Request(prompt=prompt).prompt == prompt


def test_a_take_is_a_request_that_gives_that_clip_again():
    request = Request(prompt="a ball", seed=2**63 - 2, takes=4)
    takes = [request.take(i) for i in range(4)]
    assert [take.seed for take in takes] == [2**63 - 2, 2**63 - 1, 0, 1]
    assert all(take.takes == 1 and take.prompt == "a ball" for take in takes)


def test_requests_compare_by_value_even_with_a_picture():
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    one, same = (Request(prompt="a", first_frame=picture.copy()) for _ in range(2))
    other = Request(prompt="a", first_frame=picture[::-1].copy())
    assert one == same and hash(one) == hash(same) and one != other
    assert one.as_dict()["first_frame"].startswith("sha256:")
    assert Request(prompt="a", first_frame="x.png").as_dict()["first_frame"] == "x.png"  # type: ignore[arg-type]


def test_clip_knows_its_measures():
    clip = Clip(video=np.zeros((75, 128, 224, 3), np.uint8), audio=np.zeros(48_000, np.float32))
    assert (clip.seconds, clip.width, clip.height) == (3.0, 224, 128)
    assert "3 s, 224x128, 25 fps" in repr(clip)
    with pytest.raises(AssertionError):
        Clip(video=np.zeros((75, 128, 224), np.uint8), audio=np.zeros(48_000, np.float32))


def test_shapes_are_hashable_values():
    assert VideoShape(75, 128, 224) == VideoShape(75, 128, 224)
    assert len({VideoShape(75, 128, 224), VideoShape(75, 128, 224)}) == 1
