"""The published 15B as a model: a folder of parts, borrowed one after the other (15B spec sections 3 to 6)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from happyhorse import sizes
from happyhorse.codec.pixels import as_video
from happyhorse.codec.stable_audio import HOP, INNER_RATE
from happyhorse.codec.t5gemma import LONGEST
from happyhorse.flow import schedules
from happyhorse.flow.guidance import frame_weights, guide, two_stage
from happyhorse.flow.samplers import State, Velocity
from happyhorse.generate.complete import complete
from happyhorse.generate.installed import NAME, UPSCALERS, missing_files
from happyhorse.generate.model import Reading, Refine, Start
from happyhorse.generate.negative import negative_prompt
from happyhorse.generate.noise import Draw
from happyhorse.generate.parts import Lend, check_part
from happyhorse.generate.upscale import enlarge
from happyhorse.model.attention import Window
from happyhorse.model.horse import Horse
from happyhorse.model.tokens import CoordStyle, Grid, coordinates, patchify, unpatchify
from happyhorse.values import AUDIO_CHANNELS, HAPPYHORSE_15B, Format, Request

if TYPE_CHECKING:
    from happyhorse.generate.condition import Known
    from happyhorse.generate.material import Material

DISTILLED = {"steps": 8, "sampler": "renoise", "guidance": 1.0, "audio_guidance": 1.0}
BASE = {"steps": 32, "sampler": "unipc", "guidance": 5.0, "audio_guidance": 5.0}
CORRUPTION = 220  # entry of the corruption table with which super-resolution begins
LATE_GUIDANCE = 2.0  # of the picture, at most, in the lower half of the noise levels
FIRST_GUIDANCE = 2.0  # of super-resolution, at most, in the first latent frames
UNTRAINED = (
    "last_frame", "key_frames", "references", "video", "extend", "retake", "edit", "keep", "language"
)  # fmt: skip


@dataclass(frozen=True)
class Embedded:
    """Vectors [1, n, 3584] of the prompt and, where guidance needs them, of the negative prompt."""

    prompt: Float[Tensor, "one n width"]
    negative: Float[Tensor, "one m width"] | None


@dataclass(frozen=True, eq=False)
class Published:
    """The 15B in `folder`, sampled by its denoiser `variant` ("distill" or "base").

    `lend` gives the parts; `device` is where they are when they compute.
    """

    name: str
    folder: Path
    variant: str
    device: torch.device
    lend: Lend
    format: Format = HAPPYHORSE_15B
    facts: Mapping[str, Any] = field(default_factory=dict)
    hears: int = INNER_RATE

    def request(self, prompt: str, **asked: Any) -> Request:
        """A complete request, as `Model.request` says.

        Raises ValueError also where `settle` does, and where a part that the request needs is not installed.
        """
        request = self.settle(prompt, asked)
        self._check_parts(request)
        return request

    def settle(self, prompt: str, asked: Mapping[str, Any]) -> Request:
        """The complete request, whether or not the parts that it needs are installed.

        Raises ValueError for what these weights were not trained for.
        """
        given = {name for name, value in asked.items() if value is not None}
        given -= {name for name in ("key_frames", "references") if not asked.get(name)}
        untrained = [name for name in UNTRAINED if name in given]
        if untrained:
            raise ValueError(
                f"{NAME} was not trained with {' and '.join(untrained)}; it takes a prompt, first_frame and audio"
            )
        own = DISTILLED if self.variant == "distill" else BASE
        request = complete(self.name, self.format, own, False, prompt, asked)
        self.format.shape(request.seconds, request.width, request.height)  # or it cannot be made
        if self.variant == "distill" and not request.guidance == request.audio_guidance == 1:
            raise ValueError(
                f"the distilled weights were trained without guidance; leave it out, or use --model {NAME}/base"
            )
        return request

    def _check_parts(self, request: Request) -> None:
        check_part(self.folder, "text", "a prompt")
        check_part(self.folder, self.variant, "a clip")
        check_part(self.folder, "audio", "sound")
        for part in {self._decoder} | ({"video"} if request.first_frame is not None else set()):
            check_part(self.folder, part, "a picture")
        size = sizes.find(request.width, request.height)
        if size and size.name in UPSCALERS:
            check_part(self.folder, UPSCALERS[size.name], size.name)

    @property
    def _decoder(self) -> str:
        """The small decoder where it is installed, else the codec's own."""
        return "video" if missing_files(self.folder, "turbo") else "turbo"

    def read(self, request: Request, material: "Material") -> Reading:
        """Vectors of the prompt, and a note where it is longer than what the denoiser reads."""
        guided = not request.guidance == request.audio_guidance == request.upscale_guidance == 1
        with self.lend("text") as encoder:
            ids = encoder.tokenize(request.prompt)
            prompt = encoder.encode(ids).to(self.device)
            negative = None
            if guided:
                negative = encoder.encode(encoder.tokenize(negative_prompt(self.folder))).to(self.device)
        notes: tuple[str, ...] = ()
        if (count := ids.shape[1]) > LONGEST:
            notes = (
                f"the prompt has {count} tokens, of which {LONGEST} are read; its end (where dialogue and background "
                "sound stand) is lost: shorten it",
            )
        return Reading(Embedded(prompt, negative), (*notes, *material.notes))

    def schedules(self, request: Request) -> Mapping[str, Float[Tensor, " levels"]]:
        """One grid [steps + 1] for picture and sound (15B spec section 4.1)."""
        levels = schedules.shifted(request.steps)
        return {"video": levels, "audio": levels}

    @contextmanager
    def sampling(self, request: Request, words: Embedded, known: "Known") -> Iterator[Velocity]:
        """Guided velocity: 5 and then 2 for the picture, 5 for the sound, unless asked otherwise; 1 runs one pass."""
        picture = two_stage(request.guidance, min(request.guidance, LATE_GUIDANCE))
        with self.lend(self.variant) as horse:

            def velocity(state: State, sigma: dict[str, float]) -> dict[str, Tensor]:
                told = run(horse, state["video"], state["audio"], words.prompt, "v2")
                if request.guidance == request.audio_guidance == 1:
                    return told
                assert words.negative is not None
                untold = run(horse, state["video"], state["audio"], words.negative, "v2")
                weights = {"video": picture(sigma["video"]), "audio": request.audio_guidance}
                return {name: guide(told[name], (weights[name], untold[name])) for name in told}

            yield velocity

    def start(self, request: Request, small: Float[Tensor, "one C T y x"], size: tuple[int, ...]) -> Start:
        """Small latents interpolated linearly (15B spec section 5), and the grid of the denoisers."""
        keep = float(schedules.corruption_table()[CORRUPTION])
        return Start(
            enlarge(small, size, request.align_corners), keep, schedules.shifted(request.upscale_steps)
        )

    @contextmanager
    def refining(
        self, request: Request, words: Embedded, known: "Known | None" = None, start: Start | None = None
    ) -> Iterator[Refine]:
        """One pass, or with `upscale_guidance` two, weighted by latent frame; known latents are told by being clean."""
        size = sizes.find(request.width, request.height)
        assert size is not None, (request.width, request.height)
        late = request.upscale_guidance
        with self.lend(UPSCALERS[size.name]) as horse:

            def refine(video: Tensor, audio: Tensor) -> Tensor:
                told = run(horse, video, audio, words.prompt, "v1")["video"]
                if late == 1:
                    return told
                assert words.negative is not None
                untold = run(horse, video, audio, words.negative, "v1")["video"]
                weights = frame_weights(video.shape[2], min(late, FIRST_GUIDANCE), late)
                return guide(told, (weights[:, None, None].to(told), untold))

            yield refine

    def encode_video(self, frames: UInt8[np.ndarray, "F H W 3"]) -> Float[Tensor, "one C T Y X"]:
        """Frames, 4(T-1)+1 of them, as clean latents [1, C, T, Y, X]."""
        with self.lend("video") as codec:
            return codec.encode(as_video(torch.from_numpy(frames).to(self.device)[None]))

    def encode_audio(
        self, wave: Float32[np.ndarray, " n"], steps: int, draw: Draw
    ) -> Float[Tensor, "one S Ca"]:
        """A waveform at 51.2 kHz as a sample of its latents [1, steps, Ca]; what it is too short for is silence."""
        whole = np.zeros(steps * HOP, np.float32)
        whole[: len(wave)] = wave[: len(whole)]
        noise = draw((steps, AUDIO_CHANNELS), stage="encode", step=-1, modality="audio")
        with self.lend("audio") as codec:
            return codec.encode(torch.from_numpy(whole).to(self.device)[None], noise.to(self.device)[None])

    def decode_video(self, latents: Float[Tensor, "C T Y X"]) -> Iterator[UInt8[np.ndarray, "f H W 3"]]:
        """Frames, uint8 RGB [f, H, W, 3], window by window; values are truncated, as in the original."""
        with self.lend(self._decoder) as decoder:
            for piece in decoder.stream(latents[None].float()):
                pixels = (piece[0] * 0.5 + 0.5).clamp(0, 1) * 255
                yield rearrange(pixels.byte(), "c f h w -> f h w c").cpu().numpy()

    def decode_audio(self, latents: Float[Tensor, "S Ca"]) -> Float32[np.ndarray, "n 2"]:
        """The waveform at 44.1 kHz, stereo [n, 2], clamped to [-1, 1]."""
        with self.lend("audio") as codec:
            return codec.decode(latents[None].float())[0].clamp(-1, 1).T.cpu().numpy()


def run(
    horse: Horse,
    video: Float[Tensor, "one C T Y X"],
    audio: Float[Tensor, "one S Ca"],
    text: Float[Tensor, "one n width"],
    style: CoordStyle,
) -> dict[str, Tensor]:
    """Velocities of both latents, [1, C, T, Y, X] and [1, S, Ca], in one pass of the network."""
    grid = Grid.of(*video.shape[2:])
    places = coordinates(grid, audio.shape[1], text.shape[1], style, device=video.device)
    window = Window(grid.frame_tokens) if horse.config.local_attn_layers else None
    of_video, of_audio = horse(patchify(video), audio, text, places, window=window)
    return {"video": unpatchify(of_video, grid), "audio": of_audio}
