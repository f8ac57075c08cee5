"""Files with picture and sound: written whole or not at all, and read back on one clock (PyAV).

What makes a file play in sync, and look right, everywhere:

- MP4 is written with `+faststart` and its edit lists (H.264 reorders frames, AAC begins with 1024 samples of
  priming: players skip both only when the list says so), never with `empty_moov`, which drops the lists.
- RGB becomes limited-range BT.709 by that matrix (FFmpeg's own default is BT.601) and the file is tagged so.
- Everything goes to a hidden file in the same folder, renamed at the end (see `files`).
"""

import contextlib
import os
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from jaxtyping import Float32, UInt8
from PIL import Image, ImageOps

from happyhorse.files import hidden_beside
from happyhorse.values import PONY, Clip

BT709 = 1  # the number of BT.709 as primaries, transfer and matrix in ITU-T H.273
LARGEST_PICTURE = 40_000_000  # pixels
DEMUXERS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,ogg,flv,gif,wav"  # no playlists: they open further files
OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)  # Hz
SOUND_DEMUXERS = f"{DEMUXERS},mp3,flac,aac,aiff,au,caf,w64"


class Codecs(NamedTuple):
    """How one kind of file is encoded: container, encoders and their settings, sound in bits/s."""

    container: str
    video: str
    video_options: dict[str, str]
    audio: str
    audio_bits: int
    container_options: dict[str, str]


KINDS: dict[str, Codecs] = {
    ".mp4": Codecs(
        "mp4", "libx264", {"crf": "17", "preset": "medium"}, "aac", 128_000, {"movflags": "+faststart"}
    ),
    ".webm": Codecs("webm", "libsvtav1", {"crf": "24", "preset": "6"}, "libopus", 96_000, {}),
}


