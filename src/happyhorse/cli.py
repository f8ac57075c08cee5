"""The command line, in the order of life: make a model (world, data, train), make clips (generate), look at
it all.

Results go to standard output, or as one line of JSON each with --json; progress and notes go to standard
error. Exit codes: 0 done, 1 a fault of ours, 2 a mistake that the message says how to mend, 130 interrupted.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from happyhorse import __version__, cli_engine, cli_eval, cli_generate, cli_serve, cli_train
from happyhorse import cli_show as show
from happyhorse.errors import explain
from happyhorse.heap import keep_freed_memory

LIFE = ("world", "data", "train", "release", "pull", "plan", "generate")
LIFE += ("studio", "serve", "worker", "batch", "keys", "eval", "models")


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
            show.say(str(stop) or "interrupted")
            raise typer.Exit(130) from None
        except Exception as error:
            if ctx.params.get("debug") or hasattr(error, "exit_code") or isinstance(error, BrokenPipeError):
                raise
            if isinstance(error, ValueError | OSError):
                show.say(explain(error))
                raise typer.Exit(2) from None
            show.say(f"a fault in happyhorse, please report it ({type(error).__name__}: {explain(error)}); "
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
MAKE, USE, SERVE, LOOK = "Make a model", "Make clips", "Serve clips", "Look and judge"
world_app, data_app, train_app = typer.Typer(), typer.Typer(), typer.Typer()
app.add_typer(world_app, name="world", **_group("The procedural world that the small model learns.", MAKE))
app.add_typer(data_app, name="data", **_group("Clips on disk: render them, look at them.", MAKE))
app.add_typer(train_app, name="train", **_group("Train all parts of a model.", MAKE))

Json = Annotated[bool, typer.Option("--json", help="Print each result as one line of JSON.")]
Recipe = Annotated[Path, typer.Option(help="The TOML file that says what to make, from recipes/.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="Change the recipe: flow.loop.steps=100.")]
Workers = Annotated[int, typer.Option(min=1, help="Processes that render clips.")]
Size = Annotated[
    str | None, typer.Option(metavar="WxH", help="Base size of the buckets in pixels; otherwise 224x128.")
]
Seconds = Annotated[float | None, typer.Option(help="Length of the longest bucket; otherwise 3.")]
Words = Annotated[
    str | None,
    typer.Option("--model", help="Model whose words the captions are compared with; otherwise pony."),
]


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

    with show.progress() as report:
        sheet = preview(output, range(seed, seed + count), family, report)
    show.result(
        {"path": str(sheet), "clips": count}, f"{sheet}\n  {count} scenes, each as an MP4 beside it", json
    )


@data_app.command("make")
def data_make(recipe: Recipe, settings: Settings = None, workers: Workers = 2, json: Json = False) -> None:
    """Render the clips that a recipe trains its codec on; what exists is kept."""
    from happyhorse.train.recipe import load_recipe, shards

    plan = load_recipe(recipe, settings or ())
    for split, clips in (("train", plan.codec.clips), ("heldout", plan.codec.heldout)):
        with show.progress() as report:
            made = shards(plan, split, clips, None, workers, show.training(report))
        facts = {"split": split, "clips": len(made), "path": str(made.files[0].parent)}
        show.result(facts, f"{facts['path']}\n  {len(made)} {split} clips", json)


@data_app.command("import")
def data_import(
    folder: Annotated[Path, typer.Argument(help="Folder of clips with captions.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Manifest; otherwise manifest.jsonl in the folder.")
    ] = None,
    size: Size = None,
    seconds: Seconds = None,
    world: Annotated[
        int, typer.Option(min=0, help="Clips of the world to learn beside them, against forgetting.")
    ] = 0,
    codec: Annotated[Path | None, typer.Option(help="Make the latents of this codec at once.")] = None,
    model: Words = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a manifest, with what was edited in it.")
    ] = False,
    workers: Workers = 2,
    json: Json = False,
) -> None:
    """Write the manifest of a folder of clips with captions, and say what becomes of each file."""
    from happyhorse.codec import load_codec
    from happyhorse.data import folder as folders
    from happyhorse.data import manifest, sets

    buckets, path = show.buckets(size, seconds), output or folder / manifest.NAME
    if path.exists() and not force:
        raise ValueError(
            f"{path} exists; --force replaces it and what was edited in it, --output writes another"
        )
    if codec:
        load_codec(str(codec))  # a wrong one should stop the work before it begins
    with show.progress() as report:
        found = folders.examine(folder, buckets, path.parent, report)
    show.findings(found, json)
    entries = folders.usable(found, folder)
    manifest.write(path, [*entries, *manifest.world_entries(world, buckets)])
    lint = folders.lint(entries, show.vocabulary(model))
    beside = f", with {world} clips of the world" if world else ""
    show.summary(found, lint, {"path": str(path), "world": world}, f"{path}{beside}", json)
    for split in ("train", "heldout") if codec else ():
        with show.progress() as report:
            made = sets.open_manifest(path, split, codec, workers, report)
        for bucket, shards in made.items():
            facts = {
                "split": split,
                "bucket": bucket.name,
                "clips": len(shards),
                "path": str(shards.files[0].parent),
            }
            show.result(facts, f"{facts['path']}\n  {len(shards)} {split} latents of {bucket.name}", json)


@data_app.command("check")
def data_check(
    source: Annotated[Path, typer.Argument(help="Folder of clips with captions, or a manifest.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for clips as the model will see them.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many clips to write there.")] = 8,
    size: Size = None,
    seconds: Seconds = None,
    model: Words = None,
    json: Json = False,
) -> None:
    """Say what would become of each file of a folder, or whether the files of a manifest are still the same."""
    from happyhorse.data import folder as folders
    from happyhorse.data import sets

    if source.is_file() and (size or seconds):
        raise ValueError(
            "the lines of a manifest have their sizes and lengths; leave out --size and --seconds"
        )
    with show.progress() as report:
        if source.is_file():
            root, found = source.parent, folders.examine_manifest(source, report)
        else:
            root, found = source, folders.examine(source, show.buckets(size, seconds), report=report)
    show.findings(found, json)
    entries = folders.usable(found, source)
    shown = [str(path) for path in sets.show(entries[:count], root, output)] if output else []
    lint = folders.lint(entries, show.vocabulary(model))
    seen = f"{len(shown)} clips as the model will see them are in {output}" if shown else ""
    show.summary(found, lint, {"shown": shown}, seen, json)


def _version(on: bool) -> None:
    if on:
        print(f"happyhorse {__version__}")
        raise typer.Exit


TRAINS = (
    cli_train.codec,
    cli_train.flow,
    cli_train.distill,
    cli_train.decoder,
    cli_train.upscale,
    cli_train.report,
)
for verb in TRAINS:
    train_app.command()(verb)
app.command(rich_help_panel=USE)(cli_engine.pull)
app.command(rich_help_panel=USE)(cli_engine.planning(cli_generate.generate, cli_generate.fields))
app.command(rich_help_panel=USE)(cli_generate.generate)
app.command(rich_help_panel=USE)(cli_serve.studio)
for verb in (cli_serve.serve, cli_serve.worker, cli_serve.batch):
    app.command(rich_help_panel=SERVE)(verb)
app.add_typer(cli_serve.keys_app, name="keys", **_group("Keys that let callers in.", SERVE))
app.command(rich_help_panel=LOOK)(cli_engine.models)
for verb in (cli_eval.judge, cli_eval.recogniser):
    train_app.command()(verb)
app.command("eval", rich_help_panel=LOOK)(cli_eval.evaluate)
app.command("release", rich_help_panel=MAKE)(cli_eval.release)


def main() -> None:
    """The command `happyhorse`."""
    # Threads that spin while they wait make two processes on the same cores up to thirty times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_freed_memory()
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
