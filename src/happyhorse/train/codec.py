"""Objectives of the two halves of the codec: reconstruct what the world renders, from latents with noise on them.

Noise on the latents while the decoder learns makes it forgiving of the small errors that a flow's samples have.
Neither half has an adversary; the linear codec inside is fitted first, in closed form.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from happyhorse import checkpoint, config
from happyhorse.codec import load_codec
from happyhorse.codec.audio import SAMPLES, AudioCodec, AudioCodecConfig
from happyhorse.codec.mel import HOP, log_mel
from happyhorse.codec.pixels import as_video
from happyhorse.codec.video import VideoCodec, VideoCodecConfig, patchify
from happyhorse.config import Count, Factor
from happyhorse.data.batches import indices, step_generator
from happyhorse.data.shards import Shards
from happyhorse.precision import mixed
from happyhorse.train.loop import LoopConfig
from happyhorse.train.parallel import where
from happyhorse.train.preview import save_frames, save_spectrograms

STFT_WINDOWS = (128, 512, 2048)


@dataclass(frozen=True)
class VideoCropConfig:
    """Crops of `frames` x `size` x `size` pixels; of `candidates` random ones the one that moves most is taken.

    Latents get `noise`, a standard deviation, before they are decoded, and pixels that move count `moving` times more.
    Where a codec is trained on, `hold` times the squared distance to its old latents is added, so that a denoiser can
    follow.
    """

    frames: Count = 17
    size: Count = 64
    candidates: Count = 3
    noise: Factor = 0.1
    moving: Factor = 4.0
    hold: Factor = 0.0


class VideoObjective:
    """Trains the video codec on moving crops of raw shards; judged by PSNR on whole held-out clips."""

    adam_parameters = ("encode_in", "encode_out", "decode_out")

    def __init__(
        self,
        codec: VideoCodecConfig,
        crops: VideoCropConfig,
        loop: LoopConfig,
        train: Shards,
        heldout: Shards,
        start: Path | None = None,
    ) -> None:
        """A new codec whose linear part is fitted to `train` at once, or one with the weights of the codec `start`."""
        self.module = VideoCodec(codec, torch.Generator().manual_seed(loop.seed))
        self.module.adam_parameters = self.adam_parameters  # type: ignore[assignment]
        self.crops, self.loop, self.shards, self.heldout = crops, loop, train, heldout
        self.start = load_codec(str(start)).video if start else None
        if start is None or self.start is None:
            self.kept = self.module.linear.fit(_patches(train))
        else:
            checkpoint.load_into(self.module, self.start.state_dict(), str(start))
            self.kept = checkpoint.load(start, "codec").facts.get("video", {}).get("variance_kept", math.nan)

    def loss(self, step: int, part: int, parts: int) -> tuple[Tensor, dict[str, float]]:
        """Squared error of pixels, moving ones weighted up, plus a little of their absolute differences; scalar."""
        clips = indices(len(self.shards), self.loop.batch, self.loop.seed, step)[part::parts]
        generator = step_generator(self.loop.seed, step, part)
        here = where(self.module)
        video = as_video(torch.stack([self._crop(clip, generator) for clip in clips]).to(here))
        with mixed(here.type, self.loop.autocast):
            latents = self.module.encode(video)
            noise = torch.randn(latents.shape, generator=generator).to(here) * self.crops.noise
            output = self.module.decode(latents + noise)
        error = output - video
        weight = 1 + self.crops.moving * moving(video)
        pixels = (error.square() * weight).sum() / weight.expand_as(error).sum()
        total = pixels + 0.02 * edges(error) + 1e-3 * latents.square().mean()
        if self.start is not None and self.crops.hold:
            total = total + self.crops.hold * self._moved(video, latents)
        return total, {
            "psnr_crop": psnr(output.detach(), video),
            "latent_rms": float(latents.detach().square().mean().sqrt()),
        }

    def _moved(self, video: Tensor, latents: Tensor) -> Tensor:
        """Mean squared distance of latents to those that the codec gave at the start; a scalar."""
        assert self.start is not None
        with torch.no_grad(), mixed(video.device.type, self.loop.autocast):
            old = self.start.to(video.device).encode(video)
        return (latents - old).square().mean()

    def _crop(self, clip: int, generator: torch.Generator) -> Tensor:
        """uint8 [frames, size, size, 3]: the liveliest of the candidates."""
        view, row = self.shards.slice("video", clip)
        _, frames, height, width, _ = view.get_shape()
        n, size = min(self.crops.frames, frames), self.crops.size
        best, liveliest = None, -1.0
        for _ in range(self.crops.candidates):
            starts = [
                int(torch.randint(limit + 1, (), generator=generator))
                for limit in (frames - n, height - size, width - size)
            ]
            f, y, x = starts
            crop = view[row, f : f + n, y : y + size, x : x + size]
            motion = float((crop[1:].short() - crop[:-1].short()).abs().float().mean())
            if motion > liveliest:
                best, liveliest = crop, motion
        assert best is not None
        return best

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """PSNR in dB over held-out clips: mean of clips, mean of the worst family, worst clip.

        Where it started from another codec `moved` is how far its latents are from those, a mean square.
        """
        families: dict[str, list[float]] = {}
        moved: list[float] = []
        here = where(self.module)
        for i in range(len(self.heldout)):
            video, _, record = self.heldout[i]
            pixels = as_video(video.to(here)[None])
            with mixed(here.type, self.loop.autocast):
                latents = self.module.encode(pixels)
                output = self.module.decode(latents).clamp(-1, 1)
            if self.start is not None:
                moved.append(float(self._moved(pixels, latents)))
            families.setdefault(record["family"], []).append(psnr(output, pixels))
        scores = [score for group in families.values() for score in group]
        means = {f"psnr_{name}": sum(group) / len(group) for name, group in sorted(families.items())}
        return {
            "psnr": sum(scores) / len(scores),
            "psnr_worst_family": min(means.values()),
            "psnr_worst": min(scores),
            **({"moved": sum(moved) / len(moved)} if moved else {}),
        } | means

    @torch.no_grad()
    def preview(self, folder: Path | None, step: int) -> None:
        """PNG of held-out frames above their reconstructions."""
        rows = []
        for i in range(min(8, len(self.heldout))):
            pixels = as_video(self.heldout[i][0].to(where(self.module))[None])
            output = self.module.decode(self.module.encode(pixels))
            rows += [pixels[0], output[0]]
        if folder is not None:
            save_frames(folder / f"{step:06d}.png", rows)

    def release(self, folder: Path, weights: dict[str, Tensor], facts: dict[str, Any]) -> Path:
        """Write `video.safetensors` of kind "codec-video"."""
        path = folder / "video.safetensors"
        part = checkpoint.Checkpoint("codec-video", config.plain(self.module.config), weights, facts)
        return checkpoint.save(path, part)[0]


def psnr(output: Float[Tensor, "*shape"], video: Float[Tensor, "*shape"]) -> float:
    """Peak signal to noise in dB, at most 100, of a video that should be `video`; both in [-1, 1]."""
    return -10 * math.log10(max(float((output - video).square().mean()) / 4, 1e-10))


def edges(error: Float[Tensor, "*B H W"]) -> Float[Tensor, ""]:
    """Mean size of the steps of an error between neighbouring pixels, across plus down: what blurs and what frays."""
    return error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()


def moving(video: Float[Tensor, "B 3 F H W"]) -> Float[Tensor, "B 1 F H W"]:
    """1 where a pixel changes by more than 0.05 since or until the neighbouring frame, grown by two pixels; else 0."""
    change = (video.diff(dim=2).abs().amax(1, keepdim=True) > 0.05).float()
    mask = torch.maximum(
        torch.nn.functional.pad(change, (0, 0, 0, 0, 1, 0)),
        torch.nn.functional.pad(change, (0, 0, 0, 0, 0, 1)),
    )
    return torch.nn.functional.max_pool3d(mask, (1, 5, 5), 1, (0, 2, 2))


def _patches(shards: Shards, share: int = 10) -> Iterator[Tensor]:
    """A tenth of the patches [n, P] of up to 400 clips."""
    for i in range(min(len(shards), 400)):
        video = as_video(shards[i][0][None])
        flat = patchify(video).flatten(0, 3)
        yield flat[
            torch.randperm(flat.shape[0], generator=torch.Generator().manual_seed(i))[
                : flat.shape[0] // share
            ]
        ]


class AudioObjective:
    """Trains the audio codec and vocoder on crops of `steps` latents; judged by log-mel error on held-out clips."""

    adam_parameters = ("encode_in", "encode_out", "decode_out", "vocoder_out", "depthwise")

    def __init__(
        self,
        codec: AudioCodecConfig,
        crop_steps: int,
        noise: float,
        loop: LoopConfig,
        train: Shards,
        heldout: Shards,
    ) -> None:
        """A new codec whose linear part is fitted to `train` at once."""
        self.module = AudioCodec(codec, torch.Generator().manual_seed(loop.seed))
        self.module.adam_parameters = self.adam_parameters  # type: ignore[assignment]
        self.crop_steps, self.noise, self.loop = crop_steps, noise, loop
        self.waves = _waves(train)
        self.heldout = _waves(heldout)
        self.kept = self.module.linear.fit(
            log_mel(waves).reshape(-1, self.module.linear.mean.numel()) for waves in self.waves.split(64)
        )

    def loss(self, step: int, part: int, parts: int) -> tuple[Tensor, dict[str, float]]:
        """L1 of log-mels (decoded, and of the waveform) plus multi-resolution STFT error (arXiv 1910.11480); scalar."""
        clips = indices(len(self.waves), self.loop.batch, self.loop.seed, step)[part::parts]
        generator = step_generator(self.loop.seed, step, part)
        length = min(self.crop_steps * SAMPLES, self.waves.shape[1])
        starts = [
            int(torch.randint((self.waves.shape[1] - length) // HOP + 1, (), generator=generator))
            for _ in clips
        ]
        wave = torch.stack(
            [self.waves[c, s * HOP : s * HOP + length] for c, s in zip(clips, starts, strict=True)]
        )
        gain = torch.rand(len(clips), 1, generator=generator) * 0.7 + 0.3
        here = where(self.module)
        wave = (wave * gain).to(here)
        mel = log_mel(wave)
        with mixed(here.type, self.loop.autocast):
            latents = self.module.encode_mel(mel)
            noise = torch.randn(latents.shape, generator=generator).to(here) * self.noise
            decoded = self.module.decode_mel(latents + noise)
            output = self.module.vocode(decoded)
        mel_error = (decoded - mel).abs().mean()
        heard = (log_mel(output) - mel).abs().mean()
        spectral = stft_error(output, wave)
        total = mel_error + heard + spectral + 1e-3 * latents.square().mean()
        return total, {
            "mel": float(mel_error.detach()),
            "heard": float(heard.detach()),
            "stft": float(spectral.detach()),
        }

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Mean absolute log-mel error in nats on held-out clips: after decoding the mel, and of the waveform."""
        mel, heard = [], []
        for wave in self.heldout.to(where(self.module)).split(8):
            target = log_mel(wave)
            latents = self.module.encode(wave)
            mel.append((self.module.decode_mel(latents) - target).abs().mean((1, 2)))
            heard.append((log_mel(self.module.decode(latents)) - target).abs().mean((1, 2)))
        return {"mel_heldout": float(torch.cat(mel).mean()), "heard_heldout": float(torch.cat(heard).mean())}

    @torch.no_grad()
    def preview(self, folder: Path | None, step: int) -> None:
        """PNG of held-out log-mels above those of their reconstructions."""
        wave = self.heldout[:8].to(where(self.module))
        output = self.module.decode(self.module.encode(wave))
        pairs = [mel for pair in zip(log_mel(wave), log_mel(output), strict=True) for mel in pair]
        if folder is not None:
            save_spectrograms(folder / f"{step:06d}.png", pairs)

    def release(self, folder: Path, weights: dict[str, Tensor], facts: dict[str, Any]) -> Path:
        """Write `audio.safetensors` of kind "codec-audio"."""
        path = folder / "audio.safetensors"
        part = checkpoint.Checkpoint("codec-audio", config.plain(self.module.config), weights, facts)
        return checkpoint.save(path, part)[0]


