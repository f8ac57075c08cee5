"""The small video decoder against a literal reading of 15B spec section 6.4, and its checkpoint."""

import json
import shutil

import pytest
import torch
import torch.nn.functional as F

from happyhorse.codec.turbo import TurboConfig, TurboDecoder, load_turbo
from happyhorse.codec.wan import DEVIATION, MEAN
from published import TURBO, write_turbo


def conv(x, w, name):
    """3x3x3 or 3x1x1 or 1x1x1: first and last frame repeated, zeros around the picture."""
    weight, bias = w[f"{name}.weight"], w[f"{name}.bias"]
    beyond, around = weight.shape[2] // 2, weight.shape[3] // 2
    frames = [x[:, :, 0]] * beyond + [x[:, :, t] for t in range(x.shape[2])] + [x[:, :, -1]] * beyond
    padded = F.pad(torch.stack(frames, 2), (around,) * 4)
    return F.conv3d(padded, weight, bias)


def norm(x, eps=1e-8):
    return x / torch.sqrt((x * x).sum(1, keepdim=True) / x.shape[1] + eps)


def silu(x):
    return x / (1 + torch.exp(-x))


def resnet(x, w, name, first_activation=silu):
    hidden = conv(first_activation(norm(x)), w, f"{name}.conv1.conv")
    hidden = conv(silu(norm(hidden)), w, f"{name}.conv2.conv")
    if f"{name}.conv_shortcut.conv.weight" in w:
        x = conv(norm(x, 1e-6), w, f"{name}.conv_shortcut.conv")
    return x + hidden


def upsample(x, w, name, first):
    if f"{name}.time_conv.conv.weight" in w:
        both = conv(x, w, f"{name}.time_conv.conv")
        a, b = both[:, : x.shape[1]], both[:, x.shape[1] :]
        frames = [half[:, :, t] for t in range(x.shape[2]) for half in (a, b)]
        x = torch.stack(frames[1:] if first else frames, 2)
    frames = []
    for t in range(x.shape[2]):
        big = x[:, :, t].repeat_interleave(2, 2).repeat_interleave(2, 3)
        frames.append(F.conv2d(big, w[f"{name}.resample.1.weight"], w[f"{name}.resample.1.bias"], padding=1))
    return torch.stack(frames, 2)


def window(z, w, blocks, first):
    """One window; `blocks` is the number of residual blocks in the middle and in each stage."""
    x = conv(z, w, "decoder.conv_in.conv")
    for j in range(blocks[0]):
        x = resnet(x, w, f"decoder.mid_block.resnets.{j}")
    for i in range(4):
        at = f"decoder.up_blocks.{i}"
        if f"{at}.conv_in.conv1.conv.weight" in w:
            x = resnet(x, w, f"{at}.conv_in")
        enlarged = f"{at}.upsamplers.0.resample.1.weight" in w
        if enlarged:
            x = upsample(x, w, f"{at}.upsamplers.0", first)
        for j in range(blocks[1 + i]):
            x = resnet(x, w, f"{at}.resnets.{j}", torch.relu if enlarged else silu)
    x = conv(silu(norm(x)), w, "decoder.conv_out.conv")
    out = torch.zeros(1, 3, x.shape[2], 2 * x.shape[3], 2 * x.shape[4], dtype=x.dtype)
    for c in range(3):
        for a in range(2):
            for b in range(2):
                out[:, c, :, b::2, a::2] = x[:, 4 * c + 2 * a + b]
    return out


def reference(latents, w, blocks):
    """The whole clip, in windows of 7 with one latent frame of context."""
    w = {key: tensor.double() for key, tensor in w.items()}
    mean, deviation = (torch.tensor(v, dtype=torch.float64).view(1, 48, 1, 1, 1) for v in (MEAN, DEVIATION))
    z = latents.double() * deviation + mean
    frames = z.shape[2]
    while z.shape[2] < 7 or z.shape[2] % 7:
        z = torch.cat([z, z[:, :, -1:]], 2)
    count = z.shape[2]
    if count == 7:
        whole = window(z, w, blocks, True)
    else:
        parts = [window(z[:, :, :8], w, blocks, True)[:, :, :-4]]
        for i in range(7, count, 7):
            if i + 7 == count:
                parts.append(window(z[:, :, i - 1 :], w, blocks, False)[:, :, 4:])
            else:
                parts.append(window(z[:, :, i - 1 : i + 8], w, blocks, False)[:, :, 4:-4])
        whole = torch.cat(parts, 2)
    return whole[:, :, : whole.shape[2] - 4 * (count - frames)]


