"""An independent, slow, literal reading of 15B spec sections 2 and 3 in float64 numpy.

It shares no line with the package: own packing, own coordinates, one token and one head at a time.
"""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

Array = np.ndarray


def _norm(x: Array, w: Array) -> Array:
    mean_square = sum(float(value) ** 2 for value in x) / len(x)
    return x / math.sqrt(mean_square + 1e-6) * (w + 1.0)


def _chunk(w: Array, modality: int, experts: int) -> Array:
    if experts == 1:
        return w
    rows = w.shape[0] // 3
    return w[modality * rows : (modality + 1) * rows]


def _sigmoid(z: float) -> float:
    return 1.0 / (1.0 + math.exp(-z))


def _pack(video: Array, audio: Array, text: Array, style: str) -> tuple[list, list, list, list]:
    """Tokens, coordinate rows, modalities, and the latent frame of each video token."""
    z, frames, height, width = video.shape
    steps, words = len(audio), len(text)
    tokens, coords, modality, frame_of = [], [], [], []
    for t in range(frames):
        for r in range(height // 2):
            for c in range(width // 2):
                token = np.zeros(z * 4)
                for channel in range(z):
                    for dy in range(2):
                        for dx in range(2):
                            token[channel * 4 + 2 * dy + dx] = video[channel, t, 2 * r + dy, 2 * c + dx]
                tokens.append(token)
                grid = (frames, height // 2, width // 2)
                coords.append((t, r, c, *grid, *grid))
                modality.append(0)
                frame_of.append(t)
    for i in range(steps):
        tokens.append(audio[i])
        reference = frames if style == "v1" else (steps - 1) // 4 + 1
        coords.append((i, 0, 0, steps, 1, 1, reference, 1, 1))
        modality.append(1)
    for i in range(words):
        tokens.append(text[i])
        if style == "v1":
            coords.append((i, 0, 0, words, 1, 1, 2, 1, 1))
        else:
            coords.append((i - words, 0, 0, words, 1, 1, 1, 1, 1))
        modality.append(2)
    return tokens, coords, modality, frame_of


def _angles(row: tuple, bands: int) -> list[float]:
    angles = []
    for axis in range(3):
        position, size, reference = row[axis], row[3 + axis], row[6 + axis]
        scale = 1.0 if size == 1 and reference == 1 else (reference - 1) / (size - 1)
        if axis > 0:
            position = position - (size - 1) / 2
        angles += [position * scale * 10000.0 ** (-k / bands) for k in range(bands)]
    return angles


def _turn(x: Array, angles: list[float]) -> Array:
    out, n = x.copy(), len(angles)
    for i, a in enumerate(angles):
        out[i] = x[i] * math.cos(a) - x[i + n] * math.sin(a)
        out[i + n] = x[i + n] * math.cos(a) + x[i] * math.sin(a)
    return out


def _activate(a: Array, gelu: bool) -> Array:
    if gelu:
        return np.array([min(z, 7.0) * _sigmoid(1.702 * min(z, 7.0)) for z in a])
    out = []
    for gate, linear in zip(a[0::2], a[1::2], strict=True):
        gate, linear = min(gate, 7.0), max(-7.0, min(linear, 7.0))
        out.append(gate * _sigmoid(1.702 * gate) * (linear + 1.0))
    return np.array(out)


def slow_velocities(
    config: dict,
    weights: dict[str, torch.Tensor],
    video_latent: torch.Tensor,
    audio_latent: torch.Tensor,
    text: torch.Tensor,
    text_length: int,
    coords: str,
    window: int = 11,
) -> tuple[Array, Array]:
    """Velocities of one clip, shaped [z, T, Hl, Wl] and [F, Ca]."""
    w = {key: value.double().numpy() for key, value in weights.items()}
    video, audio = video_latent[0].double().numpy(), audio_latent[0].double().numpy()
    words = text[0, :text_length].double().numpy()
    d, heads, groups = (
        config["head_dim"],
        config["hidden_size"] // config["head_dim"],
        config["num_query_groups"],
    )

    tokens, rows, modality, frame_of = _pack(video, audio, words, coords)
    length, named = len(tokens), ("video", "audio", "text")
    angles = [_angles(row, d // 8) for row in rows]
    x = []
    for token, m in zip(tokens, modality, strict=True):
        adapter = f"adapter.{named[m]}_embedder"
        x.append(w[f"{adapter}.weight"] @ token + w[f"{adapter}.bias"])

    for i in range(config["num_layers"]):
        at, experts = f"block.layers.{i}", 3 if i in config["mm_layers"] else 1
        q, k, v, gate = [], [], [], []
        for n, m in enumerate(modality):
            u = _norm(x[n], _chunk(w[f"{at}.attention.pre_norm.weight"], m, experts))
            p = list(_chunk(w[f"{at}.attention.linear_qkv.weight"], m, experts) @ u)

            def take(p: list, count: int) -> Array:
                return np.array([[p.pop(0) for _ in range(d)] for _ in range(count)])

            qs, ks, vs = take(p, heads), take(p, groups), take(p, groups)
            assert len(p) == (heads if config["enable_attn_gating"] else 0)
            qw = _chunk(w[f"{at}.attention.q_norm.weight"], m, experts)
            kw = _chunk(w[f"{at}.attention.k_norm.weight"], m, experts)
            q.append([_turn(_norm(row, qw), angles[n]) for row in qs])
            k.append([_turn(_norm(row, kw), angles[n]) for row in ks])
            v.append(vs)
            gate.append(p)
        for n, m in enumerate(modality):
            out = np.zeros((heads, d))
            for j in range(heads):
                seen, scores = [], []
                for other in range(length):
                    far = m == 0 and modality[other] == 0 and abs(frame_of[n] - frame_of[other]) > window
                    if i in config["local_attn_layers"] and far:
                        continue
                    seen.append(other)
                    scores.append(float(np.dot(q[n][j], k[other][j // (heads // groups)])) / math.sqrt(d))
                top = max(scores)
                mass = [math.exp(score - top) for score in scores]
                whole = sum(mass)
                for other, share in zip(seen, mass, strict=True):
                    out[j] += share / whole * v[other][j // (heads // groups)]
                if config["enable_attn_gating"]:
                    out[j] *= _sigmoid(gate[n][j])
            update = _chunk(w[f"{at}.attention.linear_proj.weight"], m, experts) @ out.reshape(-1)
            if i in config["post_norm_layers"]:
                update = _norm(update, _chunk(w[f"{at}.attn_post_norm.weight"], m, experts))
            x[n] = x[n] + update
        for n, m in enumerate(modality):
            u = _norm(x[n], _chunk(w[f"{at}.mlp.pre_norm.weight"], m, experts))
            up = _chunk(w[f"{at}.mlp.up_gate_proj.weight"], m, experts) @ u
            down = _chunk(w[f"{at}.mlp.down_proj.weight"], m, experts)
            update = down @ _activate(up, i in config["gelu7_layers"])
            if i in config["post_norm_layers"]:
                update = _norm(update, _chunk(w[f"{at}.mlp_post_norm.weight"], m, experts))
            x[n] = x[n] + update

    video_out, audio_out = np.zeros_like(video), np.zeros_like(audio)
    z, frames, height, width = video.shape
    n = 0
    for t in range(frames):
        for r in range(height // 2):
            for c in range(width // 2):
                token = w["final_linear_video.weight"] @ _norm(x[n], w["final_norm_video.weight"])
                for index, value in enumerate(token):
                    corner, channel = divmod(index, z)
                    video_out[channel, t, 2 * r + corner // 2, 2 * c + corner % 2] = value
                n += 1
    for step in range(len(audio)):
        audio_out[step] = w["final_linear_audio.weight"] @ _norm(x[n], w["final_norm_audio.weight"])
        n += 1
    return video_out, audio_out


@pytest.fixture(scope="session")
def reference() -> Callable[..., tuple[Array, Array]]:
    """The slow reading as a function of the arguments of `happyhorse.model.parity.velocities`."""
    return slow_velocities
