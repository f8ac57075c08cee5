"""Speed and memory of the 15B on this machine, with random weights: `python bench/horse15b.py [--tiny] [--write
PAGE]`.

Each stage (base at 256p, super-resolution to 540p and 1080p, decoding) is run by a plain implementation of the
specification (`literal.py`) and by the modules of this package, with every attention kernel that is to be had and
with compiled layers. One GPU of 80 GB or more does all of it within ten minutes; `--tiny` does the same with small
shapes in seconds anywhere. Nothing here asserts: speed is measured, not tested. Results are written as JSON after
each measurement, so that a run that is cut off still has something to say.
"""

import argparse
import gc
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))
import literal

from happyhorse import config as plain_config
from happyhorse.codec.turbo import TurboConfig, TurboDecoder
from happyhorse.engine import attention, device, work
from happyhorse.engine.plan import SPLIT
from happyhorse.engine.strips import in_strips
from happyhorse.model.attention import LOCAL_RADIUS, Window
from happyhorse.model.compiling import compile_layers
from happyhorse.model.horse import Horse
from happyhorse.model.presets import HORSE_15B, HORSE_15B_1080P, HorseConfig
from happyhorse.model.tokens import Grid, coordinates
from happyhorse.values import HAPPYHORSE_15B

WORDS = 640  # tokens of text: the most that the network reads
BIG = 10_000  # tokens beyond which attention that writes its scores down cannot be run
PUBLISHED = {
    "256p": 2.0,
    "540p": 8.0,
    "1080p": 38.4,
}  # s for a clip of 5 s on one H100, as the original's README has it
PEAKS = {
    "H100": 989e12,
    "H200": 989e12,
    "A100": 312e12,
    "B200": 2250e12,
    "4090": 165e12,
    "5090": 210e12,
}  # dense bf16


@dataclass(frozen=True)
class Stage:
    """A stage of a clip: a network at one size, run `passes` times."""

    name: str
    network: HorseConfig
    grid: Grid
    steps: int  # of sound
    words: int
    passes: int


@dataclass(frozen=True)
class Row:
    """One measurement: `seconds` of a pass (None: could not be run, `note` says why), operations of it, peak
    bytes.
    """

    stage: str
    how: str
    seconds: float | None
    flops: float
    passes: int
    peak: int | None
    error: float | None  # relative to the plain implementation, root mean square
    first: float | None  # s of the first pass, with whatever it compiled
    note: str = ""
    planned: tuple[float, int] | None = None  # seconds and peak bytes that a plan says


