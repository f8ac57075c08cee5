"""The small video decoder of the 15B (Turbo VAE): latents of the Wan2.2 codec to pixels, a window at a time.

107 million parameters, no encoder. Unlike the codec that it replaces it looks one latent frame to either side, so it is
run in windows of seven with one frame of context, as it was trained (15B spec section 6.4). Nothing of an earlier
window is needed but its last latent frame: pieces come as soon as they are decoded and join without a seam.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from happyhorse.checkpoint import check_fit, shapes
from happyhorse.codec.published import extra
from happyhorse.codec.wan import PATCH, denormalise, unpatchify
from happyhorse.config import build

STRIDE_T = 4  # pixel frames per latent frame
EPS, EPS_SHORTCUT = 1e-8, 1e-6
_FIXED = {"decoder_causal": False, "patch_size": PATCH, "patch_size_t": 1, "use_unpatchify": True}


@dataclass(frozen=True)
class TurboConfig:
    """Sizes of the decoder, named and ordered as in the published file: from pixels to latents, the decoder's reverse.

    `decoder_block_out_channels` are widths, `decoder_layers_per_block` residual blocks (the last entry: those in the
    middle), `decoder_spatio_temporal_scaling` says which stages enlarge, `decoder_spatio_only` which of them leave time
    alone. `first_chunk_size` and `step_size` are the latent frames of the first and of the following windows.
    """

    latent_channels: int = 48
    decoder_block_out_channels: tuple[int, ...] = (64, 128, 256, 512)
    decoder_layers_per_block: tuple[int, ...] = (2, 2, 2, 3, 3)
    decoder_spatio_temporal_scaling: tuple[bool, ...] = (False, True, True, True)
    decoder_spatio_only: tuple[bool, ...] = (False, True, False, False)
    first_chunk_size: int = 7
    step_size: int = 7


class Conv(nn.Module):
    """3x3x3 convolution that keeps the size: zeros around the picture, the first and last frame repeated in time."""

    def __init__(self, width: int, out: int, kernel: tuple[int, int, int] = (3, 3, 3)) -> None:
        super().__init__()
        time, *space = kernel
        self.beyond = time // 2
        self.conv = nn.utils.skip_init(
            nn.Conv3d,
            width,
            out,
            kernel,
            padding=(0, *(k // 2 for k in space)),
            device=torch.get_default_device(),
        )

    def forward(self, x: Float[Tensor, "B W t h w"]) -> Float[Tensor, "B O t h w"]:
        """[B, W, t, h, w] -> [B, O, t, h, w]."""
        if self.beyond:
            x = torch.cat([x[:, :, :1], x, x[:, :, -1:]], 2)
        return self.conv(x)


def norm(x: Float[Tensor, "B W t h w"], eps: float = EPS) -> Float[Tensor, "B W t h w"]:
    """Divide by the root mean square over channels, in fp32; no weight."""
    return (x * torch.rsqrt(x.float().square().mean(1, keepdim=True) + eps)).to(x.dtype)


class Residual(nn.Module):
    """x + two convolutions. The first activation is ReLU where the block follows an enlargement, else SiLU."""

    def __init__(self, width: int, out: int, after_enlarging: bool = False) -> None:
        super().__init__()
        self.activation = F.relu if after_enlarging else F.silu
        self.conv1, self.conv2 = Conv(width, out), Conv(out, out)
        self.conv_shortcut = Conv(width, out, (1, 1, 1)) if width != out else None

    def forward(self, x: Float[Tensor, "B W t h w"]) -> Float[Tensor, "B O t h w"]:
        """[B, W, t, h, w] -> [B, O, t, h, w]."""
        hidden = self.conv2(F.silu(norm(self.conv1(self.activation(norm(x))))))
        return hidden + (x if self.conv_shortcut is None else self.conv_shortcut(norm(x, EPS_SHORTCUT)))


class Enlarge(nn.Module):
    """Twice as many rows and columns, and with `time` twice as many frames."""

    def __init__(self, width: int, time: bool) -> None:
        super().__init__()
        self.time_conv = Conv(width, 2 * width, (3, 1, 1)) if time else None
        flat = nn.utils.skip_init(nn.Conv2d, width, width, 3, padding=1, device=torch.get_default_device())
        self.resample = nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest-exact"), flat)

    def forward(self, x: Float[Tensor, "B W t h w"], first: bool) -> Float[Tensor, "B W u 2*h 2*w"]:
        """[B, W, t, h, w] -> [B, W, u, 2 h, 2 w]; u = 2 t, or 2 t - 1 where the clip begins: frame 0 stays alone."""
        if self.time_conv is not None:
            x = rearrange(self.time_conv(x), "b (n c) t h w -> b c (t n) h w", n=2)[:, :, int(first) :]
        frames = self.resample(rearrange(x, "b c t h w -> (b t) c h w"))
        return rearrange(frames, "(b t) c h w -> b c t h w", b=len(x))


class Stage(nn.Module):
    """One resolution: a change of width where it changes, enlargement, residual blocks."""

    def __init__(self, width: int, out: int, blocks: int, enlarge: bool, time: bool) -> None:
        super().__init__()
        self.conv_in = Residual(width, out) if width != out else None
        self.upsamplers = nn.ModuleList([Enlarge(out, time)] if enlarge else [])
        self.resnets = nn.ModuleList(Residual(out, out, enlarge) for _ in range(blocks))

    def forward(self, x: Float[Tensor, "B W t h w"], first: bool) -> Float[Tensor, "B O u Y X"]:
        """[B, W, t, h, w] -> [B, O, u, H, W]."""
        x = x if self.conv_in is None else self.conv_in(x)
        for enlarge in self.upsamplers:
            x = enlarge(x, first)
        for block in self.resnets:
            x = block(x)
        return x


class Middle(nn.Module):
    """The residual blocks at the resolution of the latents, under the name they have in the published keys."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(Residual(width, width) for _ in range(blocks))


