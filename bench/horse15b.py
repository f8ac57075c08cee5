"""Speed and memory of the 15B on this machine, with random weights: `python bench/horse15b.py [--tiny] [--write
PAGE]`.

Each stage (base at 256p, super-resolution to 540p and 1080p, decoding) is run by a plain implementation of the
specification (`literal.py`) and by the modules of this package, with every attention kernel that is to be had and
with compiled layers. One GPU of 80 GB or more is meant to do all of it within ten minutes; `--tiny` does the same with
small shapes anywhere. Nothing here asserts: speed is measured, not tested. What matters most comes first (all stages
as they are, then compiled, then the other kernels), and page and JSON are written after each measurement, so that a
run that is cut off still has something to say.
"""

import argparse
import gc
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
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
KERNELS = ("auto", "fa3", "cudnn", "flash", "flex", "efficient", "math")  # fast ones first
# s for a clip of 5 s on one H100, as the original's README has it
PUBLISHED = {
    "256p": 2.0,
    "540p": 8.0,
    "1080p": 38.4,
}
# dense bf16
PEAKS = {
    "H100": 989e12,
    "H200": 989e12,
    "A100": 312e12,
    "B200": 2250e12,
    "4090": 165e12,
    "5090": 210e12,
}


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
        self.options, self.started = options, time.monotonic()
        self.rows: list[Row] = []
        self.absent: dict[str, str] = {}  # kernels that cannot be had here, and why: asked for once
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
        self.keep(Row(stage, how, seconds, flops, passes, peak, error, first, note, planned))
        return given if not note else None

    def keep(self, row: Row) -> None:
        """Print a row, and write it and all before it where asked."""
        self.rows.append(row)
        print(self.line(row), flush=True)
        if self.options.json:
            self.options.json.write_text(json.dumps(self.facts(), indent=1))
        if self.options.write:
            write(self.options.write, [*self.header, *map(self.line, self.rows), *summary(self)])

    @property
    def header(self) -> list[str]:
        """What stands over the rows."""
        tiny = ", tiny shapes" if self.options.tiny else ""
        return [
            f"{self.machine.name}, torch {torch.__version__}, Python {platform.python_version()}; a clip of "
            f"{self.options.seconds:g} s{tiny}; share of {self.peak / 1e12:.4g} TFLOP/s.",
            "",
            "| stage | how | s per pass | s of the first | TFLOP | TFLOP/s | of peak | peak GB | against plain |",
            "|---|---|--:|--:|--:|--:|--:|--:|--:|",
        ]

    def line(self, row: Row) -> str:
        """A row as part of a Markdown table."""
        if row.seconds is None or row.first is None:
            return f"| {row.stage} | {row.how} | {row.note} | | | | | | |"
        rate, memory = row.flops / row.seconds, "" if row.peak is None else f"{row.peak / 1e9:.1f}"
        error = "" if row.error is None else f"{row.error:.1e}"
        return (
            f"| {row.stage} | {row.how} | {row.seconds:.4g} | {row.first:.3g} | {row.flops / 1e12:.4g} | "
            f"{rate / 1e12:.3g} | {rate / self.peak:.0%} | {memory} | {error} |"
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


def network(bench: Bench, stage: Stage, weights: dict[str, Tensor]) -> Iterator[None]:
    """One stage, in three parts, what matters most first: the plain implementation and the package as it chooses to
    run; compiled; other attention kernels.
    """
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
    style = "v2" if stage.name == "256p" else "v1"
    coords = coordinates(stage.grid, stage.steps, stage.words, style, device=where)
    window = Window(stage.grid.frame_tokens) if stage.network.local_attn_layers else None
    amount = work.network(stage.network, stage.grid, stage.steps, stage.words)

    def plainly() -> tuple[Tensor, Tensor]:
        video, audio, text = (part[0] for part in inputs)
        frame = stage.grid.frame_tokens
        return literal.velocities(settings, weights, video, audio, text, coords[0], frame, LOCAL_RADIUS)

    def ours(kernel: str, how: str = "", change: Callable[[Horse], Any] = lambda horse: None) -> None:
        """Measure the package with one kernel."""
        how = how or kernel
        if bench.left < 0 and how != "auto":
            print(f"| {stage.name} | {how} | no time left |", file=sys.stderr)
            return
        horse = build(stage.network, weights)
        try:
            if kernel not in bench.absent:
                attention.use(horse, kernel)
        except ValueError as fault:
            bench.absent[kernel] = str(fault)
        if kernel in bench.absent:
            note = bench.absent[kernel]
            bench.keep(Row(stage.name, how, None, amount.flops, stage.passes, None, None, None, note))
            return
        change(horse)

        def run() -> tuple[Tensor, Tensor]:
            video, audio = horse(*inputs, coords, window=window)
            return video[0], audio[0]

        planned = plan(bench, amount, weights) if how == "auto" else None
        bench.measure(stage.name, how, run, amount.flops, stage.passes, reference, planned)

    reference = bench.measure(stage.name, "plain", plainly, amount.flops, stage.passes)
    kernels = bench.options.kernels
    if "auto" in kernels:
        ours("auto")
    yield
    if "auto" in kernels and bench.options.compile:
        ours("auto", "auto, compiled", compile_layers)
        torch.compiler.reset()
    yield
    for kernel in kernels:
        if kernel != "auto" and (kernel != "math" or sum(counts) <= BIG):
            ours(kernel)


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
    """The small video decoder at the size of a stage: whole, in strips, and with channels last in memory."""
    settings = TurboConfig(decoder_block_out_channels=(8, 8, 16, 16)) if tiny else TurboConfig()
    shape = (1, 48, stage.grid.frames, 2 * stage.grid.rows, 2 * stage.grid.columns)
    latents = torch.randn(shape, generator=torch.Generator(bench.device).manual_seed(2), device=bench.device)
    with torch.device("meta"):
        like = TurboDecoder(settings).bfloat16()
    each = work.measure(lambda: like.decoder(latents[:, :, :9].to("meta", torch.bfloat16), first=False))
    windows = -(-stage.grid.frames // settings.step_size)

    def decode(turbo: TurboDecoder) -> list[Tensor]:  # to bytes on the host, as in generation
        frames, height, width = 4 * stage.grid.frames - 3, 32 * stage.grid.rows, 32 * stage.grid.columns
        done, video = 0, torch.empty(1, 3, frames, height, width, dtype=torch.uint8)
        for piece in turbo.stream(latents):
            video[:, :, done : done + piece.shape[2]] = ((piece * 0.5 + 0.5).clamp(0, 1) * 255).byte().cpu()
            done += piece.shape[2]
        return [video]

    def measure(how: str, turbo: TurboDecoder, reference: Any = None) -> Any:
        run = partial(decode, turbo)
        return bench.measure(f"decode {stage.name}", how, run, each.flops * windows, 1, reference)

    whole = measure("whole", small_decoder(settings, bench.device))
    if stage.name == "1080p":
        measure("2 strips", in_strips(small_decoder(settings, bench.device), 2), whole)
    turbo = small_decoder(settings, bench.device)
    for module in turbo.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Conv3d):
            flat = isinstance(module, torch.nn.Conv2d)
            order = torch.channels_last if flat else torch.channels_last_3d
            module.weight.data = module.weight.data.contiguous(memory_format=order)
    measure("channels last", turbo, whole)


def small_decoder(settings: TurboConfig, where: torch.device) -> TurboDecoder:
    """The small video decoder with weights of about unit gain, always the same ones."""
    with torch.device(where):
        turbo = TurboDecoder(settings).bfloat16().requires_grad_(False)
    generator = torch.Generator(where).manual_seed(3)
    for parameter in turbo.parameters():
        scale = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.1
        parameter.normal_(0, scale, generator=generator)
    return turbo


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
    off = sum(float((a.float() - b.float()).square().sum()) for a, b in zip(given, reference, strict=True))
    return (off / sum(float(b.float().square().sum()) for b in reference)) ** 0.5


def write(page: Path, lines: list[str]) -> None:
    """Replace the block between the bench marks of a Markdown page."""
    before, rest = page.read_text().split("<!-- bench: 15b -->")
    after = rest.split("<!-- end -->", 1)[1]
    page.write_text("\n".join([f"{before}<!-- bench: 15b -->", *lines, f"<!-- end -->{after}"]))


def summary(bench: Bench) -> list[str]:
    """Seconds of whole clips: as the package runs, the best that was measured, the plain implementation, what is
    published; then what plans say of a pass.
    """

    def seconds(stage: str, *hows: str) -> float | None:
        """Of all passes of a stage in one of some ways, the fastest; without them in any but the plain way."""
        rows = [row for row in bench.rows if row.stage == stage and row.seconds is not None]
        rows = [row for row in rows if (row.how in hows if hows else row.how != "plain")]
        return min((row.seconds * row.passes for row in rows if row.seconds), default=None)

    lines = ["", "| clip | as it runs, s | best of all, s | plain, s | published (H100), s |"]
    lines.append("|---|--:|--:|--:|--:|")
    for name in PUBLISHED:
        parts = list(dict.fromkeys(("256p", name)))
        if not any(row.stage == name for row in bench.rows):
            continue
        totals = []
        for hows, decoder in ((("auto",), ("whole",)), ((), ()), (("plain",), ("whole",))):
            each = [*(seconds(part, *hows) for part in parts), seconds(f"decode {name}", *decoder)]
            known = [value for value in each if value is not None]
            totals.append(f"{sum(known):.3g}" if len(known) == len(each) else "")
        published = PUBLISHED[name] if bench.options.seconds == 5 and not bench.options.tiny else ""
        lines.append(f"| {name} | {' | '.join(totals)} | {published} |")
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
        default=",".join(KERNELS),
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
        help="seconds after which only the first row of each stage is still measured (default: %(default)s)",
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
    print("\n".join(bench.header))
    with torch.no_grad():
        for stage in chosen:
            decoding(bench, stage, options.tiny)
        weights = random_weights(chosen[0].network, bench.device)
        parts = [network(bench, stage, weights) for stage in chosen]
        for _ in range(3):
            for part in parts:
                next(part, None)
    print("\n".join(summary(bench)))


if __name__ == "__main__":
    main()
