"""Spoken lines in seven languages: text -> phonemes, and text -> sound with a sample-exact phoneme timeline.

`phonemes` is what the model reads (at training and at generation alike); `synthesise` gives the sound of the
world's talking faces, one timed phoneme for each symbol of `phonemes`. A symbol is IPA: optional stress (ˈ or
ˌ), one sound, optional tone (Chao letters, Mandarin and Cantonese); `split` takes it apart. A clause break is
the symbol PAUSE.

A mouth closes before it opens: the silent part of a stop is counted to the stop, and `Utterance.releases`
says when each sound opens. espeak marks a stop at its burst; the closure before it is found as the silence in
front of the mark.
"""

import math
import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from happyhorse.world import espeak, kana
from happyhorse.world.scene import RATE, Phoneme

LANGUAGES = {
    "en": "English",
    "zh": "Mandarin",
    "yue": "Cantonese",
    "ja": "Japanese",
    "ko": "Korean",
    "de": "German",
    "fr": "French",
}
PAUSE = "_"
STRESS = "ˈˌ"
TONES = "˥˦˧˨˩"

_VOICES = {"en": "en-us", "zh": "cmn", "yue": "yue", "ja": "ja", "ko": "ko", "de": "de", "fr": "fr"}
_TONES = {
    "zh": {"55": "˥", "35": "˧˥", "214": "˨˩˦", "51": "˥˩", "11": "˩", "21": "˨˩", "22": "˨"},
    "yue": {"1": "˥", "2": "˧˥", "3": "˧", "4": "˨˩", "5": "˩˧", "6": "˨"},
}
_SPELLING = {  # names that espeak does not write in IPA
    language: dict(pair.split("=") for pair in pairs.split())
    for language, pairs in {
        "zh": "ts.h=ʈʂʰ ts.=ʈʂ s.=ʂ z.=ʐ i.=ʅ i̪=ɿ o-=ɤ onɡ=ʊŋ ph=pʰ th=tʰ kh=kʰ tɕh=tɕʰ tsh=tsʰ",
        "yue": "aa=aː a=ɐ ai=ɐi au=ɐu aai=aːi aau=aːu o=ɔ oi=ɔi e=ɛ oe=œ eo=ɵ eoi=ɵy yu=y onɡ=ɔŋ unɡ=ʊŋ "
        "oenɡ=œŋ enɡ=ɛŋ inɡ=ɪŋ anɡ=ɐŋ aanɡ=aːŋ nɡ=ŋ̍ z=ts c=tsʰ p=pʰ t=tʰ k=kʰ b=p d=t ɡ=k",
        "ja": "o̞o̞=o̞ː e̞e̞=e̞ː ää=äː ɯᵝɯᵝ=ɯᵝː ũ=ɴ",
        "ko": "q=ɡ q-=k͈ k-=k͈ p-=p͈ t-=t͈ d-=t͈ s-=s͈ tɕ-=tɕ͈ ph=pʰ kh=kʰ",
        "de": "ɜ=ɐ r=ɾ",
        "fr": "a-=a e-=e ə-=ə y-=ɥ",
    }.items()
}
_HOMOPHONES = (
    str.maketrans(  # espeak has no Mandarin iong and reads its pinyin as English; ün is the nearest final
        dict.fromkeys("兄凶匈汹胸兇洶", "熏")
        | dict.fromkeys("熊雄", "旬")
        | dict.fromkeys("穷琼穹窮瓊", "群")
        | dict.fromkeys("窘炯迥囧", "俊")
        | {"兒": "儿"}
    )
)
_KOREAN = re.compile("[ˈˌ]?(?:tɕ|tʃ|dʑ|ph|kh|.)-?")  # espeak leaves out separators at Korean word boundaries
_STOPS, _NASALS = set("ptkbdɡcɟʈɖq"), set("mnŋɲɳɴ")
_SHORTEST_CLOSURE, _LONGEST_CLOSURE = espeak.NATIVE // 125, espeak.NATIVE // 15
_SILENT = 2  # of 32768
_LEVEL, _PEAK = 0.11, 0.9


