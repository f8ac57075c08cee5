"""A recipe: one TOML file from which a published result follows, and the functions that cook it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from happyhorse import checkpoint, config
from happyhorse.codec import latent_version, load_codec
from happyhorse.codec.audio import AudioCodecConfig
from happyhorse.codec.text import TextConfig
from happyhorse.codec.video import VideoCodecConfig
from happyhorse.data.shards import ShardPlan, Shards, make
from happyhorse.data.source import WorldConfig
from happyhorse.model.presets import HorseConfig
from happyhorse.train.codec import AudioObjective, VideoCropConfig, VideoObjective, merge
from happyhorse.train.flow import FlowConfig, FlowObjective
from happyhorse.train.loop import LoopConfig, train
from happyhorse.train.report import write

Report = Callable[[str, int, int, dict[str, float]], None]  # what, done, of how many, values


@dataclass(frozen=True)
class CodecRecipe:
    """Raw clips to render, the two halves, and how each is trained."""

    clips: int
    heldout: int
    video_loop: LoopConfig
    audio_loop: LoopConfig
    video: VideoCodecConfig = VideoCodecConfig()
    audio: AudioCodecConfig = AudioCodecConfig()
    crops: VideoCropConfig = VideoCropConfig()
    audio_crop_steps: int = 32
    audio_noise: float = 0.05


@dataclass(frozen=True)
class FlowRecipe:
    """Latent clips to make, the network, and how it is trained."""

    clips: int
    heldout: int
    horse: HorseConfig
    loop: LoopConfig
    text: TextConfig = TextConfig()
    flow: FlowConfig = FlowConfig()


@dataclass(frozen=True)
class Recipe:
    """The whole life of the small model's weights. `name` is also the name of the folder under `runs/`."""

    name: str
    world: WorldConfig
    codec: CodecRecipe
    flow: FlowRecipe


def load_recipe(path: str | Path, settings: Iterable[str] = ()) -> Recipe:
    """Read a TOML recipe strictly, with `--set` overrides. Raises ValueError naming the wrong key."""
    return config.build(Recipe, config.override(config.read_toml(path), settings))


def shards(
    recipe: Recipe, split: str, clips: int, codec: Path | None, workers: int, report: Report | None
) -> Shards:
    """The shards of a recipe, made now if they do not exist: raw, or latents of `codec`."""
    plan = ShardPlan(recipe.world, split, clips, str(codec) if codec else None)
    what = f"{split} {'latents' if codec else 'renders'}"
    progress = (lambda done, total: report(what, done, total, {})) if report else None
    return Shards(make(plan, workers, progress), clips)


def train_codec(
    recipe: Recipe,
    folder: Path,
    half: Literal["video", "audio", "both"] = "both",
    workers: int = 2,
    report: Report | None = None,
) -> Path | None:
    """Train the codec's halves into `folder`; returns the path of `codec.safetensors` once both exist.

    The halves may be trained at the same time by two processes with one `half` each.
    """
    settings = recipe.codec
    data = shards(recipe, "train", settings.clips, None, workers, report)
    heldout = shards(recipe, "heldout", settings.heldout, None, workers, report)
    facts = {"recipe": config.plain(recipe.codec), "world": config.plain(recipe.world)}
    paths = {name: folder / "codec" / name / f"{name}.safetensors" for name in ("video", "audio")}
    for name, loop in (("video", settings.video_loop), ("audio", settings.audio_loop)):
        if half not in (name, "both") or paths[name].exists():
            continue
        if name == "video":
            objective: Any = VideoObjective(settings.video, settings.crops, loop, data, heldout)
        else:
            objective = AudioObjective(
                settings.audio, settings.audio_crop_steps, settings.audio_noise, loop, data, heldout
            )
        _run(
            objective,
            loop,
            paths[name].parent,
            facts | {"variance_kept": objective.kept},
            f"codec {name}",
            report,
        )
    if not all(path.exists() for path in paths.values()):
        return None
    return merge(paths["video"], paths["audio"], folder / "codec.safetensors", facts)


def train_flow(
    recipe: Recipe,
    folder: Path,
    codec: Path,
    start: Path | None = None,
    workers: int = 2,
    report: Report | None = None,
) -> Path:
    """Train the denoiser on latents of `codec` into `folder`, from `start`'s weights if given; returns its path."""
    settings = recipe.flow
    data = shards(recipe, "train", settings.clips, codec, workers, report)
    heldout = shards(recipe, "heldout", settings.heldout, codec, workers, report)
    objective = FlowObjective(
        settings.horse,
        settings.text,
        settings.flow,
        settings.loop,
        data,
        heldout,
        load_codec(str(codec)),
        start,
    )
    facts = {
        "recipe": config.plain(settings),
        "world": config.plain(recipe.world),
        "codec": latent_version(str(codec)),
        "started_from": checkpoint.sha256(start) if start else None,
    }
    _run(objective, settings.loop, folder / "flow", facts, "flow", report)
    return folder / "flow" / "denoiser.safetensors"


def _run(
    objective: Any, loop: LoopConfig, folder: Path, facts: dict[str, Any], what: str, report: Report | None
) -> None:
    def shown(step: int, values: dict[str, float]) -> None:
        if report:
            report(what, step, loop.steps, values)

    train(objective, loop, folder, facts, shown, page=write)