def test_the_published_decoder_has_80_tensors_by_name():
    with torch.device("meta"):
        turbo = TurboDecoder(TurboConfig())
    state = turbo.state_dict()
    keys = {"decoder.conv_in.conv", "decoder.conv_out.conv"}
    keys |= {f"decoder.mid_block.resnets.{j}.conv{k}.conv" for j in range(3) for k in (1, 2)}
    for i, (blocks, enlarged, in_time) in enumerate([(3, 1, 1), (2, 1, 1), (2, 1, 0), (2, 0, 0)]):
        at = f"decoder.up_blocks.{i}"
        keys |= {f"{at}.resnets.{j}.conv{k}.conv" for j in range(blocks) for k in (1, 2)}
        keys |= {f"{at}.conv_in.{name}.conv" for name in ("conv1", "conv2", "conv_shortcut") if i}
        keys |= {f"{at}.upsamplers.0.resample.1"} if enlarged else set()
        keys |= {f"{at}.upsamplers.0.time_conv.conv"} if in_time else set()
    assert set(state) == {f"{key}.{end}" for key in keys for end in ("weight", "bias")} and len(state) == 80
    assert round(sum(tensor.numel() for tensor in state.values()) / 1e6, 1) == 107.1
    assert state["decoder.up_blocks.1.conv_in.conv1.conv.weight"].shape == (256, 512, 3, 3, 3)


def test_windows_equal_the_reference(tmp_path):
    turbo = write_turbo(tmp_path / "turbo", torch.Generator().manual_seed(1))
    loaded = load_turbo(tmp_path / "turbo", "cpu", torch.float32)
    generator = torch.Generator().manual_seed(2)
    for frames in (1, 7, 8, 16):
        latents = torch.randn(1, 48, frames, 2, 3, generator=generator)
        wanted = reference(latents, turbo.state_dict(), (1, 1, 1, 1, 1))
        pieces = list(loaded.stream(latents))
        torch.testing.assert_close(torch.cat(pieces, 2).double(), wanted, atol=1e-4, rtol=1e-4)
        assert wanted.shape == (1, 3, 4 * (frames - 1) + 1, 32, 48) and wanted.std() > 0.05


def test_the_number_of_frames():
    with torch.device("meta"):
        turbo = TurboDecoder(TURBO)
    for frames in range(1, 17):
        z = torch.zeros(1, 48, frames, 2, 2, device="meta")
        assert sum(piece.shape[2] for piece in turbo.stream(z)) == 4 * (frames - 1) + 1


@pytest.fixture
def folder(published_15b, tmp_path):
    return shutil.copytree(published_15b / "turbo_vae", tmp_path / "turbo_vae")


def test_loads_in_bf16_from_the_moving_average(folder):
    turbo = load_turbo(folder, "cpu")
    assert {tensor.dtype for tensor in turbo.state_dict().values()} == {torch.bfloat16}
    assert next(turbo.stream(torch.randn(1, 48, 2, 2, 2))).dtype == torch.float32


def test_nothing_in_a_checkpoint_is_executed(folder, tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "trapped"), "w"))

    torch.save({"ema_state_dict": {}, "trap": Trap()}, folder / "checkpoint-340000.ckpt")
    with pytest.raises(ValueError, match=r"small video decoder in .* cannot be read"):
        load_turbo(folder, "cpu")
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("truncated", "cannot be read"),
        ("no average", "holds no ema_state_dict"),
        ("other sizes", "misshapen"),
        ("other kind", r"another decoder \(decoder_causal\)"),
        ("no json", r"no \*\.json"),
        ("bad json", "does not describe"),
    ],
)
def test_damaged(folder, fault, message):
    (weights,), (settings,) = folder.glob("*.ckpt"), folder.glob("*.json")
    said = json.loads(settings.read_text())
    if fault == "truncated":
        weights.write_bytes(weights.read_bytes()[:-1000])
    elif fault == "no average":
        torch.save({"state_dict": {}}, weights)
    elif fault == "other sizes":
        settings.write_text(json.dumps(said | {"decoder_block_out_channels": [4, 4, 8, 16]}))
    elif fault == "other kind":
        settings.write_text(json.dumps(said | {"decoder_causal": True}))
    elif fault == "no json":
        settings.unlink()
    else:
        settings.write_text("{}")
    with pytest.raises(ValueError, match=message):
        load_turbo(folder, "cpu")