@dataclass(frozen=True)
class Voice:
    """variant: espeak timbre ("m1", "f3", ... or "" for the plain voice); rate: words per minute, 80..450;
    pitch and intonation (how much the pitch moves): 0..99, 50 is the variant's own; loudness: 1 is normal."""

    variant: str = ""
    rate: int = 175
    pitch: int = 50
    intonation: int = 50
    loudness: float = 1.0


@dataclass(frozen=True)
class Utterance:
    """A spoken line.

    wave: float32 [n] at `rate` Hz, |x| <= 0.9; phonemes: in samples at scene.RATE whatever `rate` is, in order,
    gaps are silence; releases: for each phoneme the sample, between its start and end, at which the mouth opens
    (its start, or the end of the closure of a stop or nasal).
    """

    wave: np.ndarray
    rate: int
    phonemes: tuple[Phoneme, ...]
    releases: tuple[int, ...]

    @property
    def seconds(self) -> float:
        """Length of the sound in seconds."""
        return len(self.wave) / self.rate


def split(symbol: str) -> tuple[str, str, str]:
    """(stress, sound, tone) of a phoneme symbol; each may be empty."""
    sound = symbol.lstrip(STRESS)
    stress, bare = symbol[: len(symbol) - len(sound)], sound.rstrip(TONES)
    return stress, bare, sound[len(bare) :]


@lru_cache(maxsize=4096)
def phonemes(text: str, language: str) -> tuple[str, ...]:
    """Phoneme symbols of text with stress, tone and PAUSE between clauses, without synthesis; about 0.2 ms.

    language: a key of LANGUAGES. Raises ValueError for another language, when espeak-ng is not installed, or for
    Japanese kanji without a dictionary.
    """
    voice, spoken = _voice(language), _spoken(text, language)
    symbols: list[str] = []
    names = espeak.transcribe(spoken, voice, ipa=True)
    ascii_names = espeak.transcribe(spoken, voice, ipa=False) if language in _TONES else names
    for clause, toned in zip(names, ascii_names, strict=True):
        said = _clause(clause, toned, language)
        symbols += [PAUSE, *said] if symbols and said else said
    return tuple(symbols)


@lru_cache(maxsize=4096)
def durations(text: str, language: str) -> tuple[float, ...]:
    """Seconds that each symbol of `phonemes(text, language)` lasts in the plain voice; about 5 ms."""
    timeline = synthesise(text, language).phonemes
    return tuple((sound.end - sound.start) / RATE for sound in timeline)


