"""A whole tiny model with random weights, on disk: the real modules and the real code path, in milliseconds."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

# A machine that has other things to do is slow, and that is no fault of an example.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

VOCABULARY = ["a", "the", "red", "blue", "ball", "bounces", "on", "wooden", "floor", "horse", "woman", "says"]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a denoiser and a codec whose outputs are noise, but always the same noise."""
    import torch

    from happyhorse import checkpoint, config
    from happyhorse.codec.audio import AudioCodec, AudioCodecConfig
    from happyhorse.codec.text import TextConfig
    from happyhorse.codec.video import VideoCodec, VideoCodecConfig
    from happyhorse.generate.denoiser import Denoiser
    from happyhorse.model.presets import HorseConfig

    folder = tmp_path_factory.mktemp("tiny")
    generator = torch.Generator().manual_seed(0)

    def randomised(module: torch.nn.Module, scale: float) -> torch.nn.Module:
        """Also what starts at zero gets values, so that every path has an effect."""
        with torch.no_grad():
            for tensor in module.state_dict().values():
                if tensor.is_floating_point():
                    tensor.add_(scale * torch.randn(tensor.shape, generator=generator))
        return module

    video = VideoCodec(
        VideoCodecConfig(width=16, encoder_blocks=1, decoder_blocks=1, mid_width=8, fine_width=8)
    )
    audio = AudioCodec(AudioCodecConfig(width=16, vocoder_width=16, vocoder_blocks=1))
    for half in (video, audio):
        randomised(half, 0.02)
        # an orthonormal basis: encoding and decoding are inverse on its span
        features = half.linear.basis.shape[1]
        basis = torch.linalg.qr(torch.randn(features, half.linear.basis.shape[0], generator=generator))[0]
        half.linear.basis.copy_(basis.T)
    weights = {
        f"{name}.{k}": v
        for name, h in (("video", video), ("audio", audio))
        for k, v in h.state_dict().items()
    }
    settings = {"video": config.plain(video.config), "audio": config.plain(audio.config)}
    checkpoint.save(folder / "codec.safetensors", checkpoint.Checkpoint("codec", settings, weights))

    horse = HorseConfig(
        num_layers=2,
        hidden_size=32,
        head_dim=16,
        num_query_groups=1,
        text_in_channels=16,
        mm_layers=(0,),
        gelu7_layers=(0,),
        given_embedding=True,
        param_dtype="fp32",
    )
    denoiser = randomised(Denoiser(horse, TextConfig(buckets=256, width=16), seed=1), 0.05)
    assert isinstance(denoiser, Denoiser)
    with torch.no_grad():
        denoiser.text.bag.weight[0] = 0
    facts = {
        "vocabulary": VOCABULARY,
        "shifts": {"video": 3.0, "audio": 1.5},
        "world": {"width": 96, "height": 64, "seconds": 0.6},
        "defaults": {"steps": 3},
    }
    part = checkpoint.Checkpoint("denoiser", denoiser.plain(), denoiser.state_dict(), facts)
    checkpoint.save(folder / "denoiser.safetensors", part)
    return folder


@pytest.fixture(scope="session")
def learnt_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model, that says it was trained with pictures of a subject and with edits."""
    from dataclasses import replace

    from happyhorse import checkpoint

    folder = tmp_path_factory.mktemp("learnt")
    shutil.copy(tiny_model / "codec.safetensors", folder)
    part = checkpoint.load(tiny_model / "denoiser.safetensors", "denoiser")
    part = replace(part, facts=part.facts | {"learnt": ["references", "edit"]})
    checkpoint.save(folder / "denoiser.safetensors", part)
    return folder


@pytest.fixture(scope="session")
def published_15b(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny 15B in the published formats; see `published`. Copy it before changing it."""
    for package in ("transformers", "diffusers", "zstandard"):
        pytest.importorskip(package, reason="needs the extra [15b]")
    from published import write

    return write(tmp_path_factory.mktemp("published") / "happyhorse-15b")


@pytest.fixture(scope="session")
def weights_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Parts of a tiny 15B as files: real denoisers and decoder, stand-ins of the right kinds for the rest."""
    import torch
    from safetensors.torch import save_file

    from published import DENOISERS, write_denoiser, write_turbo

    folder, generator = tmp_path_factory.mktemp("weights"), torch.Generator().manual_seed(0)
    write_turbo(folder / "turbo_vae", generator)
    for name, sizes in DENOISERS.items():
        write_denoiser(folder / name, sizes, generator, name == "base", name == "540p_sr")
    for part in ("Wan2.2-TI2V-5B-Diffusers/vae", "stable-audio-open-1.0/vae", "t5gemma-9b-9b-ul2"):
        place = folder / part
        place.mkdir(parents=True)
        (place / "config.json").write_text("{}")
        if part.startswith("t5"):
            for name in ("tokenizer.json", "tokenizer_config.json"):
                (place / name).write_text("{}")
            save_file({"a": torch.zeros(9)}, place / "model-00001-of-00001.safetensors")
            index = {"weight_map": {"a": "model-00001-of-00001.safetensors"}}
            (place / "model.safetensors.index.json").write_text(json.dumps(index))
        else:
            save_file({"a": torch.zeros(9)}, place / "diffusion_pytorch_model.safetensors")
    return folder


@pytest.fixture(scope="session")
def tiny_parts(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as training leaves it, with a student of two steps and an upscaler."""
    import torch

    from happyhorse import checkpoint
    from happyhorse.generate.denoiser import load_denoiser
    from happyhorse.generate.upscaler import Upscaler, UpscalerConfig
    from happyhorse.model.lowrank import Adapted, names_of

    run = tmp_path_factory.mktemp("run")
    for folder in ("flow", "student", "upscale"):
        (run / folder).mkdir()
    shutil.copy(tiny_model / "codec.safetensors", run)
    shutil.copy(tiny_model / "denoiser.safetensors", run / "flow")

    def drawn(module: torch.nn.Module, scale: float) -> None:
        with torch.no_grad():
            for parameter in module.parameters():
                draw = torch.Generator().manual_seed(parameter.numel())
                parameter.add_(scale * torch.randn(parameter.shape, generator=draw))

    base = run / "flow" / "denoiser.safetensors"
    model = Adapted(load_denoiser(base)[0], ("student",), 2, torch.Generator().manual_seed(0))
    drawn(model, 0.3)
    defaults = {"steps": 2, "guidance": 1.0, "audio_guidance": 1.0, "sampler": "euler"}
    facts = {"base": checkpoint.sha256(base), "defaults": defaults, "ladder": {"0-guided": {"fjd": 3.0}}}
    adapter = names_of(model.state_dict(), "student")
    part = checkpoint.Checkpoint("denoiser-lora", {"rank": 2}, adapter, facts)
    checkpoint.save(run / "student" / "student.safetensors", part)

    upscaler = Upscaler(UpscalerConfig(width=32, layers=1, head_dim=16, groups=1))
    drawn(upscaler, 0.1)
    around = torch.zeros(48, 48, 9)
    around[:, :, 4] = torch.eye(48)  # each latent as it is, its neighbours not at all
    upscaler.basis.copy_(around.flatten(1))
    facts = {"keep": 0.8, "sampler": {"steps": 2, "shift": 3.0}}
    part = checkpoint.Checkpoint("upscaler", upscaler.plain(), upscaler.state_dict(), facts)
    checkpoint.save(run / "upscale" / "upscaler.safetensors", part)
    return run
