"""Families "face" and "dialogue": people in close-up who say a line, in seven languages, with lips that fit.

The phoneme timeline of the synthesised voice moves the mouth, so ground truth is exact: `lines` hold the phonemes in
time; events are "speech" (attrs edge "start" or "end", speaker) and "closure" (the lips meet for p, b, m; attrs
symbol, release = sample at which they part, speaker); `track` gives aperture, width, rounding, blink and the mouth's
position for every frame.
"""

from collections.abc import Sequence

import numpy as np

from happyhorse.world import espeak, portrait, speech, visemes, voices, words
from happyhorse.world.draw import Canvas
from happyhorse.world.lips import OPENING
from happyhorse.world.palette import COLORS, darker, lighter
from happyhorse.world.pen import Place
from happyhorse.world.phrasing import dialogue_captions, face_captions
from happyhorse.world.portrait import MOUTH_Y, Look
from happyhorse.world.puppet import Puppet
from happyhorse.world.scene import RATE, Event, Line, Scene, about
from happyhorse.world.speaker import Speaker, draw_speaker

Facts = dict[str, str | int | float]

_BACKGROUNDS = ("blue", "green", "yellow", "pink", "white", "gray", "orange", "purple")
_SHIRTS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "black", "gray")
_LEAD, _TAIL = 0.16, 0.2  # seconds of silence at the least before and after the speech


def make(rng: np.random.Generator, seed: int, seconds: float) -> Scene:
    """One person says one line. Raises ValueError when espeak-ng is not installed."""
    language = str(rng.choice(list(speech.LANGUAGES)))
    look = _look(rng)
    text, utterance = _line(rng, look, language, seconds - _LEAD - _TAIL)
    room = max(seconds - utterance.seconds - _LEAD - _TAIL, 0.0)
    start = _LEAD + room * float(rng.beta(1.1, 1.4))
    place = Place(
        about(rng, -0.11, 0.11),
        about(rng, 0.47, 0.50),
        about(rng, 0.70, 0.78) * (0.95 if look.child else 1.0),
        about(rng, -0.05, 0.05),
    )
    speaker = draw_speaker(rng, look, place, language, text, utterance, start, seconds)
    background = _other(rng, _BACKGROUNDS, look.shirt)
    captions, heldout = face_captions(rng, look, background, language, text)
    attributes: Facts = {
        **_facts(look),
        "background": background,
        "language": language,
        "text": text,
    }
    return _scene("face", seed, seconds, (speaker,), background, attributes, captions, heldout)


def make_dialogue(rng: np.random.Generator, seed: int, seconds: float) -> Scene:
    """Two people of different kinds, side by side, say a line each, one after the other. Raises ValueError as
    `make` does."""
    language = str(rng.choice(list(speech.LANGUAGES)))
    people = [str(person) for person in rng.permutation(list(portrait.STYLES))[:2]]
    left_first = bool(rng.random() < 0.6)
    pause = float(rng.uniform(0.12, 0.3))
    rest = seconds - _LEAD - _TAIL - pause
    looks = [_look(rng, people[0])]
    looks.append(_look(rng, people[1], avoid=looks[0]))
    said = [_line(rng, looks[0], language, rest * 0.55)]
    said.append(_line(rng, looks[1], language, rest - said[0][1].seconds))
    spare = max(rest - sum(utterance.seconds for _, utterance in said), 0.0)
    begin = _LEAD + spare * float(rng.uniform(0, 0.8))
    starts = [begin, begin + said[0][1].seconds + pause + spare * float(rng.uniform(0, 0.2))]
    speakers = []
    for index, (look, (text, utterance), start) in enumerate(zip(looks, said, starts, strict=True)):
        side = -1 if (index == 0) == left_first else 1
        place = Place(
            side * about(rng, 0.27, 0.33),
            about(rng, 0.50, 0.54),
            about(rng, 0.52, 0.56) * (0.94 if look.child else 1.0),
            about(rng, -0.04, 0.04),
        )
        speakers.append(draw_speaker(rng, look, place, language, text, utterance, start, seconds))
    background = _other(rng, _BACKGROUNDS, looks[0].shirt, looks[1].shirt)
    captions, heldout = dialogue_captions(
        rng, looks, background, language, [text for text, _ in said], left_first
    )
    attributes: Facts = {
        "background": background,
        "language": language,
        "left": people[0 if left_first else 1],
    }
    for index, (look, (text, _)) in enumerate(zip(looks, said, strict=True)):
        attributes |= {f"{key}{index}": value for key, value in {**_facts(look), "text": text}.items()}
    return _scene("dialogue", seed, seconds, tuple(speakers), background, attributes, captions, heldout)


