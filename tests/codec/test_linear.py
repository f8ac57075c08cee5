"""The linear codec is principal components: checked against data whose components are known."""

import pytest
import torch

from happyhorse.codec.linear import LinearCodec


def gaussian(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors [n, 6] with independent axes of known deviations, turned by a random rotation."""
    generator = torch.Generator().manual_seed(seed)
    turn = torch.linalg.qr(torch.randn(6, 6, generator=generator)).Q
    deviations = torch.tensor([8.0, 4.0, 2.0, 1.0, 0.1, 0.1])
    return torch.randn(n, 6, generator=generator) * deviations @ turn.T + 3, turn


def test_fit_finds_the_axes_and_the_share_of_variance():
    data, turn = gaussian(200_000)
    codec = LinearCodec(6, 2)
    kept = codec.fit(data.split(50_000))
    assert kept == pytest.approx((64 + 16) / (64 + 16 + 4 + 1 + 0.02), abs=2e-3)
    assert (codec.basis @ turn[:, :2]).abs().diagonal() == pytest.approx(torch.ones(2), abs=1e-3)


def test_gains_are_square_roots_of_deviations_and_the_latent_has_mean_square_one():
    data, _ = gaussian(200_000)
    codec = LinearCodec(6, 4)
    codec.fit([data])
    latents = codec.encode(data)
    assert float(latents.square().mean()) == pytest.approx(1.0, abs=0.01)
    assert float(latents[:, 0].std() / latents[:, 1].std()) == pytest.approx(2**0.5, rel=0.01)


def test_decoding_all_components_is_exact():
    data, _ = gaussian(1000)
    codec = LinearCodec(6, 6)
    assert codec.fit([data]) == pytest.approx(1.0)
    assert torch.allclose(codec.decode(codec.encode(data)), data, atol=1e-4)


def test_one_patch_is_not_enough():
    with pytest.raises(ValueError, match="more clips"):
        LinearCodec(6, 2).fit([torch.zeros(1, 6)])
