"""A folder of clips: every file is accounted for, with its bucket or with the reason why not."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from happyhorse.data import folder as folders
from happyhorse.data import manifest
from happyhorse.data.buckets import Bucket, Buckets

BUCKETS = Buckets(64, 32, 0.4)  # 9 and 5 frames


def test_every_file_has_a_bucket_or_a_reason(make_clip, tmp_path: Path) -> None:
    clips = make_clip("a.mp4", frames=10).parent
    make_clip("upright.mp4", frames=7, width=32, height=64, shade=9)
    make_clip("sub/deep.mp4", frames=30, shade=10)
    make_clip("silent.mp4", loud=0.0, shade=11)
    make_clip("short.mp4", frames=4, shade=12)
    make_clip("wordless.mp4", caption=None, shade=13)
    make_clip("quote.mp4", caption='an "open quote', shade=14)
    make_clip("empty.mp4", caption="  ", shade=15)
    (clips / "copy.mp4").write_bytes((clips / "a.mp4").read_bytes())
    (clips / "copy.txt").write_text("again")
    (clips / "broken.mp4").write_bytes((clips / "a.mp4").read_bytes()[:500])
    (clips / "lonely.txt").write_text("no clip here")
    (clips / "voice.wav").write_bytes(b"RIFF")
    (clips / ".hidden.mp4").write_text("no clip")
    Image.fromarray(np.full((100, 300, 3), 90, np.uint8)).save(clips / "still.PNG")
    rows = [{"file": "still.PNG", "caption": "a wide wall"}, {"file": "gone.mp4", "caption": "x"}]
    (clips / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))

    reports: list[tuple[str, int, int]] = []
    found = folders.examine(clips, BUCKETS, report=lambda *report: reports.append(report))
    assert reports[-1][1:] == (13, 13)
    taken = {finding.file: finding.entry for finding in found if finding.entry}
    assert {name: entry.bucket for name, entry in taken.items()} == {
        "a.mp4": Bucket(64, 32, 9),
        "upright.mp4": Bucket(32, 64, 5),
        "sub/deep.mp4": Bucket(64, 32, 9),
        "silent.mp4": Bucket(64, 32, 9),
        "still.PNG": Bucket(64, 32, 1),
    }
    assert taken["still.PNG"].crop == (50, 0, 200, 100) and taken["still.PNG"].captions == ("a wide wall",)
    assert {name for name, entry in taken.items() if not entry.has_audio} == {"silent.mp4", "still.PNG"}
    assert taken["a.mp4"].frames == 10 and taken["sub/deep.mp4"].source == "sub/deep.mp4"
    assert [entry.split for entry in taken.values()].count("heldout") >= 1

    causes = {
        finding.file: [refusal.cause for refusal in finding.refused] for finding in found if finding.refused
    }
    assert causes == {
        "short.mp4": ["too short"],
        "wordless.mp4": ["no caption"],
        "quote.mp4": ["no caption"],
        "empty.mp4": ["no caption"],
        "copy.mp4": ["duplicate"],
        "broken.mp4": ["unreadable", "no caption"],
        "lonely.txt": ["no clip"],
        "voice.wav": ["no clip"],
        "gone.mp4": ["missing"],
    }
    notes = {finding.file: finding.notes for finding in found}
    assert notes["still.PNG"] == ("33% of the picture is cut off",)
    assert notes["sub/deep.mp4"] == ("only the first 0.4 s are used",)
    assert notes["silent.mp4"] == ("its sound is silence: not learnt",)
    assert notes["a.mp4"] == ()
    assert folders.lint(taken.values(), ["a", "grey", "wall"]).unseen == {"humming": 4, "sound": 4, "wide": 1}


def test_small_pictures_are_named_and_a_wrong_caption_beside_a_right_one(make_clip) -> None:
    clips = make_clip("a.mp4", width=32, height=32).parent
    (clips / "captions.json").write_text('{"a.mp4": ["", "another"]}')
    (finding,) = folders.examine(clips, Buckets(128, 64, 0.4))
    assert finding.entry is not None and finding.entry.captions == ("a grey wall, a humming sound", "another")
    assert finding.notes == ("its caption is empty", "enlarged 3.0 times")


def test_splits_stay_when_the_folder_grows(tmp_path: Path) -> None:
    def add(name: str, shade: int) -> None:
        Image.fromarray(np.full((32, 64, 3), shade, np.uint8)).save(tmp_path / f"{name}.bmp")
        (tmp_path / f"{name}.txt").write_text("a wall")

    def splits() -> dict[str, str]:
        return {f.file: f.entry.split for f in folders.examine(tmp_path, BUCKETS) if f.entry}

    for shade in range(60):
        add(f"{shade:02}", shade)
    before = splits()
    assert 2 <= list(before.values()).count("heldout") <= 6
    add("more", 100)
    for suffix in ("bmp", "txt"):
        (tmp_path / f"03.{suffix}").rename(tmp_path / f"three.{suffix}")
    after = splits()
    assert after.pop("three.bmp") == before.pop("03.bmp") and after.pop("more.bmp")
    assert after == before


def test_nothing_usable_says_all_causes(make_clip, tmp_path: Path) -> None:
    clips = make_clip("short.mp4", frames=2).parent
    make_clip("a.mp4", caption=None)
    make_clip("b.mp4", caption=None, shade=9)
    with pytest.raises(
        ValueError, match=r"2 no caption \(a\.mp4: write .*; 1 too short \(short\.mp4: 2 frames"
    ):
        folders.usable(folders.examine(clips, BUCKETS), clips)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no clips; put videos"):
        folders.usable(folders.examine(tmp_path / "empty", BUCKETS), tmp_path / "empty")
    with pytest.raises(ValueError, match="no folder at"):
        folders.examine(tmp_path / "none", BUCKETS)


def test_a_manifest_is_checked_against_its_files(make_clip, tmp_path: Path) -> None:
    clips = make_clip("a.mp4").parent
    for shade, name in ((9, "b.mp4"), (10, "c.mp4")):
        make_clip(name, shade=shade)
    found = folders.examine(clips, BUCKETS, tmp_path)
    path = manifest.write(tmp_path / "m.jsonl", folders.usable(found, clips))
    assert [entry.source for entry in manifest.load(path)] == ["clips/a.mp4", "clips/b.mp4", "clips/c.mp4"]
    assert all(finding.entry for finding in folders.examine_manifest(path))
    (clips / "a.mp4").unlink()
    make_clip("b.mp4", shade=50)
    causes = [[refusal.cause for refusal in finding.refused] for finding in folders.examine_manifest(path)]
    assert causes == [["missing"], ["changed"], []]


def test_the_manifest_in_the_folder_is_no_clip(make_clip) -> None:
    clips = make_clip("a.mp4").parent
    found = folders.examine(clips, BUCKETS)
    manifest.write(clips / manifest.NAME, folders.usable(found, clips))
    assert folders.examine(clips, BUCKETS) == found
