"""From clips to a report, in numbers, Markdown, JSON and pictures."""

import json
from dataclasses import replace

import numpy as np
import pytest

from happyhorse.eval import plots, report
from happyhorse.eval.clips import PERFECT, Report, Seen, gather, look, moments
from happyhorse.eval.hooves import Stride
from happyhorse.eval.judge import Ear, Eye, Hue, Judge, Verdict
from happyhorse.world.scene import Scene, hear, render, sample


def clip(family: str, seed: int, late: int = 0) -> tuple[Scene, np.ndarray, np.ndarray]:
    """A render whose sound is `late` samples late."""
    scene = sample(seed, 2.0, [family])
    return scene, render(scene, 160, 96), np.roll(np.pad(hear(scene), (0, 16_000)), late)[:32_000]


class Parrot(Judge):
    """A judge that says the same of every clip."""

    def __call__(self, video, audio, rate=16_000):
        return Verdict("xylophone", "red", "rain")


PARROT = Parrot(Eye(1), Hue(1), Ear(1), Stride(), ("xylophone",), {"family": 1.0})


@pytest.fixture(scope="module")
def seen() -> list[Seen]:
    clips = [clip("xylophone", seed, late=1280) for seed in range(3)] + [clip("rain", 0)]
    firsts = [video[0] for _, video, _ in clips]
    firsts = [firsts[0], np.clip(firsts[1].astype(int) + 16, 0, 255).astype(np.uint8), None, None]
    return [look(*one, judge=PARROT, first=first) for one, first in zip(clips, firsts, strict=True)]


@pytest.fixture(scope="module")
def measured(seen) -> Report:
    return gather(seen, PARROT)


def test_offsets_are_those_of_the_clips(measured):
    part = measured.families["xylophone"]
    assert part.clips == 3 and part.sync is not None and part.control is not None
    assert part.sync.median.value == pytest.approx(80, abs=15)  # 1280 samples are 80 ms
    assert part.sync.recall.value > 0.8 and part.control.mae.value > 0
    assert len(part.offsets) == part.sync.matched
    assert measured.families["rain"].sync is None and measured.families["rain"].control is None
    assert measured.total.clips == 4 and measured.total.sync.matched == part.sync.matched


def test_the_judge_is_compared_with_what_was_asked(measured):
    assert (
        measured.families["xylophone"].family.value == 1.0 and measured.families["rain"].family.value == 0.0
    )
    assert measured.total.sound.value == 0.25
    assert measured.families["rain"].color is None and measured.families["rain"].colored == 0
    assert measured.total.judged == 4 and measured.total.colored == 3
    assert measured.judge == {"family": 1.0}


def test_a_first_frame_is_compared_with_the_one_given(seen, measured):
    assert seen[0].first == PERFECT and seen[2].first is None
    assert seen[1].first == pytest.approx(20 * np.log10(255 / 16), abs=1)
    assert measured.total.given == 2 and measured.families["rain"].first is None
    assert measured.total.first.value == pytest.approx((seen[0].first + seen[1].first) / 2)


def test_faults_are_means_over_clips(measured):
    assert measured.families["xylophone"].quality["jitter"].value < 0.5
    assert measured.total.quality["loudness"].value < 0


def test_moments_leave_out_the_ends():
    scene, video, audio = clip("xylophone", 1)
    found = moments(scene, video, audio, 25.0, 16_000)
    for times in (found.seen, found.heard):
        assert len(times) and times.min() >= 0.1 and times.max() <= 1.9
    assert moments(*clip("rain", 1), 25.0, 16_000) is None


def test_no_clips_are_an_error():
    with pytest.raises(ValueError, match="at least one"):
        gather([])


def test_written_report(measured, tmp_path):
    page = report.write({"model": measured, "world": measured}, tmp_path / "out", "Some clips")
    text = page.read_text(encoding="utf-8")
    assert "## Sync" in text and "| xylophone | world |" in text and "offsets.png" in text
    assert "## Lips" not in text and "## A given first frame" in text
    assert "nan" not in text.lower()
    for table in text.split("\n\n"):
        if table.startswith("|"):
            assert len({row.count("|") for row in table.splitlines()}) == 1
    values = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert values["model"]["families"]["xylophone"]["sync"]["median"]["value"] == pytest.approx(80, abs=15)
    assert values["model"]["families"]["rain"]["sync"] is None


def test_pictures_show_the_figures(measured):
    blue = (np.asarray(plots.offsets(measured)) == plots.BLUE).all(-1)
    # the bars stand right of the middle, where sound is late
    assert blue.any() and np.flatnonzero(blue.any(0)).mean() > 90 + 530 / 2 + 20
    picture = plots.shares({"model": measured, "world": measured})
    blue = (np.asarray(picture) == plots.BLUE).all(-1)
    assert blue.any() and picture.height == (3 * 2 + 2) * 18  # all and two families, of two sources


def test_chance_is_what_a_model_of_one_scene_would_get(seen):
    measured = gather([*seen[:2], *seen[3:]], PARROT)  # two xylophones and rain
    assert measured.chance == pytest.approx(2 / 3) == measured.total.family.value
    assert not measured.beats_chance


def test_what_is_right_in_most_clips_of_several_families_beats_chance(seen):
    clips = [
        replace(seen[0], family=family, verdict=Verdict(family, "red", "rain"))
        for family in ("clock", "drum", "rain", "sea")
        for _ in range(4)
    ]
    measured = gather(clips, PARROT)
    assert measured.chance == 0.25 and measured.total.family.value == 1 and measured.beats_chance
    assert not gather(clips[:4], PARROT).beats_chance  # of one family nothing can be told
    assert not gather([replace(one, verdict=None) for one in clips]).beats_chance  # nor without a judge
