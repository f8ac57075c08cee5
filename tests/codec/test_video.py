"""Geometry, causality and streaming of the video codec, with random weights at every place."""

import pytest
import torch

from happyhorse.codec.video import VideoCodec, VideoCodecConfig, patchify, unpatchify

SMALL = VideoCodecConfig(
    width=16, mid_width=8, fine_width=8, encoder_blocks=1, decoder_blocks=1, mid_blocks=1
)


@pytest.fixture
def codec() -> VideoCodec:
    torch.manual_seed(0)
    codec = VideoCodec(SMALL)
    codec.linear.fit([torch.randn(200, 3072)])
    return codec


def stir(codec: VideoCodec) -> VideoCodec:
    """Give the zero-initialised ends weights, as training would."""
    for parameter in codec.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return codec


def test_patches_round_trip_and_first_frame_stands_alone():
    video = torch.randn(2, 3, 9, 32, 48)
    patches = patchify(video)
    assert patches.shape == (2, 3, 2, 3, 3072)
    back = unpatchify(patches)
    assert torch.equal(back[:, :, 3:], video)
    assert torch.equal(back[:, :, :3], video[:, :, :1].expand(-1, -1, 3, -1, -1))


@torch.no_grad()
def test_untrained_codec_is_the_linear_codec(codec: VideoCodec):
    video = torch.rand(1, 3, 5, 32, 32) * 2 - 1
    latents = codec.encode(video)
    linear = codec.linear.encode(patchify(video)).permute(0, 4, 1, 2, 3)
    assert torch.allclose(latents, linear, atol=1e-6)
    pixels = unpatchify(codec.linear.decode(linear.permute(0, 2, 3, 4, 1)))
    assert torch.allclose(codec.decode(latents), pixels[:, :, 3:])


@torch.no_grad()
@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_streaming_equals_whole(codec: VideoCodec, step: int):
    latents = torch.randn(2, 48, 5, 2, 3)
    stir(codec)
    whole = codec.decode(latents)
    assert whole.shape == (2, 3, 17, 32, 48)
    pieces = list(codec.stream(latents, step))
    assert torch.allclose(torch.cat(pieces, 2), whole, atol=1e-5)


@torch.no_grad()
def test_nothing_looks_ahead(codec: VideoCodec):
    stir(codec)
    video = torch.rand(1, 3, 13, 32, 32) * 2 - 1
    changed = video.clone()
    changed[:, :, 9:] = torch.rand(1, 3, 4, 32, 32)
    before, after = codec.encode(video), codec.encode(changed)
    assert torch.equal(before[:, :, :3], after[:, :, :3])
    assert not torch.equal(before[:, :, 3], after[:, :, 3])
    latents = torch.randn(1, 48, 4, 2, 2)
    other = torch.cat([latents[:, :, :3], torch.randn(1, 48, 1, 2, 2)], 2)
    first, second = codec.decode(latents), codec.decode(other)
    assert torch.allclose(first[:, :, :9], second[:, :, :9], atol=1e-6)
    assert not torch.allclose(first[:, :, 9:], second[:, :, 9:])


@pytest.mark.parametrize("shape", [(1, 3, 4, 32, 32), (1, 3, 5, 30, 32), (1, 3, 5, 32, 40)])
def test_wrong_sizes_are_refused(codec: VideoCodec, shape: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"4k\+1 frames and multiples of 16"):
        codec.encode(torch.zeros(shape))
