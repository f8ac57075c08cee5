"""A whole tiny model with random weights, on disk: the real modules and the real code path, in milliseconds."""

from pathlib import Path

import pytest

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
        features = half.linear.basis.shape[
            1
        ]  # an orthonormal basis: encoding and decoding are inverse on its span
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
def published_15b(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny 15B in the published formats; see `published`. Copy it before changing it."""
    for package in ("transformers", "diffusers", "zstandard"):
        pytest.importorskip(package, reason="needs the extra [15b]")
    from published import write

    return write(tmp_path_factory.mktemp("published") / "happyhorse-15b")
