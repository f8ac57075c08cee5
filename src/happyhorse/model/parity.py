"""One forward pass from published weights and latents: the door through which the network is checked.

It runs the very modules generation uses, so a checked number here is a checked number there.
"""

from collections.abc import Collection, Mapping
from operator import index
from typing import Any, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from happyhorse.checkpoint import load_into
from happyhorse.config import build
from happyhorse.model.attention import LOCAL_RADIUS, Window
from happyhorse.model.horse import Horse
from happyhorse.model.presets import DTypeName, HorseConfig
from happyhorse.model.tokens import CoordStyle, Grid, coordinates, patchify, unpatchify


@torch.no_grad()
def velocities(
    config: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    video_latent: Float[Tensor, "1 z T Hl Wl"],
    audio_latent: Float[Tensor, "1 F Ca"],
    text: Float[Tensor, "1 N Ct"],
    text_length: int,
    coords: CoordStyle,
    window: int | None = None,
    dtype: DTypeName = "bf16",
) -> tuple[Float[Tensor, "1 z T Hl Wl"], Float[Tensor, "1 F Ca"]]:
    """Velocities of a video and an audio latent under the network that `config` and `weights` describe.

    `config` holds fields of `HorseConfig`, the rest keep the published values; `weights` has the published keys
    (15B spec section 2.9), any floating dtype, and is copied to where `video_latent` is. The first `text_length`
    rows of `text` are read. `coords` is "v2" for base and distilled, "v1" for super-resolution weights. `window` is
    the reach in latent frames of the layers in `local_attn_layers`, 11 if None. `dtype` "bf16" is the discipline of
    the published model (15B spec section 2.1), "fp32" computes everything in fp32. Velocities are fp32.

    Raises `ValueError` naming the culprit for an unknown field, a missing, extra or misshapen weight, or inputs
    that do not fit the network.
    """
    if dtype not in get_args(DTypeName):
        raise ValueError(f'dtype {dtype!r} is unknown; use "bf16" or "fp32"')
    if coords not in ("v1", "v2"):
        raise ValueError(f'coords {coords!r} is unknown; use "v1" or "v2"')
    if window is not None and window < 0:
        raise ValueError(f"a window of {window} latent frames is impossible; give 0 or more, or None for 11")
    for name, tensor, axes in (
        ("video_latent", video_latent, 5),
        ("audio_latent", audio_latent, 3),
        ("text", text, 3),
    ):
        if tensor.ndim != axes or tensor.shape[0] != 1:
            raise ValueError(
                f"{name} is {list(tensor.shape)}; give {axes} axes, of which the first is 1: one clip"
            )
    horse = with_weights(build(HorseConfig, _plain(config) | {"param_dtype": dtype}), weights)
    horse = horse.to(video_latent.device)
    audio_latent, text = audio_latent.to(video_latent.device), text.to(video_latent.device)
    text_length = index(text_length)  # a number of numpy or torch will do
    if not 0 <= text_length <= text.shape[1]:
        raise ValueError(
            f"text_length {text_length} lies outside the {text.shape[1]} rows of text; shorten it"
        )

    patch = horse.config.patch
    grid = Grid.of(*video_latent.shape[2:], patch=patch)
    tokens = patchify(video_latent, patch), audio_latent, text[:, :text_length]
    for name, given, wanted in zip(
        ("video_latent", "audio_latent", "text"),
        (t.shape[-1] for t in tokens),
        (horse.config.video_in_channels, horse.config.audio_in_channels, horse.config.text_in_channels),
        strict=True,
    ):
        if given != wanted:
            raise ValueError(f"{name} gives tokens of {given} features but the network reads {wanted}")
    places = coordinates(grid, audio_latent.shape[1], text_length, coords, device=video_latent.device)
    reach = Window(grid.frame_tokens, LOCAL_RADIUS if window is None else window)
    video, audio = horse(*tokens, places, window=reach)
    return unpatchify(video, grid, patch), audio


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """`config` with its lists of layers as lists, whatever collection they were, None being an empty one."""

    def plain(value: Any) -> Any:
        return (
            list(map(int, value)) if isinstance(value, Collection) and not isinstance(value, str) else value
        )

    empty = {name: [] for name, value in config.items() if name.endswith("_layers") and value is None}
    return {name: plain(value) for name, value in config.items()} | empty


def with_weights(config: HorseConfig, weights: Mapping[str, Tensor]) -> Horse:
    """The network of `config` holding a copy of `weights`, matrices rounded to `config.param_dtype`.

    Raises `ValueError` naming missing, extra and misshapen keys.
    """
    with torch.device("meta"):
        horse = Horse(config)
    load_into(horse, weights)
    return horse
