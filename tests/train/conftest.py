"""Small shards, made by hand: what training reads, without a world and without a codec."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from happyhorse.codec import load_codec
from happyhorse.codec.audio import AudioCodecConfig
from happyhorse.codec.linear import LinearCodec
from happyhorse.codec.text import TextConfig
from happyhorse.codec.video import VideoCodecConfig
from happyhorse.data.shards import Shards
from happyhorse.generate.denoiser import load_denoiser
from happyhorse.generate.upscaler import UpscalerConfig
from happyhorse.model.lowrank import Adapted
from happyhorse.model.presets import HorseConfig
from happyhorse.train import trajectories
from happyhorse.train.codec import AudioObjective, VideoCropConfig, VideoObjective
from happyhorse.train.decoder import DecoderConfig, DecoderObjective, Known
from happyhorse.train.distill import CRITIC, STUDENT
from happyhorse.train.flow import FlowConfig, FlowObjective
from happyhorse.train.heldout import Heldout
from happyhorse.train.loop import LoopConfig, train
from happyhorse.train.optim import OptimConfig
from happyhorse.train.rungs import (
    Guided,
    GuidedConfig,
    Matching,
    MatchingConfig,
    Setting,
    Trajectory,
    TrajectoryConfig,
    noise_like,
)
from happyhorse.train.upscale import Pairs, UpscaleConfig, UpscaleObjective
from happyhorse.train.windows import Sets

COLOURS = ("red", "blue")
Make = Callable[[str, int], Shards]
STEP = LoopConfig(
    steps=4, batch=4, micro=2, ema=0.5, log_every=1, eval_every=2, preview_every=2, save_every=2,
    optim=OptimConfig(muon_lr=0.01, adam_lr=0.01),
)  # fmt: skip


@pytest.fixture(autouse=True)
def on_the_cpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU of this machine is not for these tests, which know the CPU's results, but for those that are marked."""
    if "gpu" not in request.keywords:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # for processes that a test starts


def record(index: int, family: str) -> dict[str, Any]:
    """A clip that is red or blue, by turns, and says "ba" (first sound at once, second at half a second)."""
    colour = COLOURS[index % 2]
    return {
        "seed": index,
        "family": family,
        "attributes": {"colour": colour},
        "captions": [f'a {colour} ball, "ba"', f'"ba": {colour}'],
        "heldout": [f'look, it is {colour}: "ba"'],
        "phones": [["b", 0.0, 0.1, 0], ["ɑː", 0.5, 0.6, 0]],
        "languages": ["en"],
        "events": [],
    }


