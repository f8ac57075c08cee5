"""What the denoiser is told: words, spoken lines on the clock, a first frame, and notes for the person."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from happyhorse.generate import speech
from happyhorse.generate.condition import condition, encode_picture, fit
from happyhorse.generate.load import load
from happyhorse.values import PONY

needs_espeak = pytest.mark.skipif(
    "face" not in __import__("happyhorse.world").world.available(), reason="no espeak-ng"
)


@pytest.fixture(scope="module")
def model(tiny_model):
    return load(tiny_model)


def conditions(model, prompt, **asked):
    request = model.request(prompt, seed=1, **asked)
    return condition(request, model, PONY.shape(request.seconds, request.width, request.height))


def test_row_zero_is_the_prompt_and_row_one_is_nothing(model):
    told = conditions(model, "a red ball")
    assert told.ids.shape == (2, 3, 24) and told.times.tolist()[0] == [-3, -2, -1]
    assert (told.ids[0] > 0).any(-1).all() and not told.ids[1].any()
    assert told.first is None and told.notes == ()


def test_words_never_seen_are_named_once_each(model):
    told = conditions(model, "A red zebra, a ZEBRA and a 'quagga'.")
    (note,) = told.notes
    assert note.endswith("it goes by the rest of the prompt") and note.count("'zebra'") == 1
    assert "quagga" in note and "red" not in note


def test_long_prompts_other_sizes_and_lengths_are_noted(model):
    assert "only the first 96" in conditions(model, "red ball " * 60).notes[0]
    assert "trained at 96x64 pixels" in conditions(model, "red", width=64).notes[0]
    assert "trained on clips of 0.6 s" in conditions(model, "red", seconds=2).notes[0]


def test_an_open_quotation_mark_is_refused(model):
    with pytest.raises(ValueError, match="not closed"):
        conditions(model, 'a woman says "hello')


@needs_espeak
def test_spoken_words_come_onto_the_clock(model):
    told = conditions(model, 'a woman says "hello"', seconds=2)
    caption = 4  # a woman says <line>
    times = told.times[0].tolist()
    assert times[:caption] == [-4, -3, -2, -1]
    spoken = times[caption:]
    assert len(spoken) >= 4 and spoken == sorted(spoken)
    assert speech.LEAD * 6.25 < spoken[0] < spoken[-1] < (2 - speech.TAIL) * 6.25


@needs_espeak
def test_lines_follow_each_other_and_are_hurried_only_as_far_as_needed():
    free = speech.place(["hello", "good morning"], "", 10)
    assert {p.line for p in free} == {0, 1} and [p.line for p in free] == sorted(p.line for p in free)
    gap = next(b.start - a.end for a, b in pairwise(free) if a.line != b.line)
    assert gap == pytest.approx(speech.GAP)
    spoken = free[-1].end - free[0].start - gap
    spare = 10 - speech.LEAD - speech.TAIL - speech.GAP - spoken
    assert free[0].start == pytest.approx(speech.LEAD + speech.EARLY * spare, abs=0.02)
    tight = speech.LEAD + speech.TAIL + speech.GAP + spoken / 1.2
    hurried = speech.place(["hello", "good morning"], "", tight)
    assert hurried[-1].end == pytest.approx(tight - speech.TAIL, abs=1e-6)
    assert hurried[0].start == pytest.approx(speech.LEAD, abs=0.02)
    with pytest.raises(ValueError, match=r"do not fit.*ask for --seconds") as refusal:
        speech.place(["hello", "good morning"], "", spoken / 1.5)
    enough = float(str(refusal.value).partition("--seconds ")[2].split()[0])
    assert speech.place(["hello", "good morning"], "", enough)


@pytest.mark.parametrize(
    ("line", "caption", "language"),
    [
        ("hello", "a man speaks", "en"),
        ("bonjour", "a man says in French", "fr"),
        ("où es-tu", "", "fr"),
        ("grüß dich", "", "de"),
        ("guten Tag", "a German woman says", "de"),
        ("你好", "a woman says", "zh"),
        ("你好", "in Cantonese", "yue"),
        ("你係邊個", "", "yue"),
        ("おはよう", "", "ja"),
        ("東京", "says in Japanese", "ja"),
        ("안녕하세요", "", "ko"),
    ],
)
def test_language(line, caption, language):
    assert speech.language_of(line, caption) == language


def test_a_picture_is_covered_and_cut_evenly():
    picture = np.zeros((100, 300, 3), np.uint8)
    picture[:, 100:200] = (200, 0, 0)  # the middle third stays
    fitted = fit(picture, 64, 64)
    assert fitted.shape == (64, 64, 3)
    assert np.abs(fitted[:, 2:-2].astype(int) - [200, 0, 0]).max() <= 2  # the filter reaches over the edge
    assert fitted[:, [0, -1], 0].min() > 180
    tall = np.zeros((300, 100, 3), np.uint8)
    tall[100:200] = (0, 200, 0)
    assert np.abs(fit(tall, 96, 96)[2:-2].astype(int) - [0, 200, 0]).max() <= 2
    same = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    assert np.array_equal(fit(same, 96, 64), same)


def test_first_frame_from_a_file_equals_that_from_pixels(model, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (80, 120, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    shape = PONY.shape(0.6, 96, 64)
    one = encode_picture(tmp_path / "x.png", model, shape)
    assert one.shape == (1, 48, 1, 4, 6)
    assert torch.equal(one, encode_picture(pixels, model, shape))
