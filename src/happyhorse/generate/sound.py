"""Driving sound: a given waveform that stays in the file as it is, and that the picture is made for."""

from pathlib import Path

import numpy as np

from happyhorse.given import Sound
from happyhorse.media import read_sound
from happyhorse.values import ClipShape
from happyhorse.world.speech import resample

RATES = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)  # Hz that stay as they are
SILENT = 1e-4  # -80 dB, the floor of the codec
FULL = 0.999  # a sample at or above is taken for clipped
CLIPPED = 1e-3  # share of such samples that is worth a word


def hear(audio: Path | Sound, shape: ClipShape) -> tuple[Sound, tuple[str, ...]]:
    """A given sound, exactly as long as the picture of `shape`, and notes.

    Its samples and its rate are not touched, if the rate is one of RATES (else it is raised to the next of them); it is
    cut at the end of the clip, or followed by silence. Raises ValueError for a file that holds no sound.
    """
    sound = audio if isinstance(audio, Sound) else Sound(*read_sound(audio, shape.seconds + 1))
    notes = _notes(sound, shape.seconds)
    rate = next((rate for rate in RATES if rate >= sound.rate), RATES[-1])
    samples = resample(sound.samples, sound.rate, rate)
    whole = np.zeros(shape.video.frames * rate // shape.fps, np.float32)
    whole[: len(samples)] = samples[: len(whole)]
    return Sound(whole, rate), notes


def _notes(sound: Sound, seconds: float) -> tuple[str, ...]:
    notes, length = [], len(sound.samples) / sound.rate
    frame = 1 / 25
    if length > seconds + frame:
        notes.append(f"the sound is longer than the clip; its first {seconds:g} s are used")
    elif length < seconds - frame:
        notes.append(f"the sound lasts {length:.3g} s; what follows in the clip is silent")
    levels = np.abs(sound.samples[: round(seconds * sound.rate)])
    if levels.max() < SILENT:
        notes.append("the sound is silent, and so will the clip be; leave it out to have a sound made")
    if (share := float((levels >= FULL).mean())) > CLIPPED:
        notes.append(f"{share:.1%} of the sound is clipped at full scale; it is used as it is")
    return tuple(notes)
