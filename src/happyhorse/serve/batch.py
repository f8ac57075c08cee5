"""Many clips from a manifest, without a server: a line of JSON in, a clip and a line out; goes on where it stopped.

A line of the manifest has a `prompt`, a `name` if the file should have one, and any fields of `values.Request`; paths
are relative to the manifest. Without a seed a line has its number as seed, so that the same manifest gives the same
clips.
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from happyhorse.engine.prepare import prepare
from happyhorse.errors import explain
from happyhorse.generate.files import slug
from happyhorse.generate.load import load
from happyhorse.generate.pipeline import make_file
from happyhorse.serve.jobs.files import SINGLE

RESULTS = "results.jsonl"
_NAME = re.compile(r"[\w][\w.-]{0,99}")


@dataclass(frozen=True)
class Row:
    """One clip to make: its file `name` without a suffix, the model, the prompt and further fields of a request."""

    name: str
    model: str
    prompt: str
    fields: dict[str, Any]


def read_manifest(path: Path, model: str) -> list[Row]:
    """The rows of a manifest; `model` is that of rows which name none.

    Raises ValueError, naming the line, for one that is no JSON object with a prompt, or whose name was used before.
    """
    rows: list[Row] = []
    taken: set[str] = set()
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ValueError(f"no such file: {path}; check the path") from None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        where = f"line {number} of {path}"
        try:
            values = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{where} is no JSON ({error}); write one object a line") from None
        if not isinstance(values, dict) or not isinstance(values.get("prompt"), str):
            raise ValueError(
                f'{where} has no prompt; write an object such as {{"prompt": "a red ball bounces"}}'
            )
        prompt, own = values.pop("prompt"), values.pop("model", model)
        given = values.pop("name", None)
        name = given or f"{number:05d}-{slug(prompt)}"  # with the combining marks of scripts that have them
        if not isinstance(name, str) or (given and not _NAME.fullmatch(name)) or name in taken:
            raise ValueError(
                f"{where} cannot be called {name!r}; give each clip a name of its own, of letters and digits"
            )
        taken.add(name)
        fields = {"seed": number, **values}
        for key in SINGLE:
            if isinstance(fields.get(key), str):
                fields[key] = path.parent / fields[key]
        several = fields.get("references")
        if isinstance(several, list | str):
            each = [several] if isinstance(several, str) else several
            fields["references"] = [path.parent / one if isinstance(one, str) else one for one in each]
        frames = [(time, path.parent / picture) for time, picture in fields.pop("key_frames", ())]
        rows.append(Row(name, own, prompt, fields | ({"key_frames": tuple(frames)} if frames else {})))
    return rows


def left(rows: Iterable[Row], folder: Path) -> list[Row]:
    """The rows whose clip is not in `folder` yet, or failed there."""
    results = folder / RESULTS
    done = set()
    for line in results.read_text("utf-8").splitlines() if results.is_file() else ():
        try:
            result = json.loads(line)
        except ValueError:
            continue  # the line at which a run was killed
        if "error" not in result and (folder / f"{result['name']}.mp4").is_file():
            done.add(result["name"])
    return [row for row in rows if row.name not in done]


def make_row(row: Row, folder: Path, report: Callable[[str, int, int], None] | None = None) -> dict[str, Any]:
    """Make the clip of a row; returns what there is to say about it, or under "error" why there is none."""
    try:
        model = load(row.model)
        ready = prepare(model, model.request(row.prompt, **row.fields))
        path = folder / f"{row.name}.mp4"
        making = make_file(ready.request, ready.model, path, *([report] if report else []))
    except ValueError as error:
        return {"name": row.name, "prompt": row.prompt, "error": explain(error)}
    except Exception as error:  # a fault at one clip is no reason to make no others
        return {
            "name": row.name,
            "prompt": row.prompt,
            "error": f"a fault ({type(error).__name__}: {explain(error)})",
        }
    timings = {stage: round(seconds, 3) for stage, seconds in making.clock.timings.items()}
    return {"name": row.name, **making.facts(path), "timings": timings}


def run(
    rows: Iterable[Row], folder: Path, report: Callable[[str, int, int], None] | None = None
) -> Iterator[dict[str, Any]]:
    """Make the clips of all rows here, one after the other, and yield what became of each, written down."""
    for row in rows:
        yield _noted(make_row(row, folder, report), folder)


def run_on_ray(rows: list[Row], folder: Path, workers: int) -> Iterator[dict[str, Any]]:
    """Make the clips of all rows with `workers` actors of a Ray cluster, which share `folder`; yields as `run` does.

    Raises ValueError when Ray is not installed.
    """
    try:
        import ray.data  # type: ignore[import-not-found]
    except ModuleNotFoundError:
        raise ValueError("--ray needs Ray; install it with: pip install 'happyhorse[ray]'") from None
    gpus = 1 if any(node.get("Resources", {}).get("GPU") for node in _nodes()) else 0
    made = ray.data.from_items([{"row": row} for row in rows]).repartition(max(1, len(rows))).map(
        _Maker, fn_constructor_args=(str(folder),), concurrency=workers, num_gpus=gpus
    )  # fmt: skip
    for result in made.iter_rows():
        yield _noted(json.loads(result["result"]), folder)


def _nodes() -> list[dict[str, Any]]:
    import ray  # type: ignore[import-not-found]

    ray.init(ignore_reinit_error=True, log_to_driver=False)
    return ray.nodes()


class _Maker:
    """An actor of Ray that makes clips, with its models loaded once."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        return {"result": json.dumps(make_row(item["row"], self.folder))}


def _noted(result: dict[str, Any], folder: Path) -> dict[str, Any]:
    with open(folder / RESULTS, "a", encoding="utf-8") as file:
        file.write(json.dumps(result, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return result
