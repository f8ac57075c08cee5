"""A tiny 15B with random weights, in the folders and file formats in which the real one is published.

Every part goes through the same loaders as the real weights: shards with an index (fp32, mixed, one of them
compressed), the decoder's pickle, folders of diffusers and transformers. `write` takes about a second.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from happyhorse import config
from happyhorse.codec.turbo import TurboConfig, TurboDecoder
from happyhorse.model.horse import Horse
from happyhorse.model.presets import HorseConfig
from happyhorse.sizes import Size

WIDTH = 16  # of the text encoder
SIZES = (  # in place of `happyhorse.sizes.SIZES`
    Size("256p", "16:9", (96, 64), (96, 64), (96, 64)),
    Size("540p", "16:9", (96, 64), (160, 96), (160, 96)),
    Size("1080p", "16:9", (96, 64), (192, 128), (192, 120)),
)
HORSE = HorseConfig(
    num_layers=2,
    hidden_size=32,
    head_dim=16,
    num_query_groups=1,
    text_in_channels=WIDTH,
    mm_layers=(0,),
    gelu7_layers=(0,),
)
LOCAL = HorseConfig(**{**config.plain(HORSE), "local_attn_layers": (1,)})
TURBO = TurboConfig(decoder_block_out_channels=(4, 4, 8, 8), decoder_layers_per_block=(1, 1, 1, 1, 1))
DENOISERS = {"base": HORSE, "distill": HORSE, "540p_sr": HORSE, "1080p_sr": LOCAL}


def write(folder: Path, denoisers: tuple[str, ...] = tuple(DENOISERS), seed: int = 0) -> Path:
    """Write all parts, of the denoisers those that are named by their folders. Returns `folder`."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():  # the libraries draw their weights from the global generator
        torch.manual_seed(seed)
        write_text_encoder(folder / "t5gemma-9b-9b-ul2")
        write_video_codec(folder / "Wan2.2-TI2V-5B-Diffusers" / "vae")
        write_audio_codec(folder / "stable-audio-open-1.0" / "vae")
    write_turbo(folder / "turbo_vae", generator)
    for name in denoisers:
        write_denoiser(
            folder / name, DENOISERS[name], generator, mixed=name == "base", compressed=name == "540p_sr"
        )
    return folder


def random_horse(settings: HorseConfig, generator: torch.Generator) -> Horse:
    """A denoiser of about unit gain, nothing at zero."""
    horse = Horse(settings)
    with torch.no_grad():
        for parameter in horse.parameters():
            scale = parameter.shape[-1] ** -0.5 if parameter.ndim > 1 else 0.1
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    return horse


def write_denoiser(
    folder: Path,
    settings: HorseConfig,
    generator: torch.Generator,
    mixed: bool = False,
    compressed: bool = False,
) -> Horse:
    """Two shards and an index; in fp32, or `mixed` as the network has it; the second one `compressed`."""
    horse = random_horse(settings, generator)
    weights = {key: tensor if mixed else tensor.float() for key, tensor in horse.state_dict().items()}
    folder.mkdir(parents=True)
    keys, weight_map = sorted(weights), {}
    for number, some in enumerate((keys[::2], keys[1::2]), 1):
        name = f"model-{number:05}-of-00002.safetensors"
        save_file({key: weights[key] for key in some}, folder / name)
        weight_map |= dict.fromkeys(some, name)
        if compressed and number == 2:
            import zstandard

            whole = (folder / name).read_bytes()
            (folder / f"{name}.zst").write_bytes(zstandard.ZstdCompressor().compress(whole))
            (folder / name).unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (folder / "config.json").write_text(json.dumps(config.plain(settings)))
    return horse


def write_turbo(folder: Path, generator: torch.Generator) -> TurboDecoder:
    """The settings of training, and its checkpoint: a moving average under `module.`, with heads that nobody needs."""
    turbo = TurboDecoder(TURBO)
    with torch.no_grad():
        for parameter in turbo.parameters():
            scale = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.1
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    folder.mkdir(parents=True)
    rest = {"_class_name": "Student", "aligned_feature_layers": [1], "use_unpatchify": True, "patch_size": 2}
    (folder / "TurboV3-Wan22-TinyShallow_7_7.json").write_text(json.dumps(config.plain(TURBO) | rest))
    average = {f"module.{key}": tensor for key, tensor in turbo.state_dict().items()}
    average["module.aligned_feature_head.weight"] = torch.zeros(3)
    torch.save({"ema_state_dict": average, "step": 340_000}, folder / "checkpoint-340000.ckpt")
    return turbo


def write_text_encoder(folder: Path) -> None:
    """Encoder *and* decoder, as published, with a tokeniser of letters and bytes."""
    from transformers import GemmaTokenizer, T5GemmaConfig, T5GemmaForConditionalGeneration

    special = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")
    plain = (*"▁abcdefghijklmnopqrstuvwxyz", *(f"<0x{byte:02X}>" for byte in range(256)))
    vocabulary = {token: i for i, token in enumerate(special + plain)}
    GemmaTokenizer(vocab=vocabulary, merges=[], add_bos_token=True).save_pretrained(folder)
    half = {
        "vocab_size": len(vocabulary),
        "hidden_size": WIDTH,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "query_pre_attn_scalar": 8,
        "initializer_range": 0.3,
    }
    settings = T5GemmaConfig(encoder=half, decoder={**half}, vocab_size=len(vocabulary))
    T5GemmaForConditionalGeneration(settings).bfloat16().save_pretrained(folder)


def write_video_codec(folder: Path) -> None:
    """The Wan2.2 layout at width 8."""
    from diffusers import AutoencoderKLWan

    AutoencoderKLWan(
        base_dim=8,
        decoder_base_dim=8,
        z_dim=48,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
        is_residual=True,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        scale_factor_spatial=16,
        latents_mean=[0.0] * 48,
        latents_std=[1.0] * 48,
    ).save_pretrained(folder)


def write_audio_codec(folder: Path) -> None:
    """The Oobleck layout; 64 latents fix the encoder at width 128, so only the decoder is narrow."""
    from diffusers import AutoencoderOobleck

    AutoencoderOobleck(channel_multiples=[1, 1, 1, 1, 1], decoder_channels=4).save_pretrained(folder)
