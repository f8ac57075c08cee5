"""Measuring speech: is the line that was asked for the line that is heard, and do the lips say it.

Clips of talking faces (`talking`), made by a model, rendered, or rendered and through the codec, are heard by the
recogniser and looked at by `lips`; English also by pocketsphinx where it is installed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from happyhorse.eval import lips, run, sphinx, talking
from happyhorse.eval.intervals import Figure, bootstrap, share
from happyhorse.eval.lips import LipSync
from happyhorse.eval.recogniser import distance, hear
from happyhorse.eval.run import Plan, Source
from happyhorse.eval.spoken import LANGUAGES
from happyhorse.eval.strip import sheet
from happyhorse.world import speech

SHOWN = 2  # clips of each language whose pictures are kept


@dataclass(frozen=True)
class Said:
    """One clip: phonemes that were asked for and heard, the language of both, mouth and voice.

    `known`: whether pocketsphinx picked the line out of all English ones; None for other languages and without it.
    """

    language: str
    said: tuple[str, ...]
    heard: tuple[str, ...]
    heard_language: str
    speech: lips.Speech
    known: bool | None


@dataclass(frozen=True)
class Part:
    """Figures of one language, or of all: see `SpeechReport`."""

    clips: int
    phonemes: int
    error: Figure
    language: Figure
    known: Figure | None
    lips: LipSync
    lips_control: LipSync | None


@dataclass(frozen=True)
class SpeechReport:
    """Figures over all clips and by language, each with its 95 % interval.

    error: edits between the phonemes asked for and heard, as a share of those asked for, over `phonemes` of them;
    language: share of clips whose language is heard; known: share of the English lines that pocketsphinx picks out of
    all English ones; lips, and the control: see `lips.LipSync`. `recogniser` is its own error on held-out voices.
    """

    total: Part
    languages: Mapping[str, Part]
    recogniser: Mapping[str, float] = field(default_factory=dict)


def measured(
    plan: Plan, source: Source, count: int, workers: int = 1, progress: run.Progress = lambda *_: None
) -> SpeechReport:
    """The report of `count` clips of one source; pictures of the model's first clips of each language go to the
    plan's folder. Raises ValueError when espeak-ng or the recogniser is missing.
    """
    module = run.recogniser()
    english = [
        str(talking.ask(i, run.length(plan))[0].attributes["text"])
        for i in range(count)
        if sphinx.available() and LANGUAGES[i % len(LANGUAGES)] == "en"
    ]
    jobs: list[tuple[Plan, Source, int, tuple[str, ...]]] = [
        (plan, source, index, tuple(english)) for index in range(count)
    ]
    said = run.spread(_listen, jobs, workers, lambda done: progress(source, done, count))
    return gather(said, module.error)


def gather(said: Sequence[Said], recogniser: Mapping[str, float], seed: int = 0) -> SpeechReport:
    """The report of clips that were listened to; `seed` draws the intervals."""
    generator = np.random.default_rng(seed)
    groups = {name: [one for one in said if one.language == name] for name in LANGUAGES}
    parts = {name: _part(group, generator) for name, group in groups.items() if group}
    return SpeechReport(_part(said, generator), parts, dict(recogniser))


def _part(said: Sequence[Said], generator: np.random.Generator) -> Part:
    known = [one.known for one in said if one.known is not None]
    strangers = lips.shuffled([one.speech for one in said])
    return Part(
        clips=len(said),
        phonemes=sum(len(one.said) for one in said),
        error=bootstrap(said, _error, generator),
        language=share(sum(one.language == one.heard_language for one in said), len(said)),
        known=share(sum(known), len(known)) if known else None,
        lips=lips.measure([one.speech for one in said], generator),
        lips_control=lips.measure(strangers, generator) if strangers else None,
    )


def _error(said: Sequence[Said]) -> float:
    total = sum(len(one.said) for one in said)
    return sum(distance(one.said, one.heard) for one in said) / total if total else float("nan")


def _listen(job: tuple[Plan, Source, int, tuple[str, ...]]) -> Said:
    plan, source, index, english = job
    scene, words = talking.ask(index, run.length(plan))
    text, language = str(scene.attributes["text"]), str(scene.attributes["language"])
    name = f"{index:04d}-{language}"
    video, audio = run.clip(plan, source, scene, words, index, name)
    module = run.recogniser()
    heard = hear(module, audio)
    found = lips.listen(module, video, audio, text, language)
    if source == "model" and index < SHOWN * len(LANGUAGES):
        picture = sheet(video, audio, found)
        picture.save(plan.folder / f"{name}.webp", quality=80)
    said = tuple(
        speech.split(symbol)[1] for symbol in speech.phonemes(text, language) if symbol != speech.PAUSE
    )
    known = None
    if language == "en" and sphinx.available():
        known = sphinx.which(audio, english) == sphinx.plain(text)
    return Said(language, said, heard.phonemes, heard.language, found, known)
