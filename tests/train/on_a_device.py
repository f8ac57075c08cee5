"""Every kind of training on a device that is not the CPU (see `elsewhere`); `test_device.py` runs this file.

What is trained there must be what is trained on the CPU: the same log, the same weights, the same pictures by name.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import elsewhere
from happyhorse import checkpoint, precision
from happyhorse.data.shards import Shards
from happyhorse.eval import train_judge
from happyhorse.eval.spoken import LANGUAGES, Lines
from happyhorse.eval.train_recogniser import QUIET, RecogniserObjective, RecogniserRecipe
from happyhorse.train import ladder, optim, parallel, resample
from happyhorse.train.flow import FlowConfig
from happyhorse.train.loop import read_log, train
from happyhorse.train.rungs import GuidedConfig, MatchingConfig, TrajectoryConfig
from happyhorse.train.windows import Sets
from happyhorse.world.scene import available

CPU, AWAY = torch.device("cpu"), elsewhere.begin()
EVERY = ("flow", "video", "audio", "guided", "trajectory", "matching", "decoder", "upscale", "recogniser")
Use = Callable[[torch.device], None]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Iterator[Use]:
    """Says where training computes; afterwards every precision must have been that of this device."""
    chosen, asked = [CPU], set()

    def fast(device: str) -> bool:
        asked.add((chosen[-1].type, device))
        return False

    for module in (parallel, train_judge):
        monkeypatch.setattr(module, "device", lambda asked="auto": chosen[-1])
    for module in (precision, optim):
        monkeypatch.setattr(module, "has_bfloat16", fast)
    yield chosen.append
    assert all(expected == device for expected, device in asked), asked


def compare(one: Path, two: Path) -> None:
    """The logs, the released weights and the previews of two runs are the same."""
    logs = [read_log(folder / "log.jsonl") for folder in (one, two)]
    assert [line["step"] for line in logs[0]] == [line["step"] for line in logs[1]] == [1, 2, 3, 4]
    for a, b in zip(*logs, strict=True):
        assert a.keys() == b.keys()
        for name in a.keys() - {"seconds", "clips_per_second"}:
            assert a[name] == pytest.approx(b[name], rel=2e-3, abs=1e-4, nan_ok=True), (a["step"], name)
    (file,) = [path.name for path in one.glob("*.safetensors")]
    first, second = (checkpoint.load(folder / file).weights for folder in (one, two))
    for key, tensor in first.items():
        assert torch.allclose(tensor, second[key], rtol=0.02, atol=2e-3), key
    shown = [sorted(path.name for path in folder.glob("preview/*")) for folder in (one, two)]
    assert shown[0] == shown[1] and shown[0]


def spoken() -> Lines:
    """Eight lines of two sounds, each a band of the spectrum."""
    mels, facts = [], []
    for index in range(8):
        mel = torch.full((20, 80), QUIET)
        mel[:10, 5:20], mel[10:, 40:60] = -2.0, -2.0
        mels.append(mel.half())
        phones = [["a", 0, 1600], ["b", 1600, 3200]]
        facts.append({"language": LANGUAGES[index % 2], "text": "ab", "phones": phones})
    return Lines(tuple(mels), tuple(facts))


@pytest.mark.parametrize("name", EVERY)
def test_training_is_that_of_the_cpu(name, makers, four_steps, in_two_sittings, tmp_path, use):
    recipe = RecogniserRecipe(width=16, blocks=2, loop=four_steps)
    make = makers.get(name, lambda: RecogniserObjective(recipe, spoken(), spoken()))
    train(make(), four_steps, tmp_path / "one", {})
    use(AWAY)
    objective = in_two_sittings(make, four_steps, tmp_path / "two")
    assert {t.device for t in objective.module.state_dict().values()} == {AWAY}
    compare(tmp_path / "one", tmp_path / "two")


def test_a_ladder_is_climbed(teacher, tmp_path, use, monkeypatch, four_steps):
    recipe = ladder.DistillRecipe(
        rank=2, steps=2, teacher_steps=4, prompts=8, guided=GuidedConfig(four_steps),
        trajectory=TrajectoryConfig(four_steps, 8), matching=MatchingConfig(four_steps, 1, 1),
    )  # fmt: skip
    data, found = Shards(teacher / "data"), []
    for name, device in (("one", CPU), ("two", AWAY)):
        monkeypatch.setenv("HAPPYHORSE_CACHE", str(tmp_path / name / "cache"))
        use(device)
        base, folder = teacher / "denoiser.safetensors", tmp_path / name
        path = ladder.climb(recipe, FlowConfig(drop_speech=0), base, Sets(data), data, None, folder, {})
        found.append(checkpoint.load(path).facts["ladder"])
    for name, figures in found[0].items():
        assert figures == pytest.approx(found[1][name], rel=0.05, nan_ok=True), name


def test_clips_are_made_anew(teacher, tiny_model, tmp_path, use, monkeypatch):
    made, small = [], Shards(teacher / "data")
    for name, device in (("one", CPU), ("two", AWAY)):
        monkeypatch.setenv("HAPPYHORSE_CACHE", str(tmp_path / name))
        use(device)
        base, codec = teacher / "denoiser.safetensors", tiny_model / "codec.safetensors"
        made.append(resample.make(base, codec, small, True, device=device))
    assert all(torch.allclose(made[0][i][0], made[1][i][0], atol=0.05) for i in range(len(small)))


def test_a_judge_is_trained(use):
    judges, families = [], [name for name in ("balls", "horse") if name in available()]
    for device in (CPU, AWAY):
        use(device)
        judges.append(train_judge.train(0, 8, 4, 4, 1, families))
    for part in ("eye", "hue", "ear", "stride"):
        one, two = (getattr(judge, part).state_dict() for judge in judges)
        assert all(torch.allclose(one[key], two[key], atol=1e-3) for key in one), part
