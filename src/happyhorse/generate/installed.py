"""Where the weights of the 15B are: one folder with one subfolder for each part, named as they are published.

    happyhorse-15b/
      distill/  base/  540p_sr/  1080p_sr/      denoisers: model.safetensors.index.json and its shards
      turbo_vae/                                the small video decoder: its .json and its .ckpt
      Wan2.2-TI2V-5B-Diffusers/vae/             the video codec
      stable-audio-open-1.0/vae/                the audio codec
      t5gemma-9b-9b-ul2/                        the text encoder and its tokeniser

So a folder into which daVinci-MagiHuman was downloaded, with the other repositories beside its folders under their own
names, is already a model.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from happyhorse.model.presets import HORSE_15B, HORSE_15B_1080P, HorseConfig

NAME = "happyhorse-15b"


@dataclass(frozen=True)
class Part:
    """One part: its `folder` inside that of the model, what it `does`, and the `files` (patterns) that it needs.

    Of alternatives in `files`, separated by `|`, one is enough. `horse` is the network of a denoiser whose folder does
    not say it.
    """

    folder: str
    does: str
    files: tuple[str, ...]
    horse: HorseConfig | None = None


_SHARDS = ("model.safetensors.index.json|model.safetensors|model.safetensors.zst",)
_DIFFUSERS = ("config.json", "diffusion_pytorch_model*.safetensors")

PARTS: Mapping[str, Part] = MappingProxyType(
    {
        "text": Part(
            "t5gemma-9b-9b-ul2",
            "reads the prompt",
            ("config.json", "model*.safetensors", "tokenizer.json", "tokenizer_config.json"),
        ),
        "video": Part("Wan2.2-TI2V-5B-Diffusers/vae", "encodes pictures, decodes video", _DIFFUSERS),
        "turbo": Part("turbo_vae", "decodes video, faster", ("*.json", "*.ckpt")),
        "audio": Part("stable-audio-open-1.0/vae", "encodes and decodes sound", _DIFFUSERS),
        "distill": Part("distill", "makes 256p clips in 8 steps", _SHARDS, HORSE_15B),
        "base": Part("base", "makes 256p clips in 32 steps, with guidance", _SHARDS, HORSE_15B),
        "sr540": Part("540p_sr", "enlarges clips to 540p", _SHARDS, HORSE_15B),
        "sr1080": Part("1080p_sr", "enlarges clips to 1080p", _SHARDS, HORSE_15B_1080P),
    }
)
"""The parts, by the names that `happyhorse pull --variant` takes for denoisers."""

VARIANTS = ("distill", "base")
"""Denoisers that make a clip from noise; the first that is installed is the one that is used."""

UPSCALERS: Mapping[str, str] = MappingProxyType({"540p": "sr540", "1080p": "sr1080"})
"""The part that enlarges to a resolution of `happyhorse.sizes`."""


def models_folder() -> Path:
    """The folder of installed models: `$HAPPYHORSE_HOME/models`, else `happyhorse/models` in the user's data folder."""
    home = os.environ.get("HAPPYHORSE_HOME")
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return (Path(home) if home else Path(data) / "happyhorse") / "models"


def installed_path(name: str = NAME) -> Path:
    """Where the model called `name` is, or will be when it is installed."""
    return models_folder() / name


def public_name(model: str) -> str:
    """`model`, a name or a path, without the folders that are nobody's business."""
    path = Path(model)
    return "/".join(path.parts[-2:]) if path.name in VARIANTS else path.name


def missing_files(folder: str | Path, part: str) -> list[str]:
    """The files that a part of the model in `folder` lacks, as patterns relative to `folder`; [] where it is there.

    Only names are looked at; what is inside is checked by whoever loads it.
    """
    place = PARTS[part].folder
    lacking = []
    for pattern in PARTS[part].files:
        choices = pattern.split("|")
        if not any(path.is_file() for choice in choices for path in (Path(folder) / place).glob(choice)):
            lacking.append(f"{place}/{choices[0]}")
    return lacking


def require(folder: str | Path, part: str, why: str) -> Path:
    """The folder of a part of the model in `folder`. Raises ValueError, with what to pull, where it is not complete.

    `why` says in the sentence what needs it.
    """
    lacking = missing_files(folder, part)
    if lacking:
        raise ValueError(
            f"{why} needs {', '.join(lacking)} in {folder}, which {'is' if len(lacking) == 1 else 'are'} missing; get "
            f"{'it' if len(lacking) == 1 else 'them'} with: happyhorse pull {NAME}"
            + (f" --variant {part}" if PARTS[part].horse else "")
        )
    return Path(folder) / PARTS[part].folder


def find_published(model: str) -> tuple[Path, str] | None:
    """Folder and variant of the 15B that `model` means, a name, a folder, or either with "/base" or "/distill" after
    it; None where it means something else.

    Without a variant it is the first of VARIANTS that is there. Raises ValueError where it is not installed, or has no
    such denoiser.
    """
    path, asked = Path(model), None
    if path.name in VARIANTS and not missing_files(path.parent, path.name):
        path, asked = path.parent, path.name
    elif path.name in VARIANTS and path.parts[:-1] == (NAME,):
        path, asked = Path(NAME), path.name
    if str(path) == NAME and not path.is_dir():
        path = installed_path()
        if not path.is_dir():
            raise ValueError(f"{NAME} is not installed; get it with: happyhorse pull {NAME}")
    elif not any((path / part.folder).is_dir() for part in PARTS.values()):
        return None
    there = [variant for variant in VARIANTS if not missing_files(path, variant)]
    if asked or not there:
        require(path, asked or VARIANTS[0], f"{NAME}/{asked}" if asked else NAME)
    return path, asked or there[0]
