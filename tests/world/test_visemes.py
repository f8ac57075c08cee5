import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from happyhorse.world.scene import RATE, Phoneme
from happyhorse.world.visemes import CLOSURE, TRACKS, closures, mouth, targets

SYMBOLS = ["ˈa", "i", "u", "p", "b", "m", "t", "s", "ʃ", "f", "_", "aɪ", "ŋ", "tɕʰ", "ˈɑu˨˩˦"]


def line(*sounds: tuple[str, float]) -> tuple[tuple[Phoneme, ...], tuple[int, ...]]:
    """Phonemes of given seconds one after the other from 0.5 s on; m and stops open at their end."""
    edges = np.round((0.5 + np.cumsum([0.0, *[length for _, length in sounds]])) * RATE).astype(int).tolist()
    phonemes = tuple(
        Phoneme(symbol, start, end)
        for (symbol, _), start, end in zip(sounds, edges[:-1], edges[1:], strict=True)
    )
    return phonemes, tuple(p.end if p.symbol in ("p", "b", "m") else p.start for p in phonemes)


def at(times: float | np.ndarray, *sounds: tuple[str, float]) -> dict[str, np.ndarray]:
    return mouth(*line(*sounds), np.atleast_1d(np.asarray(times, float)))


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(SYMBOLS), st.floats(0.012, 0.3)), min_size=1, max_size=12),
    st.floats(0, 0.04),
)
def test_shapes_stay_in_range_and_lips_meet_on_a_frame(sounds, phase):
    phonemes, releases = line(*sounds)
    times = phase + np.arange(0, 5, 0.04)
    tracks = mouth(phonemes, releases, times)
    assert set(tracks) == set(TRACKS)
    assert all(
        track.shape == times.shape and (track >= 0).all() and (track <= 1).all() for track in tracks.values()
    )
    for closure in closures(phonemes, releases):
        met = (times * RATE >= closure.start - 1e-6) & (times * RATE <= closure.end + 1e-6)
        assert met.any() and (tracks["aperture"][met] == 0).all()


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(SYMBOLS), st.floats(0.03, 0.3)), min_size=1, max_size=8))
def test_a_mouth_is_closed_in_silence_and_moves_smoothly(sounds):
    times = np.arange(0, 5, 0.001)
    phonemes, releases = line(*sounds)
    aperture = mouth(phonemes, releases, times)["aperture"]
    spoken = [p for p in phonemes if p.symbol != "_"]
    start, end = (spoken[0].start, spoken[-1].end) if spoken else (0, 0)
    assert (aperture[times < start / RATE - 0.1] == 0).all()
    assert (aperture[times > end / RATE + 0.13] == 0).all()
    assert np.abs(np.diff(aperture)).max() < 0.06  # per millisecond: no jump


def test_a_long_pause_closes_the_mouth_and_a_gap_does_not():
    assert at(0.5 + 0.2 + 0.25, ("a", 0.2), ("_", 0.5), ("a", 0.2))["aperture"][0] == 0
    assert at(0.5 + 0.2 + 0.04, ("a", 0.2), ("_", 0.08), ("a", 0.2))["aperture"][0] > 0.5


@pytest.mark.parametrize(
    ("track", "more", "less"),
    [
        ("aperture", "a", "i"),
        ("aperture", "ɛ", "s"),
        ("aperture", "ɔ", "u"),
        ("rounding", "u", "i"),
        ("rounding", "ʃ", "s"),
        ("width", "i", "u"),
        ("teeth", "f", "ŋ"),
        ("tongue", "θ", "f"),
    ],
)
def test_sounds_look_as_they_should(track, more, less):
    def middle(symbol):
        return at(0.6, (symbol, 0.2))[track][0]

    assert middle(more) > middle(less) + 0.15


def test_neighbours_colour_each_other():
    before_u = at(0.55, ("s", 0.1), ("u", 0.2))["rounding"][0]
    before_i = at(0.55, ("s", 0.1), ("i", 0.2))["rounding"][0]
    assert before_u > before_i + 0.05


def test_a_short_closure_is_made_visible_before_its_release():
    phonemes, releases = line(("a", 0.1), ("p", 0.02), ("a", 0.1))
    (closure,) = closures(phonemes, releases)
    assert closure.end == phonemes[1].end
    assert closure.end - closure.start == round(CLOSURE * RATE)


def test_diphthongs_have_two_shapes_and_affricates_their_second():
    assert targets("ˈaɪ") == (targets("a")[0], targets("ɪ")[0])
    assert targets("tʃ") == targets("ʃ")
    assert targets("tɕʰ˥") == targets("ɕ")
    assert targets("pʰ") == targets("p")
    assert len(targets("☃")) == 1
