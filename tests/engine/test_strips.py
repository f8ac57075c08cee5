"""Decoding in strips gives the picture that decoding whole gives."""

import pytest
import torch

from happyhorse.codec.turbo import TurboConfig, TurboDecoder
from happyhorse.engine.strips import HALO, cuts, in_strips, widest

# narrow, but as deep as the published one: it reaches as far
TINY = TurboConfig(decoder_block_out_channels=(2, 2, 2, 4))


def decoder():
    turbo = TurboDecoder(TINY)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in turbo.parameters():
            scale = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.1
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    return turbo.requires_grad_(False)


def test_few_frames_at_once_where_memory_is_short():
    latents = torch.zeros(1, 48, 5, 2, 6)
    assert [piece.shape[2] for piece in decoder().stream(latents)] == [17]
    assert [piece.shape[2] for piece in in_strips(decoder(), 2).stream(latents)] == [8, 8, 1]


@pytest.mark.parametrize(("rows", "columns"), [(2, 40), (40, 2)])
def test_strips_join_exactly(rows, columns):
    latents = torch.randn(1, 48, 2, rows, columns, generator=torch.Generator().manual_seed(1))
    (whole,) = decoder().stream(latents)
    (joined,) = in_strips(decoder(), 2).stream(latents)
    assert joined.shape == whole.shape == (1, 3, 5, 16 * rows, 16 * columns)
    torch.testing.assert_close(joined, whole, rtol=0, atol=1e-5 * float(whole.abs().max()))


def test_a_smaller_halo_would_show(monkeypatch):
    """The test above can fail: with half the halo the strips differ."""
    monkeypatch.setattr("happyhorse.engine.strips.HALO", HALO // 4)
    latents = torch.randn(1, 48, 1, 2, 40, generator=torch.Generator().manual_seed(1))
    (whole,) = decoder().stream(latents)
    (joined,) = in_strips(decoder(), 2).stream(latents)
    assert float((joined - whole).abs().max()) > 1e-4 * float(whole.abs().max())


def test_cuts_cover_everything_once():
    for size, strips in [(120, 4), (5, 8), (33, 2)]:
        parts = cuts(size, strips)
        assert [column for start, stop, *_ in parts for column in range(start, stop)] == list(range(size))
        assert all(0 <= low <= start < stop <= high <= size for start, stop, low, high in parts)
    assert widest(120, 1) == 120 and widest(120, 4) == 30 + 2 * HALO
