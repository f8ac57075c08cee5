import numpy as np
import pytest

from happyhorse.world import gait as gaits
from happyhorse.world import horse, horse_figure, sample, scene
from happyhorse.world.draw import Canvas
from happyhorse.world.gait import GAITS, LEGS
from happyhorse.world.horse_figure import COATS, Frame
from happyhorse.world.landscape import LANDS, SKIES
from happyhorse.world.sound import onset

SEEDS = range(30)


@pytest.fixture(scope="module")
def made():
    return [sample(seed, 3.0, ["horse"]) for seed in SEEDS]


def test_a_hoof_on_the_ground_keeps_its_place_on_it(made):
    times = np.linspace(0, 3, 1500)
    for one in made[:10]:
        track, gait = one.track(times), GAITS[str(one.attributes["gait"])]
        for leg in LEGS:
            low = track[leg][:, 1].max()
            stands = track[leg][:, 1] > low - 1e-9
            assert stands.mean() == pytest.approx(gait.duty, abs=0.15)
            place = track[leg][:, 0] + track["ground"]
            stances = np.split(
                np.flatnonzero(stands), np.flatnonzero(np.diff(np.flatnonzero(stands)) > 1) + 1
            )
            assert len(stances) >= 2
            for stance in stances:
                assert np.ptp(place[stance]) < 1e-9


def test_every_hoof_event_is_a_touch_down(made):
    for one in made:
        assert len(one.events) == one.attributes["hoofbeats"] >= 8
        for event in one.events:
            t = event.sample / scene.RATE
            before, at = (
                one.track(np.array([time]))[str(event.attrs["leg"])][0] for time in (t - 2e-3, t + 1e-4)
            )
            assert before[1] < at[1] == pytest.approx(event.y)
            assert at[0] == pytest.approx(event.x, abs=2e-3)


def test_the_ground_moves_against_the_horse(made):
    for one in made:
        ground = one.track(np.array([0.0, 1.0]))["ground"]
        assert (ground[1] > ground[0]) == (one.attributes["direction"] == "right")


def test_a_gallop_is_faster_than_a_trot_than_a_walk():
    fastest = {name: gait.speed(gait.period[0]) for name, gait in GAITS.items()}
    slowest = {name: gait.speed(gait.period[1]) for name, gait in GAITS.items()}
    assert fastest["walk"] < slowest["trot"] and fastest["trot"] < slowest["gallop"]


def test_every_footfall_is_heard_at_its_sample(made):
    for one in made:
        if one.attributes["sky"] == "rain" or one.attributes["gait"] != "walk":
            continue
        for rate in (16_000, 44_100):
            wave, window = one.sound(rate), rate // 200
            for event in one.events:
                at = onset(event.sample, rate)
                if at > window and at + window < len(wave):
                    after, before = wave[at : at + window], wave[at - window : at]
                    assert np.square(after).mean() > 4 * np.square(before).mean()


@pytest.mark.parametrize("coat", COATS)
@pytest.mark.parametrize("direction", [1, -1])
def test_the_figure_is_large_has_its_coat_and_faces_its_way(coat, direction):
    gait, canvas = GAITS["trot"], Canvas(224, 128)
    canvas.fill((0.0, 1.0, 1.0))
    frame = Frame(0.0, 0.9, 0.45, direction)
    colors = horse_figure.dress(coat, np.ones(3, np.float32))
    horse_figure.paint(canvas, frame, colors, gaits.body(gait, 0.1), gaits.legs(gait, 0.1), 0.1, 0.4)
    painted = np.abs(canvas.pixels - (0.0, 1.0, 1.0)).max(axis=2) > 0.05
    rows, columns = np.nonzero(painted)
    assert 0.08 < painted.mean() < 0.3
    assert np.ptp(rows) / 128 == pytest.approx(0.70, abs=0.08) and np.ptp(columns) / 128 > 0.6
    assert rows.max() / 128 == pytest.approx(0.9, abs=0.02)  # it stands on the ground
    body = canvas.pixels[round(128 * (0.9 - 0.45 * 0.8)), 112]
    assert body == pytest.approx(COATS[coat].body, abs=0.12)
    top = columns[rows < rows.min() + 10].mean()
    assert (top > 112) == (direction == 1)  # ears are on the side it moves to


def test_the_figure_mirrors():
    gait, flipped = GAITS["gallop"], []
    for direction in (1, -1):
        canvas = Canvas(200, 100)
        legs = gaits.legs(gait, 0.3)
        legs = legs if direction == 1 else (legs[2], legs[3], legs[0], legs[1])
        colors = horse_figure.dress("brown", np.ones(3, np.float32))
        horse_figure.paint(
            canvas, Frame(0.0, 0.9, 0.45, direction), colors, gaits.body(gait, 0.3), legs, 0.3, 1.0
        )
        flipped.append(canvas.planes[:, :, ::direction])
    # all but the light in the eye, which comes from the sun and not from the horse
    assert (np.abs(flipped[0] - flipped[1]) > 0.02).mean() < 0.002


def test_the_picture_changes_with_gait_weather_and_land(made):
    assert {one.attributes["land"] for one in made} == set(LANDS)
    assert {one.attributes["sky"] for one in made} == set(SKIES)
    assert {one.attributes["gait"] for one in made} == set(GAITS)


def test_captions_name_coat_and_horse_and_never_use_heldout_wordings(made):
    for one in made:
        for caption in (*one.captions, *one.heldout):
            assert "horse" in caption.lower() and str(one.attributes["color"]) in caption.lower()
            assert "{" not in caption
    assert not set(horse.CAPTIONS) & set(horse.HELDOUT)
    assert len(horse.CAPTIONS) >= 8 and len(horse.HELDOUT) >= 2
