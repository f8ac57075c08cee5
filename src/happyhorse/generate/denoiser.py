"""The small model as a whole: words and noisy latents in, velocities of the latents out.

What is to be gone by and is no part of the clip, pictures of a subject or the clip that an edit starts from, stands
beside it (`Beside`): more tokens of the same kinds, always clean, at times of their own.

It joins the text embedder (`codec.text`) and the single-stream network (`model.horse`) and hides tokens from
everything else: training, distillation and sampling speak latents.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, eq=False)
class Beside:
    """Clean latents that stand beside a clip [B, C, T, Y, X] with sound [B, S, Ca]; B may be 1 for several clips.

    references: still pictures of a subject, R of them; video, audio: the clip to edit, of the same shape as what is
    made of it, both or none.
    """

    references: Float[Tensor, "b R C Y X"] | None = None
    video: Float[Tensor, "b C T Y X"] | None = None
    audio: Float[Tensor, "b S Ca"] | None = None

    def __post_init__(self) -> None:
        assert (self.video is None) == (self.audio is None), "a clip to edit has a picture and a sound"

    @property
    def pictures(self) -> int:
        """R: how many reference pictures there are."""
        return 0 if self.references is None else self.references.shape[1]

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Beside":
        parts = (self.references, self.video, self.audio)
        return Beside(*(None if part is None else change(part) for part in parts))

    def to(self, device: torch.device) -> "Beside":
        """The same on another device."""
        return self._each(lambda part: part.to(device))

    def rows(self, chosen: Bool[Tensor, " B"] | Int[Tensor, " b"]) -> "Beside":
        """Of some clips only: a mask over them, or their places, any number of times."""
        return self._each(lambda part: part[chosen])

    def tokens(
        self, rows: int, patch: int
    ) -> tuple[list[Float[Tensor, "B _ Cv"]], list[Float[Tensor, "B _ Ca"]]]:
        """Tokens to stand after those of the video, and after those of the audio, of `rows` clips.

        A video token has `patch` x `patch` latent positions.
        """
        videos = [] if self.references is None else [self.references.transpose(1, 2)]  # a picture is a frame
        videos += [] if self.video is None else [self.video]
        video = [patchify(latents, patch).expand(rows, -1, -1) for latents in videos]
        return video, [] if self.audio is None else [self.audio.expand(rows, -1, -1)]

    @staticmethod
    def stacked(each: Sequence["Beside"]) -> "Beside":
        """Those of several clips as one; all have the same parts."""

        def cat(parts: list[Tensor | None]) -> Tensor | None:
            found = [part for part in parts if part is not None]
            return torch.cat(found) if found else None

        return Beside(
            cat([one.references for one in each]),
            cat([one.video for one in each]),
            cat([one.audio for one in each]),
        )


class Denoiser(nn.Module):
    """Text embedder and network; `horse.text_in_channels` must equal `text.width`, else ValueError."""

    adam_parameters = (
        *("bag", "embedder", "final_linear", "given", "norm"),
        *("horse.near.", "horse.moving.", "horse.together.", "horse.told.", "horse.layout.", "horse.scene."),
    )

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
        beside: Beside | None = None,
    ) -> tuple[Float[Tensor, "B C T Y X"], Float[Tensor, "B S Ca"]]:
        """Velocities v = noise - clean of both latents, fp32.

        `ids` and `times` are what `codec.text.tokenize` gives, padded with zeros; `given_*` say which latent frames
        and audio steps are clean conditions; what stands `beside` the clip, if anything, is all given.
        """
        patch = self.horse.config.patch
        grid, beside = Grid.of(*video.shape[2:], patch=patch), beside or Beside()
        source = beside.video is not None
        coords = coordinates(grid, audio.shape[1], times, "clock", references=beside.pictures, source=source)
        more_video, more_audio = beside.tokens(len(video), patch)
        seen, heard = torch.cat([patchify(video, patch), *more_video], 1), torch.cat([audio, *more_audio], 1)
        given = [given_video.repeat_interleave(grid.frame_tokens, 1), given_audio]
        for place, more in ((1, more_video), (3, more_audio)):
            extra = sum(part.shape[1] for part in more)
            given.insert(place, given_video.new_ones(len(video), extra))
        mask = (ids > 0).any(-1)
        out_video, out_audio = self.horse(
            seen,
            heard,
            self.text(ids),
            coords,
            text_mask=None if mask.all() else mask,
            given=torch.cat(given, 1),
            grid=grid,
        )
        return unpatchify(out_video[:, : grid.tokens], grid, patch), out_audio[:, : audio.shape[1]]

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
        # a student says itself what it learnt
        own = {
            "learnt": [],
            "base_learnt": part.facts.get("learnt", []),
        }
        weights, facts = merge(part.weights, adapter.weights), part.facts | own | adapter.facts
        part = checkpoint.Checkpoint("denoiser", part.config, weights, facts)
    model = Denoiser(
        config.build(HorseConfig, part.config["horse"]), config.build(TextConfig, part.config["text"])
    )
    checkpoint.load_into(model, part.weights, str(path))
    return model.eval().requires_grad_(False), part.facts