def synthesise(text: str, language: str, voice: Voice = Voice(), rate: int = RATE) -> Utterance:
    """Speak text: the same arguments give the same samples; `phonemes(text, language)` names its timeline.

    rate: sample rate of the waveform in Hz. About 10 ms. Raises ValueError as `phonemes` does, or for a text
    without sound.
    """
    name = _voice(language) + (f"+{voice.variant}" if voice.variant else "")
    spoken = espeak.speak(_spoken(text, language), name, voice.rate, voice.pitch, voice.intonation)
    symbols = phonemes(text, language)
    if not symbols:
        raise ValueError(
            f"there is nothing to say in {text!r}: write at least one word in {LANGUAGES[language]}"
        )
    sounds = _sounds(spoken)
    if len(sounds) == len(symbols):
        for sound, symbol in zip(sounds, symbols, strict=True):
            sound.name = symbol
    for before, sound in zip([None, *sounds[:-1]], sounds, strict=True):
        _close(sound, before, spoken.wave)
    first = max(sounds[0].start - espeak.NATIVE // 100, 0)

    def at(sample: int) -> int:
        return round((sample - first) * RATE / espeak.NATIVE)

    return Utterance(
        resample(_level(spoken.wave[first : sounds[-1].end], voice.loudness), espeak.NATIVE, rate),
        rate,
        tuple(Phoneme(sound.name, at(sound.start), at(sound.end)) for sound in sounds),
        tuple(at(sound.release) for sound in sounds),
    )


def resample(wave: np.ndarray, source: int, target: int) -> np.ndarray:
    """float32 [n] at source Hz -> float32 [round(n * target / source)] at target Hz, band-limited.

    One Fourier transform over the whole signal (Oppenheim and Schafer, "Discrete-Time Signal
    Processing", section 4.6) with a raised cosine over the last tenth of the band, so that clicks do not ring.
    """
    if source == target:
        return wave.astype(np.float32)
    common = math.gcd(source, target)
    up, down = target // common, source // common
    length = math.ceil((len(wave) + source // 20) / down) * down
    spectrum = np.fft.rfft(wave, length)
    bins = min(length // 2, length // down * up // 2) + 1
    taper = np.clip((1 - np.arange(bins) / (bins - 1)) / 0.1, 0, 1)
    spectrum = spectrum[:bins] * (0.5 - 0.5 * np.cos(np.pi * taper))
    out = np.fft.irfft(spectrum, length // down * up) * (target / source)
    return out[: round(len(wave) * target / source)].astype(np.float32)


def _voice(language: str) -> str:
    if language not in _VOICES:
        raise ValueError(f"no language {language!r}: choose one of {', '.join(_VOICES)}")
    return _VOICES[language]


def _spoken(text: str, language: str) -> str:
    if language == "ja":
        return kana.reading(text)
    return text.translate(_HOMOPHONES) if language == "zh" else text


def _clause(names: list[str], toned: list[str], language: str) -> list[str]:
    """Symbols of one clause; the ASCII names carry the tones that the IPA names abbreviate."""
    tones = iter([name for name in toned if not name.startswith(("_", "("))])
    symbols = []
    for name in names:
        if name.startswith(("_", "(")):
            continue
        tone = ""
        if language in _TONES:
            match = re.search(r"\d+$", next(tones, ""))
            if match:
                name = re.sub(r"[0-9ɜ]$", "", name)
                tone = _TONES[language].get(match.group(), "")
        for part in _KOREAN.findall(name) if language == "ko" else (name,):
            stress, sound, _ = split(part)
            symbols.append(stress + _SPELLING.get(language, {}).get(sound, sound) + tone)
    return symbols


@dataclass
class _Sound:
    name: str
    start: int
    end: int
    release: int


def _sounds(spoken: espeak.Sound) -> list[_Sound]:
    """Sounds and the pauses between clauses, in native samples."""
    sounds: list[_Sound] = []
    open_until_next = False
    for name, sample in spoken.events:
        if name.startswith("("):
            continue
        if name == "ʲ" and sounds:  # a palatal mark belongs to the consonant before it
            sounds[-1].name += name
            continue
        if open_until_next:
            sounds[-1].end = sample
        open_until_next = bool(name) and name != espeak.CLAUSE
        if name == espeak.CLAUSE and sounds:
            sounds.append(_Sound(PAUSE, sounds[-1].end, sample, sounds[-1].end))
        elif open_until_next:
            sounds.append(_Sound(name, sample, sample, sample))
    while sounds and sounds[-1].name == PAUSE:
        sounds.pop()
    return sounds


def _close(sound: _Sound, before: _Sound | None, wave: np.ndarray) -> None:
    """Give a stop the silence before its burst (taken from the sound before) and set when the mouth opens."""
    bare = split(sound.name)[1]
    if bare[:1] in _NASALS:
        sound.release = sound.end
    if bare[:1] not in _STOPS:
        return
    earliest = max(sound.start - _LONGEST_CLOSURE, before.start if before else 0, 0)
    loud = np.flatnonzero(np.abs(wave[earliest : sound.start]) > _SILENT)
    silence = earliest + (int(loud[-1]) + 1 if len(loud) else 0)
    if sound.start - silence < _SHORTEST_CLOSURE:  # a voiced closure, which lasts until the next sound
        sound.release = sound.end
        return
    sound.start = silence
    if before:
        before.end = min(before.end, silence)
        before.release = min(before.release, silence)


def _level(wave: np.ndarray, loudness: float) -> np.ndarray:
    """int16 -> float64: the louder half of the 20 ms frames averages _LEVEL, peaks stay under _PEAK."""
    x = wave / 32768.0
    frame = espeak.NATIVE // 50
    power = np.sort((x[: len(x) // frame * frame].reshape(-1, frame) ** 2).mean(axis=1))
    loud = math.sqrt(power[len(power) // 2 :].mean()) if len(power) else 0.0
    x = x * (loudness * _LEVEL / max(loud, 1e-4))
    peak = float(np.abs(x).max(initial=0.0))
    return x if peak <= _PEAK else x * (_PEAK / peak)
