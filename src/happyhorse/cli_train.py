"""The verbs that train: `happyhorse train codec`, `flow`, `distill`, `decoder`, `upscale`, `report`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from happyhorse import cli_show as show

if TYPE_CHECKING:
    from happyhorse.train.recipe import Recipe as Plan

Json = Annotated[bool, typer.Option("--json", help="Print each result as one line of JSON.")]
Recipe = Annotated[Path, typer.Option(help="The TOML file that says what to make, from recipes/.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="Change the recipe: flow.loop.steps=100.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Folder; otherwise runs/NAME.")]
Workers = Annotated[int, typer.Option(min=1, help="Processes that render clips.")]
Codec = Annotated[Path | None, typer.Option(help="Codec; otherwise codec.safetensors in the folder.")]
Base = Annotated[
    Path | None, typer.Option(help="Denoiser; otherwise flow/denoiser.safetensors in the folder.")
]


def codec(
    recipe: Recipe,
    settings: Settings = None,
    output: Output = None,
    half: Annotated[Literal["video", "audio", "both"], typer.Option(help="Which half to train.")] = "both",
    start: Annotated[
        Path | None, typer.Option(help="Codec whose video half to train on; the other half stays as it is.")
    ] = None,
    workers: Workers = 2,
    json: Json = False,
) -> None:
    """Train the codec of a recipe; goes on where it stopped."""
    from happyhorse.train import recipe as recipes

    plan, folder = _asked(recipe, settings, output)
    with show.progress() as report:
        path = recipes.train_codec(plan, folder, half, workers, show.training(report), start)
    show.result(
        {"path": str(path) if path else None},
        f"{path or 'this half is done; the other one is still to train'}",
        json,
    )


def flow(
    recipe: Recipe,
    settings: Settings = None,
    output: Output = None,
    codec: Codec = None,
    start: Annotated[Path | None, typer.Option(help="Denoiser whose weights to start from.")] = None,
    workers: Workers = 2,
    json: Json = False,
) -> None:
    """Train the denoiser of a recipe on latents of a codec; goes on where it stopped."""
    from happyhorse.train import recipe as recipes

    plan, folder = _asked(recipe, settings, output)
    with show.progress() as report:
        path = recipes.train_flow(
            plan, folder, codec or folder / "codec.safetensors", start, workers, show.training(report)
        )
    show.result(
        {"path": str(path)},
        f"{path}\n  make a clip with it: happyhorse generate PROMPT --model {folder}",
        json,
    )


def distill(
    recipe: Recipe,
    settings: Settings = None,
    output: Output = None,
    codec: Codec = None,
    base: Base = None,
    start: Annotated[
        Path | None, typer.Option(help="Student to start from: that of the weights before, say.")
    ] = None,
    workers: Workers = 2,
    json: Json = False,
) -> None:
    """Distil the denoiser into a student of few steps without guidance; goes on where it stopped."""
    from happyhorse.train import ladder
    from happyhorse.train import recipe as recipes

    plan, folder = _asked(recipe, settings, output)
    with show.progress() as report:
        path = recipes.train_distill(
            plan, folder, codec or folder / "codec.safetensors", base, start, workers, show.training(report)
        )
    table = path.parent / "ladder.json"
    said = ladder.verdict(table)
    show.result(
        {"path": str(path), "ladder": str(table), "verdict": said},
        "\n  ".join([str(path), *said, f"the figures of all rungs, and of the teacher: {table}"]),
        json,
    )


def decoder(
    recipe: Recipe,
    settings: Settings = None,
    output: Output = None,
    model: Annotated[
        str | None, typer.Option(help="Small model, by name or folder; otherwise that of the folder.")
    ] = None,
    workers: Workers = 2,
    json: Json = False,
) -> None:
    """Train the codec's decoder on what the model makes, so that its faults show less; goes on where it stopped."""
    from happyhorse.train import recipe as recipes

    plan, folder = _asked(recipe, settings, output)
    with show.progress() as report:
        path = recipes.train_decoder(plan, folder, model or str(folder), workers, show.training(report))
    show.result({"path": str(path)}, str(path), json)


def upscale(
    recipe: Recipe,
    settings: Settings = None,
    output: Output = None,
    codec: Codec = None,
    base: Base = None,
    workers: Workers = 2,
    json: Json = False,
) -> None:
    """Train super-resolution to twice the width and height; goes on where it stopped."""
    from happyhorse.train import recipe as recipes

    plan, folder = _asked(recipe, settings, output)
    with show.progress() as report:
        path = recipes.train_upscale(
            plan, folder, codec or recipes.newest_codec(folder), base, workers, show.training(report)
        )
    show.result({"path": str(path)}, str(path), json)


def report(
    folder: Annotated[Path, typer.Argument(help="Folder of a run, or of several.")], json: Json = False
) -> None:
    """Write report.html of each run: curves, newest clips, settings; training does so at every preview."""
    from happyhorse.train import report

    for path in map(report.write, report.runs(folder)):
        show.result({"path": str(path)}, str(path), json)


def _asked(recipe: Path, settings: list[str] | None, output: Path | None) -> tuple["Plan", Path]:
    """The recipe with its changed settings, and the folder of its run."""
    from happyhorse.train.recipe import load_recipe

    plan = load_recipe(recipe, settings or ())
    return plan, output or Path("runs") / plan.name