def _waves(shards: Shards) -> Tensor:
    """All sound of `shards` as float32 [clips, N] in [-1, 1]."""
    return (
        torch.stack(
            [shards.slice("audio", i)[0][shards.slice("audio", i)[1]] for i in range(len(shards))]
        ).float()
        / 32767
    )


def stft_error(output: Float[Tensor, "B N"], target: Float[Tensor, "B N"]) -> Float[Tensor, ""]:
    """Mean over windows of log-magnitude L1 plus spectral convergence; scalar."""
    total = output.new_zeros(())
    for size in STFT_WINDOWS:
        window = torch.hann_window(size, device=output.device)
        both = torch.stft(
            torch.cat([output, target]), size, size // 4, window=window, return_complex=True
        ).abs()
        both = both * (2 / size)
        mine, theirs = both.chunk(2)
        logs = ((mine + 1e-4).log() - (theirs + 1e-4).log()).abs().mean()
        shape = (mine - theirs).norm() / theirs.norm().clamp_min(1e-3)
        total = total + (logs + shape) / len(STFT_WINDOWS)
    return total


def split_audio(codec: Path, path: Path) -> None:
    """Write the audio half of a codec to `path`, as training does."""
    part = checkpoint.load(codec, "codec")
    weights, facts = checkpoint.within(part.weights, "audio"), part.facts.get("audio", {})
    half = checkpoint.Checkpoint("codec-audio", part.config["audio"], weights, facts)
    checkpoint.save(path, half)


def merge(video: Path, audio: Path, path: Path, facts: dict[str, Any]) -> Path:
    """Join the two trained halves to one checkpoint of kind "codec" in bfloat16."""
    parts = {"video": checkpoint.load(video, "codec-video"), "audio": checkpoint.load(audio, "codec-audio")}
    weights = {
        f"{name}.{key}": tensor for name, part in parts.items() for key, tensor in part.weights.items()
    }
    settings = {name: part.config for name, part in parts.items()}
    halves = {name: part.facts for name, part in parts.items()}
    return checkpoint.save(
        path, checkpoint.Checkpoint("codec", settings, weights, facts | halves), torch.bfloat16
    )[0]
