"""Where the parts of the 15B are published, and under which licences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from happyhorse.errors import did_you_mean
from happyhorse.generate.installed import PARTS


@dataclass(frozen=True)
class Source:
    """A part on the Hugging Face Hub: its `repository`, the `folder` in it ("" for all of it), the `files` (patterns)
    that are needed, the `licence`, the `revision`.

    `gated` repositories are open to those who have accepted the licence on the page of the repository.
    """

    repository: str
    folder: str
    files: tuple[str, ...]
    licence: str
    gated: bool = False
    revision: str = "main"


_MAGIHUMAN = "GAIR/daVinci-MagiHuman"
_SHARDS = ("model*.safetensors", "model*.safetensors.zst", "model.safetensors.index.json", "config.json")
_DIFFUSERS = ("config.json", "diffusion_pytorch_model*")
_T5GEMMA = (
    "config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "tokenizer*",
    "special_tokens_map.json",
)

# The commits of these repositories are not known to this table (they could not be looked up when it was written), so
# revisions are "main". A pull writes down the commit that it begins with, and later pulls keep to it.
SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        "text": Source("google/t5gemma-9b-9b-ul2", "", _T5GEMMA, "Gemma Terms of Use", gated=True),
        "video": Source("Wan-AI/Wan2.2-TI2V-5B-Diffusers", "vae", _DIFFUSERS, "Apache-2.0"),
        "turbo": Source(_MAGIHUMAN, "turbo_vae", ("*.json", "*.ckpt"), "Apache-2.0"),
        "audio": Source(
            "stabilityai/stable-audio-open-1.0",
            "vae",
            _DIFFUSERS,
            "Stability AI Community License",
            gated=True,
        ),
        "distill": Source(_MAGIHUMAN, "distill", _SHARDS, "Apache-2.0"),
        "base": Source(_MAGIHUMAN, "base", _SHARDS, "Apache-2.0"),
        "sr540": Source(_MAGIHUMAN, "540p_sr", _SHARDS, "Apache-2.0"),
        "sr1080": Source(_MAGIHUMAN, "1080p_sr", _SHARDS, "Apache-2.0"),
    }
)

SHARED = ("text", "video", "turbo", "audio")
"""Parts that every clip needs, whatever the denoiser."""


def parts(variants: Sequence[str]) -> list[str]:
    """All parts that the denoisers called `variants` need. Raises `ValueError` for a name that is none."""
    known = [name for name in PARTS if name not in SHARED]
    for name in variants:
        if name not in known:
            raise ValueError(f"no variant called {name!r}{did_you_mean(name, known)}")
    return [*SHARED, *(name for name in known if name in variants)]


def revisions(asked: Sequence[str]) -> dict[str, str]:
    """Revisions by repository, of "repository=revision" or, for the repository of the denoisers, "revision" alone.

    Raises `ValueError` for a repository that has no part of the 15B, and for what is neither.
    """
    known, found = {source.repository for source in SOURCES.values()}, {}
    for text in asked:
        repository, _, revision = text.rpartition("=")
        repository, revision = repository.strip() or _MAGIHUMAN, revision.strip()
        if repository not in known:
            raise ValueError(f"no weights come from {repository!r}{did_you_mean(repository, known)}")
        if not revision:
            raise ValueError(f"{text!r} names no revision; give a branch, a tag or a commit")
        found[repository] = revision
    return found