def shards(folder: Path, video: Tensor, audio: Tensor) -> Shards:
    """One shard of the tensors, with families by turns of two."""
    folder.mkdir(parents=True)
    rows = [record(i, ("balls", "clock")[i // 2 % 2]) for i in range(len(video))]
    save_file({"video": video, "audio": audio}, folder / "00000.safetensors")
    (folder / "00000.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Shards(folder)


def coloured(folder: Path, clips: int) -> Shards:
    """Shards of latents bf16 [n, 48, 4, 2, 2] and [n, 13, 64] of unit scale, told apart by colour."""
    generator = torch.Generator().manual_seed(len(folder.name))
    pattern = torch.Generator().manual_seed(0)  # the same for every set
    sign = torch.tensor([1.0 - 2 * (i % 2) for i in range(clips)])
    sets = []
    for shape in ((48, 4, 2, 2), (13, 64)):
        mean = torch.randn(shape, generator=pattern)
        noise = torch.randn(clips, *shape, generator=generator)
        sets.append(sign.reshape(-1, *[1] * len(shape)) * mean + 0.1 * noise)
    return shards(folder, sets[0].bfloat16(), sets[1].bfloat16())


@pytest.fixture
def latents(tmp_path: Path) -> Make:
    """Makes sets of `coloured` latents by name and number of clips."""
    return lambda name, clips: coloured(tmp_path / name, clips)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sixteen `coloured` latents in `data`, and a small denoiser that has learnt them a little."""
    folder = tmp_path_factory.mktemp("teacher")
    data = coloured(folder / "data", 16)
    horse = HorseConfig(
        num_layers=2, hidden_size=48, head_dim=16, num_query_groups=1, text_in_channels=16, mm_layers=(0,),
        gelu7_layers=(0,), given_embedding=True, param_dtype="fp32",
    )  # fmt: skip
    loop = LoopConfig(
        steps=60, batch=8, log_every=60, eval_every=100, save_every=100, preview_every=100, ema=0.9, autocast=False,
        optim=OptimConfig(muon_lr=0.02, adam_lr=0.02),
    )  # fmt: skip
    flow = FlowConfig(drop_text=0.2, drop_speech=0)
    train(FlowObjective(horse, TextConfig(64, 8, 16), flow, loop, Sets(data), data, None), loop, folder, {})
    return folder


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Shards of pixels uint8 [n, 9, 48, 48, 3] with a square that moves, and sound int16 [n, 5760] with a click."""

    def make(name: str, clips: int) -> Shards:
        generator = torch.Generator().manual_seed(len(name))
        video = torch.randint(98, 102, (clips, 9, 48, 48, 3), dtype=torch.uint8, generator=generator)
        audio = torch.zeros(clips, 9 * 640)
        for clip in range(clips):
            y, x, click = torch.randint(30, (3,), generator=generator).tolist()
            for frame in range(9):
                video[clip, frame, y : y + 12, x + frame : x + frame + 8, clip % 3] = 250
            decay = torch.exp(-torch.arange(2000) / 300)
            audio[clip, 100 * click : 100 * click + 2000] = decay * torch.sin(
                torch.arange(2000) * (0.2 + 0.1 * (clip % 3))
            )
        return shards(tmp_path_factory.mktemp(name) / "raw", video, (audio * 20_000).short())

    return make


@pytest.fixture
def four_steps() -> LoopConfig:
    """Four steps in which everything happens."""
    return STEP


@pytest.fixture
def in_two_sittings() -> Callable[[Callable[[], Any], LoopConfig, Path], Any]:
    """Trains, breaks off after the third step without saving, and goes on with a new objective, which it returns."""

    def run(make: Callable[[], Any], loop: LoopConfig, folder: Path) -> Any:
        def stop(step: int, values: dict[str, float]) -> None:
            if step == 3:
                raise InterruptedError

        with pytest.raises(InterruptedError):
            train(make(), loop, folder, {}, stop)
        objective = make()
        train(objective, loop, folder, {})
        return objective

    return run


@pytest.fixture
def makers(
    teacher: Path, raw: Make, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Callable[[], Any]]:
    """Functions that make a new objective of each kind, of the smallest size, for the loop `STEP`; on the CPU."""
    monkeypatch.setenv("HAPPYHORSE_CACHE", str(tmp_path / "cache"))
    data, codec = Shards(teacher / "data"), load_codec(str(tiny_model / "codec.safetensors"))

    def flow() -> FlowObjective:
        horse = HorseConfig(
            num_layers=2, hidden_size=32, head_dim=16, num_query_groups=1, text_in_channels=16, mm_layers=(0,),
            gelu7_layers=(0,), given_embedding=True, param_dtype="fp32",
        )  # fmt: skip
        windows = FlowConfig(lengths=(2,), length_shares=(0.5,), length_batches=(2,))
        return FlowObjective(horse, TextConfig(64, 8, 16), windows, STEP, Sets(data), data, codec)

    def fit(codec: LinearCodec, batches: Any) -> float:
        """Any basis: the best one takes seconds."""
        shape = codec.basis.shape[::-1]
        codec.basis.copy_(
            torch.linalg.qr(torch.randn(shape, generator=torch.Generator().manual_seed(0)))[0].T
        )
        return 1.0

    monkeypatch.setattr(LinearCodec, "fit", fit)

    def video() -> VideoObjective:
        sizes = VideoCodecConfig(8, 16, 1, 1, 8, 1, 8, 1)
        return VideoObjective(sizes, VideoCropConfig(5, 32, 2), STEP, raw("train", 6), raw("heldout", 2))

    def audio() -> AudioObjective:
        return AudioObjective(
            AudioCodecConfig(8, 16, 16, 1), 4, 0.05, STEP, raw("train", 6), raw("heldout", 2)
        )

    def adapted() -> tuple[Adapted, Setting]:
        model, _ = load_denoiser(teacher / "denoiser.safetensors")
        module = Adapted(model, (STUDENT, CRITIC), 2, torch.Generator().manual_seed(0))
        flow, weights = FlowConfig(drop_text=0), {"video": 3.0, "audio": 4.0}
        text = model.text.config
        heldout = Heldout(data, text, flow.shifts, weights, 8, 4, STEP.autocast)
        heldout.solve(module, tmp_path / "teacher.safetensors", "it", lambda done, total: None)
        return module, Setting(flow, text, weights, 2, Sets(data), heldout, codec)

    def guided() -> Guided:
        return Guided(*adapted(), GuidedConfig(STEP))

    def trajectory() -> Trajectory:
        module, sets = adapted()
        solver = trajectories.Solver(sets.weights, sets.flow.shifts, 4, 2, STEP.autocast)

        def draw(file: int) -> tuple[Any, Any]:
            told, _, generator = sets.draw(STEP, file, 0, 1)
            return told, noise_like(told.clean, generator)

        config = TrajectoryConfig(STEP, 8)
        return Trajectory(module, sets, config, trajectories.make("it", 8, solver, module, draw))

    def matching() -> Matching:
        module, sets = adapted()
        return Matching(module, sets, MatchingConfig(STEP, 1, 1, renoise=True, consistency=0.5))

    def upscale() -> UpscaleObjective:
        draw, noise = torch.Generator().manual_seed(0), np.random.default_rng(0)
        small = torch.randn(4, 48, 2, 2, 4, generator=draw).repeat_interleave(2, 3).repeat_interleave(2, 4)
        folder = tmp_path / f"pairs{len(list(tmp_path.glob('pairs*')))}"
        pairs = Pairs(
            *(
                shards(folder / name, latents.bfloat16(), torch.zeros(4, 5, 64).bfloat16())
                for name, latents in (("sharp", small + 0.7 * small.abs()), ("enlarged", small))
            )
        )
        pixels = [tuple(noise.integers(0, 256, (2, 5, 64, 128, 3), np.uint8))]
        settings = UpscaleConfig(frames=2, rows=4, columns=4, first=0.5, steps=2)
        network = UpscalerConfig(width=32, layers=1, head_dim=16, groups=1)
        return UpscaleObjective(network, settings, STEP, pairs, None, pairs, pixels, codec)

    def decoder() -> DecoderObjective:
        return DecoderObjective(
            tiny_model / "codec.safetensors", DecoderConfig(2, 2, own=0.5), STEP, known(6), known(2)
        )

    def known(clips: int) -> Known:
        """Clips, their latents, and those with noise on them."""
        pixels, encode = raw(f"known{clips}", clips), codec.video.encode
        video = torch.stack([pixels[i][0] for i in range(clips)]).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
        with torch.no_grad():
            exact = encode(video)
        noise = torch.randn(exact.shape, generator=torch.Generator().manual_seed(1))
        folder = tmp_path / f"known{len(list(tmp_path.glob('known*')))}"
        silent = torch.zeros(clips, 9, 64).bfloat16()
        sets = {"exact": exact, "own": exact + 0.3 * noise}
        return Known(
            pixels,
            *(shards(folder / name, some.bfloat16().contiguous(), silent) for name, some in sets.items()),
        )

    made = (flow, video, audio, guided, trajectory, matching, decoder, upscale)
    return {one.__name__: one for one in made}
