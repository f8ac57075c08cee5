"""Shards: always whole, made once, named by what decides them, and read without keeping them all open."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from happyhorse.data import shards
from happyhorse.data.shards import CLIPS, OPEN, ShardPlan, Shards, make
from happyhorse.data.source import HELDOUT, RawClip, WorldConfig, render_seed
from happyhorse.train.windows import Sets
from happyhorse.world import scene

TINY = WorldConfig(64, 32, 0.3, ("clock",))


@dataclass(frozen=True)
class Counting:
    """Clips that are nothing but their number."""

    clips: int
    codec: str | None = None
    key: str = "train-counting"

    @property
    def whole(self) -> int:
        return -(-self.clips // CLIPS) * CLIPS

    def clip(self, index: int) -> RawClip:
        video = np.full((1, 2, 2, 3), index % 256, np.uint8)
        return RawClip(video, np.full(4, index / 1000, np.float32), {"index": index})


def test_a_shard_holds_what_its_seeds_render(cache: Path) -> None:
    made = Shards(make(ShardPlan(TINY, "heldout", 3), workers=1), 3)
    assert len(made) == 3 and len(Shards(made.files[0].parent)) == CLIPS
    video, audio, record = made[2]
    clip = render_seed(HELDOUT + 2, TINY)
    assert np.array_equal(video.numpy(), clip.video) and record == json.loads(json.dumps(clip.record))
    assert video.shape == (9, 32, 64, 3) and np.abs(audio.numpy() / 32767 - clip.audio).max() < 1e-4


def test_a_set_grows_without_making_anything_twice(cache: Path) -> None:
    folder = make(Counting(3), workers=1)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    reports: list[tuple[int, int]] = []
    assert make(Counting(CLIPS + 6), 1, lambda done, total: reports.append((done, total))) == folder
    assert before.items() <= {path.name: path.read_bytes() for path in folder.iterdir()}.items()
    assert reports == [(CLIPS + 6, CLIPS + 6)]
    grown = Shards(folder, CLIPS + 6)
    assert [record["index"] for record in grown.records] == list(range(CLIPS + 6))
    assert [int(grown[i][0][0, 0, 0, 0]) for i in (0, 2, 3, 63, 64, 69)] == [0, 2, 3, 63, 64, 69]


def test_making_goes_on_where_it_stopped(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make(Counting(3 * CLIPS), workers=1)
    (folder / "00001.jsonl").unlink()  # a shard is finished when its records are there
    assert [record["index"] for record in Shards(folder).records] == [
        *range(CLIPS),
        *range(2 * CLIPS, 3 * CLIPS),
    ]
    made = []
    whole = shards._make_shard
    monkeypatch.setattr(shards, "_make_shard", lambda job: made.append(job[1]) or whole(job))
    make(Counting(3 * CLIPS), workers=1)
    assert made == [1] and len(Shards(folder)) == 3 * CLIPS


def test_few_files_are_open_at_once(cache: Path) -> None:
    made = Shards(make(Counting(CLIPS * (OPEN + 4)), workers=1))
    order = torch.randperm(len(made), generator=torch.Generator().manual_seed(0)).tolist()
    for index in order[:300]:
        video, row = made.slice("video", index)
        assert len(made._open) <= OPEN
        assert int(video[row].flatten()[0]) == index % 256
    kept = made[0]
    for index in range(0, len(made), CLIPS):
        made.slice("audio", index)
    assert int(kept[0][0, 0, 0, 0]) == 0  # what was read outlives its file


def test_the_key_names_what_decides_the_tensors(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = ShardPlan(TINY, "train", 64)
    codec = str(tiny_model / "codec.safetensors")
    others = [
        replace(plan, split="heldout"),
        replace(plan, codec=codec),
        replace(plan, world=replace(TINY, width=96)),
        replace(plan, world=replace(TINY, families=())),
    ]
    keys = [plan.key, *(other.key for other in others)]
    assert len(set(keys)) == len(keys) and replace(plan, clips=128).key == plan.key
    monkeypatch.setattr(scene, "available", lambda: ("clock",))  # as on a machine without the other families
    assert others[-1].key == plan.key
    monkeypatch.setattr(shards, "world_version", lambda: "another")
    assert plan.key not in keys


def test_nothing_finished_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no finished shards"):
        Shards(tmp_path)


@pytest.mark.slow
def test_several_processes_make_the_same(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plan = ShardPlan(TINY, "train", CLIPS + 1)
    two = make(plan, workers=2)
    monkeypatch.setenv("HAPPYHORSE_CACHE", str(tmp_path / "other"))
    one = make(plan, workers=1)
    assert one != two
    assert {p.name: p.read_bytes() for p in one.iterdir()} == {p.name: p.read_bytes() for p in two.iterdir()}


def test_a_family_can_come_several_times_in_an_epoch(cache: Path) -> None:
    world = replace(TINY, families=("clock", "hammer"))
    folder = make(ShardPlan(world, "train", CLIPS), workers=1)
    plain, repeated = Shards(folder), Shards(folder, repeat={"clock": 3})
    families = [record["family"] for record in plain.records]
    size = 3 * families.count("clock") + families.count("hammer")
    seen = repeated.batch(size, 0, 0)
    assert sorted(seen) == sorted(
        i for i, name in enumerate(families) for _ in range(3 if name == "clock" else 1)
    )
    assert sorted(plain.batch(CLIPS, 0, 0)) == list(range(CLIPS)) and len(repeated) == CLIPS
    assert Sets(plain).sources != Sets(repeated).sources, (
        "what is kept of one draw would be taken for the other's"
    )
