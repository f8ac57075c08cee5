import re

import numpy as np
import pytest

from happyhorse.world import espeak, face, phrasing, words
from happyhorse.world.lips import INSIDE, TEETH, TONGUE
from happyhorse.world.scene import RATE, hear, render
from happyhorse.world.speech import LANGUAGES, PAUSE

pytestmark = pytest.mark.skipif(not espeak.available(), reason="espeakng-loader is not installed")

FRAMES = np.arange(75) / 25


def scene(seed: int, make=face.make, seconds: float = 3.0):
    return make(np.random.default_rng([seed, 7]), seed, seconds)


def inside_pixels(video: np.ndarray, centers: np.ndarray, reach: float) -> np.ndarray:
    """[F]: pixels near the mouth in the colours of its inside."""
    height, width = video.shape[1:3]
    counts = []
    for frame, (x, y) in zip(video / 255, centers, strict=True):
        column, row, r = round(x * height + width / 2), round(y * height), round(reach * height)
        box = frame[row - r : row + 2 * r, column - r : column + r]
        close = [np.abs(box - np.array(color)).max(-1) < 0.09 for color in (INSIDE, TEETH, TONGUE)]
        counts.append(np.logical_or.reduce(close).sum())
    return np.array(counts)


def test_a_scene_is_a_function_of_its_seed():
    first, second = scene(3), scene(3)
    assert first.attributes == second.attributes and first.captions == second.captions
    assert first.events == second.events and first.lines == second.lines
    assert np.array_equal(hear(first), hear(second))
    assert np.array_equal(render(first, 56, 32, frames=20), render(second, 56, 32, frames=20))


def test_frames_do_not_depend_on_the_order_of_painting():
    one, other = scene(5), scene(5)
    whole = render(one, 96, 56)
    other.paint(_canvas(other, 96, 56), 2.0)
    assert np.array_equal(whole[30], _painted(other, 96, 56, 30 / 25))


def _canvas(scene_, width, height):
    from happyhorse.world.draw import Canvas

    canvas = Canvas(width, height)
    scene_.backdrop(canvas)
    return canvas


def _painted(scene_, width, height, time):
    canvas = _canvas(scene_, width, height)
    scene_.paint(canvas, time)
    return canvas.uint8()


@pytest.mark.parametrize("seed", [1, 4, 6])
def test_the_mouth_that_is_seen_is_the_mouth_of_the_track(seed):
    talk = scene(seed)
    tracks = talk.track(FRAMES)
    seen = inside_pixels(render(talk, 448, 256), tracks["mouth"], 0.11)
    assert np.corrcoef(seen, tracks["aperture"])[0, 1] > 0.85
    assert seen[tracks["aperture"] > 0.4].min(initial=10**6) > 60


def test_lips_meet_in_the_picture_at_every_closure():
    closures = 0
    for seed in range(8):
        talk = scene(seed)
        tracks = talk.track(FRAMES)
        video = render(talk, 224, 128)
        open_ = inside_pixels(video, tracks["mouth"], 0.1)
        for event in talk.events:
            if event.kind == "closure":
                closures += 1
                frames = [f for f in range(75) if event.sample <= f * 640 <= event.attrs["release"]]
                assert frames and tracks["aperture"][frames].max() == 0
                # beside closed lips a few pixels of skin or shirt have those colours, too
                assert open_[frames].max() <= 0.12 * open_[tracks["aperture"] > 0.4].mean()
    assert closures >= 4


def test_sound_and_lips_start_and_end_together():
    for seed in range(10):
        talk = scene(seed)
        wave = hear(talk)
        edges = [event.sample for event in talk.events if event.kind == "speech"]
        assert 0.1 * RATE < edges[0] < edges[1] < 2.95 * RATE
        assert np.abs(wave[: edges[0] - 320]).max(initial=0) < 0.02
        assert np.abs(wave[edges[1] + 320 :]).max(initial=0) < 0.02
        aperture = talk.track(np.arange(0, 3, 0.01))["aperture"]
        moving = np.flatnonzero(aperture) * 160
        assert edges[0] - 0.1 * RATE <= moving[0] and moving[-1] <= edges[1] + 0.13 * RATE
        assert aperture.max() > 0.3


