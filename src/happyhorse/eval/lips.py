"""Do the lips say what is heard: the opening of a mouth against the phonemes of the voice, in milliseconds.

The mouth is read from pixels (`opening`), the phonemes and their times from the sound: the recogniser finds where in
the wave each sound of the line is spoken (`recogniser.align`). What these sounds ask of a mouth (`world.visemes`) is
compared with what the mouth does: the lag at which both agree best, whether the lips meet for every p, b and m, and
whether they rest in silence. Everything beside a control in which each mouth has the voice of another clip.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from happyhorse.codec.mel import RATE
from happyhorse.eval.blobs import box
from happyhorse.eval.intervals import Figure, bootstrap
from happyhorse.eval.recogniser import Recogniser, align
from happyhorse.eval.sync import ITU
from happyhorse.world import speech, visemes
from happyhorse.world.scene import Phoneme

STEP = 0.01  # s, of the grid on which lags are looked for
REACH = 0.4  # s, of lags looked at
CLOSED = 0.021  # heights of the picture: lips less far apart touch; the seam between closed lips counts 0.016
QUIET = 35.0  # dB under the loudest 20 ms of a clip: silence
REST = 0.16  # s that silence has to last on both sides of a frame: a mouth opens before and closes after the sound
ROWS, REACH_X = (0.57, 0.80), 0.20  # where a face of the world has its mouth, in heights of the picture
# red minus the stronger of green and blue: skin, teeth and the dark inside of a mouth are under PALE, lips over RED
PALE, RED = 0.24, 0.3


@dataclass(frozen=True)
class Speech:
    """One clip: what the mouth does and what the voice asks of it.

    `opening` [F] in heights of the picture, NaN where no lips are seen, at `fps` frames/s; `asked` [M]: aperture 0..1
    that the sounds ask for, every 10 ms; `closures`: start and end in s of what is heard of each p, b and m; `quiet`
    [F]: frames in silence.
    """

    opening: Float[np.ndarray, " F"]
    asked: Float[np.ndarray, " M"]
    closures: tuple[tuple[float, float], ...]
    quiet: Bool[np.ndarray, " F"]
    fps: float = 25.0


@dataclass(frozen=True)
class LipSync:
    """Figures over clips, each with its 95 % interval.

    lag in ms (+ = sound late): its median, mean distance from 0, and 95th percentile of that; within: share of clips
    whose lag lies in the ITU window; alike: mean correlation at lag 0; met: share of the `closures` p, b and m in which
    the lips touch within a frame of the middle of the sound's closure; rest: share of `silent` frames with closed
    lips; seen: share of frames in which lips are seen.
    """

    clips: int
    closures: int
    silent: int
    lag: Figure
    mae: Figure
    p95: Figure
    within: Figure
    alike: Figure
    met: Figure
    rest: Figure
    seen: Figure


def listen(
    recogniser: Recogniser,
    video: UInt8[np.ndarray, "F H W 3"],
    audio: Float32[np.ndarray, " N"],
    text: str,
    language: str,
    fps: float = 25.0,
) -> Speech:
    """A clip of one face at `fps` frames/s that says `text` in a `language`, with sound at 16 kHz.

    Where the wave is too short for the line nothing is asked of the mouth. Raises ValueError when espeak-ng is missing.
    """
    phonemes, releases = spoken(recogniser, audio, text, language)
    grid = (np.arange(int(len(video) / fps / STEP)) + 0.5) * STEP
    met = visemes.closures(phonemes, releases)
    return Speech(
        opening(video),
        visemes.mouth(phonemes, releases, grid)["aperture"],
        tuple((closure.start / RATE, closure.end / RATE) for closure in met),
        quiet(audio, len(video), fps),
        fps,
    )


def spoken(
    recogniser: Recogniser, audio: Float32[np.ndarray, " N"], text: str, language: str
) -> tuple[tuple[Phoneme, ...], tuple[int, ...]]:
    """The phonemes of a line where they are heard in a wave [N] at 16 kHz, and when each opens, in samples.

    A sound opens after the share of its length after which it does in the plain voice of espeak-ng.
    """
    plain = speech.synthesise(text, language)
    pairs = [
        (phoneme, release)
        for phoneme, release in zip(plain.phonemes, plain.releases, strict=True)
        if speech.split(phoneme.symbol)[1] in recogniser.config.phonemes
    ]
    found = align(recogniser, audio, [speech.split(phoneme.symbol)[1] for phoneme, _ in pairs])
    phonemes, releases = [], []
    for (phoneme, release), sound in zip(pairs, found, strict=bool(found)):
        start, end = round(sound.start * RATE), round(sound.end * RATE)
        share = (release - phoneme.start) / max(phoneme.end - phoneme.start, 1)
        phonemes.append(Phoneme(phoneme.symbol, start, end))
        releases.append(start + round(share * (end - start)))
    return tuple(phonemes), tuple(releases)


def opening(video: UInt8[np.ndarray, "F H W 3"]) -> Float[np.ndarray, " F"]:
    """How far the lips are apart in each frame, in heights of the picture; NaN where no two rows look like lips.

    For faces as the world frames them. Lips are redder than skin, teeth and the inside of a mouth: of the rows in the
    mouth's middle, those between the first and the last red one count by how little red they are.
    """
    height, width = video.shape[1:3]
    top, bottom = (round(share * height) for share in ROWS)
    column, half = _column(video, top, bottom), max(1, round(0.012 * height))
    strip = (
        video[:, top:bottom, max(column - half, 0) : min(column + half + 1, width)].astype(np.float32) / 255
    )
    red = (strip[..., 0] - strip[..., 1:].max(-1)).mean(2)  # [F, rows]
    strong = float(np.median(red.max(1)))
    if strong < RED:
        return np.full(len(video), np.nan)
    lips = np.clip((red - PALE) / (strong - PALE), 0, 1)
    apart = np.full(len(video), np.nan)
    for frame, rows in enumerate(lips):
        found = np.flatnonzero(rows > 0.5)
        if len(found) > 1:
            apart[frame] = float((1 - rows[found[0] : found[-1] + 1]).sum()) / height
    return apart


def _column(video: np.ndarray, top: int, bottom: int) -> int:
    """The column about which the rows of the mouth change most."""
    height, width = video.shape[1:3]
    left = max(round(width / 2 - REACH_X * height), 0)
    part = video[:, top:bottom, left : width - left].astype(np.float32)
    change = np.abs(np.diff(part, axis=0)).mean((0, 3))
    smooth = box(change, round(0.04 * height))
    return left + int(np.argmax(smooth) % smooth.shape[1])


def quiet(audio: Float32[np.ndarray, " N"], frames: int, fps: float = 25.0) -> Bool[np.ndarray, " F"]:
    """[F] whether nothing sounds within REST of each frame of a clip at `fps` frames/s with sound at 16 kHz."""
    power = np.cumsum(np.pad(np.square(audio, dtype=np.float64), (1, 0)))
    count = round(frames / fps / STEP)
    ends = np.clip(np.arange(count + 1) * round(STEP * RATE), 0, len(audio))
    level = np.diff(power[ends])
    loud = level > max(level.max(initial=0.0) * 10 ** (-QUIET / 10), 1e-8 * STEP * RATE)
    reach = round(REST / STEP)
    near = np.convolve(loud, np.ones(2 * reach + 1))[reach : reach + count] > 0.5
    return ~near[np.minimum(np.round(np.arange(frames) / fps / STEP).astype(int), count - 1)]


def lag(clip: Speech) -> tuple[float, float]:
    """Lag in ms (+ = sound late) at which mouth and voice agree best, and their correlation at lag 0.

    NaN and 0 where lips are seen in less than half of the frames, or nothing is said.
    """
    seen = np.isfinite(clip.opening)
    if seen.mean() < 0.5 or np.ptp(clip.asked) == 0 or np.ptp(clip.opening[seen]) == 0:
        return float("nan"), 0.0
    grid = (np.arange(len(clip.asked)) + 0.5) * STEP
    mouth = np.interp(grid, np.flatnonzero(seen) / clip.fps, clip.opening[seen])
    reach, count = round(REACH / STEP), len(grid)
    values = np.array(
        [
            _correlation(mouth[max(-k, 0) : count - max(k, 0)], clip.asked[max(k, 0) : count - max(-k, 0)])
            for k in range(-reach, reach + 1)
        ]
    )
    return 1000 * STEP * (int(np.argmax(values)) - reach), float(values[reach])


def met(clip: Speech) -> int:
    """Of how many closures of a clip the lips touch in a frame at most one frame from the closure's middle."""
    closed = np.flatnonzero(clip.opening < CLOSED) / clip.fps
    middles = [(start + end) / 2 for start, end in clip.closures]
    return sum(bool(np.any(np.abs(closed - middle) <= 1 / clip.fps + 1e-9)) for middle in middles)


