"""Captions: every format gives the same, faults are named, doubts are counted."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from happyhorse.data.captions import fault, find, lint, speaks_of_sound, tables

ROWS = [("a.mp4", "one\nball"), ("sub/b.mp4", 'she says,\u2028"hello"'), ("a.mp4", "a ball, 小鼓")]


@pytest.mark.parametrize("name", ["captions.jsonl", "metadata.jsonl", "captions.json", "captions.csv"])
def test_tables_of_every_kind(tmp_path: Path, name: str) -> None:
    if name.endswith("csv"):
        lines = io.StringIO()
        csv.writer(lines).writerows([("file_name", "text"), *ROWS])
        text = "\ufeff" + lines.getvalue()  # as spreadsheets write it
    elif name.endswith("json"):
        text = json.dumps([{"path": file, "prompt": caption} for file, caption in ROWS])
    else:
        text = (
            "\n".join(
                json.dumps({"file": file, "captions": [caption]}, ensure_ascii=False)
                for file, caption in ROWS
            )
            + "\n\n"
        )
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert tables(tmp_path) == {
        "a.mp4": ["one\nball", "a ball, 小鼓"],
        "sub/b.mp4": ['she says,\u2028"hello"'],
    }
    assert find(tmp_path / "a.mp4", "a.mp4", tables(tmp_path)).captions == ("one ball", "a ball, 小鼓")


def test_an_object_of_captions_and_a_table_in_a_subfolder(tmp_path: Path) -> None:
    (tmp_path / "captions.json").write_text('{"a.mp4": ["one", "two"], "./b.mp4": "three"}')
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "captions.jsonl").write_text('{"file": "c.mp4", "caption": "four"}')
    assert tables(tmp_path) == {"a.mp4": ["one", "two"], "b.mp4": ["three"], "sub/c.mp4": ["four"]}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        (
            "captions.jsonl",
            '{"file": "a.mp4", "caption": "x"}\n{"file": "a.mp4"}',
            "row 2: a row needs a file",
        ),
        ("captions.jsonl", '{"file": ', "not valid JSONL"),
        ("captions.json", "[3]", "row 1"),
        ("captions.csv", "name,words\na.mp4,x\n", "row 1"),
        ("captions.json", '{"a.mp4": 3}', "row 1"),
    ],
)
def test_a_table_that_cannot_be_read(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=words) as caught:
        tables(tmp_path)
    assert name in str(caught.value)


@settings(max_examples=50)
@given(st.binary(max_size=200))
def test_any_bytes_as_a_table_are_captions_or_one_sentence(tmp_path_factory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    for name in ("captions.csv", "captions.json", "captions.jsonl"):
        (folder / name).write_bytes(data)
    try:
        found = tables(folder)
    except ValueError as error:
        assert "captions." in str(error)
    else:
        assert all(isinstance(caption, str) for captions in found.values() for caption in captions)


def test_a_text_beside_the_clip_comes_first(tmp_path: Path) -> None:
    clip = tmp_path / "a.mp4"
    (tmp_path / "a.txt").write_text("  a ball\n  bounces ")
    found = find(clip, "a.mp4", {"a.mp4": ["more", "a ball bounces", ""]})
    assert found.captions == ("a ball bounces", "more") and found.faults == ("its caption is empty",)
    (tmp_path / "b.mp4.txt").write_text("other")
    assert find(tmp_path / "b.mp4", "b.mp4", {}).captions == ("other",)
    assert "c.txt" in find(tmp_path / "c.mp4", "c.mp4", {}).faults[0]
    (tmp_path / "d.txt").write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in find(tmp_path / "d.mp4", "d.mp4", {}).faults[0]


def test_faults() -> None:
    assert fault("a ball") is None and fault('he says "oh"') is None
    assert fault("") == "its caption is empty"
    assert "control" in str(fault("a\x00b"))
    assert "quotation" in str(fault('a "ball'))


def test_words_for_sound() -> None:
    for caption in (
        "humming softly",
        "loud knocks",
        'she says "yes"',
        "雨の音がする",
        "drips",
        "noisy",
        "audible",
    ):
        assert speaks_of_sound(caption), caption
    for caption in (
        "a human heart",
        "a single ticket",
        "she cycles to a beautiful bellboy",
        "a red ball on a table",
    ):
        assert not speaks_of_sound(caption), caption


def test_lint_counts() -> None:
    clips = [
        (("a red ball", "a ball, red"), True),
        (("a zebra bounces loudly on a zebra",), True),
        (("word " * 97,), False),
        (('she says "hello zebra"',), False),
    ]
    found = lint(clips, {"a", "red", "ball", "on", "word", "she", "says"})
    assert (found.clips, found.long, found.soundless, found.spoken, found.single, found.alien) == (
        4,
        1,
        1,
        1,
        3,
        1,
    )
    assert found.unseen == {"bounces": 1, "loudly": 1, "zebra": 1}
    assert len(found.remarks()) == 5 and any("zebra (1)" in remark for remark in found.remarks())
    assert not lint(clips).unseen and lint(clips).alien == 0
    assert (
        lint([(("a ball with a thud", "thud: a ball"), True)], ["a", "ball", "with", "thud"]).remarks() == []
    )
