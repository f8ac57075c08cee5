"""What one clip of the 15B asks of a machine, in the sizes of its networks: everything a plan needs to know."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from happyhorse import sizes
from happyhorse.codec.t5gemma import LONGEST
from happyhorse.generate.installed import PARTS, UPSCALERS, missing_files
from happyhorse.model.presets import HorseConfig
from happyhorse.model.tokens import Grid
from happyhorse.model.weights import read_config
from happyhorse.values import HAPPYHORSE_15B, Format, Request

# The encoder half of T5Gemma-9B-9B (15B spec section 6.1), in the names of its config.json.
_T5GEMMA = {
    "hidden_size": 3584,
    "num_hidden_layers": 42,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 256,
    "intermediate_size": 14336,
    "vocab_size": 256_000,
}


@dataclass(frozen=True)
class Job:
    """One clip: networks, grids of tokens, passes of the network.

    `base` and `fine` (None without super-resolution) are the networks, `grid` and `fine_grid` what they work on, with
    `audio_steps` and `words` beside it; `passes` and `fine_passes` how often they run. `frames` of `width` x `height`
    px are decoded. `encoder` has the sizes of the text encoder, which reads `prompts`; `picture` and `sound` say
    whether such a thing is given and has to be encoded, `small_decoder` which of the two decodes.
    """

    base: HorseConfig
    grid: Grid
    passes: int
    fine: HorseConfig | None
    fine_grid: Grid | None
    fine_passes: int
    audio_steps: int
    words: int
    prompts: int
    frames: int
    width: int
    height: int
    encoder: Mapping[str, Any]
    picture: bool = False
    sound: bool = False
    small_decoder: bool = True

    @property
    def text_numbers(self) -> int:
        """Parameters of the text encoder."""
        return _encoder_layers(self.encoder) + self.encoder["vocab_size"] * self.encoder["hidden_size"]

    @property
    def text_flops(self) -> float:
        """Operations to read all prompts."""
        return 2.0 * _encoder_layers(self.encoder) * self.words * self.prompts


def job(request: Request, folder: Path, variant: str, format: Format = HAPPYHORSE_15B) -> Job:
    """What `request` takes with the denoiser called `variant`, with the networks in `folder` or, where it lacks them,
    the published ones.

    Raises `ValueError` for a size or a length that cannot be made, and for damaged configurations.
    """
    base = format.base(request.width, request.height)
    shape = format.shape(request.seconds, *base, driven=request.audio is not None)
    size = sizes.find(request.width, request.height)
    assert size is not None  # `shape` has refused other sizes
    upscaler, (width, height) = UPSCALERS.get(size.name), size.latent
    guided, fine_guided = not request.guidance == request.audio_guidance == 1, request.upscale_guidance != 1
    return Job(
        base=_network(folder, variant),
        grid=Grid.of(*shape.video.latent),
        passes=request.steps * (1 + guided),
        fine=_network(folder, upscaler) if upscaler else None,
        fine_grid=Grid.of(shape.video.latent[0], height // 16, width // 16) if upscaler else None,
        fine_passes=request.upscale_steps * (1 + fine_guided),
        audio_steps=shape.audio.steps,
        words=LONGEST,
        prompts=1 + (guided or fine_guided),
        frames=shape.video.frames,
        width=width,
        height=height,
        encoder=_encoder(folder),
        picture=request.first_frame is not None,
        sound=request.audio is not None,
        small_decoder=not missing_files(folder, "turbo") or bool(missing_files(folder, "video")),
    )


def _network(folder: Path, part: str) -> HorseConfig:
    published = PARTS[part].horse
    assert published is not None, part
    return read_config(folder / PARTS[part].folder, published)


def _encoder(folder: Path) -> Mapping[str, Any]:
    path = folder / PARTS["text"].folder / "config.json"
    if not path.is_file():
        return _T5GEMMA
    try:
        said = json.loads(path.read_text(encoding="utf-8"))["encoder"]
        return {key: int(said[key]) for key in _T5GEMMA}
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path} does not describe the text encoder; pull it again") from None


def _encoder_layers(encoder: Mapping[str, Any]) -> int:
    """Parameters of its layers: queries, keys, values, output, and the three matrices of the gated MLP."""
    attention = 2 * (encoder["num_attention_heads"] + encoder["num_key_value_heads"]) * encoder["head_dim"]
    return (
        encoder["num_hidden_layers"] * encoder["hidden_size"] * (attention + 3 * encoder["intermediate_size"])
    )