class Decoder(nn.Module):
    """One window, latents to pixels."""

    def __init__(self, config: TurboConfig) -> None:
        super().__init__()
        widths = config.decoder_block_out_channels[::-1]
        middle, *blocks = config.decoder_layers_per_block[::-1]
        scaling, flat = config.decoder_spatio_temporal_scaling[::-1], config.decoder_spatio_only[::-1]
        self.conv_in = Conv(config.latent_channels, widths[0])
        self.mid_block = Middle(widths[0], middle)
        self.up_blocks = nn.ModuleList(
            Stage(widths[max(0, i - 1)], widths[i], blocks[i], scaling[i], not flat[i])
            for i in range(len(widths))
        )
        self.conv_out = Conv(widths[-1], 3 * PATCH * PATCH)

    def forward(self, x: Float[Tensor, "B C t Y X"], first: bool) -> Float[Tensor, "B 3 f H W"]:
        """[B, C, t, Y, X] -> [B, 3, f, 16 Y, 16 X]; f = 4 t, or 4 t - 3 in the `first` window of a clip."""
        x = self.conv_in(x)
        for block in self.mid_block.resnets:
            x = block(x)
        for stage in self.up_blocks:
            x = stage(x, first)
        return unpatchify(self.conv_out(F.silu(norm(x))))


class TurboDecoder(nn.Module):
    """Latents [B, 48, T, Y, X] -> video [B, 3, 4(T-1)+1, 16 Y, 16 X], window by window."""

    def __init__(self, config: TurboConfig) -> None:
        """Weights are *uninitialised*: load a checkpoint."""
        super().__init__()
        self.config = config
        self.decoder = Decoder(config)
        self.piece = STRIDE_T * max(config.first_chunk_size, config.step_size)  # a whole window

    @torch.inference_mode()
    def stream(self, latents: Float[Tensor, "B C T Y X"]) -> Iterator[Float[Tensor, "B 3 f H W"]]:
        """Decode in windows, each with a latent frame of context on either side where there is one; float32, at most
        `piece` frames at once.

        The last latent frame is repeated until windows are full; frames beyond 4(T-1)+1 are dropped.
        """
        dtype = next(self.parameters()).dtype
        z = denormalise(latents.to(dtype).float()).to(dtype)
        first, step, left = self.config.first_chunk_size, self.config.step_size, STRIDE_T * z.shape[2] - 3
        count = first + -(-max(0, z.shape[2] - first) // step) * step
        z = torch.cat([z, z[:, :, -1:].expand(-1, -1, count - z.shape[2], -1, -1)], 2)
        for start in (0, *range(first, count, step)):
            stop = start + (step if start else first)
            before, after = int(start > 0), int(stop < count)
            window = self.decoder(z[:, :, start - before : stop + after], first=start == 0)
            window = window[:, :, STRIDE_T * before : window.shape[2] - STRIDE_T * after][:, :, :left]
            left -= window.shape[2]
            yield from (piece.float() for piece in window.split(self.piece, 2))
            del window  # its memory is needed for the next one


def load_turbo(
    folder: str | Path, device: torch.device | str, dtype: torch.dtype = torch.bfloat16
) -> TurboDecoder:
    """The decoder in a published folder: sizes from its .json, weights from its .ckpt, without gradients.

    The checkpoint is a pickle; only tensors and plain values are read from it. Its moving average is what counts, and
    what else training left in it is ignored. Raises ValueError, naming the file, where one is missing, damaged, or not
    this decoder.
    """
    config_path, weights_path = (_only(Path(folder), suffix) for suffix in (".json", ".ckpt"))
    with torch.device("meta"):
        turbo = TurboDecoder(_read_config(config_path))
    with extra("the small video decoder", folder):
        bundle = torch.load(weights_path, map_location="cpu", weights_only=True, mmap=True)
    if not isinstance(bundle, dict) or not isinstance(bundle.get("ema_state_dict"), Mapping):
        raise ValueError(f"{weights_path} holds no ema_state_dict; pull the small video decoder again")
    average = {key.removeprefix("module."): tensor for key, tensor in bundle["ema_state_dict"].items()}
    weights = {key: tensor for key, tensor in average.items() if key.startswith("decoder.")}
    own = shapes(turbo.state_dict())
    check_fit(own, {key: shape for key, shape in shapes(weights).items() if key in own}, str(weights_path))
    turbo.load_state_dict({key: weights[key].to(device, dtype, copy=True) for key in own}, assign=True)
    return turbo.eval().requires_grad_(False)


def _only(folder: Path, suffix: str) -> Path:
    """The last file of its kind by name: checkpoints are numbered."""
    found = sorted(folder.glob(f"*{suffix}"))
    if not found:
        raise ValueError(
            f"the small video decoder is missing: no *{suffix} in {folder}; get it with: happyhorse pull happyhorse-15b"
        )
    return found[-1]


def _read_config(path: Path) -> TurboConfig:
    """The sizes in the published file, which says more; what this decoder cannot do is an error."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        config = build(TurboConfig, {field.name: said[field.name] for field in fields(TurboConfig)})
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} does not describe the small video decoder ({error}); pull it again"
        ) from None
    odd = [key for key, value in _FIXED.items() if said.get(key, value) != value]
    odd += ["decoder_is_dw_conv"] if any(said.get("decoder_is_dw_conv", ())) else []
    if odd:
        raise ValueError(
            f"{path} describes another decoder ({', '.join(odd)}); give the published turbo_vae folder"
        )
    return config