class Writer:
    """Writes one file as frames and sound arrive; a context manager whose clean end publishes the file.

    `path` ends in .mp4 (H.264 + AAC) or .webm (AV1 + Opus); `width`, `height` px, even; `fps` frames/s;
    `rate` Hz of sound in 1 or 2 `channels` (.webm holds 48 kHz where Opus does not know the rate); `metadata` goes
    into the file; `finish` is called with the whole hidden file before it is renamed, and may rewrite it (this is
    where signing happens).

    Raises ValueError for another suffix and OSError when the folder cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        width: int,
        height: int,
        fps: int,
        rate: int,
        channels: int = 1,
        metadata: dict[str, str] | None = None,
        finish: Callable[[Path], None] | None = None,
    ) -> None:
        self.path = Path(path)
        codecs = KINDS.get(self.path.suffix.lower())
        if codecs is None:
            raise ValueError(f"cannot write {self.path.name!r}: name it *.mp4 or *.webm")
        self._finish, self._fps, self._frames, self._rate, self._samples = finish, fps, 0, rate, 0
        self.temporary = hidden_beside(self.path)
        try:
            self._container = av.open(
                str(self.temporary), "w", format=codecs.container, options=codecs.container_options
            )
            self._container.metadata.update(metadata or {})
            self._video: Any = self._container.add_stream(codecs.video, rate=fps)
            self._video.width, self._video.height, self._video.pix_fmt = width, height, "yuv420p"
            self._video.options = codecs.video_options
            context = self._video.codec_context
            context.color_primaries = context.color_trc = context.colorspace = BT709
            context.color_range = ColorRange.MPEG
            stored = rate if codecs.audio != "libopus" or rate in OPUS_RATES else OPUS_RATES[-1]
            self._layout = {1: "mono", 2: "stereo"}[channels]
            self._resampler = av.AudioResampler(format="fltp", layout=self._layout, rate=stored)
            self._audio: Any = self._container.add_stream(codecs.audio, rate=stored, layout=self._layout)
            self._audio.bit_rate = codecs.audio_bits * channels
        except BaseException:
            self.temporary.unlink(missing_ok=True)
            raise

    def frames(self, video: UInt8[np.ndarray, "F H W 3"]) -> None:
        """Append RGB frames, uint8 [F, H, W, 3]."""
        for picture in video:
            rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame = rgb.reformat(
                format="yuv420p",
                src_colorspace=Colorspace.ITU709,
                dst_colorspace=Colorspace.ITU709,
                src_color_range=ColorRange.JPEG,
                dst_color_range=ColorRange.MPEG,
                interpolation=Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP,
            )
            frame.color_primaries = frame.color_trc = frame.colorspace = BT709
            frame.color_range = ColorRange.MPEG
            frame.pts, frame.time_base = self._frames, Fraction(1, self._fps)
            self._frames += 1
            self._container.mux(self._video.encode(frame))

    def sound(self, audio: Float32[np.ndarray, "N ..."]) -> None:
        """Append samples, float32 [N], or [N, 2] in stereo, in [-1, 1]; what lies outside is clipped."""
        if not len(audio):
            return
        samples = np.clip(np.nan_to_num(audio), -1, 1).astype(np.float32)
        planes = np.ascontiguousarray(samples.reshape(len(samples), -1).T)
        frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=self._layout)
        frame.sample_rate = self._rate
        frame.pts, frame.time_base = self._samples, Fraction(1, self._rate)
        self._samples += len(audio)
        self._mux_sound(frame)

    def _mux_sound(self, frame: av.AudioFrame | None) -> None:
        """One frame, or None for what is left."""
        for part in self._resampler.resample(frame):
            self._container.mux(self._audio.encode(part))

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                difference = Fraction(self._frames, self._fps) - Fraction(self._samples, self._rate)
                assert abs(difference) * self._fps < 1, f"sound is {float(difference)} s shorter than picture"
                self._container.mux(self._video.encode(None))
                self._mux_sound(None)
                self._container.mux(self._audio.encode(None))
                self._container.close()
                if self._finish:
                    self._finish(self.temporary)
                os.replace(self.temporary, self.path)
            else:
                with contextlib.suppress(FFmpegError):
                    self._container.close()
        finally:
            self.temporary.unlink(missing_ok=True)


def read(
    path: str | Path,
    *,
    fps: int = PONY.fps,
    rate: int = PONY.rate,
    start: float = 0.0,
    seconds: float | None = None,
    fit: Callable[[UInt8[np.ndarray, "H W 3"]], UInt8[np.ndarray, "h w 3"]] | None = None,
) -> Clip:
    """Read picture and sound on one clock: frame k is what is shown at start + k/fps, sample n what is heard
    at start + n/rate, both counted from the first frame of the picture. Each picture goes through `fit` (to be
    made smaller) as it is decoded.

    Any frame rate is brought to `fps` by repeating or dropping frames, any sound to mono at `rate` Hz;
    rotation and the colour matrix of the file are honoured; a file without sound is silent. Sound is cut or
    padded to the length of the picture. Raises ValueError when the file is missing, damaged, or holds no
    picture.
    """
    end = float("inf") if seconds is None else start + seconds
    try:
        with (
            open(path, "rb") as file,
            av.open(file, options={"format_whitelist": DEMUXERS}, metadata_errors="replace") as container,
        ):
            if not container.streams.video:
                raise ValueError(f"{path} holds no picture; give a video file (MP4, MOV, WebM or MKV)")
            pictures, times, last, heard, begin = _decode(container, rate, end + 1, fit)
    except FileNotFoundError:
        raise ValueError(f"no such file: {path}; check the path") from None
    except (FFmpegError, OSError) as error:
        raise ValueError(
            f"{path} is not a video that can be read ({error.strerror}); convert it to MP4"
        ) from None
    if not pictures:
        raise ValueError(f"{path} holds no whole frame; it may be cut off: copy it again")
    shown = np.asarray(times) - times[0]
    length = min(last - times[0], end) - start
    wanted = start + np.arange(max(1, round(length * fps))) / fps
    video = np.stack([pictures[i] for i in np.searchsorted(shown, wanted + 1e-6, side="right") - 1])
    # index of the first sample heard, in samples of the result
    first = round((begin - times[0] - start) * rate)
    audio = np.zeros(len(video) * rate // fps, np.float32)
    heard = heard[max(0, -first) :][: max(0, len(audio) - max(0, first))]
    audio[max(0, first) : max(0, first) + len(heard)] = heard
    return Clip(video=video, audio=audio, fps=fps, rate=rate)


def _decode(
    container: Any, rate: int, until: float, fit: Callable[[np.ndarray], np.ndarray] | None
) -> tuple[list[np.ndarray], list[float], float, np.ndarray, float]:
    """Pictures with their times in s, the end of the last one, mono samples at `rate` and the time of the
    first.
    """
    streams = [container.streams.video[0], *container.streams.audio[:1]]
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate)
    pictures: list[np.ndarray] = []
    times: list[float] = []
    sounds: list[np.ndarray] = []
    begin, last = None, 0.0
    for frame in container.decode(*streams):
        if frame.time is None:
            continue
        if isinstance(frame, av.VideoFrame):
            if times and frame.time - times[0] > until:
                break
            pictures.append(fit(rgb(frame)) if fit else rgb(frame))
            times.append(frame.time)
            span = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else 0.0
            last = frame.time + (span or 1 / float(streams[0].average_rate or PONY.fps))
        else:
            begin = frame.time if begin is None else begin
            sounds += [sound.to_ndarray()[0] for sound in resampler.resample(frame)]
    if begin is not None:
        sounds += [sound.to_ndarray()[0] for sound in resampler.resample(None)]
    heard = np.concatenate(sounds) if sounds else np.zeros(0, np.float32)
    return pictures, times, last, heard, begin or 0.0


def read_sound(path: str | Path, seconds: float) -> tuple[Float32[np.ndarray, " N"], int]:
    """The first `seconds` s of the sound of a file: mono samples [N], and the rate in Hz that it is stored at.

    Channels are mixed. Raises ValueError when the file is missing, damaged, or holds no sound.
    """
    sounds: list[np.ndarray] = []
    try:
        with (
            open(path, "rb") as file,
            av.open(
                file, "r", options={"format_whitelist": SOUND_DEMUXERS}, metadata_errors="replace"
            ) as container,
        ):
            if not container.streams.audio:
                raise ValueError(f"{path} holds no sound; give a sound file (WAV, MP3, FLAC, M4A, OGG)")
            stream = container.streams.audio[0]
            rate, heard = stream.rate, 0
            # an AAC frame has 1024 samples: how many of the last ones are meant, only the container knows
            lasts = (
                float(stream.duration * stream.time_base) if stream.duration and stream.time_base else seconds
            )
            resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate)
            for frame in container.decode(stream):
                sounds += [part.to_ndarray()[0] for part in resampler.resample(frame)]
                heard += frame.samples
                if heard >= seconds * rate:
                    break
            sounds += [part.to_ndarray()[0] for part in resampler.resample(None)]
    except FileNotFoundError:
        raise ValueError(f"no such file: {path}; check the path") from None
    except (FFmpegError, OSError) as error:
        raise ValueError(
            f"{path} is not a sound that can be read ({error.strerror}); convert it to WAV"
        ) from None
    if not sounds:
        raise ValueError(f"{path} holds no samples; it may be cut off: copy it again")
    return np.concatenate(sounds)[: round(min(seconds, lasts) * rate)], rate


def rgb(frame: av.VideoFrame) -> UInt8[np.ndarray, "H W 3"]:
    """RGB by the matrix and range that the frame is tagged with (BT.601 for untagged small frames), upright."""
    known = {1: Colorspace.ITU709, 5: Colorspace.ITU601, 6: Colorspace.ITU601, 9: Colorspace.BT2020}
    untagged = Colorspace.ITU709 if frame.height > 576 else Colorspace.ITU601
    rgb = frame.reformat(
        format="rgb24",
        src_colorspace=known.get(frame.colorspace, untagged),
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.JPEG,
        interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT,
    ).to_ndarray()
    return np.ascontiguousarray(np.rot90(rgb, frame.rotation // 90))


def read_picture(path: str | Path) -> UInt8[np.ndarray, "H W 3"]:
    """Read a still picture as RGB uint8 [H, W, 3]: upright by its EXIF tag, transparency laid on white.

    Raises ValueError when the file is missing, no picture, damaged, or larger than 40 million pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                if image.width * image.height > LARGEST_PICTURE:
                    raise ValueError(
                        f"{path} has {image.width}x{image.height} pixels; make it smaller than 40 million pixels"
                    )
                image = ImageOps.exif_transpose(image)
                if image.mode.startswith(("I;16", "I")):  # 16-bit grey: keep the upper eight bits
                    image = Image.fromarray((np.asarray(image).clip(0, 65535) / 257).round().astype(np.uint8))
                image = image.convert("RGBA")
                white = Image.new("RGBA", image.size, "white")
                return np.asarray(Image.alpha_composite(white, image).convert("RGB")).copy()
    except FileNotFoundError:
        raise ValueError(f"no such picture: {path}; check the path") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise ValueError(f"{path} has too many pixels; make it smaller than 40 million pixels") from None
    except (OSError, SyntaxError, EOFError) as error:
        detail = f" ({error})" if "truncated" in str(error) else ""
        raise ValueError(
            f"{path} is not a picture that can be read{detail}; give a PNG, JPEG or WebP file"
        ) from None


def write(clip: Clip, path: str | Path) -> Path:
    """Write `clip` to `path` (.mp4 or .webm), unsigned: for data, previews and tests. Returns the path.

    Raises ValueError for another suffix and OSError when the place cannot be written.
    """
    with Writer(
        path, width=clip.width, height=clip.height, fps=clip.fps, rate=clip.rate, channels=clip.audio.ndim
    ) as writer:
        writer.sound(clip.audio)
        writer.frames(clip.video)
    return Path(path)