def measure(clips: Sequence[Speech], generator: np.random.Generator) -> LipSync:
    """Figures over clips; `generator` draws the resamples of the intervals."""
    rows = [
        _Row(*lag(c), met(c), len(c.closures), *_rest(c), float(np.isfinite(c.opening).mean())) for c in clips
    ]

    def figure(statistic: Callable[[list["_Row"]], float]) -> Figure:
        return bootstrap(rows, lambda chosen: statistic(list(chosen)) if chosen else float("nan"), generator)

    def lags(chosen: list[_Row]) -> np.ndarray:
        known = np.array([row.lag for row in chosen])
        return known[np.isfinite(known)]

    def over(statistic: Callable[[np.ndarray], float]) -> Figure:
        return figure(lambda chosen: float(statistic(lags(chosen))) if len(lags(chosen)) else float("nan"))

    return LipSync(
        clips=len(rows),
        closures=sum(row.closures for row in rows),
        silent=sum(row.silent for row in rows),
        lag=over(np.median),
        mae=over(lambda x: np.abs(x).mean()),
        p95=over(lambda x: np.percentile(np.abs(x), 95)),
        within=figure(lambda chosen: float(np.mean([ITU[0] <= row.lag <= ITU[1] for row in chosen]))),
        alike=figure(lambda chosen: float(np.mean([row.alike for row in chosen]))),
        met=figure(lambda chosen: _ratio(chosen, "met", "closures")),
        rest=figure(lambda chosen: _ratio(chosen, "rest", "silent")),
        seen=figure(lambda chosen: float(np.mean([row.seen for row in chosen]))),
    )


def shuffled(clips: Sequence[Speech]) -> list[Speech]:
    """The control: each mouth with the voice of the next clip, cut to the shorter; none for a single clip."""
    if len(clips) < 2:
        return []
    pairs = zip(clips, [*clips[1:], clips[0]], strict=True)
    return [
        replace(b, opening=a.opening[: len(b.opening)], quiet=b.quiet[: len(a.opening)]) for a, b in pairs
    ]


@dataclass(frozen=True)
class _Row:
    lag: float
    alike: float
    met: int
    closures: int
    rest: int
    silent: int
    seen: float


def _rest(clip: Speech) -> tuple[int, int]:
    """Silent frames in which the lips touch, and silent frames in which lips are seen."""
    known = clip.quiet & np.isfinite(clip.opening)
    return int((clip.opening[known] < CLOSED).sum()), int(known.sum())


def _ratio(rows: list[_Row], above: str, below: str) -> float:
    total = sum(getattr(row, below) for row in rows)
    return sum(getattr(row, above) for row in rows) / total if total else float("nan")


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt(np.square(a).sum() * np.square(b).sum()))
    return float((a * b).sum()) / scale if scale > 1e-12 else 0.0
