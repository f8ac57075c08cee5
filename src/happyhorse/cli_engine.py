"""The verbs around the 15B: `happyhorse pull`, `happyhorse plan`, `happyhorse models`."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from happyhorse import cli_show as show

Json = Annotated[bool, typer.Option("--json", help="Print each result as one line of JSON.")]
DEVICE = "For another device"
Gpu = Annotated[
    str | None, typer.Option(help="Plan for this GPU instead: rtx4090, h100, ...", rich_help_panel=DEVICE)
]
Memory = Annotated[
    float | None,
    typer.Option(metavar="GB", help="Plan for some GPU with so much memory instead.", rich_help_panel=DEVICE),
]
Gpus = Annotated[
    int,
    typer.Option(
        min=1,
        help="How many of them share the clip, one process of torchrun each.",
        rich_help_panel=DEVICE,
    ),
]
# Options of `generate` that change no plan.
WITHOUT = ("output", "force", "json", "compile", "enhance", "enhance_model")


def pull(
    model: Annotated[
        str, typer.Argument(help="What to get; so far there is happyhorse-15b.")
    ] = "happyhorse-15b",
    variant: Annotated[
        str, typer.Option(help="Denoisers, separated by commas: distill, base, sr540, sr1080.")
    ] = "distill",
    origin: Annotated[
        Path | None,
        typer.Option("--from", help="Folder that has the weights; otherwise they are downloaded."),
    ] = None,
    revision: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[REPO=]REV",
            help="Branch, tag or commit to download instead of the newest: of daVinci-MagiHuman, or of the repository "
            "that is named; repeatable.",
        ),
    ] = None,
    as_published: Annotated[
        bool,
        typer.Option("--as-published", help="Leave denoisers in fp32: twice the size, no other difference."),
    ] = False,
    json: Json = False,
) -> None:
    """Bring weights to this disk, with the licence of each part; what is there is kept, what was stopped goes on."""
    from happyhorse.engine.pull import pull as fetch
    from happyhorse.engine.sources import SOURCES
    from happyhorse.generate.installed import NAME, PARTS, installed_path

    if model != NAME:
        raise ValueError(f"no weights of {model!r} are published; there is {NAME}")

    def announce(pieces: Any, room: int) -> None:
        for piece in pieces:
            licence = SOURCES[piece.part].licence
            show.say(f"{piece.part}: {PARTS[piece.part].does}; {_size(piece.size)}, {licence}", "pull")
        if pieces:
            show.say(f"{_size(room)} of the disk of {installed_path()} will be needed", "pull")

    names = [name.strip() for name in variant.split(",") if name.strip()]
    with show.progress() as report:
        fetched = fetch(
            installed_path(),
            names,
            origin,
            revision=revision or (),
            convert=not as_published,
            announce=announce,
            report=report,
        )
    facts = {"path": str(installed_path()), "fetched": [piece.part for piece in fetched]}
    done = f"fetched {', '.join(facts['fetched'])}" if fetched else "everything was there"
    show.result(facts, f"{installed_path()}\n  {done}", json)


def models(json: Json = False) -> None:
    """List the models that come with the package, and those that are installed, part by part."""
    from happyhorse.engine.health import installed
    from happyhorse.generate.installed import PARTS, models_folder
    from happyhorse.generate.load import describe, packaged

    for facts in map(describe, packaged()):
        size = f"{facts['parameters'] / 1e6:.1f} M parameters, {facts['megabytes']:.1f} MB"
        made = f"{facts['seconds']:g} s at {facts['width']}x{facts['height']}, {facts['steps']} steps"
        show.result(facts, f"{facts['name']}\n  {size}\n  {made}\n  {facts['path']}", json)
    for name, parts in installed().items():
        path = str(models_folder() / name)
        lines = [name]
        for part in parts:
            state = _size(part.size) if part.state == "complete" else f"{part.state}, {part.why}"
            state = "not pulled" if part.state == "absent" else state
            lines.append(f"  {part.part:8} {PARTS[part.part].does}: {state}")
        described = {part.part: {"state": part.state, "why": part.why, "bytes": part.size} for part in parts}
        show.result({"name": name, "path": path, "parts": described}, "\n".join([*lines, f"  {path}"]), json)


def planning(
    generate: Callable[..., None], fields: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> Callable[..., None]:
    """The verb `plan`: it takes the options of the verb `generate`, of which `fields` makes those of a request."""

    def plan(
        gpu: Gpu = None, gpu_memory: Memory = None, gpus: Gpus = 1, json: Json = False, **options: Any
    ) -> None:
        """Say what a clip of the 15B would take, stage by stage: memory, seconds, and the policy that makes it fit."""
        from dataclasses import replace

        from happyhorse.engine import device as devices
        from happyhorse.engine.plan import ask
        from happyhorse.engine.prepare import imagined

        if gpu and gpu_memory is not None:
            raise ValueError("--gpu and --gpu-memory both say for which device; give one of them")
        asked = fields(options) | {"upscale": options["upscale"]}
        model, request = imagined(options["model"], options["prompt"], asked)
        if gpu or gpu_memory is not None:
            device = devices.known(gpu.lower()) if gpu else devices.of_memory(gpu_memory or 0.0)
            device = replace(device, processes=gpus)
        else:
            device = devices.these(model.device, gpus)
        made = ask(request, model.folder, model.variant, device, options["weights"], model.format)
        show.result(made.facts(), plan_lines(made), json)

    shared = [p for name, p in inspect.signature(generate).parameters.items() if name not in WITHOUT]
    own = [
        p for p in inspect.signature(plan).parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    plan.__signature__ = inspect.Signature([*shared, *own])  # type: ignore[attr-defined]
    plan.__annotations__ = {parameter.name: parameter.annotation for parameter in (*shared, *own)}
    return plan


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def plan_lines(plan: Any) -> str:
    """An `engine.plan.Plan` for a person: a row for each stage, then the whole."""

    def row(name: str, peak: int, seconds: float | None, reads: int) -> str:
        time, read = "" if seconds is None else f"{seconds:.1f}", f"{reads / 1e9:.1f}" if reads else ""
        return f"  {name:20}{peak / 1e9:8.1f}{time:>10}{read:>10}".rstrip()

    device, several = plan.device, plan.device.processes > 1
    name = f"{device.processes} x {device.name}, each" if several else device.name
    lines = [
        f"{name}: {device.free / 1e9:.1f} of {device.memory / 1e9:.1f} GB free",
        f"  {plan.policy}",
    ]
    lines += ["", f"  {'':20}{'GB':>8}{'seconds':>10}{'reads GB':>10}"]
    lines += [row(stage.name, stage.peak, stage.seconds, stage.reads) for stage in plan.stages]
    lines.append(row("in all", plan.peak, plan.seconds, sum(stage.reads for stage in plan.stages)))
    if plan.host:
        whose = "each of the devices" if several else "the device"
        lines.append(f"  {plan.host / 1e9:.1f} GB of the machine's own memory hold what waits for {whose}")
    lines.append(f"  does not fit: {plan.refusal}" if plan.refusal else "  fits")
    return "\n".join(lines)
