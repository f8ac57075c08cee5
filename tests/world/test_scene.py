import dataclasses
import re
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from happyhorse import world
from happyhorse.world import scene
from happyhorse.world.scene import Event, Scene

EASY = ("balls", "horse")
TOOLS, MUSIC = ("clock", "hammer", "drum", "tap"), ("xylophone", "piano")
# different captions of 40 scenes that there are more of
CAPTIONS = dict.fromkeys(TOOLS, 120) | dict.fromkeys(MUSIC, 180)


def tiny(**changes) -> Scene:
    fields = dict(
        family="balls", seed=0, seconds=0.4, attributes={}, events=(), captions=("a",), heldout=("b",),
        backdrop=lambda canvas: canvas.fill("blue"),
        paint=lambda canvas, t: canvas.rect(-2, 0, 2, t, "red"),
        sound=lambda rate: np.full(round(0.4 * rate), 0.5, np.float32),
        track=lambda times: {},
    )  # fmt: skip
    return Scene(**(fields | changes))


@pytest.mark.parametrize("name", scene.FAMILIES)
def test_every_family_of_the_table_can_be_made(name):
    family = scene.TABLE[name]
    assert callable(getattr(import_module(f"happyhorse.world.{family.module}"), family.function))


@pytest.mark.parametrize("name", scene.available())
def test_every_family_keeps_the_contract(name):
    made = world.sample(3, 1.6, [name])
    assert (made.family, made.seed, made.seconds) == (name, 3, 1.6)
    assert len(set(made.captions)) >= 4 and len(set(made.heldout)) >= 2
    assert all(0 <= event.sample < 1.6 * scene.RATE for event in made.events)
    for rate in (16_000, 44_100):
        wave = made.sound(rate)
        assert wave.dtype == np.float32 and wave.shape == (round(1.6 * rate),)
        assert 0.01 < np.abs(wave).max() <= 1.0
    times = np.arange(5) / 5
    assert all(len(value) == 5 and np.isfinite(value).all() for value in made.track(times).values())
    for size in ((64, 64), (128, 64)):
        video = world.render(made, *size, 25.0, 9)
        assert video.shape == (9, size[1], size[0], 3) and video.std() > 5
    again = world.sample(3, 1.6, [name])
    assert again.captions == made.captions and again.events == made.events
    assert (world.hear(again) == world.hear(made)).all()
    assert (world.render(again, 128, 64, 25.0, 9) == video).all()


@pytest.mark.parametrize("name", scene.available())
def test_captions_fill_up_vary_and_keep_the_heldout_apart(name):
    captions, heldout = set(), set()
    for seed in range(40):
        made = world.sample(seed, 3.0, [name])
        for line in made.captions + made.heldout:
            assert not set("{}") & set(line) and not re.search(r"  | [,;]|, ,", line), line
        assert len(made.captions) >= 4 and len(made.heldout) >= 2
        if name in MUSIC:
            assert str(made.attributes["background"]) in " ".join(made.captions).lower()
        captions |= set(made.captions)
        heldout |= set(made.heldout)
    assert len(captions) > CAPTIONS.get(name, 80) and not captions & heldout


@pytest.mark.parametrize("name", scene.available())
@pytest.mark.parametrize("seconds", [0.5, 6.0])
def test_a_scene_can_have_any_length(name, seconds):
    made = world.sample(7, seconds, [name])
    assert len(world.hear(made)) == round(seconds * scene.RATE)
    assert all(0 <= event.sample < seconds * scene.RATE for event in made.events)
    assert made.events or name not in TOOLS + MUSIC
    assert world.render(made, 64, 32).shape == (round(seconds * 25), 32, 64, 3)


def test_seeds_differ():
    for name in EASY:
        first, second = world.sample(0, 1.0, [name]), world.sample(1, 1.0, [name])
        assert (world.render(first, 64, 36, 25.0, 2) != world.render(second, 64, 36, 25.0, 2)).any()


