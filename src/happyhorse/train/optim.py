"""Muon for hidden matrices, AdamW for everything else, and the warm-up/stable/cool-down learning rate.

Muon (Jordan et al. 2024) takes the momentum of a matrix and replaces it by the nearest semi-orthogonal matrix, found
with five Newton-Schulz steps of a tuned quintic. The update is scaled by `0.2 sqrt(max(rows, columns))` so that its
root mean square is that of AdamW and one learning rate range serves both (Moonlight, arXiv 2502.16982). Fused
projections are orthogonalised block by block: mixing queries with keys, or experts of several modalities, in one
orthogonalisation would couple parts that have nothing to do with each other (see docs/adr).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from happyhorse.config import Decay, Factor, Positive, Share
from happyhorse.precision import has_bfloat16
from happyhorse.train.parallel import total

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # maximise the slope at zero: small singular values grow fastest


def orthogonalize(matrices: Tensor, steps: int = 5) -> Tensor:
    """Matrices [n, R, C] -> about the nearest semi-orthogonal ones (singular values in about 0.7 to 1.2).

    In bfloat16 where that is fast: five steps forgive its rounding.
    """
    a, b, c = COEFFICIENTS
    x = matrices.to(torch.bfloat16 if has_bfloat16(matrices.device.type) else torch.float32)
    tall = x.shape[-2] > x.shape[-1]
    x = (x.mT if tall else x).contiguous()
    x = x / (x.float().norm(dim=(-2, -1), keepdim=True) + 1e-7).to(x.dtype)
    for _ in range(steps):  # x <- a x + (b G + c G^2) x with G = x x^T
        gram = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum orthogonalised by blocks of rows; parameters of more dimensions are flattened to [out, rest]."""

    def __init__(
        self,
        params: Iterable[dict],
        lr: float = 2e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        """`params`: groups, each with "params" and "blocks" (rows of every block, summing to the rows, a parameter)."""
        super().__init__(
            params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "blocks": None}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient.

        Of parameters of which every process has a copy, each process makes a share of the updates.
        """
        assert closure is None, "Muon takes no closure"
        rank, ranks = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        for group in self.param_groups:
            shared = []
            for index, (parameter, blocks) in enumerate(zip(group["params"], group["blocks"], strict=True)):
                if parameter.grad is None:
                    continue
                direction = self._direction(parameter, group["momentum"])
                if ranks == 1 or isinstance(parameter, DTensor):
                    _apply(parameter, _update(direction, blocks), group)
                else:
                    mine = index % ranks == rank
                    shared.append(
                        (parameter, _update(direction, blocks) if mine else torch.zeros_like(direction))
                    )
            total([update for _, update in shared])
            for parameter, update in shared:
                _apply(parameter, update, group)

    def _direction(self, parameter: Tensor, momentum: float) -> Tensor:
        """The gradient, carried on by Nesterov's rule; it has the shape, and the shards, of the parameter."""
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        average = state["momentum"]
        average.lerp_(parameter.grad, 1 - momentum)  # type: ignore[arg-type]
        return parameter.grad.lerp(average, momentum)  # type: ignore[union-attr]


def _update(direction: Tensor, blocks: tuple[int, ...]) -> Tensor:
    """The direction with every block of its rows orthogonalised; sharded if it is."""
    whole = direction.full_tensor() if isinstance(direction, DTensor) else direction
    pieces = [_scaled(piece) for piece in whole.reshape(whole.shape[0], -1).split(list(blocks))]
    update = torch.cat(pieces).reshape(whole.shape)
    if isinstance(direction, DTensor):
        return distribute_tensor(update, direction.device_mesh, direction.placements)
    return update


def _apply(parameter: Tensor, update: Tensor, group: dict) -> None:
    decay = 1 - group["lr"] * group["weight_decay"]
    parameter.mul_(decay).add_(update.to(parameter.dtype), alpha=-group["lr"])


def _scaled(block: Tensor) -> Tensor:
    if min(block.shape) == 1 or not block.any():
        return block / (block.norm() + 1e-7)
    return orthogonalize(block[None])[0].float() * (0.2 * max(block.shape) ** 0.5)


@dataclass(frozen=True)
class OptimConfig:
    """Learning rates of Muon and AdamW, the share of steps spent warming up and cooling down (to 5 %), decay, clip.

    `betas` are the two averages of AdamW.
    """

    muon_lr: Factor = 4e-3
    adam_lr: Factor = 2e-3
    betas: tuple[Decay, Decay] = (0.9, 0.95)
    warmup: Share = 0.02
    cooldown: Share = 0.4
    weight_decay: Factor = 0.01
    clip: Positive = 1.0


def make_optimizers(module: nn.Module, config: OptimConfig) -> list[torch.optim.Optimizer]:
    """Muon on hidden matrices and convolutions, AdamW on embeddings, ends, norms and biases.

    A module says which of its parameters are not hidden by `adam_parameters` (a set of name fragments), how the rows of
    fused matrices divide by `row_blocks(name, parameter)`, and which of those that AdamW trains learn faster or slower
    than the rest by `pace(name)`, a factor on their learning rate.
    """
    fragments = getattr(module, "adam_parameters", ())
    divide = getattr(module, "row_blocks", lambda name, parameter: (parameter.shape[0],))
    hidden, other = [], []
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        vector = parameter.dim() < 2 or any(fragment in name for fragment in fragments)
        (other if vector else hidden).append((name, parameter))
    muon = {"params": [p for _, p in hidden], "blocks": [divide(n, p) for n, p in hidden]}
    pace = getattr(module, "pace", lambda name: 1.0)
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in other:
        groups.setdefault(pace(name), []).append(parameter)
    adam = torch.optim.AdamW(
        [{"params": group, "lr": config.adam_lr * factor} for factor, group in groups.items()],
        lr=config.adam_lr,
        betas=config.betas,
        eps=1e-10,
        weight_decay=config.weight_decay,
    )
    optimizers: list[torch.optim.Optimizer] = [adam]
    if hidden:
        optimizers.append(Muon([muon], lr=config.muon_lr, weight_decay=config.weight_decay))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["base_lr"] = group["lr"]
    return optimizers


def rate(step: int, steps: int, config: OptimConfig) -> float:
    """Factor on the learning rates at `step` of `steps`: linear up, flat, linear down to 0.05."""
    up = max(1, round(config.warmup * steps))
    down = max(1, round(config.cooldown * steps))
    return min(1.0, (step + 1) / up, 0.05 + 0.95 * max(0, steps - step) / down)
