"""A piano that plays a melody by itself: its keys go down and light up, and notes rise from them."""

from bisect import bisect_right

import numpy as np

from happyhorse.world import melody, sound
from happyhorse.world.captions import wordings
from happyhorse.world.draw import Canvas
from happyhorse.world.palette import PALETTE, darker, lighter, mix
from happyhorse.world.rooms import BACKGROUNDS, paint_background
from happyhorse.world.scene import RATE, Event, Scene, about

PIANOS = ("black", "white", "brown", "red", "blue", "green", "pink", "purple")
LIGHTS = ("red", "orange", "yellow", "green", "blue", "purple", "pink")
KEYS = {"C major": 60, "D major": 62, "F major": 65, "G major": 67}
WHITE_KEYS = tuple(midi for midi in range(36, 104) if midi % 12 in melody.MAJOR)

CAPTIONS = (
    "a piano plays {melody}",
    "{melody} on a piano",
    "piano, {melody}, {tempo}, {background} wall",
    "a {color} piano plays {melody} {speed}",
    "the keys of a {color} piano go down by themselves and play {melody}, {speed}",
    "{speed}, a {color} piano plays {melody}, its keys light up {light}, {background} wall",
    "in front of a {background} wall a {color} piano plays {melody}",
    "close-up of the keyboard of a {color} piano playing {melody} {speed}; "
    "every key lights up {light} when it sounds, the wall is {background}",
    "{background} wall, {color} piano, {light} lights: {melody}, {tempo} tempo",
    "piano keys light up {light} as they play {melody} {speed}",
)
HELDOUT = (
    "listen to a {color} piano by a {background} wall: {melody}, {speed}, with {light} keys lighting up",
    "somewhere a self-playing {color} piano performs {melody}, {tempo}, {light} glow, {background} behind",
)


