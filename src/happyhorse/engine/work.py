"""How much work something is, found by doing it on tensors without memory: operations, bytes moved, bytes held at
once.

The modules that are run are the ones that generation uses, so a plan stays true when they change. Nothing is
computed: a forward pass of the 15B takes a tenth of a second this way.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, cast
from weakref import ref

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from happyhorse.codec.turbo import TurboConfig, TurboDecoder
from happyhorse.engine.ulysses import Part, shares
from happyhorse.model.attention import Window
from happyhorse.model.horse import Horse
from happyhorse.model.layers import Layer
from happyhorse.model.presets import HorseConfig
from happyhorse.model.tokens import Grid, coordinates


@dataclass(frozen=True)
class Work:
    """Floating-point operations of `matrices` (products and convolutions) and of `attention`; bytes `moved` by
    everything else, read and written; the most bytes `held` at once beside weights and inputs; kernel `calls`.
    """

    matrices: float = 0.0
    attention: float = 0.0
    moved: float = 0.0
    held: int = 0
    calls: int = 0

    def __add__(self, other: "Work") -> "Work":
        """One after the other."""
        return Work(
            self.matrices + other.matrices,
            self.attention + other.attention,
            self.moved + other.moved,
            max(self.held, other.held),
            self.calls + other.calls,
        )

    def __mul__(self, times: int) -> "Work":
        """Again and again."""
        return Work(
            self.matrices * times, self.attention * times, self.moved * times, self.held, self.calls * times
        )

    @property
    def flops(self) -> float:
        """All floating-point operations that kernels for matrices do."""
        return self.matrices + self.attention


def measure(run: Callable[[], object]) -> Work:
    """The work of calling `run`, which computes with tensors on the meta device, without gradients."""
    counter = _Counter()
    with torch.no_grad(), counter, _Attention(counter):
        run()
    return Work(counter.matrices, counter.attention, counter.moved, counter.most, counter.calls)


@cache
def network(config: HorseConfig, grid: Grid, audio_steps: int, words: int, processes: int = 1) -> Work:
    """One pass of the denoiser over one clip of `grid`, `audio_steps` and `words` tokens; what the first of several
    `processes` does of it, which does the most.

    Layers of one kind are run once and counted as often as they occur.
    """
    widths = (config.video_in_channels, config.audio_in_channels, config.text_in_channels)
    with torch.device("meta"):
        horse, coords = Horse(config), coordinates(grid, audio_steps, words, "v2")
        counts = (grid.tokens, audio_steps, words)
        inputs = (*(torch.empty(1, n, width) for n, width in zip(counts, widths, strict=True)), coords)
    if processes > 1:
        part = _First(None, 0, shares(config.num_query_groups, processes))
        inputs, _ = part.cut(horse, inputs, {})
        for layer in cast("list[Layer]", horse.block.layers):
            layer.attention.attend = part.attending(layer.attention.attend)
    *tokens, coords = inputs
    sizes = (tokens[0].shape[1], tokens[1].shape[1], tokens[2].shape[1])
    x = torch.empty(1, sum(sizes), config.hidden_size, device="meta")
    rotation, window = horse.adapter.rope(coords), Window(grid.frame_tokens)
    kinds: dict[tuple[Any, ...], list[Layer]] = {}
    for i, layer in enumerate(cast("list[Layer]", horse.block.layers)):
        kind = (config.experts(i), config.mlp_width(i), layer.attention.local, layer.post_norm)
        kinds.setdefault(kind, []).append(layer)
    total = measure(lambda: horse.adapter(*tokens)) + measure(lambda: horse.heads(x, sizes))
    for same in kinds.values():
        total += measure(lambda layer=same[0]: layer(x, rotation, sizes, None, window)) * len(same)
    return Work(total.matrices, total.attention, total.moved, total.held + x.nbytes, total.calls)


@cache
def window_of_turbo(frames: int, rows: int, columns: int) -> Work:
    """Decoding one window of [48, frames, rows, columns] latents in the small decoder, in bf16."""
    with torch.device("meta"):
        turbo = TurboDecoder(TurboConfig()).bfloat16()
        latents = torch.empty(1, turbo.config.latent_channels, frames, rows, columns, dtype=torch.bfloat16)
    return measure(lambda: turbo.decoder(latents, first=False).float())


class _First(Part):
    """The first of several processes, without the others: what it gets has the right size, and nothing in it."""

    def exchange(
        self, sent: Float[Tensor, " n"], give: list[int], take: list[int]
    ) -> tuple[Float[Tensor, " _"], ...]:
        """Room for what would come."""
        return sent.new_empty(sum(take)).split(take)


def _tensors(value: object) -> Iterator[Tensor]:
    """All tensors, of any shapes, in arguments or results of an operation."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))


@cache
def _moves(function: Any) -> bool:
    """Whether an operation reads and writes memory, as views and what only allocates do not."""
    return not function.is_view and "empty" not in str(function)


class _Counter(TorchDispatchMode):
    """Sees every operation: its cost, the storages that it makes, and when they are let go."""

    def __init__(self) -> None:
        super().__init__()
        self.matrices = self.attention = self.moved = 0.0
        self.held = self.most = self.calls = 0
        self.seen: dict[int, Any] = {}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **kwargs or {})
        outputs = list(_tensors(out))
        formula = flop_registry.get(function.overloadpacket)
        if formula is not None:
            self.matrices += formula(*args, **kwargs or {}, out_val=out)
            self.calls += 1
        elif _moves(function):
            self.moved += sum(tensor.nbytes for tensor in (*_tensors((args, kwargs)), *outputs))
            self.calls += 1
        for tensor in outputs:
            self.watch(tensor)
        return out

    def watch(self, tensor: Tensor) -> None:
        """Count the storage of `tensor`, of any shape, for as long as it lives, if it is a new one."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.seen:
            return
        size = storage.nbytes()

        def gone(_: object) -> None:
            self.held -= size
            del self.seen[key]

        self.seen[key] = ref(storage, gone)
        self.held += size
        self.most = max(self.most, self.held)


class _Attention(TorchFunctionMode):
    """Attention as one operation that needs no memory but its result, as it is on a GPU."""

    def __init__(self, counter: _Counter) -> None:
        super().__init__()
        self.counter = counter

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is not F.scaled_dot_product_attention:
            return function(*args, **kwargs or {})
        q, k, v = args[:3]
        self.counter.attention += 2 * q.shape[:-1].numel() * k.shape[-2] * (k.shape[-1] + v.shape[-1])
        self.counter.calls += 1
        return q.new_empty(*q.shape[:-1], v.shape[-1])
