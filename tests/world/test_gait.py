from math import hypot

import numpy as np
import pytest

from happyhorse.world import gait as gaits
from happyhorse.world.gait import BONES, GAITS, LEGS

STRIDES = np.linspace(0.0, 1.0, 400, endpoint=False)


def standing(name: str, stride: float) -> int:
    gait = GAITS[name]
    return sum(gaits.phase(gait, leg, stride) < gait.duty for leg in range(4))


def test_a_walk_has_four_even_beats_in_lateral_order():
    beats = gaits.landings(GAITS["walk"], 0.0, 1.0, 1.0)
    assert [LEGS[leg] for _, leg in beats] == ["lh", "lf", "rh", "rf"]
    assert np.diff([t for t, _ in beats]) == pytest.approx([0.25] * 3)
    assert min(standing("walk", s) for s in STRIDES) >= 2


def test_a_trot_lands_diagonal_pairs_with_suspension_between():
    beats = gaits.landings(GAITS["trot"], 0.9, 1.0, 1.0)
    pairs = [{LEGS[leg] for _, leg in beats[:2]}, {LEGS[leg] for _, leg in beats[2:]}]
    assert pairs == [{"lh", "rf"}, {"rh", "lf"}]
    assert beats[0][0] == pytest.approx(beats[1][0]) and beats[2][0] - beats[0][0] == pytest.approx(0.5)
    counts = [standing("trot", s) for s in STRIDES]
    assert set(counts) == {0, 2}


def test_a_gallop_has_four_beats_and_one_suspension():
    beats = gaits.landings(GAITS["gallop"], 0.999, 1.0, 1.0)
    assert [LEGS[leg] for _, leg in beats] == ["lh", "rh", "lf", "rf"]
    assert len({round(t, 3) for t, _ in beats}) == 4
    airborne = np.array([standing("gallop", s) == 0 for s in STRIDES])
    assert airborne.mean() > 0.15
    assert (np.diff(np.concatenate([airborne, airborne[:1]]).astype(int)) == 1).sum() == 1


@pytest.mark.parametrize("name", GAITS)
def test_a_hoof_lands_at_phase_zero_and_is_in_the_air_before(name):
    gait = GAITS[name]
    for leg in range(4):
        x, y, angle = gaits.toe(gait, leg, 0.0)
        assert (y, angle) == (0.0, 0.0)
        bx, by, _ = gaits.toe(gait, leg, 1.0 - 1e-3)
        assert by > 0 and bx == pytest.approx(x, abs=0.01)
        ax, ay, _ = gaits.toe(gait, leg, gait.duty - 1e-9)
        cx, cy, _ = gaits.toe(gait, leg, gait.duty + 1e-9)
        assert (ax, ay) == pytest.approx((cx, cy), abs=1e-5)
        assert x - ax == pytest.approx(gait.sweep)


@pytest.mark.parametrize("name", GAITS)
def test_bones_keep_their_length_and_bend_the_right_way(name):
    for stride in STRIDES[::5]:
        for leg, limb in zip(LEGS, gaits.legs(GAITS[name], stride), strict=True):
            upper, lower = BONES[leg[1]]
            assert hypot(limb.knee[0] - limb.pivot[0], limb.knee[1] - limb.pivot[1]) == pytest.approx(
                upper, rel=1e-6
            )
            assert hypot(limb.knee[0] - limb.fetlock[0], limb.knee[1] - limb.fetlock[1]) == pytest.approx(
                lower, rel=0.02
            )
            side = (limb.fetlock[0] - limb.pivot[0]) * (limb.knee[1] - limb.pivot[1])
            side -= (limb.fetlock[1] - limb.pivot[1]) * (limb.knee[0] - limb.pivot[0])
            assert side >= 0 if leg[1] == "f" else side <= 0
            assert limb.toe[1] >= 0


@pytest.mark.parametrize("name", GAITS)
def test_joints_move_without_jumps(name):
    path = np.array([
        [(limb.pivot, limb.knee, limb.fetlock, limb.toe) for limb in gaits.legs(GAITS[name], stride)]
        for stride in np.linspace(0, 1, 801)
    ])  # fmt: skip
    assert np.abs(np.diff(path, axis=0)).max() < 0.02


def test_landings_repeat_every_period_from_the_start_phase_on():
    beats = gaits.landings(GAITS["trot"], 0.3, 0.7, 3.0)
    assert all(0 <= t < 3.0 for t, _ in beats)
    for t, leg in beats:
        cycle = gaits.phase(GAITS["trot"], leg, 0.3 + t / 0.7)
        assert min(cycle, 1.0 - cycle) == pytest.approx(0.0, abs=1e-9)
