"""Parts of the tiny 15B in the files in which their makers published them first.

Names are given by walking through the stages of the original networks, not by rewriting the names of diffusers, so
that the two directions check each other.
"""

import json
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

WEIGHTS = "diffusion_pytorch_model.safetensors"


def write_wan(source: Path, file: Path) -> None:
    """The video codec in a folder of diffusers as `Wan2.2_VAE.pth`."""
    weights, said = load_file(source / WEIGHTS), json.loads((source / "config.json").read_text())
    stages, blocks = len(said["dim_mult"]), said["num_res_blocks"]
    names = {"conv1": "quant_conv", "conv2": "post_quant_conv"}
    for half, rows, count in (("encoder", "down", blocks), ("decoder", "up", blocks + 1)):
        names |= {f"{half}.conv1": f"{half}.conv_in"}
        names |= {f"{half}.head.0": f"{half}.norm_out", f"{half}.head.2": f"{half}.conv_out"}
        names |= dict(_block(f"{half}.middle.0", f"{half}.mid_block.resnets.0"))
        names |= dict(_block(f"{half}.middle.2", f"{half}.mid_block.resnets.1"))
        for layer in ("norm", "to_qkv", "proj"):
            names[f"{half}.middle.1.{layer}"] = f"{half}.mid_block.attentions.0.{layer}"
        for i in range(stages):
            there, here = f"{half}.{rows}samples.{i}.{rows}samples", f"{half}.{rows}_blocks.{i}"
            for j in range(count):
                names |= dict(_block(f"{there}.{j}", f"{here}.resnets.{j}"))
            for layer in ("resample.1", "time_conv"):
                names[f"{there}.{count}.{layer}"] = f"{here}.{rows}sampler.{layer}"
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(_renamed(weights, names), file)


def _block(there: str, here: str) -> Iterator[tuple[str, str]]:
    for place, layer in ((0, "norm1"), (2, "conv1"), (3, "norm2"), (6, "conv2")):
        yield f"{there}.residual.{place}", f"{here}.{layer}"
    yield f"{there}.shortcut", f"{here}.conv_shortcut"


def write_stable_audio(source: Path, folder: Path) -> None:
    """The audio codec in a folder of diffusers as Stable Audio Open has it, beside a model that nobody needs."""
    weights, said = load_file(source / WEIGHTS), json.loads((source / "config.json").read_text())
    ratios, names = said["downsampling_ratios"], {}
    last = len(ratios) + 1

    def unit(there: str, here: str) -> None:
        for place, layer in enumerate(("snake1", "conv1", "snake2", "conv2")):
            names[f"{there}.layers.{place}"] = f"{here}.{layer}"

    for half in ("encoder", "decoder"):
        row = f"{half}.layers"
        names |= {f"{row}.0": f"{half}.conv1", f"{row}.{last}": f"{half}.snake1"}
        names[f"{row}.{last + 1}"] = f"{half}.conv2"
        for i in range(len(ratios)):
            there, here = f"{row}.{i + 1}.layers", f"{half}.block.{i}"
            if half == "encoder":
                names |= {f"{there}.3": f"{here}.snake1", f"{there}.4": f"{here}.conv1"}
            else:
                names |= {f"{there}.0": f"{here}.snake1", f"{there}.1": f"{here}.conv_t1"}
            for number in (1, 2, 3):
                unit(f"{there}.{number - 1 if half == 'encoder' else number + 1}", f"{here}.res_unit{number}")
    found = _renamed(weights, names)
    found = {k: t.flatten() if k.endswith(("alpha", "beta")) else t for k, t in found.items()}
    whole = {f"pretransform.model.{key}": tensor for key, tensor in found.items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file({**whole, "model.model.weight": torch.zeros(5)}, folder / "model.safetensors")
    same = {"c_mults": said["channel_multiples"], "strides": ratios, "use_snake": True}
    width = said["encoder_hidden_size"]
    encoder = {"in_channels": 2, "channels": width, "latent_dim": width, **same}
    decoder = {"out_channels": 2, "channels": said["decoder_channels"], "latent_dim": 64, "final_tanh": False}
    config = {
        "encoder": {"type": "oobleck", "config": encoder},
        "decoder": {"type": "oobleck", "config": decoder | same},
        "bottleneck": {"type": "vae"},
        "latent_dim": 64,
    }
    pretransform = {"type": "autoencoder", "iterate_batch": True, "config": config}
    model = {"model_type": "diffusion_cond", "sample_rate": 44_100, "model": {"pretransform": pretransform}}
    (folder / "model_config.json").write_text(json.dumps(model))


def _renamed(weights: dict[str, torch.Tensor], names: dict[str, str]) -> dict[str, torch.Tensor]:
    back = {here: there for there, here in names.items()}
    layers = {key: key.rpartition(".")[0] for key in weights}
    assert set(layers.values()) <= set(back), sorted(set(layers.values()) - set(back))
    return {f"{back[layer]}.{key.rpartition('.')[2]}": weights[key].clone() for key, layer in layers.items()}


def write_all(source: Path, folder: Path) -> Path:
    """The tiny 15B in `source` as its makers have it: three parts in original files, the others as they are."""
    write_wan(source / "Wan2.2-TI2V-5B-Diffusers" / "vae", folder / "Wan2.2-TI2V-5B" / "Wan2.2_VAE.pth")
    write_stable_audio(source / "stable-audio-open-1.0" / "vae", folder / "stable-audio-open-1.0")
    text = shutil.copytree(source / "t5gemma-9b-9b-ul2", folder / "t5gemma-9b-9b-ul2")
    vocabulary = json.loads((text / "tokenizer.json").read_text())["model"]["vocab"]
    write_sentencepiece(
        text / "tokenizer.model", [(piece, 0.0) for piece in sorted(vocabulary, key=vocabulary.get)]
    )
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (text / name).unlink()
    for place in source.iterdir():
        if not (folder / place.name).exists() and place.name != "Wan2.2-TI2V-5B-Diffusers":
            shutil.copytree(place, folder / place.name)
    return folder


# --- SentencePiece -----------------------------------------------------------------------------------------------


def write_sentencepiece(
    file: Path, pieces: list[tuple[str, float]], kind: int = 2, user: tuple[str, ...] = ()
) -> None:
    """A vocabulary in the order of its ids, as SentencePiece writes it: a message in the form of protocol buffers."""
    message = b""
    for text, score in pieces:
        typed = (
            2 if text == "<unk>" else 3 if text in ("<pad>", "<eos>", "<bos>") else 4 if text in user else 1
        )
        typed = 6 if text.startswith("<0x") else typed
        piece = _bytes(1, text.encode()) + b"\x15" + struct.pack("<f", score) + b"\x18" + bytes([typed])
        message += _bytes(1, piece)
    training = b"\x18" + bytes([kind]) + b"\x98\x02\x01"  # model_type, and byte_fallback (field 35)
    message += _bytes(2, training) + _bytes(3, _bytes(1, b"identity") + b"\x18\x00")  # without a space before
    file.write_bytes(message)


def _bytes(field: int, content: bytes) -> bytes:
    count, length = len(content), b""
    while count > 127:
        length, count = length + bytes([count & 127 | 128]), count >> 7
    return bytes([field << 3 | 2]) + length + bytes([count]) + content
