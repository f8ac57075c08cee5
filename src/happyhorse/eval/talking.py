"""Talking faces to be judged by: held-out sentences in held-out voices, asked for in held-out wordings.

The world's own faces say sentences of its training only. These are the same people, painted and heard by the same
parts of the world, who say what no training clip says; the language goes round, so every language is asked for
equally often.
"""

import numpy as np

from happyhorse.data.source import seed_of
from happyhorse.eval.spoken import LANGUAGES
from happyhorse.world import espeak, lips, portrait, speech, visemes, voices, words
from happyhorse.world.draw import Canvas
from happyhorse.world.palette import COLORS, darker, lighter
from happyhorse.world.pen import Place
from happyhorse.world.phrasing import face_captions
from happyhorse.world.portrait import MOUTH_Y, Look
from happyhorse.world.puppet import Puppet
from happyhorse.world.scene import RATE, Line, Scene
from happyhorse.world.scene import sample as world_sample
from happyhorse.world.speaker import Speaker, draw_speaker

LEAD, TAIL = 0.16, 0.2  # seconds of silence at the least before and after the speech
TRIES = 60  # sentences drawn until one fits


def ask(index: int, seconds: float) -> tuple[Scene, str]:
    """Talking face number `index` of `seconds` s with a prompt in a held-out wording; languages in turn.

    The prompt names the language, because "hello" alone could be asked for in several. Raises ValueError when
    espeak-ng is not installed, or where no sentence is as short as the clip.
    """
    language = LANGUAGES[index % len(LANGUAGES)]
    scene = face(seed_of("heldout", index), seconds, language)
    named = [line for line in scene.heldout if speech.LANGUAGES[language] in line]
    return scene, named[index // len(LANGUAGES) % len(named)]


def face(seed: int, seconds: float, language: str) -> Scene:
    """One person who says one held-out line; the same arguments give the same scene. Raises ValueError as `ask`."""
    rng = np.random.default_rng([seed, 20_262])
    facts = world_sample(seed, seconds, ["face"]).attributes
    look = Look(
        person=str(facts["person"]),
        hair="black" if facts["style"] == "bald" else str(facts["hair"]),
        style=str(facts["style"]),
        skin=str(facts["skin"]),
        eyes=str(rng.choice(list(portrait.EYES))),
        shirt=str(facts["shirt"]),
        mood=str(facts["mood"]),
        glasses=bool(facts["glasses"]),
        beard=bool(facts["beard"]),
    )
    text, utterance = _line(rng, look, language, seconds - LEAD - TAIL)
    room = max(seconds - utterance.seconds - LEAD - TAIL, 0.0)
    place = Place(
        float(rng.uniform(-0.11, 0.11)),
        float(rng.uniform(0.47, 0.50)),
        float(rng.uniform(0.70, 0.78)) * (0.95 if look.child else 1.0),
        float(rng.uniform(-0.05, 0.05)),
    )
    start = LEAD + room * float(rng.beta(1.1, 1.4))
    speaker = draw_speaker(rng, look, place, language, text, utterance, start, seconds)
    background = str(facts["background"])
    captions, heldout = face_captions(rng, look, background, language, text)
    asked = {**facts, "language": language, "text": text}
    return _scene(speaker, seed, seconds, asked, background, captions, heldout)


def _line(rng: np.random.Generator, look: Look, language: str, room: float) -> tuple[str, speech.Utterance]:
    """The first of many held-out sentences that fits into `room` seconds, in a held-out voice for the person."""
    voice = voices.draw(rng, look.person, language, look.mood, heldout=True)
    for _ in range(TRIES):
        text = words.sentence(rng, language, held=True)
        utterance = speech.synthesise(text, language, voice, espeak.NATIVE)
        if utterance.seconds <= room:
            return text, utterance
    raise ValueError(
        f"no sentence in {speech.LANGUAGES[language]} fits into {room:.1f} s; measure speech on longer clips"
    )


def _scene(
    speaker: Speaker,
    seed: int,
    seconds: float,
    asked: dict[str, str | int | float],
    background: str,
    captions: tuple[str, ...],
    heldout: tuple[str, ...],
) -> Scene:
    puppet, place, color = Puppet(speaker, seconds), speaker.place, COLORS[background]

    def backdrop(canvas: Canvas) -> None:
        canvas.gradient(lighter(color, 0.12), darker(color, 0.06))
        canvas.circle(place.x, place.y, 0.62 * place.scale / 0.74, lighter(color, 0.25), 0.5, soft=0.3)

    def sound(rate: int) -> np.ndarray:
        wave = np.zeros(round(seconds * rate), np.float32)
        spoken = speech.resample(speaker.utterance.wave, speaker.utterance.rate, rate)
        start = round(speaker.start * rate / RATE)
        spoken = spoken[: max(len(wave) - start, 0)]
        wave[start : start + len(spoken)] = spoken
        return wave

    def track(times: np.ndarray) -> dict[str, np.ndarray]:
        shape = visemes.mouth(speaker.phonemes, speaker.releases, np.asarray(times, float))
        return {
            "aperture": shape["aperture"],
            "opening": shape["aperture"] * lips.OPENING * place.scale,
            "mouth": speaker.moved(times) + np.array(place.at(0.0, MOUTH_Y)),
        }

    line = Line(speaker.text, speaker.language, speaker.name, speaker.phonemes)
    return Scene(
        "face", seed, seconds, asked, (), captions, heldout, backdrop, puppet.paint, sound, track, (line,)
    )