def make_piano(rng: np.random.Generator, seed: int, seconds: float) -> Scene:
    """A piano keyboard seen from the front; each key goes down and lights up while its note of the melody sounds."""
    name, tempo = melody.choose(rng), str(rng.choice(list(melody.TEMPI)))
    beat = float(rng.uniform(*melody.TEMPI[tempo]))
    notes = melody.perform(name, beat, float(rng.uniform(0.12, 0.6)), seconds, rng)
    key = str(rng.choice(list(KEYS)))
    color = str(rng.choice(PIANOS))
    background = str(rng.choice([c for c in BACKGROUNDS if c != color]))
    light = str(rng.choice([c for c in LIGHTS if c != color]))
    wide = about(rng, 0.104, 0.120)
    top, front = about(rng, 0.46, 0.53), about(rng, 0.88, 0.93)
    tonic = KEYS[key]
    played = {step: tonic + melody.semitone(step) for step in range(8)}
    middle = (_key_place(played[0]) + _key_place(played[7])) / 2
    centre = about(rng, -0.03, 0.03)
    split = top + 0.60 * (front - top)
    spot = {step: (_key_place(midi) - middle) * wide + centre for step, midi in played.items()}
    black = {step: midi % 12 not in melody.MAJOR for step, midi in played.items()}
    lamp = np.asarray(PALETTE[light], np.float32)
    samples = [note.sample for note in notes]

    def backdrop(canvas: Canvas) -> None:
        paint_background(canvas, background)
        edge = canvas.aspect / 2 + 0.1
        lid = top - 0.24
        canvas.rect(-edge, lid + 0.04, edge, top + 0.02, lighter(color, 0.08), to=darker(color, 0.2))
        canvas.rect(-edge, lid, edge, lid + 0.055, lighter(color, 0.3), to=lighter(color, 0.08))
        canvas.rect(-edge, lid + 0.055, edge, lid + 0.085, darker(color, 0.45), to=lighter(color, 0.06))
        canvas.rect(-edge, top - 0.015, edge, top + 0.012, mix("red", "black", 0.25))
        canvas.rect(-edge, top + 0.01, edge, front + 0.03, (0.12, 0.12, 0.13))
        for index in range(len(WHITE_KEYS)):
            if abs(x := (index - middle) * wide + centre) < edge:
                paint_white(canvas, x, 0.0)
        for midi in range(WHITE_KEYS[0], WHITE_KEYS[-1]):
            if midi % 12 not in melody.MAJOR and abs(x := (_key_place(midi) - middle) * wide + centre) < edge:
                paint_black(canvas, x, 0.0)
        canvas.rect(-edge, top + 0.012, edge, top + 0.05, (0, 0, 0), 0.30, to=(0.3, 0.3, 0.3))
        canvas.rect(-edge, front + 0.02, edge, 1.1, lighter(color, 0.16), to=darker(color, 0.15))

    def paint_white(canvas: Canvas, x: float, press: float) -> None:
        ivory = mix((0.97, 0.96, 0.93), lamp, 0.85 * press)
        dip = 0.028 * min(2 * press, 1.0)
        canvas.rect(
            x - 0.47 * wide,
            top + 0.012,
            x + 0.47 * wide,
            front + dip,
            darker(ivory, 0.06),
            radius=0.008,
            to=ivory,
        )
        canvas.rect(
            x - 0.47 * wide,
            front - 0.028 + dip,
            x + 0.47 * wide,
            front + dip,
            darker(ivory, 0.18),
            radius=0.008,
        )

    def paint_black(canvas: Canvas, x: float, press: float) -> None:
        ebony = mix((0.09, 0.09, 0.11), lamp, 0.85 * press)
        dip = 0.022 * min(2 * press, 1.0)
        canvas.rect(
            x - 0.28 * wide, top + 0.012, x + 0.30 * wide, split + 0.012 + dip, (0, 0, 0), 0.35, 0.008
        )
        canvas.rect(x - 0.28 * wide, top + 0.012, x + 0.28 * wide, split + dip, ebony, radius=0.008)
        canvas.rect(
            x - 0.18 * wide,
            top + 0.03,
            x + 0.18 * wide,
            split - 0.04 + dip,
            lighter(ebony, 0.18),
            radius=0.006,
        )

    def pressed(times: np.ndarray, step: int) -> np.ndarray:
        """[F] how far a key is down, 0..1."""
        mine = [note for note in notes if note.step == step]
        return np.array(
            [max((_press(t - n.sample / RATE, n.seconds) for n in mine), default=0.0) for t in times]
        )

    def paint(canvas: Canvas, time: float) -> None:
        begun = bisect_right(samples, time * RATE)
        down: dict[int, float] = {}
        for note in notes[max(begun - 4, 0) : begun]:
            if (press := _press(time - note.sample / RATE, note.seconds)) > 0.01:
                down[note.step] = press
        for step, press in down.items():
            if not black[step]:
                paint_white(canvas, spot[step], press)
                for side in (-1, 1):  # the black keys this white one just covered
                    if (played[step] + side) % 12 not in melody.MAJOR:
                        paint_black(canvas, (_key_place(played[step] + side) - middle) * wide + centre, 0.0)
        for step, press in down.items():
            if black[step]:
                paint_black(canvas, spot[step], press)
            canvas.ellipse(spot[step], split + 0.06, 0.17, 0.26, lamp, alpha=0.25 * press, soft=0.25)
            canvas.ellipse(
                spot[step], top - 0.03, 0.13, 0.15, lighter(lamp, 0.25), alpha=0.7 * press, soft=0.17
            )
        for note in notes[max(begun - 4, 0) : begun]:
            paint_note(canvas, spot[note.step], time - note.sample / RATE)

    def paint_note(canvas: Canvas, x: float, age: float) -> None:
        """A quaver that rises from the key and fades within 0.9 s."""
        fade = min(1.0, 2.2 * (1 - age / 0.9))
        if fade <= 0:
            return
        y, sway = top - 0.05 - 0.26 * age, 0.02 * np.sin(7 * age)
        ink = lighter(lamp, 0.35) if color != "white" else lamp
        canvas.ellipse(x + sway, y, 0.046, 0.034, ink, angle=-0.35, alpha=fade)
        canvas.capsule(x + sway + 0.040, y - 0.01, x + sway + 0.040, y - 0.14, 0.009, ink, alpha=fade)
        canvas.capsule(
            x + sway + 0.040, y - 0.14, x + sway + 0.082, y - 0.085, 0.013, ink, r1=0.006, alpha=fade
        )

    def listen(rate: int) -> np.ndarray:
        draws = np.random.default_rng([seed, 1])
        out = np.zeros(sound.length(seconds, rate), np.float32)
        for note in notes:
            base = melody.pitch(played[note.step])
            sound.place(
                out, sound.onset(note.sample, rate), _string(rate, base, min(note.seconds + 0.05, 1.2), draws)
            )
        return sound.level(out, rate)

    slots = {
        "melody": melody.PHRASES[name],
        "tempo": tempo,
        "speed": melody.TEMPO_WORDS[tempo],
        "background": background,
        "color": color,
        "light": light,
    }
    words = np.random.default_rng([seed, 2])
    return Scene(
        family="piano",
        seed=seed,
        seconds=seconds,
        attributes={
            "melody": name,
            "tempo": tempo,
            "background": background,
            "color": color,
            "light": light,
            "key": key,
            "notes": len(notes),
        },
        events=tuple(
            Event(
                "note",
                n.sample,
                spot[n.step],
                (split if black[n.step] else front) - 0.09,
                {"note": melody.spell(played[n.step]), "midi": played[n.step], "color": light},
            )
            for n in notes
        ),
        captions=wordings(CAPTIONS, slots, words),
        heldout=wordings(HELDOUT, slots, words),
        backdrop=backdrop,
        paint=paint,
        sound=listen,
        track=lambda times: {"keys": np.stack([pressed(times, step) for step in range(8)], axis=1)},
    )


def _key_place(midi: int) -> float:
    """Where a key lies, in widths of white keys from the first of WHITE_KEYS; a black one lies between two."""
    if midi % 12 in melody.MAJOR:
        return float(WHITE_KEYS.index(midi))
    return WHITE_KEYS.index(midi - 1) + 0.5


def _press(age: float, seconds: float) -> float:
    """How far a key is down `age` s after the onset of a note of `seconds`: 1 at once, and 0 again within 0.9 s."""
    return min(max((min(0.85 * seconds, 0.9) - age) / 0.06, 0.0), 1.0) if age >= 0 else 0.0


def _string(rate: int, base: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """[n] a piano string, held for `seconds` and then damped: stretched partials f_k = k f sqrt(1 + B k^2), B = 4e-4
    (Fletcher, Blackham and Stratton, 1962), each with a fast and a slow decay, and the thump of the hammer."""
    k = np.arange(1, 13)
    freqs = k * base * np.sqrt(1 + 4e-4 * k**2)
    amps = k**-1.1 * np.abs(np.sin(np.pi * k / 8.0)) * rng.uniform(0.85, 1.15, len(k))
    t60 = 2.6 * (262 / base) ** 0.5 / (1 + 0.18 * k)
    out = sound.modes(
        rate, seconds + 0.08, [*freqs, *freqs * 1.0004], [*t60 * 0.35, *t60], [*amps * 0.6, *amps * 0.4]
    )
    out *= sound.envelope(rate, seconds + 0.08, 0.0, 0.08)
    thump = sound.noise(rate, 0.03, rng, 200, 2500) * sound.decay(rate, 0.03, 0.025)
    sound.place(out, 0, thump, 0.10)
    return out
