"""The network of the 15B as plainly as the specification tells it: what `bench/horse15b.py` compares with.

One function per section of docs/15b.md, on a state dict in published names. Eager, nothing fused, nothing chunked:
tokens are sorted by modality and back with index operations, each modality is normed and multiplied on its own, keys
and values are repeated for the query heads that share them. It shares no code with `happyhorse.model`.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def velocities(
    config: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    video: Tensor,
    audio: Tensor,
    text: Tensor,
    coords: Tensor,
    frame_tokens: int,
    radius: int = 11,
) -> tuple[Tensor, Tensor]:
    """Velocities of video tokens [Lv, Cv] and audio tokens [La, Ca]; `coords` [L, 9]; `config` as in
    `HorseConfig`.
    """
    sizes = (len(video), len(audio), len(text))
    kinds = torch.cat([torch.full((n,), m, device=video.device) for m, n in enumerate(sizes)])
    order = torch.argsort(kinds, stable=True)
    back = torch.argsort(order)
    counts = [int((kinds == m).sum()) for m in range(3)]

    x = torch.zeros(sum(sizes), config["hidden_size"], device=video.device)
    for m, (name, tokens) in enumerate((("video", video), ("audio", audio), ("text", text))):
        adapter = f"adapter.{name}_embedder"
        x[kinds == m] = F.linear(tokens.float(), weights[f"{adapter}.weight"], weights[f"{adapter}.bias"])
    cos, sin = _angles(coords, weights["adapter.rope.bands"])

    x = x[order]
    for i in range(config["num_layers"]):
        x = _layer(x, i, config, weights, counts, order, back, (cos, sin), frame_tokens, radius)
    x = x[back]
    of_video, of_audio = x[kinds == 0], x[kinds == 1]
    return (
        F.linear(_norm(of_video, weights["final_norm_video.weight"]), weights["final_linear_video.weight"]),
        F.linear(_norm(of_audio, weights["final_norm_audio.weight"]), weights["final_linear_audio.weight"]),
    )


def _layer(
    x: Tensor,
    i: int,
    config: Any,
    weights: Any,
    counts: Any,
    order: Any,
    back: Any,
    turn: Any,
    frame_tokens: int,
    radius: int,
) -> Tensor:
    at, experts = f"block.layers.{i}", 3 if i in config["mm_layers"] else 1
    d, groups = config["head_dim"], config["num_query_groups"]
    heads = config["hidden_size"] // d

    # attention (sections 2.5, 2.6, 3.5)
    u = _norm_each(x, weights[f"{at}.attention.pre_norm.weight"], counts, experts).to(torch.bfloat16)
    p = _linear_each(u, weights[f"{at}.attention.linear_qkv.weight"], counts, experts)
    q, k, v, gate = p.split([heads * d, groups * d, groups * d, heads], 1)
    q, k, v = q.reshape(-1, heads, d).float(), k.reshape(-1, groups, d).float(), v.reshape(-1, groups, d)
    q = _norm_each(q, weights[f"{at}.attention.q_norm.weight"], counts, experts)
    k = _norm_each(k, weights[f"{at}.attention.k_norm.weight"], counts, experts)
    q, k, v = q[back], k[back], v[back]
    q, k = _turn(q, turn).to(torch.bfloat16), _turn(k, turn).to(torch.bfloat16)
    k, v = k.repeat_interleave(heads // groups, 1), v.repeat_interleave(heads // groups, 1)
    local = i in config["local_attn_layers"]
    o = _local(q, k, v, counts[0], frame_tokens, radius) if local else _attend(q, k, v)
    o = o[order]
    o = o * torch.sigmoid(gate.float())[:, :, None]
    o = o.reshape(-1, heads * d).to(torch.bfloat16)
    x = x + _linear_each(o, weights[f"{at}.attention.linear_proj.weight"], counts, experts)

    # MLP (section 2.7)
    u = _norm_each(x, weights[f"{at}.mlp.pre_norm.weight"], counts, experts).to(torch.bfloat16)
    a = _linear_each(u, weights[f"{at}.mlp.up_gate_proj.weight"], counts, experts).float()
    if i in config["gelu7_layers"]:
        z = torch.clamp(a, max=7.0)
        hidden = z * torch.sigmoid(1.702 * z)
    else:
        z, linear = torch.clamp(a[:, 0::2], max=7.0), torch.clamp(a[:, 1::2], min=-7.0, max=7.0)
        hidden = z * torch.sigmoid(1.702 * z) * (linear + 1.0)
    hidden = hidden.to(torch.bfloat16)
    return x + _linear_each(hidden, weights[f"{at}.mlp.down_proj.weight"], counts, experts).float()


def _norm(x: Tensor, weight: Tensor) -> Tensor:
    wide = x.float()
    return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6) * (weight + 1.0)).to(x.dtype)


def _norm_each(x: Tensor, weight: Tensor, counts: list[int], experts: int) -> Tensor:
    if experts == 1:
        return _norm(x, weight)
    return torch.cat([_norm(part, w) for part, w in zip(x.split(counts), weight.chunk(3), strict=True)])


def _linear_each(x: Tensor, weight: Tensor, counts: list[int], experts: int) -> Tensor:
    if experts == 1:
        return F.linear(x, weight)
    return torch.cat([F.linear(part, w) for part, w in zip(x.split(counts), weight.chunk(3), strict=True)])


def _angles(coords: Tensor, bands: Tensor) -> tuple[Tensor, Tensor]:
    columns = []
    for axis in range(3):
        position, size, reference = coords[:, axis], coords[:, 3 + axis], coords[:, 6 + axis]
        scale = torch.where((reference == 1) & (size == 1), 1.0, (reference - 1) / (size - 1))
        if axis > 0:
            position = position - (size - 1) / 2
        columns.append((position * scale)[:, None] * bands[None, :])
    angles = torch.cat(columns, 1)
    return torch.cos(angles), torch.sin(angles)


def _turn(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    cos, sin = turn[0][:, None], turn[1][:, None]
    n = cos.shape[-1]
    first, second = x[..., :n], x[..., n : 2 * n]
    return torch.cat([first * cos - second * sin, second * cos + first * sin, x[..., 2 * n :]], -1)


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k, v = (t.transpose(0, 1)[None] for t in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, scale=1 / math.sqrt(q.shape[-1]))[0].transpose(0, 1)


def _local(q: Tensor, k: Tensor, v: Tensor, video: int, frame_tokens: int, radius: int) -> Tensor:
    """A video query sees the frames near its own and all audio and text; audio and text queries see everything."""
    out = torch.empty_like(q)
    for frame in range(video // frame_tokens):
        first, last = max(0, frame - radius), min(video // frame_tokens, frame + radius + 1)
        own = slice(frame * frame_tokens, (frame + 1) * frame_tokens)
        near = slice(first * frame_tokens, last * frame_tokens)
        out[own] = _attend(q[own], torch.cat([k[near], k[video:]]), torch.cat([v[near], v[video:]]))
    out[video:] = _attend(q[video:], k, v)
    return out
