"""The small model as the stages see it (see `model`): words and phonemes on the clock, one pass over two rows."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, UInt8
from torch import Tensor

from happyhorse.codec import Codec, text
from happyhorse.codec.enlarge import FACTOR, enlarge
from happyhorse.codec.pixels import as_frames, as_video
from happyhorse.flow import schedules
from happyhorse.flow.guidance import guide
from happyhorse.flow.samplers import State, Velocity
from happyhorse.generate.complete import complete
from happyhorse.generate.denoiser import Denoiser, pad_tokens
from happyhorse.generate.language import Line, read_lines
from happyhorse.generate.learnt import check
from happyhorse.generate.model import Reading, Refine, Start
from happyhorse.generate.noise import Draw
from happyhorse.generate.speech import place, seconds_for
from happyhorse.generate.upscaler import Upscaler
from happyhorse.precision import mixed
from happyhorse.values import PONY, ClipShape, Format, Request

if TYPE_CHECKING:
    from happyhorse.generate.condition import Known
    from happyhorse.generate.material import Material

MIRRORED = 4  # audio steps by which a sound that is cut off is continued, mirrored, while it is encoded


@dataclass(frozen=True, eq=False)
class Tokens:
    """Words of a prompt: features `ids` [2, n, G] and clock times `times` [2, n] (latent frames) of the text tokens of
    the prompt (row 0) and of no prompt (row 1), as `codec.text.tokenize` gives them, padded.
    """

    ids: Int[Tensor, "two n G"]
    times: Float[Tensor, "two n"]


@dataclass(frozen=True, eq=False)
class Pony:
    """Everything that makes clips: the denoiser, the codec, what the checkpoint knows about itself.

    `facts` come with the denoiser: its `vocabulary`, the `shifts` of its noise levels by modality, the size and length
    of the `world` it was trained on, and `defaults` of requests where they are other than those of `Request`.
    `upscaling` are those of the `upscaler`, which makes clips twice as wide and high.
    """

    name: str
    denoiser: Denoiser
    codec: Codec
    facts: Mapping[str, Any] = field(default_factory=dict)
    format: Format = PONY
    upscaler: Upscaler | None = None
    upscaling: Mapping[str, Any] = field(default_factory=dict)

    def request(self, prompt: str, **asked: Any) -> Request:
        """A complete request: what was asked, this model's defaults where it was left open (None), a fresh
        seed, and a length and size that suit what is given and what is said.

        `asked` are fields of `Request`, and `upscale` (False: as large as without super-resolution). Raises ValueError
        as `complete` does, and for what super-resolution of this model does not have.
        """
        foreign = [key for key in ("upscale_guidance", "align_corners") if asked.get(key) is not None]
        if foreign:
            raise ValueError(f"{Path(self.name).name} has no {' and no '.join(foreign)}; leave it out")
        trained = {
            k: v for k, v in self.facts.get("world", {}).items() if k in ("width", "height", "seconds")
        }
        if self.upscaler is not None:
            large = {
                side: FACTOR * trained.get(side, getattr(self.format, side)) for side in ("width", "height")
            }
            trained |= large | {"upscale_steps": self.upscaling["sampler"]["steps"]}
        defaults = trained | self.facts.get("defaults", {})
        request = complete(self.name, self.format, defaults, True, prompt, asked)
        check(self.name, self.facts, request)
        return request

    @property
    def device(self) -> torch.device:
        """Where the denoiser computes."""
        return next(self.denoiser.parameters()).device

    @property
    def hears(self) -> int:
        """Rate in Hz of the sound that is encoded."""
        return self.format.rate

    def precision(self) -> AbstractContextManager[Any]:
        """How products of matrices are computed on this model's device."""
        return mixed(self.device.type)

    def read(self, request: Request, material: "Material") -> Reading:
        """The caption before the clip, and each phoneme of its lines where it sounds.

        Raises ValueError for a quotation mark that is not closed, for spoken words that do not fit or cannot be
        spoken here, and for such words where a clip is edited.
        """
        shape = material.part
        caption, lines, remarks = read_lines(request.prompt, request.language)
        if lines and request.edit is not None:
            raise ValueError(
                "an edit leaves what is said as it is; leave out the words in quotation marks, or take the clip's span "
                "again with --retake"
            )
        read, alien = text.familiar(caption, frozenset(self.facts.get("vocabulary", ())))
        phones = [] if material.steps.all() else _spoken(lines, request, material)
        settings = self.denoiser.text.config
        prompt = text.tokenize(read, phones, settings, shape.fps / 4)
        ids, times = pad_tokens([prompt, (prompt[0][:0], prompt[1][:0])], settings.features)
        usual, trained = seconds_for(lines), self.facts.get("world", {})
        if lines and not phones:
            remarks = (*remarks, "the words in quotation marks are not spoken: the sound is given")
        elif trained and usual > trained["seconds"]:
            remarks = (
                *remarks,
                f"the spoken words take {usual:.1f} s with the silence around them; the clip lasts {shape.seconds:g} s",
            )
        notes = (*self._notes(read, alien, request, shape), *remarks, *material.notes)
        spoken = phones[-1].end - phones[0].start if phones else 0.0
        return Reading(Tokens(ids.to(self.device), times.to(self.device)), notes, spoken)

    def _notes(
        self, caption: str, alien: Mapping[str, str], request: Request, shape: ClipShape
    ) -> tuple[str, ...]:
        """What the person who asked should know: which words are left out, and what is unlike the training."""
        notes, name = [], Path(self.name).name
        if alien:
            meant = [
                f"{word!r} (did you mean {near!r}?)" if near else repr(word) for word, near in alien.items()
            ]
            words = ", ".join(meant[:8]) + (", ..." if len(meant) > 8 else "")
            rest = (
                "goes by the rest of the prompt"
                if caption
                else "knows no word of the prompt, and makes anything"
            )
            notes.append(f"{name} has never seen {words} in its training; it {rest}")
        if (count := len(text.words(caption))) > text.MAX_WORDS:
            notes.append(f"the prompt has {count} words and marks; only the first {text.MAX_WORDS} are read")
        trained = self.facts.get("world", {})
        if trained and (request.width, request.height) != (trained["width"], trained["height"]):
            notes.append(f"{name} was trained at {trained['width']}x{trained['height']} pixels only")
        if trained and shape.seconds > 1.05 * trained["seconds"]:
            notes.append(
                f"{name} was trained on clips of {trained['seconds']:g} s; this one is made piece by piece, each going "
                "on from the one before, and drifts"
            )
        return tuple(notes)

    def schedules(self, request: Request) -> Mapping[str, Float[Tensor, " levels"]]:
        """One grid [steps + 1] for each of "video" and "audio", by the shifts of the training."""
        return schedules.paired(request.steps, self.facts.get("shifts", {"video": 3.0, "audio": 1.5}))

    @contextmanager
    def sampling(self, request: Request, words: Tokens, known: "Known") -> Iterator[Velocity]:
        """Guided velocities: one pass over two rows, with the prompt and without it (15B spec section 4.2)."""
        weights = (request.guidance, request.audio_guidance)
        rows = 1 if request.guidance == request.audio_guidance == 1 else 2

        def velocity(state: State, sigma: dict[str, float]) -> dict[str, Tensor]:
            out = self.denoiser(
                *(state[name].expand(rows, *state[name].shape[1:]) for name in ("video", "audio")),
                words.ids[:rows],
                words.times[:rows],
                known.frames.expand(rows, -1),
                known.steps.expand(rows, -1),
                known.beside,
            )
            return {
                name: guide(v[:1], (weight, v[1:] if rows == 2 else None))
                for name, v, weight in zip(("video", "audio"), out, weights, strict=True)
            }

        with self.precision():
            yield velocity

    def start(self, request: Request, small: Float[Tensor, "one C T y x"], size: tuple[int, ...]) -> Start:
        """The guess of the upscaler, and the levels of its training."""
        assert self.upscaler is not None
        levels = schedules.shifted(request.upscale_steps, self.upscaling["sampler"]["shift"])
        with torch.inference_mode():
            with self.precision():
                large = enlarge(self.codec.video, small)
            return Start(self.upscaler.guess(large), self.upscaling["keep"], levels)

    @contextmanager
    def refining(
        self, request: Request, words: Tokens, known: "Known | None" = None, start: Start | None = None
    ) -> Iterator[Refine]:
        """The picture alone: neither words nor sound change what is fine in it."""
        assert self.upscaler is not None and known is not None and start is not None
        upscaler, guess, given = self.upscaler, start.enlarged, known.frames[None]

        def refine(video: Tensor, audio: Tensor) -> Tensor:
            return upscaler(video, guess, given)

        with self.precision():
            yield refine

    def encode_video(self, frames: UInt8[np.ndarray, "F H W 3"]) -> Float[Tensor, "one C T Y X"]:
        """Frames, 4(T-1)+1 of them, as clean latents [1, C, T, Y, X]."""
        with torch.inference_mode():
            return self.codec.video.encode(as_video(torch.from_numpy(frames).to(self.device)[None])).float()

    def encode_audio(
        self, wave: Float32[np.ndarray, " n"], steps: int, draw: Draw
    ) -> Float[Tensor, "one S Ca"]:
        """A waveform at `hears` Hz as clean latents [1, steps, Ca]; what it is too short for is silence."""
        length, margin = (count * self.format.rate // self.format.fps for count in (steps, MIRRORED))
        whole = np.zeros(length, np.float32)
        whole[: len(wave)] = wave[:length]
        mirrored = np.concatenate(
            [whole, whole[::-1][:margin], np.zeros(max(0, margin - length), np.float32)]
        )
        with torch.inference_mode():
            return self.codec.audio.encode(torch.from_numpy(mirrored).to(self.device)[None])[
                :, :steps
            ].float()

    def decode_video(self, latents: Float[Tensor, "C T Y X"]) -> Iterator[UInt8[np.ndarray, "f H W 3"]]:
        """Frames, uint8 RGB [f, H, W, 3], four latent frames at a time."""
        pieces = self.codec.video.stream(latents[None].float())
        while True:
            # not around the yield: they would leak to the caller
            with (
                torch.inference_mode(),
                self.precision(),
            ):
                piece = next(pieces, None)
                if piece is None:
                    return
                frames = as_frames(piece[0])
            yield frames.cpu().numpy()

    def decode_audio(self, latents: Float[Tensor, "S Ca"]) -> Float32[np.ndarray, " n"]:
        """The waveform, float32 mono [n] in [-1, 1]."""
        with torch.inference_mode():
            return self.codec.audio.decode(latents[None].float())[0].cpu().numpy()


def _spoken(lines: tuple[Line, ...], request: Request, material: "Material") -> list[text.Phone]:
    ask = "a span of {:.1f} s" if request.retake is not None else "--seconds {:.1f}"
    return place(lines, *material.room, ask)