def _look(rng: np.random.Generator, person: str | None = None, avoid: Look | None = None) -> Look:
    def pick(choices: Sequence[str], p: Sequence[float] | None = None) -> str:
        return str(rng.choice(list(choices), p=p))

    person = person or pick(("man", "woman", "boy", "girl"), (0.32, 0.32, 0.18, 0.18))
    child = person in ("boy", "girl")
    natural = (
        (0.24, 0.22, 0.22, 0.16, 0.04, 0.04, 0.04, 0.04)
        if not child
        else (0.25, 0.25, 0.25, 0.17, 0, 0, 0.04, 0.04)
    )
    style = pick(portrait.STYLES[person])
    return Look(
        person,
        pick(list(portrait.HAIR_COLORS), natural),
        style,
        pick(list(portrait.SKINS)),
        pick(list(portrait.EYES)),
        _other(rng, _SHIRTS, *([avoid.shirt] if avoid else [])),
        pick(portrait.MOODS, (0.36, 0.22, 0.14, 0.14, 0.14)),
        bool(rng.random() < 0.22),
        person == "man" and style != "bald" and bool(rng.random() < 0.25),
    )


def _other(rng: np.random.Generator, names: Sequence[str], *taken: str) -> str:
    return str(rng.choice([name for name in names if name not in taken]))


def _facts(look: Look) -> Facts:
    return {
        "person": look.person,
        "hair": "no" if look.style == "bald" else look.hair,
        "style": look.style,
        "skin": look.skin,
        "shirt": look.shirt,
        "mood": look.mood,
        "glasses": int(look.glasses),
        "beard": int(look.beard),
    }


def _line(rng: np.random.Generator, look: Look, language: str, room: float) -> tuple[str, speech.Utterance]:
    """A sentence for training that fits into `room` seconds, in a voice for the person: the first that fits of
    many, or else the shortest.

    Sentences that are surely too long are not spoken; a long room is given two sentences.
    """
    voice = voices.draw(rng, look.person, language, look.mood)
    shortest: tuple[str, speech.Utterance] | None = None
    for _ in range(40):
        text = words.sentence(rng, language)
        if room > 3.5:
            text = words.join(text, words.sentence(rng, language), language)
        if 0.055 * len(speech.phonemes(text, language)) * 150 / voice.rate > room and shortest:
            continue
        utterance = speech.synthesise(text, language, voice, espeak.NATIVE)
        if shortest is None or utterance.seconds < shortest[1].seconds:
            shortest = text, utterance
        if utterance.seconds <= room:
            return text, utterance
    assert shortest is not None
    return shortest


def _scene(
    family: str,
    seed: int,
    seconds: float,
    speakers: tuple[Speaker, ...],
    background: str,
    attributes: Facts,
    captions: tuple[str, ...],
    heldout: tuple[str, ...],
) -> Scene:
    puppets = [Puppet(speaker, seconds) for speaker in speakers]

    def backdrop(canvas: Canvas) -> None:
        color = COLORS[background]
        canvas.gradient(lighter(color, 0.12), darker(color, 0.06))
        for speaker in speakers:
            canvas.circle(
                speaker.place.x,
                speaker.place.y,
                0.62 * speaker.place.scale / 0.74,
                lighter(color, 0.25),
                0.5,
                soft=0.3,
            )

    def paint(canvas: Canvas, time: float) -> None:
        for puppet in puppets:
            puppet.paint(canvas, time)

    def sound(rate: int) -> np.ndarray:
        wave = np.zeros(round(seconds * rate), np.float32)
        for speaker in speakers:
            spoken = speech.resample(speaker.utterance.wave, speaker.utterance.rate, rate)
            start = round(speaker.start * rate / RATE)
            spoken = spoken[: max(len(wave) - start, 0)]
            wave[start : start + len(spoken)] += spoken
        return np.clip(wave, -1.0, 1.0)

    def track(times: np.ndarray) -> dict[str, np.ndarray]:
        tracks: dict[str, np.ndarray] = {}
        for index, speaker in enumerate(speakers):
            end = "" if len(speakers) == 1 else str(index)
            shape = visemes.mouth(speaker.phonemes, speaker.releases, np.asarray(times, float))
            tracks |= {f"{name}{end}": shape[name] for name in ("aperture", "width", "rounding")}
            tracks[f"opening{end}"] = shape["aperture"] * OPENING * speaker.place.scale
            tracks[f"mouth{end}"] = speaker.moved(times) + np.array(speaker.place.at(0.0, MOUTH_Y))
            tracks[f"blink{end}"] = speaker.closed(times)
        return tracks

    lines = tuple(Line(s.text, s.language, s.name, s.phonemes) for s in speakers)
    length = round(seconds * RATE)
    events = sorted((event for s in speakers for event in _events(s)), key=lambda event: event.sample)
    return Scene(
        family,
        seed,
        seconds,
        attributes,
        tuple(event for event in events if event.sample < length),  # a line too long for the clip is cut off
        captions,
        heldout,
        backdrop,
        paint,
        sound,
        track,
        lines,
    )


def _events(speaker: Speaker) -> list[Event]:
    x, y = speaker.place.at(0.0, MOUTH_Y)
    sounds = [sound for sound in speaker.phonemes if sound.symbol != speech.PAUSE]
    events = [
        Event("speech", sounds[0].start, x, y, {"edge": "start", "speaker": speaker.name}),
        Event("speech", sounds[-1].end, x, y, {"edge": "end", "speaker": speaker.name}),
    ]
    for closure in visemes.closures(speaker.phonemes, speaker.releases):
        attrs = {"symbol": closure.sound, "release": closure.end, "speaker": speaker.name}
        events.append(Event("closure", closure.start, x, y, attrs))
    return events
