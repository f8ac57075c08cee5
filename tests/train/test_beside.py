"""Pictures of a subject and clips to edit in training: what the denoiser is shown, and that it learns to use them."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from happyhorse import checkpoint
from happyhorse.codec.text import TextConfig
from happyhorse.data.batches import step_generator
from happyhorse.data.edits import Edits
from happyhorse.data.references import MOST, References
from happyhorse.data.shards import Shards
from happyhorse.model.presets import HorseConfig
from happyhorse.train.beside import stand_beside
from happyhorse.train.conditions import ConditionConfig
from happyhorse.train.flow import FlowConfig, FlowObjective, draw_windows
from happyhorse.train.loop import LoopConfig, train
from happyhorse.train.optim import OptimConfig
from happyhorse.train.windows import BESIDE_STREAM, Sets

HORSE = HorseConfig(
    num_layers=2, hidden_size=64, head_dim=16, num_query_groups=2, text_in_channels=16, mm_layers=(0,),
    gelu7_layers=(0,), given_embedding=True, param_dtype="fp32",
)  # fmt: skip
TEXT = TextConfig(buckets=64, width=16)
LOOP = LoopConfig(
    steps=60, batch=16, log_every=60, eval_every=1000, preview_every=1000, save_every=1000, ema=0.5, autocast=False,
    optim=OptimConfig(muon_lr=0.02, adam_lr=0.01),
)  # fmt: skip
CLIPS = 32


def stored(folder: Path, video: torch.Tensor, audio: torch.Tensor, **said: object) -> Shards:
    """One shard of latents whose records say "look" and what is `said`."""
    folder.mkdir(parents=True)
    row = {"seed": 0, "family": "clock", "captions": ["look"], "heldout": ["see"], "phones": []} | said
    save_file({"video": video.contiguous(), "audio": audio.contiguous()}, folder / "00000.safetensors")
    (folder / "00000.jsonl").write_text("".join(json.dumps(row) + "\n" for _ in video))
    return Shards(folder)


def things() -> torch.Tensor:
    """Pictures [n, 48, 1, 2, 2] of things that differ in two ways; nothing but a picture tells which."""
    generator = torch.Generator().manual_seed(0)
    ways = torch.randn(2, 48, 1, 2, 2, generator=generator)
    return torch.einsum("nk,kctyx->nctyx", torch.randn(CLIPS, 2, generator=generator), ways)


@pytest.fixture
def subjects(tmp_path: Path) -> References:
    """Clips of four frames in which a thing stands still, and its pictures."""
    thing, silence = things(), torch.zeros(CLIPS, 13, 64)
    clips = stored(tmp_path / "clips", thing.repeat(1, 1, 4, 1, 1), silence)
    stills = stored(
        tmp_path / "stills", thing.repeat_interleave(MOST, 0), silence.repeat_interleave(MOST, 0)[:, :1],
        subject={"color": "red"},
    )  # fmt: skip
    return References(clips, stills)


@pytest.fixture
def edits(tmp_path: Path) -> Edits:
    """Things of four frames, of which each is also told apart, and their negatives."""
    thing, silence = things().repeat(1, 1, 4, 1, 1), torch.zeros(2 * CLIPS, 13, 64)
    thing = thing + 0.3 * torch.arange(4)[:, None, None]
    return Edits(stored(tmp_path / "edits", torch.stack([thing, -thing], 1).flatten(0, 1), silence))


def objective(data: References | Edits, **shares: float) -> FlowObjective:
    (name,) = shares
    flow = FlowConfig(drop_text=0, drop_speech=0, conditions=ConditionConfig(0, 0, 0, 0, 0, 0, **shares))
    base = data.shards if isinstance(data, Edits) else data.clips
    return FlowObjective(HORSE, TEXT, flow, LOOP, Sets(base, {name: data}), base, None)


def errors(flow: FlowObjective, data: References | Edits) -> tuple[float, float]:
    """Error of the picture, at all noise, with what stands beside its clip, and with what stands beside another one."""
    found = []
    for turn in (0, 5):
        video, audio, texts, records, _, generator = draw_windows(
            flow.train, flow.flow, TEXT, LOOP, 999, 0, 1
        )
        beside = stand_beside(records[turn:] + records[:turn], 1)
        levels = {name: torch.ones(len(video)) for name in ("video", "audio")}
        given = {"video": torch.zeros(len(video), 4).bool(), "audio": torch.zeros(len(video), 13).bool()}
        sound = torch.ones(len(video)).bool()
        with torch.no_grad():
            error, *_ = flow._error(video, audio, texts, levels, given, generator, sound, beside)
        found.append(float(error["video"]))
    return found[0], found[1]


@pytest.mark.parametrize("name", ["references", "edit"])
def test_what_stands_beside_a_clip_is_used_after_sixty_steps(name, request, tmp_path):
    """A thing is told by its picture alone, a negative by what it is one of; another picture misleads.

    An untrained network says 0, so that its error is the variance of the noise, 1, and that of the data. Whoever says
    what the wrong picture shows is wrong by more; whoever does not look errs alike in both.
    """
    data = request.getfixturevalue({"references": "subjects", "edit": "edits"}[name])
    flow = objective(data, **{name: 1.0})
    before = errors(flow, data)
    train(flow, LOOP, tmp_path / "run", {})
    right, wrong = errors(flow, data)
    assert before[0] == pytest.approx(before[1]), "an untrained network does not look"
    assert right < 0.7 * before[0] and wrong - right > 0.5 * (before[0] - 1)
    facts = checkpoint.load(tmp_path / "run" / "denoiser.safetensors", "denoiser").facts
    assert facts["learnt"] == [name] and "look" in facts["vocabulary"]


def test_pictures_are_as_many_for_all_clips_of_a_step(subjects):
    flow, seen = objective(subjects, references=1.0), set()
    original = flow._error
    flow._error = lambda *args: (seen.add(args[-1].pictures), original(*args))[1]
    for step in range(12):
        flow.loss(step, 0, 4)
    assert seen == {1, 2, 3}


def test_the_window_of_a_source_is_that_of_its_result(edits):
    only = ConditionConfig(edit=1.0)
    flow = FlowConfig(lengths=(2,), length_shares=(1.0,), length_batches=(2,), conditions=only)
    sets, starts = Sets(edits.shards, {"edit": edits}), set()
    for step in range(8):
        video, audio, _, _, beside, _ = draw_windows(sets, flow, TEXT, LOOP, step, 0, 1)
        assert beside.references is None and len(video) == 16, "half of two batches: each clip is seen twice"
        assert torch.equal(beside.video, -video) and beside.audio.shape == audio.shape == (16, 5, 64)
        starts |= {round(float(clip.mean() - video.mean()), 2) for clip in video}
    assert len(starts) > 2


def test_steps_without_a_share_are_those_of_before(subjects, tmp_path):
    """What stands beside clips has draws of its own: other steps see the same clips, levels, noise and conditions."""
    base = stored(tmp_path / "base", 1 + things().repeat(1, 1, 4, 1, 1), torch.zeros(CLIPS, 13, 64))
    mixed = FlowConfig(conditions=ConditionConfig(references=0.4))
    plain = FlowObjective(HORSE, TEXT, FlowConfig(), LOOP, Sets(base), base, None)
    some = FlowObjective(HORSE, TEXT, mixed, LOOP, Sets(base, {"references": subjects}), base, None)
    draws = [mixed.conditions.beside(step_generator(LOOP.seed, step, BESIDE_STREAM))[0] for step in range(8)]
    assert 0 < draws.count("references") < 8
    for step, kind in enumerate(draws):
        losses = [float(flow.loss(step, 0, 8)[0].detach()) for flow in (plain, some)]
        assert (losses[0] == losses[1]) == (kind is None)
