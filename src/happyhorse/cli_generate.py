"""The verb that makes clips: `happyhorse generate`."""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from happyhorse import cli_show as show

GIVEN = "What is given"
UPSCALE = "Super-resolution"
LARGE = "The 15B on this machine"
PICTURE = "PNG, JPEG or WebP"


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
        float | None,
        typer.Option(
            help="Length in seconds; otherwise that of what is given, or as long as the spoken words need, or the "
            "model's own. With --extend it is that of the new part."
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="WxH", help="Pixels, multiples of 32, or 256p, 540p, 1080p; otherwise the model's own."
        ),
    ] = None,
    ratio: Annotated[
        str | None,
        typer.Option(help="With such a resolution: 16:9 (unless asked otherwise), 9:16, 1:1, 4:3 or 3:4."),
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
    upscale: Annotated[
        bool,
        typer.Option(
            "--upscale/--no-upscale",
            help="Without it the clip has the size at which it is sampled.",
            rich_help_panel=UPSCALE,
        ),
    ] = True,
    upscale_steps: Annotated[
        int | None,
        typer.Option(help="Steps of super-resolution; otherwise the model's own.", rich_help_panel=UPSCALE),
    ] = None,
    upscale_guidance: Annotated[
        float | None,
        typer.Option(
            help="How closely it keeps to the prompt; otherwise 1, which is off.", rich_help_panel=UPSCALE
        ),
    ] = None,
    align_corners: Annotated[
        bool | None,
        typer.Option(help="How latents are enlarged; otherwise by their corners.", rich_help_panel=UPSCALE),
    ] = None,
    takes: Annotated[int, typer.Option(help="How many clips to make, each from the next seed.")] = 1,
    lang: Annotated[
        str | None,
        typer.Option(
            help="Language of the spoken words: en, zh, yue, ja, ko, de, fr, or its name; otherwise each line's own."
        ),
    ] = None,
    first_frame: Annotated[
        Path | None, typer.Option(help=f"Picture to begin with ({PICTURE}).", rich_help_panel=GIVEN)
    ] = None,
    last_frame: Annotated[
        Path | None, typer.Option(help=f"Picture to end with ({PICTURE}).", rich_help_panel=GIVEN)
    ] = None,
    key_frame: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SECONDS=PATH",
            help="Picture to pass through at a time, such as 1.5=jump.png; repeatable.",
            rich_help_panel=GIVEN,
        ),
    ] = None,
    audio: Annotated[
        Path | None,
        typer.Option(
            help="Sound to make a picture for; it is the clip's sound, untouched.", rich_help_panel=GIVEN
        ),
    ] = None,
    video: Annotated[
        Path | None,
        typer.Option(
            help="Video to make a sound for; its picture is the clip's picture.", rich_help_panel=GIVEN
        ),
    ] = None,
    extend: Annotated[
        Path | None,
        typer.Option(help="Clip to go on from; the result is both, joined.", rich_help_panel=GIVEN),
    ] = None,
    retake: Annotated[
        Path | None,
        typer.Option(help="Clip of which to make a --span anew; the rest is kept.", rich_help_panel=GIVEN),
    ] = None,
    span: Annotated[
        str | None,
        typer.Option(
            metavar="A-B", help="Seconds of the --retake to make anew, such as 1-2.5.", rich_help_panel=GIVEN
        ),
    ] = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            help=f"Picture of who or what the clip is about ({PICTURE}); up to three, all of one subject.",
            rich_help_panel=GIVEN,
        ),
    ] = None,
    edit: Annotated[
        Path | None,
        typer.Option(
            help='Clip to change as the prompt says: "make the ball red", "replace the sound with rain".',
            rich_help_panel=GIVEN,
        ),
    ] = None,
    keep: Annotated[
        Literal["picture", "sound"] | None,
        typer.Option(help="What of the clip to --edit stays as it is.", rich_help_panel=GIVEN),
    ] = None,
    model: Annotated[
        str, typer.Option(help="Name of a model (see: happyhorse models), or a folder with weights.")
    ] = "pony",
    weights: Annotated[
        Literal["bf16", "fp8", "int8"],
        typer.Option(
            help="How its matrices are stored: bf16 as published; the others take half the memory and change clips a "
            "little.",
            rich_help_panel=LARGE,
        ),
    ] = "bf16",
    compile: Annotated[
        bool,
        typer.Option(
            "--compile", help="Compile it: a minute first, then faster steps.", rich_help_panel=LARGE
        ),
    ] = False,
    enhance: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Let a language model rewrite the prompt in its form: the server's address, such as "
            "http://localhost:8000/v1. A key is taken from HAPPYHORSE_ENHANCE_KEY.",
            rich_help_panel=LARGE,
        ),
    ] = None,
    enhance_model: Annotated[
        str | None,
        typer.Option(help="That server's language model; otherwise its first.", rich_help_panel=LARGE),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Let the name made from the prompt replace a file.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print each result as one line of JSON.")] = False,
) -> None:
    """Make a clip with sound from a prompt, and sign it as machine-made."""
    asked = fields(locals())
    from happyhorse.generate.files import check_writable, paths
    from happyhorse.values import Request

    Request(prompt=prompt, **asked)  # a mistake in it should not wait for torch
    check_writable(output)

    from happyhorse.engine import prompts, ulysses
    from happyhorse.engine.prepare import prepare, work_along
    from happyhorse.generate.installed import NAME
    from happyhorse.generate.load import load
    from happyhorse.generate.pipeline import make_file

    started = time.perf_counter()
    with show.progress() as report:
        report("load", 0, 1)
        horse = load(model)
        report("load", 1, 1)
    if (enhance or enhance_model) and not (enhance and horse.format.name == NAME):
        raise ValueError(f"--enhance URL writes prompts for --model {NAME}, with --enhance-model if need be")
    if enhance and ulysses.world()[0] == 0:
        prompt = prompts.enhance(prompt, enhance, enhance_model)
        show.say(prompt, "prompt")
    ready = prepare(horse, horse.request(prompt, upscale=upscale, **asked), weights=weights, compiled=compile)
    loaded, request = time.perf_counter() - started, ready.request
    if ready.rank > 0:
        work_along(ready)
        return ulysses.leave()
    for remark in prompts.lint(request.prompt) if ready.plan else ():
        show.say(remark, "note")
    for index, path in enumerate(paths(output, request, force)):
        with show.progress() as report:
            making = make_file(request.take(index), ready.model, path, report)
        for note in making.notes if index == 0 else ():
            show.say(note, "note")
        timings = {"load": loaded if index == 0 else 0.0, **making.clock.timings}
        facts = making.facts(path) | {"timings": {stage: round(s, 3) for stage, s in timings.items()}}
        show.result(facts, show.clip_lines(facts), json)
    ulysses.leave()


