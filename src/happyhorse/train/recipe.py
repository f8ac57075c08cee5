"""A recipe: one TOML file from which a published result follows, and the functions that cook it."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from happyhorse import checkpoint, config
from happyhorse.codec import latent_version, load_codec
from happyhorse.codec.audio import AudioCodecConfig
from happyhorse.codec.enlarge import FACTOR
from happyhorse.codec.text import TextConfig
from happyhorse.codec.video import VideoCodecConfig
from happyhorse.config import Count, Factor, Number, Positive
from happyhorse.data.degrade import EnlargedPlan
from happyhorse.data.edits import EditPlan, Edits
from happyhorse.data.references import ReferencePlan, References
from happyhorse.data.sets import Mixed, open_manifest
from happyhorse.data.shards import ShardPlan, Shards, make
from happyhorse.data.source import WorldConfig
from happyhorse.errors import did_you_mean
from happyhorse.generate.load import parts_of
from happyhorse.generate.upscaler import UpscalerConfig
from happyhorse.model.presets import HorseConfig
from happyhorse.train import resample
from happyhorse.train.codec import AudioObjective, VideoCropConfig, VideoObjective, merge, split_audio
from happyhorse.train.conditions import Stands
from happyhorse.train.decoder import DecoderConfig, DecoderObjective, Known
from happyhorse.train.flow import FlowConfig, FlowObjective
from happyhorse.train.ladder import DistillRecipe, climb
from happyhorse.train.loop import LoopConfig, train
from happyhorse.train.parallel import device
from happyhorse.train.report import write
from happyhorse.train.upscale import SHOWN, Pairs, UpscaleConfig, UpscaleObjective
from happyhorse.train.windows import Sets
from happyhorse.world import FAMILIES

Report = Callable[[str, int, int, dict[str, float]], None]  # what, done, of how many, values


@dataclass(frozen=True)
class CodecRecipe:
    """Raw clips to render, the two halves, and how each is trained."""

    clips: Count
    heldout: Count
    video_loop: LoopConfig
    audio_loop: LoopConfig
    video: VideoCodecConfig = VideoCodecConfig()
    audio: AudioCodecConfig = AudioCodecConfig()
    crops: VideoCropConfig = VideoCropConfig()
    audio_crop_steps: Count = 32
    audio_noise: Factor = 0.05


@dataclass(frozen=True)
class FlowRecipe:
    """Latent clips to make, the network, and how it is trained.

    The clips are `clips` of the world and `heldout` to judge by, or those of the `manifest` that `happyhorse data
    import` wrote. Those of a family in `repeat` are seen so many times as often: some families are rare, and a colour
    of a rare one is rarer. Where `flow.conditions` asks for them there are `edits` of the world beside them, and
    pictures of the subjects of its first `references` clips.
    """

    clips: Number
    heldout: Number
    horse: HorseConfig
    loop: LoopConfig
    text: TextConfig = TextConfig()
    flow: FlowConfig = FlowConfig()
    manifest: str = ""
    repeat: dict[str, Count] = field(default_factory=dict)
    edits: Count = 2048
    references: Count = 4096

    def __post_init__(self) -> None:
        if self.manifest and (self.clips or self.heldout or self.repeat):
            raise ValueError(
                "the clips come either from the world or from a manifest: with flow.manifest set flow.clips=0, "
                "flow.heldout=0 and flow.repeat={} (world clips beside your own are asked for by: happyhorse data "
                "import --world)"
            )
        for family in self.repeat:
            if family not in FAMILIES:
                raise ValueError(
                    f"flow.repeat: no clips of a family '{family}'{did_you_mean(family, FAMILIES)}"
                )


@dataclass(frozen=True)
class DecoderRecipe:
    """Clips that the model makes anew, to learn from and to judge by, and how the decoder learns to show them."""

    clips: Count
    heldout: Count
    loop: LoopConfig
    decoder: DecoderConfig = DecoderConfig()


@dataclass(frozen=True)
class UpscaleRecipe:
    """Pairs of clips to render, of `seconds` s, small as in the world and twice as large; the network; its training.

    The first `own` of the training clips are also made anew by the base model.
    """

    clips: Count
    heldout: Count
    loop: LoopConfig
    seconds: Positive = 1.16
    own: Number = 256
    network: UpscalerConfig = UpscalerConfig()
    upscale: UpscaleConfig = UpscaleConfig()


@dataclass(frozen=True)
class Recipe:
    """The whole life of the small model's weights. `name` is also the name of the folder under `runs/`."""

    name: str
    world: WorldConfig
    codec: CodecRecipe
    flow: FlowRecipe
    distill: DistillRecipe | None = None
    decoder: DecoderRecipe | None = None
    upscale: UpscaleRecipe | None = None


