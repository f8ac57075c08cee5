"""What the denoiser is told: words, spoken lines on the clock, what is given as clean latents, and notes."""

import numpy as np
import pytest
import torch
from PIL import Image

from happyhorse.generate import speech
from happyhorse.generate.condition import Known, condition
from happyhorse.generate.load import load
from happyhorse.generate.material import gather
from happyhorse.generate.noise import of_seed
from happyhorse.given import Sound
from happyhorse.values import PONY, Clip
from happyhorse.world import espeak

needs_espeak = pytest.mark.skipif(not espeak.available(), reason="espeakng-loader is not installed")
NOISE = np.random.default_rng(0)
PICTURE = NOISE.integers(0, 255, (64, 96, 3), np.uint8)


@pytest.fixture(scope="module")
def model(tiny_model):
    return load(tiny_model)


def conditions(model, prompt, **asked):
    request = model.request(prompt, seed=1, **asked)
    return condition(request, model, gather(request, PONY, 5))


def test_row_zero_is_the_prompt_and_row_one_is_nothing(model):
    told = conditions(model, "a red ball")
    assert told.words.ids.shape == (2, 3, 24) and told.words.times.tolist()[0] == [-3, -2, -1]
    assert (told.words.ids[0] > 0).any(-1).all() and not told.words.ids[1].any()
    assert told.known is None and told.notes == () and told.spoken == 0


def test_words_never_seen_are_named_once_each(model):
    told = conditions(model, "A red zebra, a ZEBRA and a 'quagga'.")
    (note,) = told.notes
    assert note.endswith("it goes by the rest of the prompt") and note.count("'zebra'") == 1
    assert "quagga" in note and "red" not in note


def test_long_prompts_other_sizes_and_lengths_are_noted(model):
    assert "only the first 96" in conditions(model, "red ball " * 60).notes[0]
    assert "trained at 96x64 pixels" in conditions(model, "red", width=64).notes[0]
    assert "trained on clips of 0.6 s" in conditions(model, "red", seconds=2).notes[0]


@needs_espeak
def test_spoken_words_come_onto_the_clock(model):
    told = conditions(model, 'a woman says "hello"', seconds=2)
    caption = 4  # a woman says <line>
    times = told.words.times[0].tolist()
    assert times[:caption] == [-4, -3, -2, -1]
    spoken = times[caption:]
    assert len(spoken) >= 4 and spoken == sorted(spoken)
    assert speech.LEAD * 6.25 < spoken[0] < spoken[-1] < (2 - speech.TAIL) * 6.25
    assert 0.2 < told.spoken < 1


@needs_espeak
def test_lines_are_said_in_what_is_new(model):
    clip = Clip(video=NOISE.integers(0, 255, (25, 64, 96, 3), np.uint8), audio=np.zeros(16_000, np.float32))
    told = conditions(model, 'a woman says "hello"', extend=clip, seconds=2)
    given = 4 * (int(told.known.frames.sum()) - 1) + 1
    assert told.words.times[0][4] > given / 4
    told = conditions(model, 'a woman says "hello"', retake=clip, span=(0.2, 0.9))
    free = (~told.known.frames).nonzero()
    assert float(free.min()) <= told.words.times[0][4] <= told.words.times[0][-1] <= float(free.max()) + 1
    with pytest.raises(ValueError, match=r"does not fit into 0\.16 s; ask for a span of \d\.\d s"):
        conditions(model, 'a woman says "hello"', retake=clip, span=(0.2, 0.36))


@needs_espeak
def test_a_given_sound_says_what_is_said(model):
    told = conditions(model, 'a woman says "hello"', audio=Sound(np.ones(9600, np.float32) * 0.1, 16_000))
    assert told.words.times[0].tolist() == [-4, -3, -2, -1] and told.spoken == 0
    assert any("are not spoken: the sound is given" in note for note in told.notes)


