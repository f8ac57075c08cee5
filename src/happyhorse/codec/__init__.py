"""MAKE 3: pixels, waves and words to latents and back."""

import hashlib
from typing import NamedTuple

from happyhorse import checkpoint, config
from happyhorse.codec.audio import AudioCodec, AudioCodecConfig
from happyhorse.codec.video import VideoCodec, VideoCodecConfig


class Codec(NamedTuple):
    """Both halves, in evaluation mode, without gradients."""

    video: VideoCodec
    audio: AudioCodec


def load_codec(path: str) -> Codec:
    """Read a checkpoint of kind "codec". Raises ValueError if it is missing, damaged or of another kind."""
    part = checkpoint.load(path, "codec")
    codec = Codec(
        VideoCodec(config.build(VideoCodecConfig, part.config["video"])),
        AudioCodec(config.build(AudioCodecConfig, part.config["audio"])),
    )
    for name, half in codec._asdict().items():
        checkpoint.load_into(half, checkpoint.within(part.weights, name), f"{path} ({name})")
        half.eval().requires_grad_(False)
    return codec


def latent_version(path: str) -> str:
    """Twelve hexadecimal digits for the latent space of a codec: a hash of everything that encodes.

    Two codecs of one version understand each other's latents, so a decoder can be improved without making new latents
    or retraining a denoiser. Raises ValueError as `load_codec` does.
    """
    digest = hashlib.sha256()
    for key, tensor in sorted(checkpoint.load(path, "codec").weights.items()):
        half, _, rest = key.partition(".")
        if rest.startswith(("linear.", "encode")):
            digest.update(
                f"{half}.{rest} {tuple(tensor.shape)}".encode() + tensor.bfloat16().float().numpy().tobytes()
            )
    return digest.hexdigest()[:12]
