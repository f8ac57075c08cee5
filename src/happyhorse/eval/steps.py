"""Quality against steps: the teacher, guided and not, and its student, each sampled in few and in many steps.

All make clips of the same held-out prompts from the same seeds, at the size at which they are sampled. What was
measured of one number of steps is kept, so that a measurement that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from happyhorse import config
from happyhorse.eval import run
from happyhorse.eval.clips import gather
from happyhorse.eval.report import as_dict
from happyhorse.generate.load import load_pony, packaged, parts_of
from happyhorse.generate.pipeline import make

STEPS = (1, 2, 4, 8, 16, 32)
TIMED = 3  # clips whose sampling is timed
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Variant:
    """A way to sample: its name, the model by name or path, fields of its requests, and passes a step."""

    name: str
    model: str
    fields: dict[str, Any]
    passes: int


def variants(model: str) -> list[Variant]:
    """The guided and the unguided base of `model`, and its student. Raises ValueError where it has no student."""
    if "student" not in parts_of(model):
        whole = model.removesuffix("-base")
        remedy = (
            f"give --model {whole}, which has one"
            if model in packaged() and whole != model
            else "train one (happyhorse train distill --help)"
        )
        raise ValueError(f"{model} has no student of few steps to compare; {remedy}")
    base = f"{model}-base" if model in packaged() else str(Path(model) / "flow")
    small = {"upscale": False}
    own = {key: getattr(load_pony(base).request("anything"), key) for key in ("guidance", "audio_guidance")}
    off = {"guidance": 1.0, "audio_guidance": 1.0}
    sampler = load_pony(model).request("anything").sampler
    return [
        Variant("teacher, guided", base, small | own | {"sampler": "unipc"}, 2),
        Variant("teacher, no guidance", base, small | off | {"sampler": "unipc"}, 1),
        Variant("student", model, small | off | {"sampler": sampler}, 1),
    ]


def place_of(variant: str, steps: int) -> str:
    """Name of the folder with the clips of a variant at so many steps."""
    return f"{variant.replace(', ', '-').replace(' ', '-')}-{steps}"


def measure(
    model: str,
    clips: int,
    folder: Path,
    steps: Sequence[int] = STEPS,
    workers: int = 1,
    progress: Progress = lambda *_: None,
) -> dict[str, dict[int, dict[str, Any]]]:
    """Plain figures of `eval.clips.Part` for each variant and number of steps, with `seconds` a clip takes to sample.

    Clips are kept in `folder`. `progress(what, done, total)` counts clips. Raises ValueError as `variants` does.
    """
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for variant in variants(model):
        asked = list(run.asks(clips, run.length(run.Plan(variant.model, folder, variant.fields))))
        weights = run.weights(variant.model)
        for count in steps:
            fields = variant.fields | {"steps": count}
            place = folder / place_of(variant.name, count)
            key = config.fingerprint({"asked": [weights, fields, [one.prompt for one in asked]]})
            file = place / "figures.json"
            kept = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
            if kept.get("key") != key:
                plan = run.Plan(variant.model, place, fields)

                def told(source: str, done: int, total: int, what: str = f"{variant.name}, {count}") -> None:
                    progress(what, done, total)

                place.mkdir(parents=True, exist_ok=True)
                seen = run.measured(plan, "model", asked, workers, told)
                whole = as_dict({"": gather(seen, run.judge())})[""]["total"]
                kept = {"key": key, "figures": whole | {"seconds": _seconds(variant, count, asked[0].prompt)}}
                file.write_text(json.dumps(kept) + "\n", encoding="utf-8")
            found.setdefault(variant.name, {})[count] = kept["figures"]
    return found


def _seconds(variant: Variant, steps: int, prompt: str) -> float:
    """Median seconds of sampling one clip, without decoding."""
    model = load_pony(variant.model)
    request = model.request(prompt, seed=0, **variant.fields, steps=steps)
    return statistics.median(make(request, model).clock.timings["denoise"] for _ in range(TIMED))
