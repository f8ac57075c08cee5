"""The page of a run: what it says is what was logged, it needs nothing else, and no log breaks it."""

import base64
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from happyhorse.cli import app
from happyhorse.train import report
from happyhorse.train.chart import POINTS, Curve, chart, number, thinned, ticks
from happyhorse.train.preview import save_clips
from happyhorse.values import Clip, Request


class Page(HTMLParser):
    """Elements, texts and attributes of a page; every element that is opened is closed."""

    VOID = ("meta", "input", "img", "path", "polyline", "polygon", "circle")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def attributes(self, tag: str, name: str) -> list[str]:
        return [
            value for found, values in self.found if found == tag and (value := values.get(name)) is not None
        ]


def log(folder: Path, lines: list[dict]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def clip(prompt: str) -> Clip:
    video = np.random.default_rng(0).integers(0, 255, (9, 32, 64, 3), np.uint8)
    tone = 0.3 * np.sin(np.arange(9 * 640) / 10).astype(np.float32)
    return Clip(video=video, audio=tone, request=Request(prompt=prompt))


LINES = [
    {
        "step": step,
        "video": 2.0 / step,
        "audio": 1.0,
        "loss": 2.0 / step + 1,
        "video_q1": 1.5,
        "audio_q4": 0.5,
        "grad_norm": float("nan") if step == 20 else 0.1,
        "clips_per_second": 12.5,
        "seconds": 6.0 * step,
    }
    | ({"video_heldout": 0.25, "audio_heldout": 0.5} if step % 20 == 0 else {})
    for step in range(10, 50, 10)
]


def test_a_page_of_a_run_with_clips(tmp_path):
    run = log(tmp_path / "pony" / "flow", LINES)
    asked = 'a <i>red</i> ball & "hello"'
    save_clips(run / "preview", 999_990, {"balls": clip("an older one")})
    save_clips(run / "preview", 1_000_000, {"balls": clip(asked), "drum": clip("a drum")})
    facts = {
        "steps": 40,
        "parameters": 15_123_456,
        "recipe": {"loop": {"batch": 32}, "lengths": [1, 2]},
        "codec": "<c>",
    }
    (run / "run.json").write_text(json.dumps(facts))
    assert report.write(run) == run / "report.html"
    text = (run / "report.html").read_text(encoding="utf-8")
    page = Page(text)

    assert not re.search(r"https?:|@import|url\(", text), "the page must need nothing else"
    sources = page.attributes("video", "src") + page.attributes("img", "src")
    assert all(source.startswith("data:") for source in sources) and not page.attributes("script", "src")
    embedded = [base64.b64decode(source.partition(",")[2]) for source in page.attributes("video", "src")]
    assert embedded == [(run / "preview" / f"1000000-{name}.mp4").read_bytes() for name in ("balls", "drum")]
    sheets = [base64.b64decode(source.partition(",")[2]) for source in page.attributes("img", "src")]
    assert sheets == [(run / "preview" / f"{step}.png").read_bytes() for step in (1_000_000, 999_990)]

    said = set(page.texts)
    assert {asked, "a drum", "pony / flow", "40 of 40", "4.0 min", "15.12 M", "0.25", "1.05"} <= said
    assert {"recipe.loop.batch", "32", "recipe.lengths", "[1, 2]", "<c>"} <= said
    titles = [
        page.texts[i]
        for i in range(len(page.texts))
        if page.texts[i] in ("Loss", "Held-out error", "Gradient norm")
    ]
    assert titles == ["Loss", "Held-out error", "Gradient norm"]
    assert Image.open(run / "preview" / "1000000.png").size == (10 * 64, 2 * (32 + 14))


def test_every_curve_is_drawn_once_with_its_values(tmp_path):
    page = Page(report.write(log(tmp_path, [line | {"odd": 3.0} for line in LINES])).read_text())
    for kind in ("linear", "log"):
        data = [
            json.loads(v["data-curves"] or "") for t, v in page.found if t == "svg" and v["class"] == kind
        ]
        shown = {curve["name"]: curve["points"] for picture in data for curve in picture}
        logged = {name for line in LINES for name in line} - {"step", "seconds"} | {"odd"}
        assert set(shown) == logged and sum(map(len, data)) == len(logged)
        assert [point[1:] for point in shown["video"]] == [
            [10, "0.2"],
            [20, "0.1"],
            [30, "0.06667"],
            [40, "0.05"],
        ]
        assert [point[1] for point in shown["grad_norm"]] == [10, 30, 40], "what is not finite is left out"
        assert [point[1] for point in shown["video_heldout"]] == [20, 40]
        places = [point[0] for point in shown["video"]]
        middle = (places[1] - places[0]) / (places[3] - places[0])
        assert middle == pytest.approx(1 / 3 if kind == "linear" else math.log(2) / math.log(4), abs=0.01)


def test_a_higher_value_is_drawn_higher():
    curve = Curve("x", (1, 2, 3), (0.0, 1.0, 0.5), "c0")
    first, second, third = (
        float(pair.split(",")[1])
        for pair in re.findall(r'<polyline[^>]*points="([^"]*)"', chart("t", [curve]))[0].split()
    )
    assert second < third < first  # SVG counts from the top
    assert (first + second) / 2 == pytest.approx(third, abs=0.11)


def test_a_run_that_has_just_begun_or_broke(tmp_path):
    run = log(tmp_path / "young", LINES[:1])
    Page(report.write(run).read_text())
    with (run / "log.jsonl").open("a") as file:
        file.write('{"step": 20, "loss": 0.')
    page = Page(report.write(run).read_text())
    assert "10" in page.texts and "20" not in page.texts
    with pytest.raises(ValueError, match=r"no training run in .*name the folder of a run"):
        report.write(tmp_path)
    assert not list(tmp_path.glob("*.html"))


def test_time_is_that_of_all_sittings():
    lines = [{"step": i, "seconds": s} for i, s in enumerate([10.0, 20.0, 5.0, 8.0, 2.0])]
    assert report.seconds_spent(lines) == 20 + 8 + 2


def test_the_verb_writes_a_page_for_every_run(tmp_path):
    for name in ("flow", "codec/video"):
        log(tmp_path / "nano" / name, LINES)
    done = CliRunner().invoke(app, ["train", "report", str(tmp_path / "nano"), "--json"])
    paths = [json.loads(line)["path"] for line in done.stdout.splitlines()]
    assert done.exit_code == 0 and paths == [
        str(tmp_path / "nano" / n / "report.html") for n in ("codec/video", "flow")
    ]
    assert all(Path(path).stat().st_size > 5000 for path in paths)
    refused = CliRunner().invoke(app, ["train", "report", str(tmp_path / "none")])
    assert refused.exit_code == 2 and "no training run" in refused.stderr


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=700), st.booleans())
def test_thinning_keeps_ends_extremes_and_order(values, logarithmic):
    steps = [10 * (i + 1) for i in range(len(values))]
    points = thinned(steps, values, logarithmic)
    assert 1 <= len(points) <= POINTS
    assert [p.step for p in points] == sorted(p.step for p in points)
    assert min(p.low for p in points) == min(values) and max(p.high for p in points) == max(values)
    assert all(p.low <= p.value + 1e-6 and p.value <= p.high + 1e-6 for p in points)
    if len(values) <= POINTS and not logarithmic:
        assert [p.value for p in points] == pytest.approx(values)


@given(st.floats(1e-6, 1e6), st.floats(1.001, 1e9), st.booleans())
def test_ticks_are_round_and_inside(low, ratio, logarithmic):
    found = ticks(low, low * ratio, logarithmic)
    assert len(found) <= 12 and found == sorted(set(found))
    assert all(low * 0.999999 <= tick <= low * ratio * 1.000001 for tick in found)
    if ratio > 10:
        assert found, "at least one round number lies in a decade"
    if logarithmic:
        assert all(round(tick / 10 ** math.floor(math.log10(tick) + 1e-9), 6) in (1, 2, 5) for tick in found)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123456, "0.1235"), (30000.0, "30000"), (12.0, "12"), (0.0, "0"), (1e-7, "1e-07"), (-3.5, "-3.5")],
)
def test_numbers_read_well(value, text):
    assert number(value) == text
