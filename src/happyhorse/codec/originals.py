"""Files in which encoders and decoders were first published, in the layouts that the loaders of this package read.

Three parts of the 15B are also about as single files of their makers: the video codec as `Wan2.2_VAE.pth`, the audio
codec inside the `model.safetensors` of Stable Audio Open 1.0, the tokeniser as the `tokenizer.model` of SentencePiece.
They hold the same numbers under other names. Sizes are read off the file, every key is accounted for, and a folder that
was written is whole: its configuration comes last.
"""

import json
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from happyhorse.checkpoint import check_fit, shapes
from happyhorse.codec.published import extra
from happyhorse.codec.wan import DEVIATION, MEAN, PATCH
from happyhorse.files import write_atomic

WEIGHTS, CONFIG = "diffusion_pytorch_model.safetensors", "config.json"

# Names of the original video codec, one after the other, and what they are called by diffusers.
_WAN = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"^conv1\.", "quant_conv."),
        (r"^conv2\.", "post_quant_conv."),
        (r"coder\.conv1\.", "coder.conv_in."),
        (r"\.head\.0\.", ".norm_out."),
        (r"\.head\.2\.", ".conv_out."),
        (r"\.middle\.0\.", ".mid_block.resnets.0."),
        (r"\.middle\.1\.", ".mid_block.attentions.0."),
        (r"\.middle\.2\.", ".mid_block.resnets.1."),
        (
            r"\.(down|up)samples\.(\d+)\.\1samples\.\d+\.(resample|time_conv)\.",
            r".\1_blocks.\2.\1sampler.\3.",
        ),
        (r"\.(down|up)samples\.(\d+)\.\1samples\.(\d+)\.", r".\1_blocks.\2.resnets.\3."),
        (r"\.residual\.0\.", ".norm1."),
        (r"\.residual\.2\.", ".conv1."),
        (r"\.residual\.3\.", ".norm2."),
        (r"\.residual\.6\.", ".conv2."),
        (r"\.shortcut\.", ".conv_shortcut."),
    )
)
_UNIT = ("snake1", "conv1", "snake2", "conv2")  # layers of a residual unit of the audio codec
_PRETRANSFORM = "pretransform.model."


def convert_wan(file: str | Path, target: str | Path) -> None:
    """Write `Wan2.2_VAE.pth` as a folder of diffusers, `target`, in the precision that it has.

    The file is a pickle, of which only tensors are read. Raises ValueError, naming it, where it is damaged or another
    network.
    """
    file = Path(file)
    with extra("the video codec", file.parent, file.name):
        from diffusers import AutoencoderKLWan  # pyright: ignore[reportPrivateImportUsage]

        held: Any = torch.load(file, map_location="cpu", weights_only=True)
        weights = {_wan_name(key): tensor for key, tensor in held.items()}
        sizes = _wan_sizes(weights)
        with torch.device("meta"):
            own = AutoencoderKLWan(**sizes).state_dict()
    check_fit(shapes(own), shapes(weights), str(file))
    _write(Path(target), weights, {"_class_name": "AutoencoderKLWan", **sizes})


def convert_stable_audio(folder: str | Path, target: str | Path) -> None:
    """Write the autoencoder in `model.safetensors`, as `model_config.json` describes it, as a folder of diffusers.

    What else is in the file, the model that makes sound from text, is not read. Raises ValueError, naming the folder,
    where a file is damaged or holds another autoencoder.
    """
    folder = Path(folder)
    with extra("the audio codec", folder):
        from diffusers import AutoencoderOobleck  # pyright: ignore[reportPrivateImportUsage]

        sizes = _oobleck_sizes(json.loads((folder / "model_config.json").read_text(encoding="utf-8")))
        with torch.device("meta"):
            own = AutoencoderOobleck(**sizes).state_dict()
        with safe_open(folder / "model.safetensors", framework="pt") as held:
            keys = [key for key in held.keys() if key.startswith(_PRETRANSFORM)]  # noqa: SIM118 it is no mapping
            stages = len(sizes["downsampling_ratios"])
            weights = {_oobleck_name(key, stages): held.get_tensor(key) for key in keys}
    for name, tensor in weights.items():
        if name.endswith((".alpha", ".beta")):
            weights[name] = tensor.reshape(1, -1, 1)
    check_fit(shapes(own), shapes(weights), str(folder / "model.safetensors"))
    _write(Path(target), weights, {"_class_name": "AutoencoderOobleck", **sizes})


