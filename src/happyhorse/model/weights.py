"""Published weights of the denoiser: folders of shards, read one tensor at a time, cast by the rule, checked first.

A folder holds `model.safetensors.index.json` and the shards that it names, or a single `model.safetensors`; a shard
may be compressed (`NAME.zst`, Zstandard). A `config.json` beside them says what network they belong to, in the
fields of `HorseConfig`; without one they are those of the 15B. Headers are read before anything else, so that a
wrong, partial or truncated folder is an error within milliseconds. The four families of block matrices become bf16
and everything else stays fp32 (15B spec section 2.9): a blanket cast visibly damages the distilled and the
super-resolution weights.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any, cast

import torch
from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor

from happyhorse import config
from happyhorse.checkpoint import check_fit, shapes
from happyhorse.files import write_atomic
from happyhorse.model.horse import Horse
from happyhorse.model.presets import HORSE_15B, HorseConfig

INDEX, SINGLE, CONFIG = "model.safetensors.index.json", "model.safetensors", "config.json"
LARGEST_HEADER = 100_000_000  # bytes, as the safetensors library has it
AGAIN = "copy or pull it again"
_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}

Progress = Callable[[int, int], None]  # bytes done, of how many


@dataclass(frozen=True)
class Shard:
    """One file: its place; of each tensor in it dtype, shape, first and last byte; what its header says besides."""

    path: Path
    tensors: Mapping[str, tuple[torch.dtype, tuple[int, ...], int, int]]
    metadata: Mapping[str, str]

    @property
    def size(self) -> int:
        """Bytes of its tensors."""
        return sum(stop - start for *_, start, stop in self.tensors.values())


def read_config(folder: str | Path, default: HorseConfig = HORSE_15B) -> HorseConfig:
    """The network that the weights in `folder` belong to: its `config.json`, else `default`.

    Raises ValueError for a file that is no configuration.
    """
    path = Path(folder) / CONFIG
    if not path.is_file():
        return default
    try:
        return config.build(HorseConfig, json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ValueError(
            f"{path} is not the configuration of a denoiser ({error}); {AGAIN}, or delete it if these are the "
            "published weights"
        ) from None


def shards(folder: str | Path) -> list[Shard]:
    """The files of the weights in `folder`, headers read, in the order of their names.

    Raises ValueError, naming the file and the remedy, where one is missing, truncated, damaged or not safetensors,
    and where the index names other tensors than the files hold.
    """
    folder = Path(folder)
    names, named = [SINGLE], None
    if (folder / INDEX).is_file():
        try:
            named = dict(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"])
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{folder / INDEX} is damaged; {AGAIN}") from None
        names = sorted(set(named.values()))
    found = [_header(_file(folder, name)) for name in names]
    held = {key: shard.path.name.removesuffix(".zst") for shard in found for key in shard.tensors}
    if named is not None and named != held:
        wrong = next(key for key in {**named, **held} if named.get(key) != held.get(key))
        raise ValueError(f"{folder / INDEX} and the files that it names differ (at {wrong}); {AGAIN}")
    return found


def tensors(shard: Shard) -> Iterator[tuple[str, Float[Tensor, "..."]]]:
    """The tensors of one file by name, one after the other as they lie in it, on the CPU.

    Raises ValueError where the file is truncated or damaged.
    """
    order = sorted(shard.tensors.items(), key=lambda item: item[1][2])
    with _open(shard.path) as file:
        _head(file)
        for key, (dtype, shape, start, stop) in order:
            raw = torch.empty(stop - start, dtype=torch.uint8)
            _fill(file, memoryview(cast(Any, raw.numpy())), shard.path)
            yield key, raw.view(dtype).reshape(shape)


def check(folder: str | Path, settings: HorseConfig | None = None) -> None:
    """Raise ValueError, as `load_horse` would, unless the weights in `folder` can be loaded; only headers are read."""
    _checked(Path(folder), settings)


def load_horse(
    folder: str | Path,
    settings: HorseConfig | None = None,
    device: torch.device | str | Callable[[str], torch.device] = "cpu",
    progress: Progress = lambda done, total: None,
) -> Horse:
    """The denoiser in `folder` on `device`, without gradients; at most one tensor is held beside it.

    `device` may be a function of the key of a tensor. `settings` say what network it is; None reads them off the
    folder. Raises ValueError as `shards` does, and where keys are missing, of no use or misshapen, naming them, before
    any weight is read.
    """
    horse, files = _checked(Path(folder), settings)
    wanted, weights, done = horse.state_dict(), {}, 0
    total = sum(shard.size for shard in files)
    for shard in files:
        for key, tensor in tensors(shard):
            weights[key] = tensor.to(device(key) if callable(device) else device, wanted[key].dtype)
            done += tensor.nbytes
            progress(done, total)
    horse.load_state_dict(weights, assign=True)
    return horse.eval().requires_grad_(False)


def convert(
    source: str | Path,
    target: str | Path,
    settings: HorseConfig | None = None,
    progress: Progress = lambda done, total: None,
) -> Path:
    """Write the denoiser in `source` as `target`: the dtypes of the rule, uncompressed, with its configuration.

    61 GB of fp32 become 30.6 GB. No more than one shard is held at a time. Each shard appears whole or not at all and
    the index comes last, so that a conversion that was stopped goes on where it was, and a folder with an index is
    complete. Raises ValueError as `load_horse` does, and OSError, before anything is written, where the disk is too
    small.
    """
    source, target = Path(source), Path(target)
    if source.resolve() == target.resolve():
        raise ValueError(f"weights are converted into another folder; {source} is the one that they are in")
    horse, files = _checked(source, settings)
    wanted = horse.state_dict()
    target.mkdir(parents=True, exist_ok=True)
    for left in target.glob(".*.part"):  # by a conversion that was killed
        left.unlink()
    missing = [shard for shard in files if not _is_converted(target, shard)]
    sizes = [sum(wanted[key].nbytes for key in shard.tensors) for shard in files]
    needed = sum(size for shard, size in zip(files, sizes, strict=True) if shard in missing)
    free = shutil.disk_usage(target).free
    if free < needed:
        raise OSError(
            f"{target} needs {needed / 1e9:.1f} GB and the disk has {free / 1e9:.1f} GB left; free some space, or "
            "convert to another disk"
        )
    if missing:
        (target / INDEX).unlink(missing_ok=True)
    done = 0
    for shard, size in zip(files, sizes, strict=True):
        if shard in missing:
            cast = {key: tensor.to(wanted[key].dtype) for key, tensor in tensors(shard)}
            facts = {"format": "pt", "source": _identity(shard)}
            write_atomic(
                target / _plain(shard), lambda hidden, of=(cast, facts): save_file(of[0], hidden, of[1])
            )
        done += size
        progress(done, sum(sizes))
    weight_map = {key: _plain(shard) for shard in files for key in shard.tensors}
    index = {"metadata": {"total_size": sum(sizes)}, "weight_map": weight_map}
    for name, content in ((CONFIG, config.plain(horse.config)), (INDEX, index)):
        text = json.dumps(content, indent=1)
        write_atomic(target / name, lambda hidden, text=text: hidden.write_text(text, encoding="utf-8"))
    return target


def _checked(folder: Path, settings: HorseConfig | None) -> tuple[Horse, list[Shard]]:
    """The network without weights, and the files, whose tensors are the ones that it needs."""
    settings = settings or read_config(folder)
    found = shards(folder)
    with torch.device("meta"):
        horse = Horse(settings)
    check_fit(
        shapes(horse.state_dict()),
        {key: shape for shard in found for key, (_, shape, *_) in shard.tensors.items()},
        f"the weights in {folder}",
    )
    return horse, found


def _is_converted(target: Path, shard: Shard) -> bool:
    """Whether an earlier run made a whole file of this very shard."""
    path = target / _plain(shard)
    try:
        own = _header(path) if path.is_file() else None
    except ValueError:
        own = None
    return own is not None and own.metadata.get("source") == _identity(shard)


def _identity(shard: Shard) -> str:
    """Tells this file from all others, and from itself after a change."""
    facts = shard.path.stat()
    return hashlib.sha256(f"{shard.path.resolve()} {facts.st_size} {facts.st_mtime_ns}".encode()).hexdigest()


def _plain(shard: Shard) -> str:
    return shard.path.name.removesuffix(".zst")


def _file(folder: Path, name: str) -> Path:
    """The compressed file if there is one, as the original has it, else the plain one."""
    if Path(name).name != name:
        raise ValueError(f"{folder / INDEX} names a file of another folder ({name}); {AGAIN}")
    for path in (folder / f"{name}.zst", folder / name):
        if path.is_file():
            return path
    raise ValueError(f"no weights in {folder}: {name} is missing; {AGAIN}")


@contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    with open(path, "rb") as file:
        if path.suffix != ".zst":
            yield file
            return
        try:
            import zstandard
        except ImportError:
            raise ValueError(f"{path} is compressed; install what reads it: pip install zstandard") from None
        try:
            with zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as stream:
                yield stream
        except zstandard.ZstdError as error:
            raise ValueError(f"{path} is damaged ({error}); {AGAIN}") from None


def _head(file: IO[bytes]) -> dict[str, Any]:
    """The JSON before the tensors; afterwards the file stands at the first of them."""
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= LARGEST_HEADER:
        raise ValueError("no header")
    return json.loads(file.read(length))


def _header(path: Path) -> Shard:
    with _open(path) as file:
        try:
            head = _head(file)
            metadata = head.pop("__metadata__", {})
            found: dict[str, tuple[torch.dtype, tuple[int, ...], int, int]] = {
                key: (_DTYPES[facts["dtype"]], tuple(facts["shape"]), *facts["data_offsets"])
                for key, facts in head.items()
            }
            end = 0  # tensors lie without gaps, so that a file can be read from front to back
            for dtype, shape, start, stop in sorted(found.values(), key=lambda facts: facts[2]):
                if start != end or stop - start != prod(shape) * dtype.itemsize:
                    raise ValueError("tensors overlap")
                end = stop
            before = file.tell()
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(f"{path} is not a file of safetensors weights, or is damaged; {AGAIN}") from None
    if path.suffix != ".zst" and path.stat().st_size != before + end:
        raise ValueError(
            f"{path} is truncated: it has {path.stat().st_size:,} of {before + end:,} bytes; {AGAIN}"
        )
    return Shard(path, found, metadata)


def _fill(file: IO[bytes], target: memoryview, path: Path) -> None:
    """Read exactly as many bytes as `target` holds."""
    done = 0
    while done < len(target):
        count = file.readinto(target[done:])  # type: ignore[attr-defined]
        if not count:
            raise ValueError(f"{path} is truncated; {AGAIN}")
        done += count