def test_louder_where_the_mouth_is_open_and_not_when_shifted():
    scores = {-0.2: 0.0, 0.0: 0.0, 0.2: 0.0}
    for seed in range(12):
        talk = scene(seed)
        times = np.arange(20, 280) / 100
        wave = np.pad(hear(talk), 200) ** 2
        power = np.log([wave[round(t * RATE) + 40 : round(t * RATE) + 360].mean() + 1e-5 for t in times])
        start, end = (event.sample / RATE for event in talk.events if event.kind == "speech")
        spoken = (times > start) & (times < end)
        for shift in scores:
            aperture = talk.track(times + shift)["aperture"]
            scores[shift] += np.corrcoef(aperture[spoken], power[spoken])[0, 1] / 12
    assert scores[0.0] > 0.3 and scores[0.0] > max(scores[-0.2], scores[0.2]) + 0.2


def test_lines_hold_the_phonemes_and_captions_the_words():
    languages = set()
    for seed in range(30):
        talk = scene(seed)
        (line,) = talk.lines
        languages.add(line.language)
        assert line.text == talk.attributes["text"] and not words.heldout(line.text, line.language)
        assert line.speaker == talk.attributes["person"]
        assert len(talk.captions) >= 4 and len(talk.heldout) >= 2
        for caption in (*talk.captions, *talk.heldout):
            assert f'"{line.text}"' in caption
            assert not re.search(r"[{}\x00]|,,|  ", caption.replace(line.text, ""))
        assert any(str(talk.attributes["hair"]) in caption or "bald" in caption for caption in talk.captions)
        assert any(LANGUAGES[line.language] in caption for caption in talk.captions)
    assert len(languages) >= 6


def test_held_out_wordings_are_none_of_the_training_ones():
    def bare(template):
        return re.sub(r"\{\w+\}", "", template).lower().split()

    for training, held in (
        (phrasing.FACE, phrasing.FACE_HELDOUT),
        (phrasing.DIALOGUE, phrasing.DIALOGUE_HELDOUT),
    ):
        assert len(training) >= 8 and len(held) >= 2
        assert not {tuple(bare(t)) for t in training} & {tuple(bare(t)) for t in held}


def test_what_is_said_is_quoted_as_it_is():
    look = face._look(np.random.default_rng(0), "woman")
    text = "il y a  un chat, a {orange}."
    captions, heldout = phrasing.face_captions(np.random.default_rng(1), look, "blue", "fr", text)
    assert all(f'"{text}"' in caption for caption in (*captions, *heldout))


@pytest.mark.parametrize(("width", "height"), [(128, 128), (256, 128), (96, 56)])
def test_a_face_fits_any_aspect(width, height):
    talk = scene(2)
    picture = render(talk, width, height, frames=1)[0].astype(int)
    corners = picture[:3, [0, -1]].reshape(-1, 3)
    assert np.ptp(corners, axis=0).max() < 40  # the background, not the person
    x, y = talk.track(np.zeros(1))["mouth"][0]
    assert abs(x) < 0.3 and 0.5 < y < 0.75


def test_sound_fits_any_rate():
    talk = scene(2)
    low, high = talk.sound(16_000), talk.sound(48_000)
    assert len(low) == 48_000 and len(high) == 144_000 and np.abs(high).max() <= 1
    assert np.corrcoef(low, high[::3])[0, 1] > 0.98


def test_two_speakers_take_turns():
    for seed in range(6):
        talk = scene(seed, face.make_dialogue)
        first, second = talk.lines
        assert first.speaker != second.speaker
        assert first.phonemes[-1].end < second.phonemes[0].start
        assert second.phonemes[-1].end < 3 * RATE
        tracks = talk.track(np.arange(0, 3, 0.02))
        assert not ((tracks["aperture0"] > 0.05) & (tracks["aperture1"] > 0.05)).any()
        side = np.sign(tracks["mouth0"][0, 0])
        assert side == -np.sign(tracks["mouth1"][0, 0])
        assert (talk.attributes["left"] == first.speaker) == (side < 0)
        for caption in (*talk.captions, *talk.heldout):
            assert caption.index(f'"{first.text}"') < caption.rindex(f'"{second.text}"')


def test_a_long_clip_gets_more_to_say():
    talk = scene(1, seconds=8.0)
    spoken = [sound for sound in talk.lines[0].phonemes if sound.symbol != PAUSE]
    assert spoken[-1].end < 8 * RATE and len(spoken) > 20
