"""The numbers of a denoiser, and the published sets of them.

One network serves every size: `HorseConfig` holds each number as a field, named as in the configuration of the
open 15B weights (15B spec section 1.2), and the presets at the end are the only places where those numbers are
written down.
"""

from dataclasses import dataclass
from typing import Literal

from happyhorse.config import Count

DTypeName = Literal["bf16", "fp32"]

_LAYER_FIELDS = (
    "mm_layers",
    "local_attn_layers",
    "gelu7_layers",
    "post_norm_layers",
    "near_layers",
    "moving_layers",
    "together_layers",
    "told_layers",
    "layout_layers",
    "scene_layers",
)


@dataclass(frozen=True)
class HorseConfig:
    """Every number of the denoiser. The defaults are those of the 15B base and distilled models.

    `patch` is how many latent rows and columns a video token has, so that `video_in_channels` is its square times the
    channels of the codec.

    Fields ending in `_layers` list layer indices, 0 being the first: `mm_layers` hold one set of weights per
    modality, `local_attn_layers` let a video token see only nearby frames, `gelu7_layers` use the ungated
    activation, `post_norm_layers` normalise what a block adds to the stream.

    Seven things the published network does not have: `given_embedding` adds one learned vector to every token
    whose value is a condition and not noise, `near_layers` begin by adding to each video token a learned
    share of its eight neighbours in the picture, `moving_layers` by telling it what its neighbours in picture and
    time say, `together_layers` by telling the picture what sounds at that time and the sound what is seen,
    `told_layers` by telling both what the words say, `layout_layers` by telling each video token what its whole
    frame looks like, coarsely, and `scene_layers` what the mean of all frames looks like. `param_dtype` is the
    precision in which the four families of block matrices are stored and multiplied; everything else is always fp32
    (15B spec section 2.1).

    Raises `ValueError` for numbers that cannot form a network.
    """

    num_layers: Count = 40
    hidden_size: Count = 5120
    head_dim: Count = 128
    num_query_groups: Count = 8
    video_in_channels: Count = 192
    audio_in_channels: Count = 64
    text_in_channels: Count = 3584
    patch: Count = 2
    mm_layers: tuple[int, ...] = (0, 1, 2, 3, 36, 37, 38, 39)
    local_attn_layers: tuple[int, ...] = ()
    gelu7_layers: tuple[int, ...] = (0, 1, 2, 3)
    post_norm_layers: tuple[int, ...] = ()
    enable_attn_gating: bool = True
    given_embedding: bool = False
    near_layers: tuple[int, ...] = ()
    moving_layers: tuple[int, ...] = ()
    together_layers: tuple[int, ...] = ()
    told_layers: tuple[int, ...] = ()
    layout_layers: tuple[int, ...] = ()
    scene_layers: tuple[int, ...] = ()
    param_dtype: DTypeName = "bf16"

    def __post_init__(self) -> None:
        for name in _LAYER_FIELDS:
            layers = tuple(sorted(getattr(self, name)))  # one network, one spelling
            object.__setattr__(self, name, layers)
            if layers and not 0 <= layers[0] <= layers[-1] < self.num_layers:
                raise ValueError(
                    f"{name} = {layers} names a layer outside 0..{self.num_layers - 1}; remove it"
                )
        if self.hidden_size % self.head_dim:
            raise ValueError(
                f"hidden_size {self.hidden_size} must be a multiple of head_dim {self.head_dim}; change one of them"
            )
        if self.num_heads % self.num_query_groups:
            raise ValueError(
                f"{self.num_heads} heads (hidden_size / head_dim) cannot be shared evenly by "
                f"num_query_groups {self.num_query_groups}; choose a divisor of {self.num_heads}"
            )
        if self.head_dim % 8:
            raise ValueError(
                f"head_dim {self.head_dim} must be a multiple of 8: rotary bands are head_dim / 8"
            )
        if self.patch < 1 or self.video_in_channels % self.patch**2:
            raise ValueError(
                f"video_in_channels {self.video_in_channels} are not those of {self.patch} x {self.patch} latent "
                "positions; set it to patch * patch times the channels of the codec"
            )
        if self.param_dtype not in ("bf16", "fp32"):
            raise ValueError(f'param_dtype {self.param_dtype!r} is unknown; use "bf16" or "fp32"')

    @property
    def num_heads(self) -> int:
        """Query heads, H."""
        return self.hidden_size // self.head_dim

    @property
    def rope_bands(self) -> int:
        """Rotary frequencies per axis; three axes rotate 6/8 of the head width."""
        return self.head_dim // 8

    @property
    def mixes(self) -> bool:
        """Whether some layers mix tokens by their places on the clip's grid."""
        by_place = (
            self.near_layers,
            self.moving_layers,
            self.together_layers,
            self.layout_layers,
            self.scene_layers,
        )
        return any(by_place)

    def experts(self, layer: int) -> int:
        """Sets of weights in `layer`: 3 (video, audio, text) or 1 (shared)."""
        return 3 if layer in self.mm_layers else 1

    def mlp_width(self, layer: int) -> int:
        """Inner width of the MLP in `layer`: 4 D, or 8/3 D rounded down to a multiple of 4 where it is gated."""
        if layer in self.gelu7_layers:
            return 4 * self.hidden_size
        return self.hidden_size * 8 // 3 // 4 * 4


HORSE_15B = HorseConfig()
"""Base, distilled and 540p super-resolution weights of the open 15B (15B spec section 1.2)."""

HORSE_15B_1080P = HorseConfig(local_attn_layers=tuple(i for i in range(40) if i not in range(3, 32, 4)))
"""1080p super-resolution weights: eight global layers, thirty-two local ones."""
