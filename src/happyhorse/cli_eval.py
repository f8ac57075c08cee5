"""The verbs that judge and release: `happyhorse eval`, `happyhorse release`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from happyhorse import cli_show as show

Json = Annotated[bool, typer.Option("--json", help="Print each result as one line of JSON.")]


def evaluate(
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
    family: Annotated[list[str] | None, typer.Option(help="Only scenes of this family; repeatable.")] = None,
    source: Annotated[
        Literal["model", "codec", "world"],
        typer.Option(
            help="What is measured: clips of the model, or its floors: renders through the codec, renders."
        ),
    ] = "model",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder; otherwise runs/eval/MODEL-SOURCE.")
    ] = None,
    json: Json = False,
) -> None:
    """Make clips of held-out prompts and measure them: sync beside its shuffled control, what is shown, faults."""
    from happyhorse.eval import report as reports
    from happyhorse.eval import run
    from happyhorse.eval.clips import evaluate as measure
    from happyhorse.eval.train_judge import train
    from happyhorse.generate.load import load

    horse = load(model)
    folder = output or Path("runs") / "eval" / f"{Path(model).name}-{source}"
    with show.progress() as report:
        judge = run.find_judge(
            train, lambda: show.say("no judge yet: training one, some two minutes", "note")
        )
        if source == "model":
            made = run.generated(horse, clips, folder, family, report, steps=steps, guidance=guidance)
        else:
            made = run.rendered(horse, clips, source == "codec", family)
        figures = measure(made, judge=judge)
    page = reports.write(figures, folder)
    show.result(
        reports.as_dict(figures) | {"path": str(page)}, f"{reports.markdown(figures)}\n\n{page}", json
    )


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