@given(st.floats(-5, 5), st.floats(0, 5), st.integers(0, 2**32))
def test_what_no_caption_tells_stays_near_the_middle(low, width, seed):
    drawn = scene.about(np.random.default_rng(seed), low, low + width)
    assert abs(drawn - (low + width / 2)) <= scene.SPREAD * width / 2 + 1e-9


def test_details_come_in_a_few_sets():
    assert sorted({scene.details(seed) for seed in range(40)}) == list(range(scene.DETAILS))


@pytest.mark.parametrize("name", ["balls", "hammer", "clock", "xylophone"])
def test_when_things_happen_varies_widely(name):
    first = [world.sample(seed, 3.0, [name]).events[0].sample / scene.RATE for seed in range(60)]
    assert np.std(first) > 0.1, "or sound and picture would agree without listening to each other"


def test_a_family_is_the_same_however_it_was_chosen():
    for seed in range(6):
        chosen = world.sample(seed, 1.0, EASY)
        assert world.sample(seed, 1.0, [chosen.family]).captions == chosen.captions


def test_families_are_drawn_by_weight():
    drawn = [world.sample(seed, 0.2, EASY).family for seed in range(400)]
    expected = scene.TABLE["balls"].weight / sum(scene.TABLE[name].weight for name in EASY)
    assert drawn.count("balls") / 400 == pytest.approx(expected, abs=0.07)


def test_render_paints_over_a_fresh_backdrop_at_the_right_times():
    video = world.render(tiny(), 8, 10, fps=10.0)
    assert video.shape == (4, 10, 8, 3)
    rows_red = (video[:, :, 4, 0] > video[:, :, 4, 2]).sum(axis=1)
    assert rows_red.tolist() == [0, 1, 2, 3]
    assert world.render(tiny(), 8, 10, 25.0, frames=2).shape[0] == 2


def test_hear_cuts_and_pads():
    assert world.hear(tiny()).shape == (6400,)
    assert world.hear(tiny(), 8000).shape == (3200,)
    assert world.hear(tiny(), 16_000, 100).shape == (100,)
    padded = world.hear(tiny(), 16_000, 7000)
    assert padded.shape == (7000,) and (padded[6400:] == 0).all() and (padded[:6400] == 0.5).all()


def test_wrong_arguments_are_explained():
    with pytest.raises(ValueError, match="did you mean 'balls'"):
        world.sample(0, 1.0, ["bals"])
    with pytest.raises(ValueError, match="take some of balls"):
        world.sample(0, 1.0, ["qqqqq"])
    with pytest.raises(ValueError, match="no family to choose"):
        world.sample(0, 1.0, [])
    with pytest.raises(ValueError, match="seed"):
        world.sample(-1)
    with pytest.raises(ValueError, match="above 0"):
        world.sample(0, 0.0)


def test_a_scene_checks_itself():
    with pytest.raises(AssertionError, match="sorted"):
        tiny(events=(Event("x", 5, 0, 0), Event("x", 3, 0, 0)))
    with pytest.raises(AssertionError, match="held-out"):
        tiny(heldout=("a",))
    with pytest.raises(dataclasses.FrozenInstanceError):
        tiny().seed = 4  # type: ignore[misc]


def test_available_leaves_out_what_is_not_installed(monkeypatch):
    monkeypatch.setattr(scene, "find_spec", lambda name: None)
    assert set(scene.FAMILIES) - set(scene.available()) == {"face", "dialogue"}
    assert world.sample(0, 0.4).family in scene.available()


@pytest.mark.parametrize("families", ["face", ["dialogue"], ["balls", "face"]])
def test_families_that_cannot_be_made_here_say_what_to_install(families, monkeypatch):
    monkeypatch.setattr(scene, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install \"happyhorse\[speech\]\""):
        world.sample(0, 0.4, families)
