"""Seconds and memory of the small model on this machine: `python bench/pony.py [--model NAME] [--write FILE]`.

Cold figures start a new process each; warm ones are medians of clips made by one process. Every figure is of the whole
default clip (3 s with sound). Nothing here asserts: speed is measured, not tested.
"""

import argparse
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

PROMPT = "a big red ball bounces on a wooden floor in front of a blue wall"


def cold(*arguments: str) -> float:
    """Wall seconds of a fresh `happyhorse` process."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "happyhorse", *arguments], check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Print a table, and write it into a page if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="pony")
    parser.add_argument("--clips", type=int, default=3, help="warm clips")
    parser.add_argument(
        "--write", type=Path, help="Markdown page whose block between the bench marks to replace"
    )
    options = parser.parse_args()
    from happyhorse.heap import keep_freed_memory

    keep_freed_memory()  # as the command does
    from happyhorse.generate.load import load
    from happyhorse.generate.pipeline import make_file

    rows = [("`happyhorse --help`", min(cold("--help") for _ in range(3)))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        rows.append(
            (
                "`happyhorse generate`, new process to finished file",
                cold("generate", PROMPT, "--model", options.model, "-o", str(path)),
            )
        )
        started = time.perf_counter()
        model = load(options.model)
        rows.append(("load", time.perf_counter() - started))
        runs = []
        for seed in range(options.clips + 1):  # the first one warms up
            started = time.perf_counter()
            making = make_file(model.request(PROMPT, seed=seed), model, path)
            runs.append({"whole clip, warm": time.perf_counter() - started} | making.clock.timings)
    for stage in runs[0]:
        rows.append((stage, statistics.median(run[stage] for run in runs[1:])))
    request = model.request(PROMPT, seed=0)
    seconds = making.shape.seconds
    warm = dict(rows)["whole clip, warm"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    lines = [
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"Python {platform.python_version()}; {request.steps} steps, guidance {request.guidance:g}.",
        "",
        "| what | s |",
        "|---|--:|",
        *(f"| {name} | {value:.2f} |" for name, value in rows),
        f"| seconds of work per second of clip | {warm / seconds:.2f} |",
        f"| peak memory of the process, GB | {peak:.2f} |",
    ]
    print("\n".join(lines))
    if options.write:
        text = options.write.read_text()
        before, rest = text.split("<!-- bench: pony -->")
        after = rest.split("<!-- end -->", 1)[1]
        options.write.write_text(
            f"{before}<!-- bench: pony -->\n" + "\n".join(lines) + f"\n<!-- end -->{after}"
        )


if __name__ == "__main__":
    main()
