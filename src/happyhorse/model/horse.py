"""The denoiser: one stream of video, audio and text tokens in, velocities of video and audio out.

The architecture of the open 15B weights (15B spec section 2), with every number a config field; the small model
of this repository is the same module. There is no timestep input: the network reads the noise level off the
tokens, so a clean token *is* a condition. Parameter names and shapes of the 15B configs equal those of the
published checkpoints (15B spec section 2.9).
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from happyhorse.model.attention import Window
from happyhorse.model.layers import Attention, Layer, ModalNorm, Rope, linear
from happyhorse.model.mixing import Layout, Moving, Near, Scene, Together, Told
from happyhorse.model.presets import HorseConfig
from happyhorse.model.tokens import Grid

_DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


class Horse(nn.Module):
    """The denoiser of `config`. Its matrices are *uninitialised*: load a checkpoint or call `initialise`."""

    def __init__(self, config: HorseConfig) -> None:
        super().__init__()
        self.config = config
        dtype = _DTYPES[config.param_dtype]
        self.adapter = Adapter(config)
        self.block = Block(Layer(config, i, dtype) for i in range(config.num_layers))
        self.near = nn.ModuleDict({str(i): Near(config.hidden_size) for i in config.near_layers})
        self.moving = nn.ModuleDict({str(i): Moving(config.hidden_size) for i in config.moving_layers})
        self.together = nn.ModuleDict({str(i): Together(config.hidden_size) for i in config.together_layers})
        self.told = nn.ModuleDict({str(i): Told(config.hidden_size) for i in config.told_layers})
        self.layout = nn.ModuleDict({str(i): Layout(config.hidden_size) for i in config.layout_layers})
        self.scene = nn.ModuleDict({str(i): Scene(config.hidden_size) for i in config.scene_layers})
        self.final_norm_video = ModalNorm(config.hidden_size)
        self.final_norm_audio = ModalNorm(config.hidden_size)
        self.final_linear_video = linear(config.hidden_size, config.video_in_channels, bias=False)
        self.final_linear_audio = linear(config.hidden_size, config.audio_in_channels, bias=False)

    def forward(
        self,
        video: Float[Tensor, "B Lv Cv"],
        audio: Float[Tensor, "B La Ca"],
        text: Float[Tensor, "B Lt Ct"],
        coords: Float[Tensor, "#B L 9"],
        *,
        text_mask: Bool[Tensor, "B Lt"] | None = None,
        given: Bool[Tensor, "B Lva"] | None = None,
        window: Window | None = None,
        grid: Grid | None = None,
    ) -> tuple[Float[Tensor, "B Lv Cv"], Float[Tensor, "B La Ca"]]:
        """Velocities v = noise - clean of the video and audio tokens, fp32.

        Tokens and `coords` come from `happyhorse.model.tokens`. `text_mask` is true for real text tokens; None
        if no sample is padded, which also serves the 15B, trained without padding. `given` marks the video and
        audio tokens whose values are conditions. `window` is needed by a network with local layers, `grid` by one
        with layers that mix tokens by their places. Raises `ValueError` if one is missing, or if `given` reaches a
        network without that embedding.
        """
        if self.config.mixes and grid is None:
            raise ValueError(
                "this network mixes tokens of one place or time; pass the grid of its video tokens"
            )
        if self.config.local_attn_layers and window is None:
            raise ValueError(
                "this network has local attention layers; pass window=Window(tokens per latent frame)"
            )
        sizes = (video.shape[1], audio.shape[1], text.shape[1])  # Lv, La, Lt
        x = self.adapter(video, audio, text, given)  # [B, L, D]
        rotation = self.adapter.rope(coords)  # two of [B or 1, L, 1, 3 bands]
        mask = None  # or [B, 1, 1, L]
        if text_mask is not None:
            mask = F.pad(text_mask, (sizes[0] + sizes[1], 0), value=True)[:, None, None]
        for index, layer in enumerate(self.block.layers):
            if index in self.config.near_layers:
                x = self.near[str(index)](x, grid)
            if index in self.config.moving_layers:
                x = self.moving[str(index)](x, grid)
            if index in self.config.layout_layers:
                x = self.layout[str(index)](x, grid)
            if index in self.config.scene_layers:
                x = self.scene[str(index)](x, grid)
            if index in self.config.together_layers:
                x = self.together[str(index)](x, grid, sizes)
            if index in self.config.told_layers:
                x = self.told[str(index)](x, sizes, mask)
            x = layer(x, rotation, sizes, mask, window)  # [B, L, D]
        return self.heads(x, sizes)  # [B, Lv, Cv], [B, La, Ca]

    def heads(
        self, x: Float[Tensor, "B L D"], sizes: tuple[int, int, int]
    ) -> tuple[Float[Tensor, "B Lv Cv"], Float[Tensor, "B La Ca"]]:
        """Read velocities off the stream, in fp32 even under autocast (15B spec section 2.8)."""
        video, audio, _ = x.split(sizes, 1)
        with _full_precision(x.device):
            return (
                self.final_linear_video(self.final_norm_video(video)),
                self.final_linear_audio(self.final_norm_audio(audio)),
            )


class Block(nn.Module):
    """The layers, under the name they have in the published keys, `block.layers.0...`."""

    layers: nn.ModuleList

    def __init__(self, layers: Iterable[Layer]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)


class Adapter(nn.Module):
    """Tokens of each modality into the stream, and their positions (15B spec sections 2.4 and 2.5)."""

    given: nn.Parameter | None

    def __init__(self, config: HorseConfig) -> None:
        super().__init__()
        self.video_embedder = linear(config.video_in_channels, config.hidden_size)
        self.audio_embedder = linear(config.audio_in_channels, config.hidden_size)
        self.text_embedder = linear(config.text_in_channels, config.hidden_size)
        self.rope = Rope(config.rope_bands)
        shape = (config.hidden_size,)
        self.given = nn.Parameter(torch.zeros(shape, dtype=torch.float32)) if config.given_embedding else None

    def forward(
        self,
        video: Float[Tensor, "B Lv Cv"],
        audio: Float[Tensor, "B La Ca"],
        text: Float[Tensor, "B Lt Ct"],
        given: Bool[Tensor, "B Lva"] | None = None,
    ) -> Float[Tensor, "B L D"]:
        """The stream before the first layer, fp32 even under autocast."""
        with _full_precision(video.device):
            media = torch.cat([self.video_embedder(video.float()), self.audio_embedder(audio.float())], 1)
            words = self.text_embedder(text.float())
        if given is not None:
            if self.given is None:
                raise ValueError("this network has no embedding of given tokens; pass given=None")
            media = media + given.unsqueeze(-1) * self.given  # [B, Lv + La, D]
        return torch.cat([media, words], 1)


def initialise(horse: Horse, generator: torch.Generator) -> Horse:
    """Draw the starting weights of a new network in place, and return it.

    What blocks add to the stream and what the heads say is zero at first, so training starts from the velocity
    zero and grows layers into a stream that is already well scaled. Gates start half open (their rows are zero;
    the published network has no gate bias to open them further), norms at one, other matrices at variance
    1 / inputs.
    """
    silent = (
        "linear_proj.weight",
        "down_proj.weight",
        "final_linear_video.weight",
        "final_linear_audio.weight",
        "show.weight",
        "tell.weight",
    )
    with torch.no_grad():
        horse.adapter.rope.reset()
        for name, parameter in horse.named_parameters():
            if parameter.ndim < 2 or name.endswith(silent) or name.startswith("near."):
                parameter.zero_()
            else:
                parameter.normal_(0.0, parameter.shape[1] ** -0.5, generator=generator)
        for module in horse.modules():
            if isinstance(module, Attention) and module.gated:
                fused = module.linear_qkv
                fused.weight.unflatten(0, (fused.experts, -1))[:, -module.heads :] = 0
    return horse


def _full_precision(device: torch.device) -> AbstractContextManager[object]:
    """No autocast inside; the meta device, on which plans are made, has none to switch off."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()