def convert_tokenizer(file: str | Path, target: str | Path) -> None:
    """Write Gemma's `tokenizer.model` as `tokenizer.json`, with a `tokenizer_config.json` where `target` has none.

    Raises ValueError, naming the file, where it is damaged or another kind of tokeniser.
    """
    file, target = Path(file), Path(target)
    with extra("the tokeniser of the text encoder", file.parent, file.name):
        from tokenizers import AddedToken
        from transformers import GemmaTokenizer

        pieces = read_sentencepiece(file)
        vocabulary = {piece.text: index for index, piece in enumerate(pieces)}
        if "\t" not in vocabulary and "<0x09>" in vocabulary:  # the byte is the character
            pieces[vocabulary["<0x09>"]] = Piece("\t", 0.0, NORMAL)
            vocabulary = {piece.text: index for index, piece in enumerate(pieces)}
        merges: Any = list(_merges(pieces))  # what the library takes is more than what it says
        tokenizer = GemmaTokenizer(vocab=vocabulary, merges=merges, add_bos_token=True)
        fixed = [piece for piece in pieces if piece.kind in (CONTROL, USER)]
        added: Any = [AddedToken(p.text, special=p.kind == CONTROL, normalized=False) for p in fixed]
        tokenizer.add_tokens(added)
        whole = tokenizer.backend_tokenizer.to_str()
    target.mkdir(parents=True, exist_ok=True)
    if not (target / "tokenizer_config.json").is_file():
        said = {"tokenizer_class": "GemmaTokenizer", "add_bos_token": True, "add_eos_token": False}
        names = {f"{name}_token": f"<{name}>" for name in ("bos", "eos", "pad", "unk", "mask")}
        _write_json(target / "tokenizer_config.json", said | names)
    _write_json(target / "tokenizer.json", json.loads(whole))


def _wan_name(key: str) -> str:
    for pattern, name in _WAN:
        key = pattern.sub(name, key)
    return key