def fields(options: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for, as fields of a `Request`, of the options of `generate` by their names."""
    width, height = show.choose_size(options["size"], options["ratio"])
    own = (
        "seed", "seconds", "steps", "guidance", "audio_guidance", "sampler", "takes", "upscale_steps",
        "upscale_guidance", "align_corners", "first_frame", "last_frame", "audio", "video", "extend", "retake",
        "edit", "keep",
    )  # fmt: skip
    span, key_frames = options["span"], tuple(map(_key_frame, options["key_frame"] or ()))
    asked = {name: options[name] for name in own} | {"width": width, "height": height}
    asked |= {"language": options["lang"], "key_frames": key_frames, "span": _span(span) if span else None}
    asked["references"] = tuple(options["reference"] or ())
    return {name: value for name, value in asked.items() if value is not None}


def _key_frame(text: str) -> tuple[float, Path]:
    time, equals, path = text.partition("=")
    seconds = _number(time)
    if not equals or not path or seconds is None:
        raise ValueError(f"{text!r} is no key frame; give seconds=path, for example --key-frame 1.5=jump.png")
    return seconds, Path(path)


def _span(text: str) -> tuple[float, float]:
    start, dash, end = text.partition("-")
    times = _number(start), _number(end)
    if not dash or times[0] is None or times[1] is None:
        raise ValueError(
            f"{text!r} is no span; give its start and its end in seconds, for example --span 1-2.5"
        )
    return times[0], times[1]


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
