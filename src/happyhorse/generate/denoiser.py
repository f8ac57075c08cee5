"""The small model as a whole: words and noisy latents in, velocities of the latents out.

It joins the text embedder (`codec.text`) and the single-stream network (`model.horse`) and hides tokens from
everything else: training, distillation and sampling speak latents.
"""

from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from happyhorse import checkpoint, config
from happyhorse.codec.text import TextConfig, TextEmbedder
from happyhorse.model.horse import Horse, initialise
from happyhorse.model.layers import Layer
from happyhorse.model.lowrank import merge
from happyhorse.model.presets import HorseConfig
from happyhorse.model.tokens import Grid, coordinates, patchify, unpatchify

PACE = 5.0


class Denoiser(nn.Module):
    """Text embedder and network; `horse.text_in_channels` must equal `text.width`, else ValueError."""

    adam_parameters = ("bag", "embedder", "final_linear", "given", "norm", "horse.near.")

    def __init__(self, horse: HorseConfig, text: TextConfig, seed: int = 0) -> None:
        """Starting weights drawn from `seed`: the untrained network says zero."""
        super().__init__()
        if horse.text_in_channels != text.width:
            raise ValueError(
                f"text vectors of {text.width} do not fit a network that takes {horse.text_in_channels}"
            )
        generator = torch.Generator().manual_seed(seed)
        self.text = TextEmbedder(text)
        with torch.no_grad():
            self.text.bag.weight.normal_(generator=generator)
            self.text.bag.weight[0] = 0
        self.horse = initialise(Horse(horse), generator)

    def forward(
        self,
        video: Float[Tensor, "B C T Y X"],
        audio: Float[Tensor, "B S Ca"],
        ids: Int[Tensor, "B n G"],
        times: Float[Tensor, "B n"],
        given_video: Bool[Tensor, "B T"],
        given_audio: Bool[Tensor, "B S"],
    ) -> tuple[Float[Tensor, "B C T Y X"], Float[Tensor, "B S Ca"]]:
        """Velocities v = noise - clean of both latents, fp32.

        Where the configuration says `around`, the noisy latents themselves go round the network: it adds what is
        missing, which at the highest noise, where a clip is decided, is minus the clean latents. Carried through a
        stream hardly wider than a token they would leave little room for anything else (the case made for predicting
        clean data by Li and He 2025, arXiv 2511.13720).

        `ids` and `times` are what `codec.text.tokenize` gives, padded with zeros; `given_*` say which latent frames
        and audio steps are clean conditions.
        """
        grid = Grid.of(*video.shape[2:])
        coords = coordinates(grid, audio.shape[1], times, "clock")
        given = torch.cat([given_video.repeat_interleave(grid.frame_tokens, 1), given_audio], 1)
        mask = (ids > 0).any(-1)
        out_video, out_audio = self.horse(
            patchify(video),
            audio,
            self.text(ids),
            coords,
            text_mask=None if mask.all() else mask,
            given=given,
            grid=grid,
        )
        said = unpatchify(out_video, grid), out_audio
        return (video + said[0], audio + said[1]) if self.horse.config.around else said

    def pace(self, name: str) -> float:
        """Factor on the learning rate of the parameter `name`: shares of neighbours are few, small and learnt last."""
        return PACE if name.startswith("horse.near.") else 1.0

    def shard_units(self) -> list[nn.Module]:
        """The layers, each a unit of sharded training."""
        return list(self.horse.block.layers)  # type: ignore[arg-type]

    def row_blocks(self, name: str, parameter: Float[Tensor, "out in"]) -> tuple[int, ...]:
        """How the rows of a fused matrix [out, in] of a layer divide: experts, and q, k, v, gate within each."""
        layer = cast(Layer, self.horse.block.layers[int(name.split("layers.")[1].split(".")[0])])
        experts = layer.attention.linear_qkv.experts
        columns = layer.attention.columns if "linear_qkv" in name else (parameter.shape[0] // experts,)
        return tuple(rows for rows in columns if rows) * experts

    def plain(self) -> dict[str, Any]:
        """The configuration as JSON-ready values."""
        return {"horse": config.plain(self.horse.config), "text": config.plain(self.text.config)}


def pad_tokens(
    texts: list[tuple[Int[Tensor, "_ G"], Float[Tensor, " _"]]], features: int, multiple: int = 1
) -> tuple[Int[Tensor, "B n G"], Float[Tensor, "B n"]]:
    """Stack token lists of several prompts, padded with featureless rows to the longest (at least one row).

    Each prompt has `features` G a token and tokens of its own; n is the largest number, rounded up to a `multiple`.
    """
    longest = max(1, *(len(times) for _, times in texts))
    longest = -(-longest // multiple) * multiple
    ids = torch.zeros(len(texts), longest, features, dtype=torch.int32)
    clock = torch.zeros(len(texts), longest)
    for row, (buckets, times) in enumerate(texts):
        ids[row, : len(times)] = buckets
        clock[row, : len(times)] = times
    return ids, clock


def load_denoiser(path: str | Path, student: str | Path | None = None) -> tuple[Denoiser, dict[str, Any]]:
    """The model of a checkpoint of kind "denoiser", in evaluation mode, and the checkpoint's facts.

    With the adapter `student`, of kind "denoiser-lora", it is that of few steps, and the facts are the student's.
    Raises ValueError where the adapter was made from other weights.
    """
    part = checkpoint.load(path, "denoiser")
    if student is not None:
        adapter = checkpoint.load(student, "denoiser-lora")
        if adapter.facts.get("base") != checkpoint.sha256(path):
            raise ValueError(
                f"{student} was made from other weights than {path}; put the weights of its base there"
            )
        weights, facts = merge(part.weights, adapter.weights), part.facts | adapter.facts
        part = checkpoint.Checkpoint("denoiser", part.config, weights, facts)
    model = Denoiser(
        config.build(HorseConfig, part.config["horse"]), config.build(TextConfig, part.config["text"])
    )
    checkpoint.load_into(model, part.weights, str(path))
    return model.eval().requires_grad_(False), part.facts
