"""Pairs of a scene and the same with what an instruction names changed."""

from dataclasses import replace

import numpy as np
import pytest

from happyhorse.data import edits
from happyhorse.data.edits import EditPlan, Edits, edit
from happyhorse.data.shards import Shards, make
from happyhorse.data.source import WorldConfig
from happyhorse.world.scene import hear, render, sample

WORLD = WorldConfig(64, 32, 0.5, ("clock", "hammer"))


@pytest.mark.parametrize("kind", ["colour", "background", "sound"])
def test_an_instruction_names_what_changes_and_the_rest_stays(kind):
    pair = edit("clock", 4, 1.0, kind)
    assert pair is not None and pair.kind == kind and pair.old != pair.to
    before, after = (render(scene, 112, 64, 25, 4) for scene in (pair.source, pair.result))
    sounds = hear(pair.source), pair.heard(16_000, 16_000)
    assert np.array_equal(before, after) == (kind == "sound")
    assert np.array_equal(*sounds) == (kind != "sound")
    assert len(pair.instructions) >= 4 and len(pair.heldout) == 2
    assert not set(pair.instructions) & set(pair.heldout)
    if kind != "sound":
        assert all(pair.to in line for line in pair.instructions + pair.heldout)
        key = {"colour": "color", "background": "wall"}[kind]
        assert (pair.source.attributes[key], pair.result.attributes[key]) == (pair.old, pair.to)


def test_a_sound_is_that_of_another_family_or_none():
    pairs = [edit("clock", seed, 0.5, "sound") for seed in range(12)]
    told = {pair.to for pair in pairs}
    assert edits.SILENCE in told and len(told) > 2 and told <= {*edits.SOUNDS, edits.SILENCE}
    silent = next(pair for pair in pairs if pair.to == edits.SILENCE)
    assert not silent.heard(16_000, 8_000).any()
    other = next(pair for pair in pairs if pair.to != edits.SILENCE)
    assert other.sound.family == other.to and np.abs(other.heard(16_000, 8_000)).max() > 0.01


def test_what_has_nothing_of_the_kind_to_change_is_none():
    assert edit("sea", 0, 0.5, "colour") is None
    assert edit("sea", 0, 0.5).kind == "sound"
    scenes = (sample(seed, 0.5, "balls") for seed in range(20))
    two = next(scene.seed for scene in scenes if "color2" in scene.attributes)
    assert edit("balls", two, 0.5, "colour") is None, "which of the two is meant?"


def test_the_same_seed_has_the_same_edit():
    one, two = edit("hammer", 7, 0.5), edit("hammer", 7, 0.5)
    assert (one.kind, one.to, one.instructions) == (two.kind, two.to, two.instructions)


def test_pairs_lie_beside_each_other_in_shards(tmp_path, monkeypatch):
    monkeypatch.setenv("HAPPYHORSE_CACHE", str(tmp_path))
    monkeypatch.setattr("happyhorse.data.shards.CLIPS", 4)
    plan = EditPlan(WORLD, "train", 2)
    data = Edits(Shards(make(plan, 1), plan.clips))
    assert len(data) == 2 == len(data.records) and data.batch(2, 0, 0) != []
    video, audio, record = data[1]
    before, heard = record["before"]
    assert video.shape == before.shape == (13, 32, 64, 3) and audio.shape == heard.shape
    assert (video != before).any() or (audio != heard).any()
    assert record["captions"] and record["phones"] == [] and record["edit"]["old"] != record["edit"]["to"]
    assert "before" not in data.records[1], "records are read whole, latents when they are needed"
    assert record["seed"] == 1


def test_another_world_or_split_is_another_folder():
    keys = {
        EditPlan(WORLD, "train", 2).key,
        EditPlan(WORLD, "heldout", 2).key,
        EditPlan(replace(WORLD, width=96), "train", 2).key,
    }
    assert len(keys) == 3 and EditPlan(WORLD, "train", 9).key in keys