def test_what_is_given_is_known_and_nothing_else(model):
    sound = Sound(NOISE.standard_normal(9600).astype(np.float32) * 0.1, 16_000)
    told = conditions(model, "a ball", first_frame=PICTURE, key_frames=[(0.3, PICTURE)], audio=sound)
    known = told.known
    # 0.3 s is frame 8
    assert known.frames.tolist() == [True, False, True, False, False] and known.steps.all()
    assert known.video[:, :, known.frames].std() > 0.01 and not known.video[:, :, ~known.frames].any()
    state = {"video": torch.randn_like(known.video), "audio": torch.randn_like(known.audio)}
    back = known.put_back(state)
    assert torch.equal(back["audio"], known.audio) and torch.equal(
        back["video"][:, :, 0], known.video[:, :, 0]
    )
    assert torch.equal(back["video"][:, :, 1], state["video"][:, :, 1])


def test_windows_fill_what_was_not_known(model):
    shape = PONY.holding(25, 96, 64)
    known = Known.nothing(shape, model.device)
    known.video[:, :, 3], known.frames[3] = 7.0, True
    made = {"video": torch.ones(1, 48, 4, 4, 6), "audio": torch.ones(1, 13, 64)}
    filled = known.filled(range(2, 6), made)
    assert (
        filled.frames.tolist() == [True] * 6 + [False] and filled.steps.tolist() == [True] * 21 + [False] * 4
    )
    assert filled.video[0, 0, :, 0, 0].tolist() == [0, 0, 1, 7, 1, 1, 0]
    assert not known.video[:, :, 2].any()  # a new value


def test_a_still_is_coded_as_one_of_many(model):
    """Behind six latent frames of the same picture, so that a codec that looks back sees that nothing moves."""
    told = conditions(model, "a ball", last_frame=PICTURE)
    still = model.encode_video(PICTURE[None].repeat(25, 0))
    assert torch.equal(told.known.video[:, :, -1], still[:, :, -1])
    first = conditions(model, "a ball", first_frame=PICTURE).known.video[:, :, 0]
    assert torch.equal(first, model.encode_video(PICTURE[None])[:, :, 0])


def test_the_end_of_a_clip_goes_before_what_is_new(model):
    clip = Clip(
        video=NOISE.integers(0, 255, (30, 64, 96, 3), np.uint8),
        audio=NOISE.standard_normal(30 * 640).astype(np.float32) * 0.1,
    )
    known = conditions(model, "a ball", extend=clip, seconds=1).known
    assert (
        known.frames.tolist() == [True] * 6 + [False] * 7
        and known.steps.tolist() == [True] * 21 + [False] * 28
    )
    expected = model.encode_video(clip.video[9:])
    assert torch.equal(known.video[:, :, :6], expected)
    # the sound is mirrored at its cut end, not followed by a silence that the clip does not have
    followed = np.concatenate([clip.audio[9 * 640 :], np.zeros(2560, np.float32)])
    silent = model.encode_audio(followed, 25, of_seed(0))
    assert not torch.equal(known.audio[:, 20], silent[:, 20])
    assert torch.allclose(known.audio[:, :15], silent[:, :15], atol=1e-4)


def test_a_long_clip_is_encoded_in_pieces_that_equal_the_whole(model):
    frames = NOISE.integers(0, 255, (157, 64, 64, 3), np.uint8)
    video = Clip(video=frames, audio=np.zeros(157 * 640, np.float32))
    known = conditions(model, "a ball", video=video, seconds=157 / 25, width=64, height=64).known
    assert known.frames.all() and torch.allclose(known.video, model.encode_video(frames), atol=1e-4)


def test_a_file_equals_its_pixels(model, tmp_path):
    pixels = NOISE.integers(0, 255, (80, 120, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    one, two = (conditions(model, "a", first_frame=picture).known for picture in (tmp_path / "x.png", pixels))
    assert torch.equal(one.video, two.video)