def stages(seconds: float, tiny: bool) -> list[Stage]:
    """The stages of a clip of some seconds."""
    sizes = {"256p": (448, 256), "540p": (896, 512), "1080p": (1920, 1088)}
    steps = round(seconds * HAPPYHORSE_15B.fps) + 1
    frames = (steps - 1) // 4 + 1
    found = []
    for name, (width, height) in sizes.items():
        network, passes = (HORSE_15B, 8) if name == "256p" else (HORSE_15B, 5)
        network = HORSE_15B_1080P if name == "1080p" else network
        words = WORDS
        if tiny:
            small = {
                "num_layers": 5,
                "hidden_size": 128,
                "head_dim": 32,
                "num_query_groups": 2,
                "text_in_channels": 24,
            }
            kinds = {
                "mm_layers": (0, 4),
                "gelu7_layers": (0,),
                "local_attn_layers": (0, 1, 3) if name == "1080p" else (),
            }
            network, words, width, height = replace(network, **small, **kinds), 20, width // 7, height // 4
        grid = Grid(frames, height // 32, max(1, width // 32))
        found.append(Stage(name, network, grid, steps, words, passes))
    return found


class Bench:
    """Where results go, and how long there is."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.started, self.rows = options, time.monotonic(), []
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.machine = device.this(self.device)
        name = self.machine.name
        self.peak = next((peak for part, peak in PEAKS.items() if part in name), self.machine.matrices or 1.0)

    @property
    def left(self) -> float:
        """Seconds that may still be spent."""
        return self.options.budget - (time.monotonic() - self.started)

    def wait(self) -> None:
        """Until the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def measure(
        self,
        stage: str,
        how: str,
        run: Callable[[], Any],
        flops: float,
        passes: int,
        reference: Any = None,
        planned: tuple[float, int] | None = None,
    ) -> Any:
        """Run, time, print and keep one thing; returns what it gave, or None where it could not be run."""
        gc.collect()
        first = peak = None
        times: list[float] = []
        given, error, note = None, None, ""
        try:
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            while (len(times) < 4 and (not times or (sum(times) < 2.0 and self.left > 0))) or len(times) == 1:
                start = time.perf_counter()
                given = run()
                self.wait()
                times.append(time.perf_counter() - start)
            first = times.pop(0)
            peak = torch.cuda.max_memory_allocated() if self.device.type == "cuda" else None
            if reference is not None:
                error = _error(given, reference)
        except torch.OutOfMemoryError:
            note = "out of memory"
        except Exception as fault:
            note = f"{type(fault).__name__}: {' '.join(str(fault).split())[:160]}"
        seconds = statistics.median(times) if times and not note else None
        row = Row(stage, how, seconds, flops, passes, peak, error, first, note, planned)
        self.rows.append(row)
        print(self.line(row), flush=True)
        if self.options.json:
            self.options.json.write_text(json.dumps(self.facts(), indent=1))
        return given if not note else None

    def line(self, row: Row) -> str:
        """A row as part of a Markdown table."""
        if row.seconds is None:
            return f"| {row.stage} | {row.how} | {row.note} | | | | |"
        rate, memory = row.flops / row.seconds, "" if row.peak is None else f"{row.peak / 1e9:.1f}"
        error = "" if row.error is None else f"{row.error:.1e}"
        return (
            f"| {row.stage} | {row.how} | {row.seconds:.4g} | {row.flops / 1e12:.4g} | {rate / 1e12:.3g} | "
            f"{rate / self.peak:.0%} | {memory} | {error} |"
        )

    def facts(self) -> dict[str, Any]:
        """Everything, for JSON."""
        machine = asdict(self.machine)
        return {
            "machine": machine,
            "peak": self.peak,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "tiny": self.options.tiny,
            "seconds": self.options.seconds,
            "rows": [asdict(row) for row in self.rows],
        }


def network(bench: Bench, stage: Stage, weights: dict[str, Tensor]) -> None:
    """One stage: the plain implementation, the package, its kernels, compiled."""
    generator = torch.Generator(bench.device).manual_seed(1)
    settings, where = plain_config.plain(stage.network), bench.device
    widths = (
        stage.network.video_in_channels,
        stage.network.audio_in_channels,
        stage.network.text_in_channels,
    )
    counts = (stage.grid.tokens, stage.steps, stage.words)
    inputs = [
        torch.randn(1, n, width, generator=generator, device=where)
        for n, width in zip(counts, widths, strict=True)
    ]
    coords = coordinates(stage.grid, stage.steps, stage.words, "v2", device=where)
    window = Window(stage.grid.frame_tokens) if stage.network.local_attn_layers else None
    amount = work.network(stage.network, stage.grid, stage.steps, stage.words)
    horse = build(stage.network, weights)

    def plainly() -> tuple[Tensor, Tensor]:
        video, audio, text = (part[0] for part in inputs)
        frame = stage.grid.frame_tokens
        return literal.velocities(settings, weights, video, audio, text, coords[0], frame, LOCAL_RADIUS)

    def ours() -> tuple[Tensor, Tensor]:
        video, audio = horse(*inputs, coords, window=window)
        return video[0], audio[0]

    def measure(how: str, run: Callable[[], Any], reference: Any = None) -> Any:
        return bench.measure(stage.name, how, run, amount.flops, stage.passes, reference)

    reference = measure("plain", plainly)
    for kernel in ("auto", "cudnn", "flash", "efficient", "math", "flex", "fa3"):
        if kernel not in bench.options.kernels or (kernel == "math" and sum(counts) > BIG):
            continue
        if bench.left < 0:
            print(f"| {stage.name} | no time left for {kernel} |", file=sys.stderr)
            continue
        try:
            attention.use(horse, kernel)
        except ValueError as fault:
            bench.rows.append(
                Row(stage.name, kernel, None, amount.flops, stage.passes, None, None, None, str(fault))
            )
            print(bench.line(bench.rows[-1]), flush=True)
            continue
        planned = plan(bench, amount, weights) if kernel == "auto" else None
        bench.measure(stage.name, kernel, ours, amount.flops, stage.passes, reference, planned)
        if kernel == "auto" and bench.options.compile and bench.left > 0:
            compile_layers(horse)
            measure("auto, compiled", ours, reference)
            horse = build(stage.network, weights)
            torch.compiler.reset()


def plan(bench: Bench, amount: work.Work, weights: dict[str, Tensor]) -> tuple[float, int]:
    """Seconds and peak bytes of a pass as `engine.plan` reckons them."""
    machine = bench.machine
    assert machine.matrices and machine.attention and machine.moving
    busy = (
        amount.matrices / machine.matrices
        + amount.attention / machine.attention
        + amount.moved / machine.moving
    )
    held = sum(weight.nbytes for weight in weights.values()) + int(SPLIT * amount.held)
    return max(busy, amount.calls * machine.call), held


def decoding(bench: Bench, stage: Stage, tiny: bool) -> None:
    """The small video decoder at the size of a stage, whole and in strips."""
    settings = TurboConfig(decoder_block_out_channels=(8, 8, 16, 16)) if tiny else TurboConfig()
    with torch.device(bench.device):
        turbo = TurboDecoder(settings).bfloat16().requires_grad_(False)
    generator = torch.Generator(bench.device).manual_seed(2)
    for parameter in turbo.parameters():
        scale = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.1
        parameter.normal_(0, scale, generator=generator)
    shape = (1, 48, stage.grid.frames, 2 * stage.grid.rows, 2 * stage.grid.columns)
    latents = torch.randn(shape, generator=generator, device=bench.device)
    with torch.device("meta"):
        like = TurboDecoder(settings).bfloat16()
    each = work.measure(lambda: like.decoder(latents[:, :, :9].to("meta", torch.bfloat16), first=False))
    windows = -(-stage.grid.frames // settings.step_size)

    def decode() -> Tensor:
        return torch.cat([piece.to(torch.float16).cpu() for piece in turbo.stream(latents)], 2)

    whole = bench.measure(f"decode {stage.name}", "whole", decode, each.flops * windows, 1)
    if stage.name == "1080p":
        in_strips(turbo, 2)
        bench.measure(f"decode {stage.name}", "2 strips", decode, each.flops * windows, 1, whole)


def build(settings: HorseConfig, weights: dict[str, Tensor]) -> Horse:
    """A network that holds these very tensors."""
    with torch.device("meta"):
        horse = Horse(settings)
    horse.load_state_dict(weights, assign=True)
    return horse.eval().requires_grad_(False)


def random_weights(settings: HorseConfig, where: torch.device) -> dict[str, Tensor]:
    """Weights of about unit gain, drawn on the device."""
    with torch.device("meta"):
        shapes = Horse(settings).state_dict()
    generator, weights = torch.Generator(where).manual_seed(0), {}
    for key, like in shapes.items():
        weights[key] = torch.empty(like.shape, dtype=like.dtype, device=where)
        scale = like.shape[-1] ** -0.5 if like.ndim > 1 else 0.02
        weights[key].normal_(0, scale, generator=generator)
    bands = shapes["adapter.rope.bands"].numel()
    weights["adapter.rope.bands"] = 10_000.0 ** (-torch.arange(bands, device=where) / bands)
    return weights


def _error(given: Any, reference: Any) -> float:
    pairs = list(zip(given, reference, strict=True)) if isinstance(given, tuple) else [(given, reference)]
    off = sum(float((a.float() - b.float()).square().sum()) for a, b in pairs)
    return (off / sum(float(b.float().square().sum()) for _, b in pairs)) ** 0.5


def summary(bench: Bench) -> list[str]:
    """Seconds of whole clips: the best that was measured, the plain implementation, and what is published."""

    def best(stage: str, plain: bool) -> float | None:
        rows = [
            row for row in bench.rows if row.stage == stage and row.seconds and (row.how == "plain") == plain
        ]
        return min(row.seconds * row.passes for row in rows) if rows else None

    lines = ["", "| clip | this package, s | plain, s | published (H100), s |", "|---|--:|--:|--:|"]
    for name in PUBLISHED:
        if not any(row.stage == name for row in bench.rows):
            continue
        parts = ["256p"] if name == "256p" else ["256p", name]
        decode = best(f"decode {name}", False)
        totals = []
        for plain in (False, True):
            each = [value for value in (*(best(part, plain) for part in parts), decode) if value is not None]
            totals.append(f"{sum(each):.3g}" if len(each) == len(parts) + 1 else "")
        published = PUBLISHED[name] if bench.options.seconds == 5 and not bench.options.tiny else ""
        lines.append(f"| {name} | {totals[0]} | {totals[1]} | {published} |")
    lines += ["", "| pass | planned s | s | planned GB | GB |", "|---|--:|--:|--:|--:|"]
    for row in bench.rows:
        if row.planned and row.seconds:
            peak = "" if row.peak is None else f"{row.peak / 1e9:.1f}"
            lines.append(
                f"| {row.stage} | {row.planned[0]:.3g} | {row.seconds:.3g} | {row.planned[1] / 1e9:.1f} | {peak} |"
            )
    return lines


def main() -> None:
    """Measure, print a table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="small shapes, to see that everything runs")
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="length of the clip (default: %(default)s)"
    )
    parser.add_argument(
        "--sizes",
        default="256p,540p,1080p",
        help="stages to measure, separated by commas (default: %(default)s)",
    )
    parser.add_argument(
        "--kernels",
        default=",".join(attention.KERNELS),
        help="attention kernels to compare, separated by commas (default: %(default)s); what is not to be had here is "
        "left out, with a word",
    )
    parser.add_argument(
        "--no-compile",
        dest="compile",
        action="store_false",
        help="leave compiled layers out, which take a while",
    )
    parser.add_argument(
        "--budget",
        type=float,
        default=540.0,
        help="seconds after which nothing new is begun (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, help="file for the results, written anew after each of them")
    parser.add_argument(
        "--write", type=Path, help="Markdown page whose block between the bench marks to replace"
    )
    options = parser.parse_args()
    options.sizes, options.kernels = options.sizes.split(","), options.kernels.split(",")
    for name, asked, known in (
        ("--sizes", options.sizes, PUBLISHED),
        ("--kernels", options.kernels, attention.KERNELS),
    ):
        if wrong := [value for value in asked if value not in known]:
            parser.error(f"{name} has no {', '.join(wrong)}; give some of {','.join(known)}")
    bench = Bench(options)
    chosen = [stage for stage in stages(options.seconds, options.tiny) if stage.name in options.sizes]
    print(
        f"{bench.machine.name}: products {(bench.machine.matrices or 0) / 1e12:.4g} TFLOP/s", file=sys.stderr
    )
    header = [
        f"{bench.machine.name}, torch {torch.__version__}, Python {platform.python_version()}; a clip of "
        f"{options.seconds:g} s{', tiny shapes' if options.tiny else ''}; share of {bench.peak / 1e12:.4g} TFLOP/s.",
        "",
        "| stage | how | s per pass | TFLOP | TFLOP/s | of peak | peak GB | against plain |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    print("\n".join(header))
    with torch.no_grad():
        for stage in chosen:  # cheap ones first
            decoding(bench, stage, options.tiny)
        weights = random_weights(chosen[0].network, bench.device)
        for stage in chosen:
            network(bench, stage, weights)
    lines = [*header, *(bench.line(row) for row in bench.rows), *summary(bench)]
    print("\n".join(summary(bench)))
    if options.write:
        before, rest = options.write.read_text().split("<!-- bench: 15b -->")
        text = (
            f"{before}<!-- bench: 15b -->\n"
            + "\n".join(lines)
            + f"\n<!-- end -->{rest.split('<!-- end -->', 1)[1]}"
        )
        options.write.write_text(text)


if __name__ == "__main__":
    main()