def load_recipe(path: str | Path, settings: Iterable[str] = ()) -> Recipe:
    """Read a TOML recipe strictly, with `--set` overrides. Raises ValueError naming the wrong key."""
    return config.build(Recipe, config.override(config.read_toml(path), settings))


def shards(
    recipe: Recipe,
    split: str,
    clips: int,
    codec: Path | None,
    workers: int,
    report: Report | None,
    repeat: Mapping[str, int] | None = None,
) -> Shards:
    """The shards of a recipe, made now if they do not exist: raw, or latents of `codec`; `repeat`: see `Shards`."""
    plan = ShardPlan(recipe.world, split, clips, str(codec) if codec else None)
    what = f"{split} {'latents' if codec else 'renders'}"
    return Shards(make(plan, workers, _counted(report, what)), clips, repeat)


def latents(recipe: Recipe, split: str, codec: Path, workers: int, report: Report | None) -> Shards | Mixed:
    """The latents of a split that a recipe trains its denoiser on: of the world's clips, or of a manifest's."""
    settings = recipe.flow
    if not settings.manifest:
        clips, repeat = (settings.clips, settings.repeat) if split == "train" else (settings.heldout, None)
        return shards(recipe, split, clips, codec, workers, report, repeat)
    progress = (lambda what, done, total: report(what, done, total, {})) if report else None
    return Mixed(open_manifest(Path(settings.manifest), split, codec, workers, progress))


def sets(
    recipe: Recipe, codec: Path, workers: int, report: Report | None, known: Collection[str] | None = None
) -> tuple[Sets, FlowConfig]:
    """What a recipe trains its denoiser on, and its settings: clips, and what stands beside some of them.

    Made is only what the recipe has shares of; where a student's base has `known` of that only some, the shares of the
    rest are 0.
    """
    settings, through = recipe.flow, str(codec)
    flow, found = settings.flow, dict[Stands, Edits | References]()
    if known is not None:
        flow = replace(flow, conditions=flow.conditions.only(known))
    if "edit" in flow.conditions.learnt:
        edits = EditPlan(recipe.world, "train", settings.edits, through)
        progress = _counted(report, "train edits")
        found["edit"] = Edits(Shards(make(edits, workers, progress), edits.clips))
    if "references" in flow.conditions.learnt:
        clips = shards(recipe, "train", settings.references, codec, workers, report)
        stills = ReferencePlan(recipe.world, "train", settings.references, through)
        progress = _counted(report, "train references")
        found["references"] = References(clips, Shards(make(stills, workers, progress), stills.clips))
    return Sets(latents(recipe, "train", codec, workers, report), found), flow


