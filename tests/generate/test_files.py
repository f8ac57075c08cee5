"""Names of clips."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from happyhorse.generate.files import check_writable, paths, slug
from happyhorse.values import Request


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("A red ball, bouncing!", "a-red-ball-bouncing"),
        ("../../etc/passwd", "etc-passwd"),
        ("一匹马在奔跑", "一匹马在奔跑"),
        ("🐎", "clip"),
        ('a woman says "hello"', "a-woman-says-hello"),
        ("word " * 40, "-".join(["word"] * 12)),
    ],
)
def test_slug(prompt, name):
    assert slug(prompt) == name


@given(st.text(min_size=1, max_size=300))
def test_any_prompt_gives_a_name_that_any_disk_takes(prompt):
    name = slug(prompt)
    assert name and len(os.fsencode(name)) <= 180 and not set(name) & set('/\\:*?"<>|\0\n .')


def test_names_from_the_prompt_are_never_in_use(tmp_path):
    request = Request(prompt="a ball", seed=4, takes=2)
    first = list(paths(tmp_path, request))
    assert [p.name for p in first] == ["a-ball-4.mp4", "a-ball-5.mp4"]
    first[0].touch()
    (tmp_path / "a-ball-4-2.mp4").touch()
    assert [p.name for p in paths(tmp_path, request)] == ["a-ball-4-3.mp4", "a-ball-5.mp4"]
    assert [p.name for p in paths(tmp_path, request, force=True)] == ["a-ball-4.mp4", "a-ball-5.mp4"]


def test_a_named_file_is_that_file(tmp_path):
    target = tmp_path / "x.webm"
    assert list(paths(target, Request(prompt="a"))) == [target]
    assert [p.name for p in paths(target, Request(prompt="a", takes=2))] == ["x-1.webm", "x-2.webm"]


def test_what_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch):
    check_writable(tmp_path)
    check_writable(tmp_path / "x.mp4")
    monkeypatch.chdir(tmp_path)
    check_writable(None)
    assert not list(tmp_path.iterdir())
    for output, message in [
        ("x.avi", "name it"),
        ("none/x.mp4", "mkdir -p none"),
        ("none", "a folder that exists"),
    ]:
        with pytest.raises(ValueError, match=message):
            check_writable(output)
    if Path("/proc/self").is_dir():
        with pytest.raises(OSError, match="/proc"):
            check_writable("/proc")
