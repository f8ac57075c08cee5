"""Where training computes: which device is chosen, and that nothing stays behind on the CPU."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.utils.backend_registration
from torch import nn

from happyhorse import config
from happyhorse.train import parallel
from happyhorse.train.loop import LoopConfig, read_log, train

HERE = Path(__file__).parent
EVERY = ("flow", "video", "audio", "guided", "trajectory", "matching", "decoder", "upscale")


def gpus(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


def test_a_process_has_the_gpu_with_its_number(monkeypatch):
    gpus(monkeypatch, 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert parallel.device() == parallel.device("cuda") == torch.device("cuda", 1)
    assert parallel.device("cpu") == torch.device("cpu")
    monkeypatch.delenv("LOCAL_RANK")
    assert parallel.device() == torch.device("cuda", 0)


def test_without_a_gpu_it_is_the_cpu_unless_one_was_asked_for(monkeypatch):
    gpus(monkeypatch, 0)
    assert parallel.device() == torch.device("cpu")
    with pytest.raises(ValueError, match=r'finds 0 GPUs .* loop\.device = "cpu"'):
        parallel.device("cuda")
    with pytest.raises(ValueError, match="'device' must be one of 'auto', 'cpu', 'cuda', got 'gpu'"):
        config.build(LoopConfig, {"steps": 1, "device": "gpu"})


def test_more_processes_than_gpus_are_refused(monkeypatch):
    gpus(monkeypatch, 2)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ValueError, match="process 3 of this machine finds 2 GPUs"):
        parallel.device()
    assert parallel.device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(("count", "backends"), [(0, "gloo"), (2, "cpu:gloo,cuda:nccl")])
def test_plain_values_need_no_gpu_to_travel(monkeypatch, count, backends):
    gpus(monkeypatch, count)
    monkeypatch.setenv("WORLD_SIZE", "2")
    group = parallel.dist
    joined = []
    monkeypatch.setattr(group, "is_initialized", lambda: False)
    monkeypatch.setattr(group, "init_process_group", joined.append)
    monkeypatch.setattr(group, "get_rank", lambda: 1)
    monkeypatch.setattr(group, "get_world_size", lambda: 2)
    assert parallel.join() == (1, 2) and joined == [backends]


def test_a_module_and_all_in_a_state_are_moved():
    state = {"a": [torch.zeros(2), 3], "b": (torch.ones(1), {"c": "text"})}
    found = parallel.moved(state, "meta")
    assert found["a"][0].is_meta and found["a"][1] == 3
    assert isinstance(found["b"], tuple) and found["b"][0].is_meta and found["b"][1] == {"c": "text"}
    module = nn.Linear(2, 2)
    parallel.place(module, "cpu")
    assert parallel.where(module) == torch.device("cpu") and parallel.where(module.to("meta")).type == "meta"


@pytest.mark.slow
def test_all_training_stays_on_its_device():
    """In a process of its own, because torch keeps a device for good: see `on_a_device.py`."""
    if not hasattr(torch.utils.backend_registration, "_setup_privateuseone_for_python_backend"):
        pytest.skip("this version of torch takes no devices that are written in Python")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / "on_a_device.py")]
    done = subprocess.run(command, cwd=HERE.parent.parent, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]


@pytest.mark.gpu
@pytest.mark.parametrize("name", EVERY)
def test_a_gpu_finds_the_loss_of_the_cpu(name, makers, monkeypatch):
    """The same draws, so the same loss and gradient up to rounding, at the first steps of each kind of training."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    one, two = makers[name](), makers[name]()
    parallel.place(two.module, "cuda")
    for objective in (one, two):
        objective.loop = replace(objective.loop, autocast=False)
    for step in range(3):
        losses, norms = [], []
        for objective in (one, two):
            loss, values = objective.loss(step, 0, 2)
            loss.backward()
            gradients = [p.grad for p in objective.module.parameters() if p.grad is not None]
            losses.append({"loss": float(loss), **values})
            norms.append(float(nn.utils.get_total_norm(gradients)))
            objective.module.zero_grad()
        assert losses[0] == pytest.approx(losses[1], rel=1e-3, abs=1e-5)
        assert norms[0] == pytest.approx(norms[1], rel=1e-2, abs=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("name", EVERY)
def test_a_gpu_trains_judges_shows_saves_and_goes_on(name, makers, four_steps, in_two_sittings, tmp_path):
    objective = in_two_sittings(makers[name], four_steps, tmp_path / "gpu")
    assert parallel.where(objective.module).type == "cuda"
    train(makers[name](), replace(four_steps, device="cpu"), tmp_path / "cpu", {})
    on_gpu, on_cpu = (read_log(tmp_path / folder / "log.jsonl") for folder in ("gpu", "cpu"))
    assert [line["step"] for line in on_gpu] == [1, 2, 3, 4]
    assert on_gpu[0]["loss"] == pytest.approx(on_cpu[0]["loss"], rel=0.05, abs=1e-3)  # bfloat16
    assert list((tmp_path / "gpu" / "preview").iterdir())