def train_codec(
    recipe: Recipe,
    folder: Path,
    half: Literal["video", "audio", "both"] = "both",
    workers: int = 2,
    report: Report | None = None,
    start: Path | None = None,
) -> Path | None:
    """Train the codec's halves into `folder`; returns the path of `codec.safetensors` once both exist.

    The halves may be trained at the same time by two processes with one `half` each. With the codec `start` the video
    half goes on from its weights, and the audio half is its own; raises ValueError where that is asked for, too.
    """
    settings = recipe.codec
    if start is not None and half != "video":
        raise ValueError("a codec is trained on in its video half alone: add --half video")
    facts = {
        "recipe": config.plain(recipe.codec),
        "world": config.plain(recipe.world),
        "started_from": checkpoint.sha256(_there(start, "codec")) if start else None,
    }
    data = shards(recipe, "train", settings.clips, None, workers, report)
    heldout = shards(recipe, "heldout", settings.heldout, None, workers, report)
    paths = {name: folder / "codec" / name / f"{name}.safetensors" for name in ("video", "audio")}
    for name, loop in (("video", settings.video_loop), ("audio", settings.audio_loop)):
        if half not in (name, "both") or paths[name].exists():
            continue
        if name == "video":
            objective: Any = VideoObjective(settings.video, settings.crops, loop, data, heldout, start)
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
    if start is not None and not paths["audio"].exists():
        split_audio(start, paths["audio"])
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
    settings, codec = recipe.flow, _there(codec, "codec")
    data, flow = sets(recipe, codec, workers, report)
    heldout = latents(recipe, "heldout", codec, workers, report)
    objective = FlowObjective(
        settings.horse, settings.text, flow, settings.loop, data, heldout, load_codec(str(codec)), start
    )
    facts = {
        "recipe": config.plain(settings),
        "world": config.plain(recipe.world),
        "codec": latent_version(str(codec)),
        "started_from": checkpoint.sha256(start) if start else None,
        "manifest": checkpoint.sha256(settings.manifest) if settings.manifest else None,
    }
    _run(objective, settings.loop, folder / "flow", facts, "flow", report)
    return folder / "flow" / "denoiser.safetensors"


def train_distill(
    recipe: Recipe,
    folder: Path,
    codec: Path,
    base: Path | None = None,
    start: Path | None = None,
    workers: int = 2,
    report: Report | None = None,
) -> Path:
    """Distil the denoiser `base` (otherwise that of the folder) into `folder/student`; returns the best student's path.

    It starts as the student `start`, if given. Raises ValueError where the recipe does not say how, or parts miss.
    """
    if recipe.distill is None:
        raise ValueError("this recipe has no [distill]; add it, as in recipes/pony.toml")
    if recipe.flow.manifest:
        raise ValueError(
            "a model is distilled on clips of the world; leave out flow.manifest, and name it with --base"
        )
    codec, base = _there(codec, "codec"), _there(base or folder / "flow" / "denoiser.safetensors", "flow")
    known = checkpoint.load(base, "denoiser").facts.get("learnt", ())
    data, flow = sets(recipe, codec, workers, report, known)
    heldout = shards(recipe, "heldout", recipe.flow.heldout, codec, workers, report)
    facts = {"recipe": config.plain(recipe.distill), "codec": latent_version(str(codec))}
    own, decoder = folder / "student", load_codec(str(codec))
    return climb(recipe.distill, flow, base, data, heldout, decoder, own, facts, start, report)


def train_decoder(
    recipe: Recipe, folder: Path, model: str, workers: int = 2, report: Report | None = None
) -> Path:
    """Train the decoder of a small `model`, by name or folder, on what that makes, into `folder/decoder`.

    Returns the path of the new codec, whose latents are those of the old one. Raises ValueError where the recipe does
    not say how, and where parts of the model are missing.
    """
    if recipe.decoder is None:
        raise ValueError("this recipe has no [decoder]; add it, as in recipes/pony.toml")
    settings, files = recipe.decoder, parts_of(model)
    codec, student = files["codec"], files.get("student")

    def known(split: str, clips: int) -> Known:
        pixels = shards(recipe, split, clips, None, workers, report)
        exact = shards(recipe, split, clips, codec, workers, report)
        shown, on = _counted(report, f"{split} clips made anew"), device(settings.loop.device)
        own = resample.make(files["denoiser"], None, exact, settings.loop.autocast, shown, on, student)
        return Known(pixels, exact, own)

    train, heldout = known("train", settings.clips), known("heldout", settings.heldout)
    objective = DecoderObjective(codec, settings.decoder, settings.loop, train, heldout)
    facts = {
        "recipe": config.plain(settings),
        "world": config.plain(recipe.world),
        "base": checkpoint.sha256(files["denoiser"]),
        "student": checkpoint.sha256(student) if student else None,
    }
    _run(objective, settings.loop, folder / "decoder", facts, "decoder", report)
    return folder / "decoder" / "codec.safetensors"


