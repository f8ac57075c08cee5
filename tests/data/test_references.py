"""Pictures of a subject: the same thing in other scenes, and captions that leave out what they tell."""

import numpy as np
import pytest

from happyhorse.data.references import (
    MOST,
    ReferencePlan,
    References,
    bare,
    elsewhere,
    spoken_of,
    still,
    subject,
)
from happyhorse.data.shards import ShardPlan, Shards, make
from happyhorse.data.source import WorldConfig
from happyhorse.world.scene import render, sample

WORLD = WorldConfig(64, 32, 0.5, ("clock", "sea"))


@pytest.mark.parametrize("family", ["horse", "clock", "drum"])
def test_the_thing_is_the_same_in_another_scene(family):
    scene = sample(2, 1.0, family)
    others = [elsewhere(scene, number) for number in range(MOST)]
    assert all(subject(other) == subject(scene) != {} for other, _ in others)
    assert len({scene.seed, *(other.seed for other, _ in others)}) == MOST + 1
    assert all(0 <= time < scene.seconds for _, time in others)
    pictures = [still(other, 64, 32, time) for other, time in others]
    assert pictures[0].shape == (32, 64, 3) and not np.array_equal(pictures[0], pictures[1])
    again, time = elsewhere(scene, 1)
    assert np.array_equal(still(again, 64, 32, time), pictures[1])


def test_a_still_is_a_frame_of_the_render():
    scene = sample(1, 1.0, "hammer")
    assert np.array_equal(still(scene, 64, 32, 5 / 25), render(scene, 64, 32, 25, 6)[5])


def test_views_and_pairs_are_no_subject():
    assert subject(sample(0, 1.0, "sea")) == {}
    balls = [sample(seed, 1.0, "balls") for seed in range(12)]
    assert {bool(subject(one)) for one in balls} == {True, False}
    assert all(bool(subject(one)) == ("color2" not in one.attributes) for one in balls)


def test_captions_without_what_the_pictures_tell():
    told = {"color": "orange", "size": "medium"}
    assert bare("an orange ball bounces", told) == "a ball bounces"
    assert bare("a medium-sized orange ball, orange wall", told) == "a ball, wall"
    assert bare("a big red ball", told) == "a big red ball"
    assert bare("on an icy floor", told) == "on an icy floor"


def test_stills_belong_to_the_clips_of_the_same_seeds(tmp_path, monkeypatch):
    monkeypatch.setenv("HAPPYHORSE_CACHE", str(tmp_path))
    monkeypatch.setattr("happyhorse.data.shards.CLIPS", 6)
    clips, plan = ShardPlan(WORLD, "train", 6), ReferencePlan(WORLD, "train", 6)
    data = References(Shards(make(clips, 1), clips.clips), Shards(make(plan, 1), plan.clips))
    seen = [data.clips.records[index] for index in data.chosen]
    assert (
        len(data) == len(data.records) and 0 < len(data) < 6 and {one["family"] for one in seen} == {"clock"}
    )
    record = data.records[0]
    scene = sample(record["seed"], WORLD.frames / 25, "clock")
    assert spoken_of(scene) and len(record["captions"]) == 2 * len(scene.captions)
    assert not any(
        spoken_of(scene)["color"] in line.split() for line in record["captions"][len(scene.captions) :]
    )
    # [1, H, W, 3]: of a raw still the first frame is all there is
    raw = data.stills[MOST * data.chosen[0]][0]
    other, time = elsewhere(scene, 0)
    assert np.array_equal(raw[0].numpy(), still(other, 64, 32, time))


def test_clips_without_any_subject_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("HAPPYHORSE_CACHE", str(tmp_path))
    monkeypatch.setattr("happyhorse.data.shards.CLIPS", 2)
    views = WorldConfig(64, 32, 0.2, ("sea",))
    clips, plan = ShardPlan(views, "train", 2), ReferencePlan(views, "train", 2)
    with pytest.raises(ValueError, match="choose families among balls"):
        References(Shards(make(clips, 1), 2), Shards(make(plan, 1), plan.clips))