def _wan_sizes(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """What diffusers has to be told of the video codec, read off its tensors."""
    width, narrow = len(weights["encoder.conv_in.bias"]), len(weights["decoder.norm_out.gamma"])
    blocks = {int(key.split(".")[2]) for key in weights if key.startswith("encoder.down_blocks.")}
    outs = [len(weights[f"encoder.down_blocks.{i}.resnets.0.conv2.bias"]) for i in sorted(blocks)]
    first = [
        key for key in weights if re.fullmatch(r"encoder\.down_blocks\.0\.resnets\.\d+\.conv1\.bias", key)
    ]
    latents = len(weights["post_quant_conv.bias"])
    if latents != len(MEAN):
        raise ValueError(f"it has {latents} channels of latents and not {len(MEAN)}")
    return {
        "base_dim": width,
        "decoder_base_dim": narrow * width // outs[0],
        "z_dim": latents,
        "dim_mult": [out // width for out in outs],
        "num_res_blocks": len(first),
        "temperal_downsample": [
            f"encoder.down_blocks.{i}.downsampler.time_conv.bias" in weights for i in sorted(blocks)[:-1]
        ],
        "is_residual": True,
        "in_channels": weights["encoder.conv_in.weight"].shape[1],
        "out_channels": len(weights["decoder.conv_out.bias"]),
        "patch_size": PATCH,
        "scale_factor_spatial": PATCH * 2 ** (len(outs) - 1),
        "scale_factor_temporal": 4,
        "latents_mean": list(MEAN),
        "latents_std": list(DEVIATION),
    }


def _oobleck_sizes(said: Mapping[str, Any]) -> dict[str, Any]:
    """What diffusers has to be told of the audio codec; raises where it cannot be what is described."""
    pretransform = said["model"]["pretransform"]
    inner = pretransform["config"]
    encoder, decoder = inner["encoder"]["config"], inner["decoder"]["config"]
    alike = all(encoder[key] == decoder[key] for key in ("c_mults", "strides"))
    kinds = {inner[part]["type"] for part in ("encoder", "decoder")}
    plain = pretransform.get("scale", 1.0) == 1.0 and not decoder.get("final_tanh", True)
    snakes = encoder.get("use_snake") and decoder.get("use_snake")
    if not (
        alike and plain and snakes and kinds == {"oobleck"} and encoder["latent_dim"] == encoder["channels"]
    ):
        raise ValueError("model_config.json describes another autoencoder")
    return {
        "encoder_hidden_size": encoder["channels"],
        "downsampling_ratios": list(encoder["strides"]),
        "channel_multiples": list(encoder["c_mults"]),
        "decoder_channels": decoder["channels"],
        "decoder_input_channels": decoder["latent_dim"],
        "audio_channels": decoder["out_channels"],
        "sampling_rate": said["sample_rate"],
    }


def _oobleck_name(key: str, stages: int) -> str:
    """Numbers in the original are places in a row of layers: an opening, the stages, an activation, a last product."""
    half, *places = key.removeprefix(_PRETRANSFORM).replace("layers.", "").split(".")
    *numbers, what = places
    first, *inner = (int(number) for number in numbers)
    if not 1 <= first <= stages:
        name = {0: "conv1", stages + 1: "snake1", stages + 2: "conv2"}[first]
        return f"{half}.{name}.{what}"
    down = half == "encoder"
    other = {3: "snake1", 4: "conv1"} if down else {0: "snake1", 1: "conv_t1"}
    if inner[0] in other:
        return f"{half}.block.{first - 1}.{other[inner[0]]}.{what}"
    unit = inner[0] + 1 if down else inner[0] - 1
    return f"{half}.block.{first - 1}.res_unit{unit}.{_UNIT[inner[1]]}.{what}"


def _write(target: Path, weights: dict[str, Tensor], said: dict[str, Any]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    whole = {key: tensor.contiguous() for key, tensor in weights.items()}
    write_atomic(target / WEIGHTS, lambda hidden: save_file(whole, hidden, {"format": "pt"}))
    _write_json(target / CONFIG, said)


def _write_json(path: Path, said: Any) -> None:
    text = json.dumps(said, indent=1, ensure_ascii=False)
    write_atomic(path, lambda hidden: hidden.write_text(text + "\n", encoding="utf-8"))


# --- SentencePiece: a message of protocol buffers, of which four numbers and the pieces are needed ----------------

NORMAL, CONTROL, USER = 1, 3, 4
"""Kinds of pieces: made by merging, with a meaning of their own, asked for by whoever trained it."""
BPE = 2


@dataclass(frozen=True)
class Piece:
    """One piece of a vocabulary: merged earlier where its `score` is higher."""

    text: str
    score: float
    kind: int


def read_sentencepiece(file: str | Path) -> list[Piece]:
    """The vocabulary in a file of SentencePiece, in the order of its ids.

    Raises ValueError where it is damaged, or is not merged pair by pair with bytes for what it lacks, as Gemma's is.
    """
    pieces, merged, bytewise, prefixed = [], False, False, False
    try:
        for number, value in _fields(Path(file).read_bytes()):
            if number == 1:
                said = dict(_fields(value))
                score = struct.unpack("<f", said.get(2, bytes(4)))[0]
                pieces.append(Piece(said[1].decode(), score, said.get(3, NORMAL)))
            elif number == 2:
                training = dict(_fields(value))
                merged, bytewise = training.get(3) == BPE, bool(training.get(35))
            elif number == 3:
                prefixed = bool(dict(_fields(value)).get(3, 1))
    except (IndexError, KeyError, struct.error, TypeError, AttributeError, UnicodeDecodeError):
        raise ValueError("it is damaged, or no model of SentencePiece") from None
    if not pieces or not merged or not bytewise or prefixed:
        raise ValueError("it is another kind of tokeniser than Gemma's")
    return pieces


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Numbers of the fields of a message with their values: whole numbers, or bytes."""
    at = 0

    def whole() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        number, wire = divmod(whole(), 8)
        if wire == 0:
            yield number, whole()
            continue
        count = {1: 8, 5: 4}[wire] if wire != 2 else whole()
        if at + count > len(message):
            raise IndexError(count)
        yield number, message[at : at + count]
        at += count


def _merges(pieces: list[Piece]) -> Iterator[tuple[str, str]]:
    """All pairs of pieces that are one piece together, in the order in which they are merged: higher scores first, and
    of one score those with the longer left half.
    """
    known = {piece.text for piece in pieces}
    pairs = []
    for piece in pieces:
        for cut in range(1, len(piece.text)) if piece.kind in (NORMAL, USER) else ():
            left, right = piece.text[:cut], piece.text[cut:]
            if left in known and right in known:
                pairs.append((-piece.score, -len(left), -len(right), left, right))
    for *_, left, right in sorted(pairs, key=lambda pair: pair[:3]):
        yield left, right
