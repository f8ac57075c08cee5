"""USE, before everything: a model by name or path, whole and checked before anything runs."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from happyhorse import checkpoint
from happyhorse.codec import latent_version, load_codec
from happyhorse.errors import did_you_mean
from happyhorse.generate.denoiser import load_denoiser
from happyhorse.generate.installed import NAME, find_published
from happyhorse.generate.model import Model
from happyhorse.generate.parts import Lend, one_at_a_time
from happyhorse.generate.pony import Pony
from happyhorse.generate.published import Published
from happyhorse.generate.upscaler import load_upscaler
from happyhorse.values import PONY

PACKAGED = Path(__file__).parent.parent / "weights"


def load(model: str | Path = "pony") -> Model:
    """The model called `model` (one that comes with the package, or is installed) or in the folder `model`; kept for
    the next call.

    A folder holds `denoiser.safetensors` and `codec.safetensors`, and maybe `student.safetensors` and
    `upscaler.safetensors`, or is one that training wrote, or has the parts of the 15B (see `installed`), of which
    nothing is read yet; `happyhorse-15b/base` and `pony-base` are the base denoiser instead of the distilled one.
    Raises ValueError, naming the file and the remedy, when weights are missing, damaged, or do not belong together.
    """
    found = find_published(str(model))
    if found is not None:
        return load_published(*found, name=str(model))
    return load_pony(str(model))


def load_published(
    folder: str | Path,
    variant: str,
    device: torch.device | None = None,
    lend: Lend | None = None,
    name: str = NAME,
) -> Published:
    """The 15B in `folder` with the denoiser `variant`, computing on `device` (None: the GPU where there is one).

    `lend` gives its parts (None: one at a time).
    """
    if device is None:
        device = torch.accelerator.current_accelerator() or torch.device("cpu")
    return Published(name, Path(folder), variant, device, lend or one_at_a_time(folder, device))


@lru_cache(maxsize=2)
def load_pony(model: str) -> Pony:
    """The small model called `model`, or in that folder. Raises ValueError as `load` does."""
    files = parts_of(model)
    denoiser, facts = load_denoiser(files["denoiser"], files.get("student"))
    codec = load_codec(str(files["codec"]))
    latents = latent_version(str(files["codec"]))
    upscaler, upscaling = load_upscaler(files["upscaler"]) if "upscaler" in files else (None, {})
    for part, known in (("denoiser", facts), ("upscaler", upscaling)):
        if known.get("codec", latents) != latents:
            raise ValueError(
                f"{files[part]} was trained on another codec than {files['codec']}; put the codec of its own training "
                "there"
            )
    format = PONY
    if upscaler is not None:
        side = {name: facts.get("world", {}).get(name, getattr(PONY, name)) for name in ("width", "height")}
        # sizes are sampled as they are, or at half of it, whichever is nearer to what the denoiser was trained at
        format = replace(PONY, native=2 * side["width"] * side["height"])
    return Pony(model, denoiser, codec, facts, format, upscaler, upscaling)


def packaged() -> list[str]:
    """Names of the models that come with the package; NAME-base is NAME without its student."""
    names = []
    for path in sorted(PACKAGED.glob("*/denoiser.safetensors")):
        names += [path.parent.name] + [f"{path.parent.name}-base"] * path.with_name(
            "student.safetensors"
        ).exists()
    return names


def describe(name: str) -> dict[str, Any]:
    """Plain facts about a packaged model: name, path, parameters, megabytes, and the defaults of its clips."""
    model, files = load_pony(name), parts_of(name)
    open_request = model.request("anything")
    modules = [model.denoiser, model.codec.video, model.codec.audio] + [model.upscaler] * (
        model.upscaler is not None
    )
    shards = [shard for file in files.values() for shard in checkpoint.files(file)]
    return {
        "name": name,
        "path": str(files["denoiser"].parent),
        "parameters": sum(tensor.numel() for module in modules for tensor in module.state_dict().values()),
        "megabytes": sum(shard.stat().st_size for shard in shards) / 1e6,
        **{key: getattr(open_request, key) for key in ("width", "height", "seconds", "steps", "guidance")},
    }


# Where a part may be, seen from the folder that was named: what training writes has a folder of its own, and a codec
# whose decoder was trained on is preferred.
PLACES = {
    "denoiser": (".", "flow", "../flow", "../../flow"),
    "codec": ("decoder", ".", "../decoder", "..", "../../decoder", "../.."),
    "student": (".", "student"),
    "upscaler": (".", "upscale"),
}
NEEDED = ("denoiser", "codec")


def parts_of(model: str) -> dict[str, Path]:
    """Paths of the parts of a small model, by name: denoiser and codec, and student and upscaler where there are any.

    Raises ValueError, saying what to do, where denoiser or codec are missing.
    """
    names, folder = packaged(), Path(model)
    without = ()
    if model in names:
        without = ("student",) * model.endswith("-base")
        folder = PACKAGED / (model.removesuffix("-base") if without else model)
    elif not folder.exists():
        remedy = did_you_mean(model, names) if names else "; train one (happyhorse train --help)"
        raise ValueError(f"no model called {model!r}, and no folder of that name{remedy}")
    found: dict[str, Path] = {}
    if folder.is_file():  # a denoiser alone, or a student and its base
        found["student" if folder.stem == "student" else "denoiser"] = folder
        folder, without = folder.parent, ("student",)
    for part, places in PLACES.items():
        files = [folder / place / f"{part}.safetensors" for place in places]
        file = next((file for file in files if file.is_file()), None)
        if file is None and part in NEEDED and part not in found:
            raise ValueError(
                f"no weights in {folder}: {part}.safetensors is missing, and so are the folders of {NAME}; train it "
                f"(happyhorse train --help), pull those (happyhorse pull {NAME}), or name another folder"
            )
        if file is not None and part not in found and part not in without:
            found[part] = file
    return found