def train_upscale(
    recipe: Recipe,
    folder: Path,
    codec: Path,
    base: Path | None = None,
    workers: int = 2,
    report: Report | None = None,
) -> Path:
    """Train super-resolution into `folder/upscale`; returns its path. `base` is the denoiser (that of the folder).

    Raises ValueError where the recipe does not say how, and where codec or denoiser are missing.
    """
    if recipe.upscale is None:
        raise ValueError("this recipe has no [upscale]; add it, as in recipes/pony.toml")
    settings = recipe.upscale
    small = replace(recipe.world, seconds=settings.seconds)
    large = replace(small, width=FACTOR * small.width, height=FACTOR * small.height)
    through = str(_there(codec, "codec"))
    base = base or folder / "flow" / "denoiser.safetensors"
    if settings.own:
        _there(base, "flow")

    def plans(split: str, clips: int) -> tuple[ShardPlan, EnlargedPlan]:
        return ShardPlan(large, split, clips, through), EnlargedPlan(small, split, clips, through)

    def made(split: str, clips: int) -> Pairs:
        sharp, enlarged = (
            Shards(make(plan, workers, _counted(report, f"{split} {name} latents")), clips)
            for name, plan in zip(("sharp", "enlarged"), plans(split, clips), strict=True)
        )
        return Pairs(sharp, enlarged)

    pairs, heldout = made("train", settings.clips), made("heldout", settings.heldout)
    sharp, enlarged = plans("heldout", SHOWN)
    pixels = [(sharp.clip(i).video, enlarged.clip(i).video) for i in range(min(SHOWN, settings.heldout))]
    own = None
    if settings.own:
        plan = ShardPlan(small, "train", min(settings.own, settings.clips), through)
        known = Shards(make(plan, workers, _counted(report, "train small latents")), plan.clips)
        shown = _counted(report, "clips made anew")
        own = resample.make(base, codec, known, settings.loop.autocast, shown, device(settings.loop.device))
    objective = UpscaleObjective(
        settings.network, settings.upscale, settings.loop, pairs, own, heldout, pixels, load_codec(through)
    )
    facts = {
        "recipe": config.plain(settings),
        "world": config.plain(large),
        "codec": latent_version(str(codec)),
        "base": checkpoint.sha256(base) if own else None,
    }
    _run(objective, settings.loop, folder / "upscale", facts, "upscale", report)
    return folder / "upscale" / "upscaler.safetensors"


def newest_codec(run: Path) -> Path:
    """The codec of a run: that whose decoder was trained on, where it was."""
    decoded = run / "decoder" / "codec.safetensors"
    return decoded if decoded.is_file() else run / "codec.safetensors"


def _there(path: Path, verb: Literal["codec", "flow"]) -> Path:
    """`path` of a part that `happyhorse train VERB` leaves, if it is there: asked before anything is rendered."""
    what, option = {"codec": ("codec", "--codec"), "flow": ("denoiser", "--base")}[verb]
    if not path.is_file():
        raise ValueError(
            f"no {what} at {path}: train it first with the same recipe (happyhorse train {verb}), or name one with "
            f"{option}"
        )
    return path


def _counted(report: Report | None, what: str) -> Callable[[int, int], None] | None:
    return (lambda done, total: report(what, done, total, {})) if report else None


def _run(
    objective: Any, loop: LoopConfig, folder: Path, facts: dict[str, Any], what: str, report: Report | None
) -> None:
    def shown(step: int, values: dict[str, float]) -> None:
        if report:
            report(what, step, loop.steps, values)

    train(objective, loop, folder, facts, shown, page=write)
