"""One draw that comes out otherwise: the rest of a scene stays as it is, to the pixel and the sample."""

import numpy as np
import pytest

from happyhorse.data.variants import AstrayError, Draw, Player, Recorder, Variant
from happyhorse.world.scene import hear, render, sample


def shown(variant: Variant) -> np.ndarray:
    return render(variant.scene, 112, 64, 25, 8)


@pytest.mark.parametrize("family", ["balls", "horse", "clock", "sea"])
def test_what_is_recorded_is_the_scene_of_the_world(family):
    found, known = Variant.of(family, 3, 1.0).scene, sample(3, 1.0, family)
    assert (found.attributes, found.captions, found.events) == (
        known.attributes,
        known.captions,
        known.events,
    )
    assert np.array_equal(render(found, 112, 64, 25, 3), render(known, 112, 64, 25, 3))
    assert np.array_equal(hear(found), hear(known))


@pytest.mark.parametrize(
    ("family", "seed", "key", "value"),
    [
        ("balls", 0, "color", "red"),  # an index among colours, from which that of the wall is drawn
        ("clock", 0, "color", "white"),
        ("horse", 0, "color", "black"),
        ("drum", 0, "wall", "blue"),
    ],
)
def test_one_attribute_changes_and_nothing_else(family, seed, key, value):
    before = Variant.of(family, seed, 1.0)
    after = before.changed(key, value)
    assert after is not None and before.scene.attributes[key] != value
    assert dict(after.scene.attributes) == dict(before.scene.attributes) | {key: value}
    assert after.scene.events == before.scene.events and np.array_equal(hear(after.scene), hear(before.scene))
    moved = (shown(before) != shown(after)).any(-1)
    assert 0.01 < moved.mean() < (0.4 if key == "color" else 0.9)
    assert any(value in line for line in after.scene.captions + after.scene.heldout)
    again = after.changed(key, str(before.scene.attributes[key]))
    assert again is not None and np.array_equal(shown(again), shown(before)), "there and back"


def test_what_cannot_be_is_none_and_what_is_already_is_itself():
    clock = Variant.of("clock", 0, 1.0)
    assert clock.changed("color", "turquoise") is None
    assert clock.changed("color", str(clock.scene.attributes["color"])) is clock


def test_with_keep_all_but_what_is_named_there_may_move():
    """How large a drum is decides how its proportions are drawn, and so how it sounds."""
    drum = Variant.of("drum", 1, 1.0)
    size = {"big": "small", "small": "big"}[str(drum.scene.attributes["size"])]
    other = drum.changed("size", size, keep=["color"])
    assert other is not None and other.scene.attributes["size"] == size
    assert other.scene.attributes["color"] == drum.scene.attributes["color"]
    assert not np.array_equal(shown(other), shown(drum))


def test_draws_come_again_from_something_else():
    share = Draw("uniform", (0.0, 1.0), {}, 0.25)
    assert share.again((2.0, 4.0), {}) == 2.5
    assert Draw("uniform", (1.0, 1.0), {}, 1.0).again((2.0, 4.0), {}) == 2.0
    assert Draw("integers", (8,), {}, 7).again((5,), {}) == 2
    assert Draw("choice", (["a", "b"],), {}, "b").again((["b", "c"],), {}) == "b"
    with pytest.raises(AstrayError):
        Draw("choice", (["a", "b"],), {}, "a").again((["b", "c"],), {})


def test_a_maker_that_asks_for_another_draw_goes_astray():
    source = Recorder(np.random.default_rng(0))
    source.uniform(0, 1)
    player = Player(source.draws, {})
    assert player.uniform(0, 1) == source.draws[0].value
    with pytest.raises(AstrayError):
        player.uniform(0, 1)
    with pytest.raises(AstrayError):
        Player(source.draws, {}).choice([1, 2])
