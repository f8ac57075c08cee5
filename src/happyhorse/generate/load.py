"""USE, before everything: a model by name or path, whole and checked before anything runs."""

import secrets
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from happyhorse.codec import Codec, latent_version, load_codec
from happyhorse.errors import did_you_mean
from happyhorse.generate.denoiser import Denoiser, load_denoiser
from happyhorse.values import PONY, Format, Request

PACKAGED = Path(__file__).parent.parent / "weights"


@dataclass(frozen=True, eq=False)
class Model:
    """Everything that makes clips: the denoiser, the codec, what the checkpoint knows about itself.

    `facts` come with the denoiser: its `vocabulary`, the `shifts` of its noise levels by modality, the size and length
    of the `world` it was trained on, and `defaults` of requests where they are other than those of `Request`.
    """

    name: str
    denoiser: Denoiser
    codec: Codec
    facts: Mapping[str, Any] = field(default_factory=dict)
    format: Format = PONY

    def request(self, prompt: str, **asked: Any) -> Request:
        """A complete request: what was asked, this model's defaults where it was left open (None), a fresh
        seed.

        `asked` are fields of `Request`. Raises ValueError for a field that does not exist, and where
        `Request` does.
        """
        trained = self.facts.get("world", {})
        chosen: dict[str, Any] = {
            **{key: trained.get(key, getattr(self.format, key)) for key in ("width", "height", "seconds")},
            **self.facts.get("defaults", {}),
            "seed": secrets.randbelow(1_000_000),
            "model": self.name,
        }
        known = Request.__dataclass_fields__
        for key in asked:
            if key not in known:
                raise ValueError(f"unknown option {key!r}{did_you_mean(key, known)}")
        return Request(prompt=prompt, **chosen | {k: v for k, v in asked.items() if v is not None})

    @property
    def device(self) -> torch.device:
        """Where the denoiser computes."""
        return next(self.denoiser.parameters()).device

    def precision(self) -> AbstractContextManager[Any]:
        """Autocast to bfloat16 where the processor multiplies it natively, else full precision.

        bfloat16 without such instructions is slower than float32, so this is looked up and not assumed.
        """
        fast = self.device.type != "cpu" or torch.cpu.get_capabilities().get("avx512_bf16", False)
        return torch.autocast(self.device.type, torch.bfloat16) if fast else nullcontext()


@lru_cache(maxsize=2)
def load(model: str | Path = "pony") -> Model:
    """The model called `model` (one that comes with the package) or in the folder `model`; kept for the next
    call.

    A folder holds `denoiser.safetensors` and `codec.safetensors`, or is one that training wrote. Raises
    ValueError, naming the file and the remedy, when weights are missing, damaged, or do not belong together.
    """
    denoiser_path, codec_path, name = _find(str(model))
    denoiser, facts = load_denoiser(denoiser_path)
    codec = load_codec(str(codec_path))
    latents = latent_version(str(codec_path))
    if facts.get("codec", latents) != latents:
        raise ValueError(
            f"{denoiser_path} was trained on another codec than {codec_path}; put the codec of its own training there"
        )
    return Model(name, denoiser, codec, facts)


def packaged() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.parent.name for path in PACKAGED.glob("*/denoiser.safetensors"))


def describe(name: str) -> dict[str, Any]:
    """Plain facts about a packaged model: name, path, parameters, megabytes, and the defaults of its clips."""
    model, folder = load(name), PACKAGED / name
    open_request = model.request("anything")
    modules = (model.denoiser, model.codec.video, model.codec.audio)
    return {
        "name": name,
        "path": str(folder),
        "parameters": sum(tensor.numel() for module in modules for tensor in module.state_dict().values()),
        "megabytes": sum(path.stat().st_size for path in folder.glob("*.safetensors")) / 1e6,
        **{key: getattr(open_request, key) for key in ("width", "height", "seconds", "steps", "guidance")},
    }


def _find(model: str) -> tuple[Path, Path, str]:
    """Paths of denoiser and codec, and the name by which clips remember the model."""
    if model in packaged():
        return PACKAGED / model / "denoiser.safetensors", PACKAGED / model / "codec.safetensors", model
    folder = Path(model)
    if not folder.exists():
        known = packaged()
        remedy = did_you_mean(model, known) if known else "; train one (happyhorse train --help)"
        raise ValueError(f"no model called {model!r}, and no folder of that name{remedy}")
    found = [folder] if folder.is_file() else []
    folder = folder.parent if folder.is_file() else folder
    for part, places in (("denoiser", (".", "flow")), ("codec", (".", "..")))[len(found) :]:
        files = [folder / place / f"{part}.safetensors" for place in places]
        if not any(file.is_file() for file in files):
            raise ValueError(
                f"no weights in {folder}: {part}.safetensors is missing; train it (happyhorse train --help) or "
                "name another folder"
            )
        found.append(next(file for file in files if file.is_file()))
    return found[0], found[1], str(model)
