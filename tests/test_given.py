"""What may be given besides a prompt: forms, contradictions, and the way to JSON and back."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from happyhorse.given import Sound, as_key_frames, as_sound, plain
from happyhorse.values import Clip, Request

PICTURE = np.zeros((4, 6, 3), np.uint8)
CLIP = Clip(video=np.zeros((5, 32, 32, 3), np.uint8), audio=np.zeros(3200, np.float32))


def test_key_frames_come_in_the_order_of_time():
    frames = as_key_frames([(2, "b.png"), (0.5, PICTURE)])
    assert [time for time, _ in frames] == [0.5, 2.0] and frames[1][1] == Path("b.png")


def test_a_sound_is_a_pair_or_a_file():
    assert as_sound("x.wav") == Path("x.wav")
    sound = as_sound((np.zeros(8, np.float64), 16_000))
    assert isinstance(sound, Sound) and sound.samples.dtype == np.float32 and sound.rate == 16_000


REFUSED = {
    "no pixels": ({"first_frame": PICTURE[:0]}, "has no pixels"),
    "no picture": ({"last_frame": 3}, r"a last frame is uint8 \[H, W, 3\], not int"),
    "a key frame before the clip": ({"key_frames": [(-1, "a.png")]}, "at -1 s is outside"),
    "no pair": ({"key_frames": ["a.png"]}, "its time in seconds, and a picture"),
    "one time twice": ({"key_frames": [(1, "a.png"), (1, "b.png")]}, "two key frames at 1 s"),
    "two first frames": ({"first_frame": "a.png", "key_frames": [(0, "b.png")]}, "two first frames"),
    "no sound": ({"audio": 3}, "the path of a sound file"),
    "stereo": ({"audio": (np.zeros((2, 9)), 16_000)}, "mix its channels"),
    "integers": ({"audio": (np.zeros(9, np.int16), 16_000)}, r"not int16 \[9\]"),
    "no samples": ({"audio": (np.zeros(0), 16_000)}, r"mono samples \[N\]"),
    "no numbers": ({"audio": (np.full(9, np.nan), 16_000)}, "NaN or infinite"),
    "a rate": ({"audio": (np.zeros(9), 10)}, "10 Hz"),
    "no clip": ({"video": PICTURE}, "a video file or a Clip, not ndarray"),
    "two clips": ({"video": "a.mp4", "extend": "b.mp4"}, "video and extend contradict"),
    "span alone": ({"span": (0, 1)}, "retake and span go together"),
    "retake alone": ({"retake": CLIP}, "retake and span go together"),
    "a span backwards": ({"retake": CLIP, "span": (2, 1)}, "from 2 to 1 s is impossible"),
    "half a span": ({"retake": CLIP, "span": (2,)}, "its start and its end"),
    "first frame of an extension": ({"extend": CLIP, "first_frame": PICTURE}, "leave out first_frame"),
    "pictures in a retake": ({"retake": CLIP, "span": (0, 1), "last_frame": PICTURE}, "leave out last_frame"),
    "pictures in a video": ({"video": CLIP, "key_frames": [(1, PICTURE)]}, "leave out key_frames"),
    "nothing left": ({"video": CLIP, "audio": "a.wav"}, "nothing is left to make"),
    "two sounds": ({"extend": CLIP, "audio": "a.wav"}, "has a sound of its own"),
    "no time": ({"seconds": 0}, "above 0"),
    "too many references": ({"references": ["a.png"] * 4}, "there are 4 references; give 1 to 3"),
    "a reference that is no picture": ({"references": [3]}, r"a reference is uint8 \[H, W, 3\], not int"),
    "a missing reference": ({"references": [None]}, "missing its picture"),
    "an edit with a first frame": (
        {"edit": CLIP, "first_frame": PICTURE},
        "to edit has .*leave out first_frame",
    ),
    "an edit with references": (
        {"edit": CLIP, "references": [PICTURE]},
        "to edit shows.*leave out references",
    ),
    "a video with references": ({"video": CLIP, "references": [PICTURE]}, "leave out references"),
    "an edit with a sound": ({"edit": CLIP, "audio": "a.wav"}, "to edit has a sound of its own"),
    "an edit of two clips": ({"edit": CLIP, "retake": CLIP, "span": (0, 1)}, "retake and edit contradict"),
    "an edit of no clip": ({"edit": PICTURE}, "edit is the path of a video file or a Clip"),
    "something kept of nothing": ({"keep": "sound"}, "give that clip as edit, or leave out keep"),
    "something else kept": ({"edit": CLIP, "keep": "colour"}, "keep is 'picture' or 'sound'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_what_to_do(name):
    values, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        Request(prompt="a ball", **values)


def test_what_may_go_together():
    Request(prompt="a", first_frame="a.png", key_frames=[(1, "b.png")], last_frame="c.png", audio="d.wav")  # type: ignore[arg-type]
    Request(prompt="a", extend=CLIP, key_frames=[(0, "b.png")], last_frame="c.png")  # type: ignore[arg-type]
    Request(prompt="a", references=["a.png", PICTURE], first_frame="b.png", audio="c.wav")  # type: ignore[arg-type]
    assert Request(prompt="a", references="a.png").references == (Path("a.png"),)  # type: ignore[arg-type]
    assert len(Request(prompt="a", references=PICTURE).references) == 1  # type: ignore[arg-type]


def test_a_request_of_files_survives_json():
    asked = Request(
        prompt="a",
        seed=5,
        first_frame="a.png",
        key_frames=[(1.5, "b.png")],
        audio="c.wav",
        language="ja",  # type: ignore[arg-type]
    )
    assert asked.as_dict()["key_frames"] == [[1.5, "b.png"]]
    assert Request.from_dict(json.loads(json.dumps(asked.as_dict()))) == asked
    retake = Request(prompt="a", retake="a.mp4", span=(0.5, 1.25))  # type: ignore[arg-type]
    assert Request.from_dict(json.loads(json.dumps(retake.as_dict()))) == retake
    assert hash(retake) != hash(asked) and retake != asked
    edit = Request(prompt="a", edit="a.mp4", keep="sound")  # type: ignore[arg-type]
    about = Request(prompt="a", references=["a.png", "b.png"])  # type: ignore[arg-type]
    assert about.as_dict()["references"] == ["a.png", "b.png"] and edit.as_dict()["keep"] == "sound"
    for request in (edit, about):
        assert Request.from_dict(json.loads(json.dumps(request.as_dict()))) == request
    old = {key: value for key, value in asked.as_dict().items() if key not in ("references", "edit", "keep")}
    assert Request.from_dict(old) == asked, "requests that were kept before there were these"


@given(
    st.builds(
        Request,
        prompt=st.text('aé你 😀"', min_size=1).map("a".__add__),
        seed=st.integers(0, 2**63 - 1),
        seconds=st.floats(0.1, 60),
        language=st.none() | st.sampled_from(["en", "ja"]),
        first_frame=st.none() | st.just("x.png"),
    )
)
def test_any_request_survives_json(asked):
    assert Request.from_dict(json.loads(json.dumps(asked.as_dict()))) == asked


def test_what_was_in_memory_is_named_and_cannot_be_restored():
    for values in (
        {"first_frame": PICTURE},
        {"key_frames": [(1, PICTURE)]},
        {"extend": CLIP},
        {"references": [PICTURE]},
        {"edit": CLIP},
        {"audio": (np.zeros(9), 8000)},
    ):
        kept = Request(prompt="a", **values).as_dict()
        (name,) = values
        assert "sha256:" in json.dumps(kept[name])
        with pytest.raises(ValueError, match=f"{name} was in memory.*save it to a file"):
            Request.from_dict(kept)
    with pytest.raises(ValueError, match="no 'promt'; did you mean 'prompt'"):
        Request.from_dict({"promt": "a"})


def test_arrays_are_told_apart_by_their_contents():
    other = Clip(video=np.ones((5, 32, 32, 3), np.uint8), audio=CLIP.audio)
    assert plain(CLIP) != plain(other) and plain(CLIP) == plain(
        Clip(video=CLIP.video.copy(), audio=CLIP.audio)
    )
