"""Pictures of a subject and clips to edit: from a request to clean tokens beside the clip, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from happyhorse.generate.condition import condition
from happyhorse.generate.denoiser import Beside
from happyhorse.generate.load import load
from happyhorse.generate.material import gather
from happyhorse.generate.pipeline import make
from happyhorse.generate.provenance import COMPOSITE, MACHINE_MADE, manifest
from happyhorse.values import PONY, Clip, Request

NOISE = np.random.default_rng(0)
PICTURE = NOISE.integers(0, 255, (64, 96, 3), np.uint8)
LOUD = NOISE.uniform(-0.5, 0.5, 16_000).astype(np.float32)
CLIP = Clip(video=NOISE.integers(0, 255, (15, 64, 96, 3), np.uint8), audio=LOUD[: 15 * 640])
BOTH = {"learnt": ["references", "edit"]}


@pytest.fixture(scope="module")
def model(tiny_model):
    found = load(tiny_model)
    return replace(found, facts=dict(found.facts) | BOTH)


def told(model, **asked):
    request = model.request("a red ball", seed=1, **asked)
    return condition(request, model, gather(request, PONY, 5))


def made(model, **asked):
    making = make(model.request("a red ball", seed=1, **asked), model)
    return np.concatenate(list(making.frames)), making


def test_nothing_is_beside_a_clip_that_asks_for_nothing(model):
    assert told(model).known is None and told(model, first_frame=PICTURE).known.beside is None


def test_references_are_coded_as_first_frames_are(model):
    first = told(model, first_frame=PICTURE).known.video[:, :, 0]
    known = told(model, references=[PICTURE, 255 - PICTURE], seconds=0.6).known
    beside = known.beside
    assert beside.references.shape == (1, 2, 48, 4, 6) and beside.video is None
    assert torch.equal(beside.references[:, 0], first) and not torch.equal(beside.references[:, 1], first)
    assert not known.frames.any() and not known.steps.any(), "nothing of the clip itself is given"


def test_a_clip_to_edit_is_coded_whole_and_nothing_of_the_result_is_known(model):
    known = told(model, edit=CLIP).known
    assert known.beside.video.shape == (1, 48, 5, 4, 6) and known.beside.audio.shape == (1, 17, 64)
    assert not known.frames.any() and not known.steps.any()
    whole = told(model, retake=CLIP, span=(0.2, 0.4)).known
    assert torch.allclose(known.beside.video[:, :, 0], whole.video[:, :, 0], atol=1e-5)


def test_the_network_is_shown_more_tokens_and_answers_for_its_own(model):
    draw = torch.Generator().manual_seed(0)
    video, audio = torch.randn(1, 48, 3, 4, 6, generator=draw), torch.randn(1, 9, 64, generator=draw)
    words = (torch.ones(1, 2, 24, dtype=torch.int32), torch.tensor([[-2.0, -1.0]]))
    given = torch.zeros(1, 3).bool(), torch.zeros(1, 9).bool()
    seen = []
    hook = model.denoiser.horse.register_forward_pre_hook(
        lambda module, args, named: seen.append((args, named)), with_kwargs=True
    )
    pictures = torch.randn(1, 2, 48, 4, 6, generator=draw)
    beside = Beside(
        pictures, torch.randn(1, 48, 3, 4, 6, generator=draw), torch.randn(1, 9, 64, generator=draw)
    )
    plain = model.denoiser(video, audio, *words, *given)
    again = model.denoiser(video, audio, *words, *given, Beside())
    other = model.denoiser(video, audio, *words, *given, beside)
    swapped = model.denoiser(video, audio, *words, *given, replace(beside, references=pictures.flip(1)))
    hook.remove()
    assert all(torch.equal(a, b) for a, b in zip(plain, again, strict=True))
    assert other[0].shape == video.shape and other[1].shape == audio.shape
    assert not torch.equal(other[0], plain[0]) and not torch.equal(other[0], swapped[0])
    (args, named), frame = seen[2], 6
    assert args[0].shape[1] == (3 + 2 + 3) * frame and args[1].shape[1] == 18
    marks = named["given"][0].split([3 * frame, 5 * frame, 9, 9])
    assert [mark.all().item() for mark in marks] == [False, True, False, True]
    assert [mark.any().item() for mark in marks] == [False, True, False, True]


def test_references_change_the_clip_and_its_order_is_kept(model):
    plain, with_one, with_other = (
        made(model, **asked)[0] for asked in ({}, {"references": PICTURE}, {"references": 255 - PICTURE})
    )
    assert plain.shape == with_one.shape
    assert not np.array_equal(plain, with_one) and not np.array_equal(with_one, with_other)
    both, _ = made(model, references=[PICTURE], first_frame=PICTURE)
    assert both.shape == plain.shape


def test_an_edit_is_made_anew_but_for_what_is_kept(model):
    video, making = made(model, edit=CLIP)
    assert video.shape == CLIP.video.shape and making.audio.shape == CLIP.audio.shape
    assert not np.array_equal(video, CLIP.video) and not np.array_equal(making.audio, CLIP.audio)
    video, making = made(model, edit=CLIP, keep="picture")
    assert np.array_equal(video, CLIP.video) and not np.array_equal(making.audio, CLIP.audio)
    video, making = made(model, edit=CLIP, keep="sound")
    assert np.array_equal(making.audio, CLIP.audio) and not np.array_equal(video, CLIP.video)


def test_a_long_clip_is_edited_window_by_window(model):
    """Each window is shown its own part of the source, whose first frame is coded alone, and all of the pictures."""
    long = Clip(video=NOISE.integers(0, 255, (40, 64, 96, 3), np.uint8), audio=np.zeros(40 * 640, np.float32))
    seen, forward = [], model.denoiser.forward
    model.denoiser.forward = lambda *args, **named: (seen.append(args), forward(*args, **named))[1]
    try:
        video, _ = made(model, edit=long, steps=1)
        seconds, _ = made(model, references=PICTURE, seconds=1.5, steps=1)
    finally:
        del model.denoiser.forward
    assert len(video) == 40 and len(seconds) == 38
    for call in seen:
        window, beside = call[0], call[6]
        if beside.video is not None:
            assert beside.video.shape[2:] == window.shape[2:] and beside.audio.shape[1] == call[1].shape[1]
        else:
            assert beside.pictures == 1
    sources = [call[6].video for call in seen if call[6].video is not None]
    assert len(sources) > 1 and not torch.equal(sources[0][:, :, -1], sources[-1][:, :, -1])


def test_a_paused_sampling_of_several_windows_goes_on_with_what_is_beside(model):
    from happyhorse.generate.denoise import denoise

    request = model.request("a red ball", seed=1, references=PICTURE, seconds=1.2, steps=2)
    material = gather(request, PONY, 5)
    conditions, pauses = condition(request, model, material), []
    whole = denoise(
        request, model, material.part, conditions, watch=lambda pause, guess: pauses.append(pause)
    )
    rest = denoise(request, model, material.part, conditions, resume=pauses[-2])
    assert torch.equal(rest.video, whole.video) and torch.equal(rest.audio, whole.audio)


def test_a_picture_of_another_shape_is_cropped_with_a_note(model, tmp_path):
    Image.new("RGBA", (300, 100), (255, 0, 0, 0)).save(tmp_path / "wide.png")
    notes = told(model, references=[tmp_path / "wide.png", PICTURE]).notes
    assert any("reference 1 is transparent" in note for note in notes)
    assert any("reference 1 (300x100)" in note and "cut off" in note for note in notes)
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"text\.png"):
        told(model, references=[tmp_path / "text.png"])


@pytest.mark.parametrize(
    ("asked", "what"), [({"references": PICTURE}, "references"), ({"edit": CLIP}, "edit")]
)
def test_a_model_refuses_what_it_has_not_learnt(model, asked, what):
    plain = replace(model, facts={key: value for key, value in model.facts.items() if key != "learnt"})
    with pytest.raises(ValueError, match=rf"was not trained with .*\({what}\): leave out {what}"):
        plain.request("a red ball", **asked)
    request = model.request("a red ball", **asked)
    with pytest.raises(ValueError, match="was not trained"):
        make(request, plain)


def test_a_student_says_that_its_base_has_learnt_it(tiny_parts, model):
    student = load(tiny_parts)
    assert student.facts["learnt"] == [] == student.facts["base_learnt"]
    student = replace(student, facts=dict(student.facts) | {"base_learnt": ["edit"]})
    with pytest.raises(ValueError, match="its base was; take that"):
        student.request("make the ball red", edit=CLIP)


def test_an_edit_says_nothing_new(model):
    with pytest.raises(ValueError, match="leave out the words in quotation marks"):
        condition(request := model.request('he says "hello"', edit=CLIP), model, gather(request, PONY, 5))
    with pytest.raises(ValueError, match="as long as its clip; leave out seconds"):
        model.request("make the ball red", edit=CLIP, seconds=2)
    assert model.request("make the ball red", edit=CLIP).seconds == 0.6


def test_where_a_clip_came_from_is_signed():
    edited = manifest(Request(prompt="make it red", edit="a.mp4", keep="sound"), "b.mp4")  # type: ignore[arg-type]
    action, facts = (assertion["data"] for assertion in edited["assertions"])
    assert action["actions"][0]["digitalSourceType"] == COMPOSITE
    assert facts["edit"] is True and facts["keep"] == "sound" and facts["references"] is False
    about = manifest(Request(prompt="a ball", references=("a.png",)), "b.mp4")  # type: ignore[arg-type]
    action, facts = (assertion["data"] for assertion in about["assertions"])
    assert action["actions"][0]["digitalSourceType"] == MACHINE_MADE
    assert facts["references"] is True and "a.png" not in str(about)
