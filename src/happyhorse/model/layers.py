"""The parts of the denoiser: norm, linear map, rotary positions, attention block, MLP block.

A *modal* part has one set of weights per modality (E = 3 experts: video, audio, text) or a single shared one
(E = 1). The stream [B, L, D] is always ordered `[video | audio | text]`; `sizes = (Lv, La, Lt)` says where the
borders are, so that choosing the expert of a token is slicing. A modality may be empty.

Precision (15B spec section 2.1): norms, rotary positions, gates, activations and the residual stream are fp32;
matrices multiply, and attention runs, in the dtype that comes out of the first projection. That is the dtype of
the weights, or bf16 under `torch.autocast`, so the same code serves bf16 weights, fp32 weights and mixed
precision training.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from happyhorse.model.attention import Window, attend
from happyhorse.model.presets import HorseConfig

NORM_EPS = 1e-6
TOKENS_PER_CHUNK = 8192
"""Without gradients the MLP of longer sequences runs in pieces: 65k tokens of the 15B would need 20 GB at once."""

Sizes = tuple[int, int, int]
Rotation = tuple[Float[Tensor, "#B L 1 A"], Float[Tensor, "#B L 1 A"]]
"""Cosine and sine of the A = 3 bands angles of each token, with an axis of one to broadcast over heads."""


class ModalNorm(nn.Module):
    """RMS norm whose weight is stored as the offset from one, per modality where experts = 3 (15B spec 2.2)."""

    def __init__(self, width: int, experts: int = 1) -> None:
        super().__init__()
        self.width, self.experts = width, experts
        self.weight = nn.Parameter(torch.zeros(experts * width, dtype=torch.float32))

    def forward(self, x: Float[Tensor, "B L *H W"], sizes: Sizes | None = None) -> Float[Tensor, "B L *H W"]:
        """Normalise the last axis in fp32; the result has the dtype of `x`. One expert needs no `sizes`."""
        scale = self.weight + 1  # [E W]
        if self.experts > 1:
            assert sizes is not None
            rows = scale.view(self.experts, self.width)
            scale = torch.cat([row.expand(n, -1) for row, n in zip(rows, sizes, strict=True)])  # [L W]
            scale = scale.view(scale.shape[0], *[1] * (x.ndim - 3), self.width)  # broadcast over heads
        wide = x.float()
        wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + NORM_EPS)
        return (wide * scale).to(x.dtype)


class ModalLinear(nn.Linear):
    """Linear map without bias; expert m owns rows m out .. (m+1) out of the weight (15B spec section 2.3)."""

    def __init__(self, width: int, out: int, experts: int, dtype: torch.dtype) -> None:
        nn.Module.__init__(self)  # nn.Linear would draw random weights from the global generator
        self.in_features, self.out_features, self.experts = width, out * experts, experts
        self.weight = nn.Parameter(torch.empty(out * experts, width, dtype=dtype))
        self.register_parameter("bias", None)

    def forward(  # type: ignore[override]
        self, x: Float[Tensor, "B L W"], sizes: Sizes, rows: slice | None = None
    ) -> Float[Tensor, "B L O"]:
        """Map each token by the weights of its modality, or by some `rows` of them, in the dtype of the weights."""
        x = x.to(self.weight.dtype)
        # tensor_split and not chunk: quantised weights can be sliced, but not chunked
        weights = self.weight.tensor_split(self.experts) if self.experts > 1 else [self.weight]
        if rows is not None:
            weights = [weight[rows] for weight in weights]
        if self.experts == 1:
            return F.linear(x, weights[0])
        parts = zip(x.split(sizes, 1), weights, strict=True)
        return torch.cat([F.linear(part, weight) for part, weight in parts], 1)


def linear(width: int, out: int, bias: bool = True) -> nn.Linear:
    """An fp32 linear map with undrawn weights: the global generator stays untouched, and 15B start at once."""
    linear = nn.utils.skip_init(
        nn.Linear, width, out, bias=bias, dtype=torch.float32, device=torch.get_default_device()
    )
    assert isinstance(linear, nn.Linear)
    return linear


class Rope(nn.Module):
    """Rotary positions on three axes: time, row, column (15B spec section 2.5)."""

    bands: Float[Tensor, " bands"]

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.register_buffer("bands", torch.empty(bands, dtype=torch.float32))
        self.reset()

    def reset(self) -> None:
        """Write the fixed frequencies 10000^(-k / bands), which networks built without memory still lack."""
        n = len(self.bands)
        self.bands.copy_(10_000.0 ** (-torch.arange(n, dtype=torch.float32, device=self.bands.device) / n))

    def forward(self, coords: Float[Tensor, "B L 9"]) -> Rotation:
        """Coordinates (position, size, reference; 3 each) to cosines and sines of the angles, axis-major."""
        position, size, reference = coords.float().split(3, -1)  # each [B, L, 3]
        # size 1 with another reference divides by zero: `coordinates` refuses to build such rows
        scale = torch.where(reference == size, 1.0, (reference - 1) / (size - 1))
        centre = (size - 1) / 2 * size.new_tensor((0.0, 1.0, 1.0))  # time is not centred
        angles = ((position - centre) * scale).unsqueeze(-1) * self.bands  # [B, L, 3, bands]
        angles = angles.flatten(-2).unsqueeze(-2)  # [B, L, 1, 3 bands]
        return angles.cos(), angles.sin()


def rotate(x: Float[Tensor, "B L H K"], rotation: Rotation) -> Float[Tensor, "B L H K"]:
    """Turn dimension pairs (i, i + A), i < A, of every head by the angles; dimensions from 2 A on stay."""
    cos, sin = rotation
    a = cos.shape[-1]
    first, second, rest = x.split((a, a, x.shape[-1] - 2 * a), -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin, rest], -1)


def gelu7(a: Float[Tensor, "*B I"]) -> Float[Tensor, "*B I"]:
    """z sigmoid(1.702 z) of z = min(a, 7), in fp32 (15B spec section 2.7)."""
    z = a.float().clamp(max=7)
    return (z * torch.sigmoid(1.702 * z)).to(a.dtype)


def swiglu7(a: Float[Tensor, "*B J"]) -> Float[Tensor, "*B I"]:
    """Gated activation of J = 2 I interleaved columns: the even ones gate, the odd ones are linear.

    z sigmoid(1.702 z) (l + 1) of z = min(even, 7) and l = clamp(odd, -7, 7), in fp32 (15B spec section 2.7).
    """
    return _gate7(*a.unflatten(-1, (-1, 2)).unbind(-1))


def _gate7(even: Float[Tensor, "*B I"], odd: Float[Tensor, "*B I"]) -> Float[Tensor, "*B I"]:
    z, linear = even.float().clamp(max=7), odd.float().clamp(-7, 7)
    return (z * torch.sigmoid(1.702 * z) * (linear + 1)).to(even.dtype)


class Attention(nn.Module):
    """Self-attention over the whole sequence: grouped queries, QK norm, one gate per head (15B spec 2.6)."""

    def __init__(self, config: HorseConfig, layer: int, dtype: torch.dtype) -> None:
        super().__init__()
        d, experts = config.head_dim, config.experts(layer)
        self.heads, self.groups = config.num_heads, config.num_query_groups
        self.gated = config.enable_attn_gating
        self.columns = (self.heads * d, self.groups * d, self.groups * d, self.heads if self.gated else 0)
        self.local = layer in config.local_attn_layers
        self.pre_norm = ModalNorm(config.hidden_size, experts)
        self.linear_qkv = ModalLinear(config.hidden_size, sum(self.columns), experts, dtype)
        self.q_norm = ModalNorm(d, experts)
        self.k_norm = ModalNorm(d, experts)
        self.linear_proj = ModalLinear(config.hidden_size, config.hidden_size, experts, dtype)
        # of this instance, so that one network can be spread over devices and another not
        self.attend = attend

    def forward(
        self,
        x: Float[Tensor, "B L D"],
        rotation: Rotation,
        sizes: Sizes,
        mask: Bool[Tensor, "B 1 1 L"] | None,
        window: Window | None,
    ) -> Float[Tensor, "B L D"]:
        """What attention adds to the stream. `mask` is true where a token may be seen."""
        fused = self.linear_qkv(self.pre_norm(x, sizes), sizes)  # [B, L, q | k | v | g]
        q, k, v, gate = fused.split(self.columns, -1)
        q, k, v = (t.unflatten(-1, (n, -1)) for t, n in ((q, self.heads), (k, self.groups), (v, self.groups)))
        q = rotate(self.q_norm(q.float(), sizes), rotation).to(v.dtype)  # [B, L, H, K]
        k = rotate(self.k_norm(k.float(), sizes), rotation).to(v.dtype)  # [B, L, groups, K]
        o = self.attend(q, k, v, mask, sizes[0], window if self.local else None)  # [B, L, H, K]
        if self.gated:
            o = o * torch.sigmoid(gate.float()).unsqueeze(-1)
        return self.linear_proj(o.flatten(-2), sizes)


class Mlp(nn.Module):
    """Two linear maps around a clamped activation (15B spec section 2.7)."""

    def __init__(self, config: HorseConfig, layer: int, dtype: torch.dtype) -> None:
        super().__init__()
        width, inner, experts = config.hidden_size, config.mlp_width(layer), config.experts(layer)
        self.activation, columns = (gelu7, inner) if layer in config.gelu7_layers else (swiglu7, 2 * inner)
        self.pre_norm = ModalNorm(width, experts)
        self.up_gate_proj = ModalLinear(width, columns, experts, dtype)
        self.down_proj = ModalLinear(inner, width, experts, dtype)

    def forward(self, x: Float[Tensor, "B L D"], sizes: Sizes) -> Float[Tensor, "B L D"]:
        """What the MLP adds to the stream, fp32."""
        if torch.is_grad_enabled() or x.shape[1] <= TOKENS_PER_CHUNK:
            return self._tokens(x, sizes)
        pieces, done, count = [], 0, -(-x.shape[1] // TOKENS_PER_CHUNK)
        for piece in x.split(-(-x.shape[1] // count), 1):  # even ones: a short last one would waste time
            pieces.append(self._tokens(piece, _sizes_within(sizes, done, done + piece.shape[1])))
            done += piece.shape[1]
        return torch.cat(pieces, 1)

    def _tokens(self, x: Float[Tensor, "B L D"], sizes: Sizes) -> Float[Tensor, "B L D"]:
        up = self.up_gate_proj
        if self.activation is swiglu7 and x.device.type == "cpu" and _plain(up):
            # code that is compiled for a CPU reads every other column one by one: two products give whole ones
            normed = self.pre_norm(x, sizes)
            hidden = _gate7(up(normed, sizes, slice(0, None, 2)), up(normed, sizes, slice(1, None, 2)))
        else:
            hidden = self.activation(up(self.pre_norm(x, sizes), sizes))  # [B, L, I]
        return self.down_proj(hidden, sizes).float()


def _plain(part: nn.Module) -> bool:
    """Whether torch.compile is at work on a map with plain weights: neither quantised nor with adapters."""
    return torch.compiler.is_compiling() and type(getattr(part, "weight", None)) is nn.Parameter


def _sizes_within(sizes: Sizes, start: int, stop: int) -> Sizes:
    """Tokens of each modality among positions start..stop-1 of the sequence."""
    borders = (0, sizes[0], sizes[0] + sizes[1], sum(sizes))
    inside = [min(max(b, start), stop) for b in borders]
    return inside[1] - inside[0], inside[2] - inside[1], inside[3] - inside[2]


class Layer(nn.Module):
    """One step of the stream: x += attention(x), x += mlp(x), each normalised first in the post-norm layers."""

    def __init__(self, config: HorseConfig, layer: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.attention = Attention(config, layer, dtype)
        self.mlp = Mlp(config, layer, dtype)
        self.post_norm = layer in config.post_norm_layers
        if self.post_norm:
            self.attn_post_norm = ModalNorm(config.hidden_size, config.experts(layer))
            self.mlp_post_norm = ModalNorm(config.hidden_size, config.experts(layer))

    def forward(
        self,
        x: Float[Tensor, "B L D"],
        rotation: Rotation,
        sizes: Sizes,
        mask: Bool[Tensor, "B 1 1 L"] | None = None,
        window: Window | None = None,
    ) -> Float[Tensor, "B L D"]:
        """The stream after this layer, fp32 like the stream before it."""
        update = self.attention(x, rotation, sizes, mask, window)
        x = x + (self.attn_post_norm(update, sizes) if self.post_norm else update)
        update = self.mlp(x, sizes)
        return x + (self.mlp_post_norm(update, sizes) if self.post_norm else update)
