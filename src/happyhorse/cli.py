"""The command line, in the order of life: make a model (world, data, train), make clips (generate), look at
it all.

Results go to standard output, or as one line of JSON each with --json; progress and notes go to standard
error. Exit codes: 0 done, 1 a fault of ours, 2 a mistake that the message says how to mend, 130 interrupted.
"""

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from happyhorse import __version__
from happyhorse.errors import explain

LIFE = ("world", "data", "train", "generate", "eval", "models")


class InLifeOrder(TyperGroup):
    """Lists verbs in life order, and turns mistakes into one sentence on standard error."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the commands, as `--help` shows them."""
        return sorted(super().list_commands(ctx), key=lambda name: LIFE.index(name) if name in LIFE else 99)

    def invoke(self, ctx: Any) -> Any:
        """Run a verb; a ValueError or OSError is a mistake of the caller, anything else is ours."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            _say(str(stop) or "interrupted")
            raise typer.Exit(130) from None
        except Exception as error:
            if ctx.params.get("debug") or hasattr(error, "exit_code") or isinstance(error, BrokenPipeError):
                raise
            if isinstance(error, ValueError | OSError):
                _say(explain(error))
                raise typer.Exit(2) from None
            _say(f"a fault in happyhorse, please report it ({type(error).__name__}: {explain(error)}); "
                 "the same command with --debug shows where")  # fmt: skip
            raise typer.Exit(1) from None


def _group(help: str, panel: str) -> dict[str, Any]:
    return {"help": help, "no_args_is_help": True, "rich_help_panel": panel}


app = typer.Typer(
    cls=InLifeOrder,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
MAKE, USE, LOOK = "Make a model", "Make clips", "Look and judge"
world_app, data_app, train_app = typer.Typer(), typer.Typer(), typer.Typer()
app.add_typer(world_app, name="world", **_group("The procedural world that the small model learns.", MAKE))
app.add_typer(data_app, name="data", **_group("Clips on disk: render them, look at them.", MAKE))
app.add_typer(train_app, name="train", **_group("Train the codec, then the denoiser.", MAKE))

Json = Annotated[bool, typer.Option("--json", help="Print each result as one line of JSON.")]
Recipe = Annotated[Path, typer.Option(help="The TOML file that says what to make, from recipes/.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="Change the recipe: flow.loop.steps=100.")]
Workers = Annotated[int, typer.Option(min=1, help="Processes that render clips.")]


@app.callback()
def happyhorse(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and stop.", is_eager=True, callback=lambda on: _version(on)
        ),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """A prompt goes in, a video with sound that belongs to it comes out."""


@world_app.command("preview")
def world_preview(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the sheet and the clips.")
    ] = Path("preview"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first scene.")] = 0,
    count: Annotated[int, typer.Option(min=1, max=200, help="How many scenes.")] = 12,
    family: Annotated[list[str] | None, typer.Option(help="Only scenes of this family; repeatable.")] = None,
    json: Json = False,
) -> None:
    """Render scenes: one sheet with frames, spectrograms and captions, and each scene as a playable MP4."""
    from happyhorse.data.look import preview

    with _progress() as report:
        sheet = preview(output, range(seed, seed + count), family, report)
    _result(
        {"path": str(sheet), "clips": count}, f"{sheet}\n  {count} scenes, each as an MP4 beside it", json
    )


@data_app.command("make")
def data_make(recipe: Recipe, settings: Settings = None, workers: Workers = 2, json: Json = False) -> None:
    """Render the clips that a recipe trains its codec on; what exists is kept."""
    from happyhorse.train.recipe import load_recipe, shards

    plan = load_recipe(recipe, settings or ())
    for split, clips in (("train", plan.codec.clips), ("heldout", plan.codec.heldout)):
        with _progress() as report:
            made = shards(plan, split, clips, None, workers, _training(report))
        facts = {"split": split, "clips": len(made), "path": str(made.files[0].parent)}
        _result(facts, f"{facts['path']}\n  {len(made)} {split} clips", json)


@train_app.command("codec")
def train_codec(
    recipe: Recipe,
    settings: Settings = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder; otherwise runs/NAME.")
    ] = None,
    half: Annotated[Literal["video", "audio", "both"], typer.Option(help="Which half to train.")] = "both",
    workers: Workers = 2,
    json: Json = False,
) -> None:
    """Train the codec of a recipe; goes on where it stopped."""
    from happyhorse.train import recipe as recipes

    plan = recipes.load_recipe(recipe, settings or ())
    folder = output or Path("runs") / plan.name
    with _progress() as report:
        path = recipes.train_codec(plan, folder, half, workers, _training(report))
    _result(
        {"path": str(path) if path else None},
        f"{path or 'this half is done; the other one is still to train'}",
        json,
    )


@train_app.command("flow")
def train_flow(
    recipe: Recipe,
    settings: Settings = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder; otherwise runs/NAME.")
    ] = None,
    codec: Annotated[
        Path | None, typer.Option(help="Codec; otherwise codec.safetensors in the folder.")
    ] = None,
    start: Annotated[Path | None, typer.Option(help="Denoiser whose weights to start from.")] = None,
    workers: Workers = 2,
    json: Json = False,
) -> None:
    """Train the denoiser of a recipe on latents of a codec; goes on where it stopped."""
    from happyhorse.train import recipe as recipes

    plan = recipes.load_recipe(recipe, settings or ())
    folder = output or Path("runs") / plan.name
    with _progress() as report:
        path = recipes.train_flow(
            plan, folder, codec or folder / "codec.safetensors", start, workers, _training(report)
        )
    _result(
        {"path": str(path)},
        f"{path}\n  make a clip with it: happyhorse generate PROMPT --model {folder}",
        json,
    )


@app.command(rich_help_panel=USE)
def generate(
    prompt: Annotated[
        str, typer.Argument(help="What to show and to hear. Words in double quotes are spoken.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File (.mp4, .webm) or folder; otherwise a name from the prompt, never one in use.",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Same seed, same clip; otherwise a fresh one, which is printed.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Length in seconds; otherwise the model's own.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Pixels, multiples of 32; otherwise the model's own.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Steps of the sampler: more is slower and better.")
    ] = None,
    guidance: Annotated[
        float | None, typer.Option(help="How closely the picture keeps to the prompt; 1 is off.")
    ] = None,
    audio_guidance: Annotated[
        float | None, typer.Option(help="How closely the sound keeps to the prompt; 1 is off.")
    ] = None,
    sampler: Annotated[
        str | None, typer.Option(help="unipc, heun, euler or renoise; otherwise the model's own.")
    ] = None,
    takes: Annotated[int, typer.Option(help="How many clips to make, each from the next seed.")] = 1,
    first_frame: Annotated[Path | None, typer.Option(help="Picture to begin with (PNG, JPEG, WebP).")] = None,
    model: Annotated[
        str, typer.Option(help="Name of a model (see: happyhorse models), or a folder with weights.")
    ] = "pony",
    force: Annotated[
        bool, typer.Option("--force", help="Let the name made from the prompt replace a file.")
    ] = False,
    json: Json = False,
) -> None:
    """Make a clip with sound from a prompt, and sign it as machine-made."""
    from happyhorse.generate.files import check_writable, paths
    from happyhorse.generate.load import load
    from happyhorse.generate.pipeline import make_file
    from happyhorse.values import check_prompt

    check_prompt(prompt)
    width, height = _size(size) if size else (None, None)
    check_writable(output)
    started = time.perf_counter()
    with _progress() as report:
        report("load", 0, 1)
        horse = load(model)
        report("load", 1, 1)
    loaded = time.perf_counter() - started
    request = horse.request(
        prompt, seed=seed, seconds=seconds, width=width, height=height, steps=steps, guidance=guidance,
        audio_guidance=audio_guidance, sampler=sampler, takes=takes, first_frame=first_frame,
    )  # fmt: skip
    for index, path in enumerate(paths(output, request, force)):
        with _progress() as report:
            making = make_file(request.take(index), horse, path, report)
        for note in making.notes if index == 0 else ():
            _say(note, "note")
        timings = {"load": loaded if index == 0 else 0.0, **making.clock.timings}
        facts = making.facts(path) | {"timings": {stage: round(s, 3) for stage, s in timings.items()}}
        _result(facts, _clip_lines(facts), json)


@app.command(rich_help_panel=LOOK)
def models(json: Json = False) -> None:
    """List the models that come with the package."""
    from happyhorse.generate.load import describe, packaged

    for facts in map(describe, packaged()):
        size = f"{facts['parameters'] / 1e6:.1f} M parameters, {facts['megabytes']:.1f} MB"
        made = f"{facts['seconds']:g} s at {facts['width']}x{facts['height']}, {facts['steps']} steps"
        _result(facts, f"{facts['name']}\n  {size}\n  {made}\n  {facts['path']}", json)


def _clip_lines(facts: dict[str, Any]) -> str:
    timings, signed = facts["timings"], "signed as machine-made" if facts["signed"] else "not signed"
    stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in timings.items() if seconds >= 0.05)
    return (
        f"{facts['path']}\n  {facts['prompt']}\n"
        f"  {facts['seconds']:g} s with sound, {facts['width']}x{facts['height']}, {facts['fps']} fps, "
        f"{facts['bytes'] / 1000:.0f} kB, {signed}\n"
        f"  seed {facts['seed']}, {facts['steps']} steps, guidance {facts['guidance']:g} and "
        f"{facts['audio_guidance']:g}, model {facts['model']}\n"
        f"  made in {sum(timings.values()):.1f} s: {stages}"
    )


def _size(text: str) -> tuple[int, int]:
    """(width, height) of "224x128"."""
    match = re.fullmatch(r"(\d{1,5})\s*[x*×:]\s*(\d{1,5})", text.strip().lower())
    if not match:
        raise ValueError(f"{text!r} is no size; give width x height in pixels, for example --size 224x128")
    return int(match[1]), int(match[2])


def _version(on: bool) -> None:
    if on:
        print(f"happyhorse {__version__}")
        raise typer.Exit


def _say(sentence: str, who: str = "happyhorse") -> None:
    print(f"{who}: {sentence}", file=sys.stderr)


def _result(facts: dict[str, Any], text: str, json: bool) -> None:
    """Print a result on standard output, as one line of JSON or for a person."""
    import json as library

    print(library.dumps(facts, ensure_ascii=False) if json else text, flush=True)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A function `report(stage, done, total)` that draws bars with the time left, where there is a screen for
    them.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description:>16}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    options = {"transient": True, "disable": not console.is_terminal, "redirect_stdout": False}
    with Progress(*columns, console=console, **options) as bars:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield report


def _training(report: Callable[[str, int, int], None]) -> Callable[[str, int, int, dict[str, float]], None]:
    """A report of training: the bar, and for each point of the log a line with its values and the time left."""
    begun: dict[str, tuple[float, int]] = {}

    def shown(what: str, done: int, total: int, values: dict[str, float]) -> None:
        report(what, done, total)
        start, first = begun.setdefault(what, (time.monotonic(), done))
        if values:
            line = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
            left = (time.monotonic() - start) / max(1, done - first) * (total - done)
            clock = f"{left // 3600:.0f} h {left % 3600 / 60:.0f} min left" if done > first else ""
            print(f"{what} {done}/{total}  {line}  {clock}".rstrip(), file=sys.stderr)

    return shown


def main() -> None:
    """The command `happyhorse`."""
    # Threads that spin while they wait make two processes on the same cores up to thirty times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # a shell ignores it for what runs behind `&`
        signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _terminate)
    arguments = sys.argv[1:]
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "--debug" in options:  # wherever it stands, it means the whole command
        arguments.remove("--debug")
        arguments.insert(0, "--debug")
    app(arguments, prog_name="happyhorse")


class _Interrupted(KeyboardInterrupt):
    """Ctrl-C. A plain KeyboardInterrupt that passes through an `exec` (any dataclass being made, while torch loads)
    makes Python kill itself at exit although it was caught; a subclass does not."""


def _interrupt(number: int, frame: object) -> None:
    raise _Interrupted("interrupted; nothing half-written was left")


def _terminate(number: int, frame: object) -> None:
    raise SystemExit(128 + number)
