"""The verbs that judge and release: `happyhorse eval`, `train judge`, `train recogniser`, `release`."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from happyhorse import cli_show as show
from happyhorse.errors import did_you_mean

Json = Annotated[bool, typer.Option("--json", help="Print each result as one line of JSON.")]
Folder = Annotated[
    Path | None, typer.Option("--output", "-o", help="Folder; otherwise runs/NAME of the verb.")
]
SOURCES = ("model", "codec", "world")


def evaluate(
    what: Annotated[
        Literal["clips", "speech", "steps", "conditions"],
        typer.Argument(
            help="Clips of every family; talking faces in seven languages; a student of few steps and its teacher; "
            "clips from given pictures, sounds and clips."
        ),
    ] = "clips",
    model: Annotated[
        str, typer.Option(help="Name of a model (see: happyhorse models), or a folder with weights.")
    ] = "pony",
    clips: Annotated[int, typer.Option(min=1, help="How many held-out prompts.")] = 64,
    steps: Annotated[
        int | None, typer.Option(help="Steps of the sampler; otherwise the model's own.")
    ] = None,
    guidance: Annotated[
        float | None, typer.Option(help="Guidance of the picture; otherwise the model's own.")
    ] = None,
    family: Annotated[
        list[str] | None, typer.Option(help="Clips: only scenes of this family; repeatable.")
    ] = None,
    first_frames: Annotated[
        bool,
        typer.Option(
            "--first-frames", help="Clips: give one in four its first frame, and see if it is kept."
        ),
    ] = False,
    source: Annotated[
        list[str] | None,
        typer.Option(
            help="Only model, or its references: codec (renders through the codec), world (renders); repeatable."
        ),
    ] = None,
    chance: Annotated[
        bool,
        typer.Option(
            "--better-than-chance",
            help="Clips: fail unless the model's pictures show what was asked for more often than one scene would.",
        ),
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes that make and measure clips.")] = 1,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder; otherwise runs/eval/MODEL or MODEL-WHAT.")
    ] = None,
    page: Annotated[
        Path | None, typer.Option(help="Speech, steps, conditions: the page to write, with pictures.")
    ] = None,
    json: Json = False,
) -> None:
    """Make clips of held-out prompts and measure them, beside renders: sync, lips and speech, what is shown, faults."""
    from happyhorse.eval import report as reports
    from happyhorse.eval.run import Plan

    if chance and (what != "clips" or (source and "model" not in source)):
        raise ValueError(
            "--better-than-chance is asked of a model's clips: happyhorse eval clips --source model"
        )
    if what == "steps":
        if family or first_frames or source or steps or guidance:
            raise ValueError("steps are measured on clips of all families; give --model and --clips alone")
        _steps(model, clips, workers, output, page, json)
        return
    if what == "speech" and (family or first_frames):
        raise ValueError("speech is measured on talking faces; leave out --family and --first-frames")
    if what == "conditions" and (family or first_frames or source):
        raise ValueError(
            "conditions are measured on clips of all families; leave out --family, --source and --first-frames"
        )
    if what == "clips" and page:
        raise ValueError("--page goes with: happyhorse eval speech, steps, conditions")
    folder = output or Path("runs") / "eval" / (Path(model).name + ("" if what == "clips" else f"-{what}"))
    folder.mkdir(parents=True, exist_ok=True)
    asked = {key: value for key, value in (("steps", steps), ("guidance", guidance)) if value is not None}
    plan = Plan(model, folder, asked, first_frames)
    if what == "conditions":
        _conditions(plan, clips, workers, page, json)
        return
    sources = list(dict.fromkeys(source or SOURCES))
    for name in sources:
        if name not in SOURCES:
            raise ValueError(f"no source {name!r}{did_you_mean(name, SOURCES)}")
    title = f"{Path(model).name}, {clips} held-out prompts"
    with show.progress() as report:
        if what == "speech":
            figures, text, written = _speech(plan, sources, clips, workers, page, report)
        else:
            figures, text, written = _clips(plan, sources, clips, workers, family, title, report)
    show.result(reports.as_dict(figures) | {"path": str(written)}, f"{text}\n\n{written}", json)
    if chance:
        _beats_chance(figures["model"])


def _beats_chance(made: Any) -> None:
    """Say how often pictures show what was asked for; raise ValueError unless that is more than chance."""
    from happyhorse.eval.report import percent

    found = f"{percent(made.total.family)} of the pictures show what was asked for"
    beside = f"one and the same scene always would in {100 * made.chance:.0f} %"
    if not made.beats_chance:
        raise ValueError(
            f"{found}, which is no better than chance ({beside}); train longer, or measure more --clips"
        )
    show.say(f"better than chance: {found}, {beside}")


def _clips(
    plan: Any,
    sources: list[Any],
    clips: int,
    workers: int,
    family: list[str] | None,
    title: str,
    report: Any,
) -> tuple[Any, str, Path]:
    from happyhorse.eval import report as reports
    from happyhorse.eval import run
    from happyhorse.eval.clips import gather

    judge = run.judge()
    asked = list(run.asks(clips, run.length(plan), family))
    figures = {
        source: gather(run.measured(plan, source, asked, workers, report), judge) for source in sources
    }
    written = reports.write(figures, plan.folder, title)
    return figures, reports.markdown(figures, title), written


def _speech(
    plan: Any, sources: list[Any], clips: int, workers: int, page: Path | None, report: Any
) -> tuple[Any, str, Path]:
    from happyhorse.eval import speech, speech_page
    from happyhorse.generate.load import load

    figures = {source: speech.measured(plan, source, clips, workers, report) for source in sources}
    asked = load(plan.model).request("anything", **plan.fields)
    what = f"Model {Path(plan.model).name}, {clips} clips of {asked.seconds:g} s, {_sampled(asked)}"
    written = speech_page.write(figures, what, plan.folder, page or plan.folder / "speech.md")
    return figures, speech_page.markdown(figures, what), written


def _sampled(asked: Any) -> str:
    return f"{asked.steps} steps, guidance {asked.guidance:g} and {asked.audio_guidance:g}."


def _conditions(plan: Any, clips: int, workers: int, page: Path | None, json: bool) -> None:
    from happyhorse.eval import conditions, conditions_page, run
    from happyhorse.generate.load import load

    with show.progress() as report:
        figures = conditions.measure(plan, clips, workers=workers, progress=report)
    model = load(plan.model)
    asked = model.request("anything", **plan.fields)
    what = f"Model {Path(plan.model).name}, {clips} scenes, {_sampled(asked)}"
    some = list(run.asks(min(clips, 2), run.length(plan)))
    examples = {run.stem(one): conditions.given(one, model, plan.fields) for one in some}
    written = conditions_page.write(figures, what, plan, examples, page or plan.folder / "conditioning.md")
    plain = {name: {key: value.value for key, value in found.items()} for name, found in figures.items()}
    text = conditions_page.markdown(figures, what)
    show.result({"figures": plain, "path": str(written)}, f"{text}\n\n{written}", json)


def _steps(model: str, clips: int, workers: int, output: Path | None, page: Path | None, json: bool) -> None:
    from happyhorse.eval import steps, steps_page
    from happyhorse.generate.load import load_pony

    folder = output or Path("runs") / "eval" / f"{Path(model).name}-steps"
    with show.progress() as report:
        figures = steps.measure(model, clips, folder, workers=workers, progress=report)
    ladder = load_pony(model).facts.get("ladder", {})
    what = f"Model {Path(model).name}, {clips} clips."
    written = steps_page.write(figures, ladder, what, folder, page or folder / "distillation.md")
    text = steps_page.markdown(figures, ladder)
    show.result({"figures": figures, "ladder": ladder, "path": str(written)}, f"{text}\n\n{written}", json)


def judge(output: Folder = None, json: Json = False) -> None:
    """Train the judge of families, colours and sounds on renders, and measure it on others; a few minutes."""
    from happyhorse.eval import judge as judges
    from happyhorse.eval.run import JUDGE
    from happyhorse.eval.train_judge import train

    folder = output or Path("runs") / "judge"
    folder.mkdir(parents=True, exist_ok=True)
    made = train()
    judges.save(made, folder / JUDGE)
    shares = ", ".join(f"{name} {100 * value:.1f} %" for name, value in made.accuracy.items())
    facts = {"path": str(folder / JUDGE), "accuracy": dict(made.accuracy)}
    show.result(facts, f"{folder / JUDGE}\n  right on held-out renders: {shares}", json)


def recogniser(
    output: Folder = None,
    codec: Annotated[
        str | None, typer.Option(help="Codec through which a share of the lines goes; otherwise pony's.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change a setting: loop.steps=100, lines=2000.")
    ] = None,
    json: Json = False,
) -> None:
    """Train the recogniser of phonemes in seven languages, which `happyhorse eval speech` hears with; goes on where it
    stopped.
    """
    from happyhorse import config
    from happyhorse.eval import train_recogniser as training
    from happyhorse.generate.load import PACKAGED

    plain = config.plain(training.RecogniserRecipe())
    recipe = config.build(training.RecogniserRecipe, config.override(plain, settings or ()))
    folder = output or Path("runs") / "recogniser"
    path = Path(codec) if codec else PACKAGED / "pony" / "codec.safetensors"
    with show.progress() as report:
        made = training.run(recipe, folder, path, show.training(report))
    show.result({"path": str(made)}, str(made), json)


def release(
    run: Annotated[Path, typer.Argument(help="Folder that training wrote, with codec and denoiser.")],
    name: Annotated[str, typer.Option(help="Name of the model in the package.")] = "pony",
    report: Annotated[Path | None, typer.Option(help="report.md of `happyhorse eval`, for the card.")] = None,
    json: Json = False,
) -> None:
    """Put the weights of a run into the package, with a card that says what they are."""
    from happyhorse.release import release as put

    files = put(run, name, report)
    show.result({"paths": [str(f) for f in files]}, "\n".join(str(file) for file in files), json)
