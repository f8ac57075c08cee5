"""A xylophone that plays a melody: a mallet strikes its bars, and they light up."""

import numpy as np

from happyhorse.world import melody, sound
from happyhorse.world.captions import wordings
from happyhorse.world.draw import Canvas
from happyhorse.world.palette import PALETTE, darker, lighter, mix
from happyhorse.world.rooms import BACKGROUNDS, paint_background
from happyhorse.world.scene import RATE, Event, Scene, about

RAINBOW = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
BARS = {"rainbow": RAINBOW, "wooden": ("wood",) * 8, "silver": ("metal",) * 8}
BAR_WORDS = {
    "rainbow": ("rainbow", "colorful", "rainbow colored"),
    "wooden": ("wooden",),
    "silver": ("silver", "metal"),
}
MALLETS = ("red", "blue", "green", "yellow", "purple", "white", "black", "orange", "pink")
FADE = 0.22
"""Seconds in which the light of a struck bar falls by a factor e."""

CAPTIONS = (
    "a xylophone plays {melody}",
    "{melody} on a xylophone",
    "xylophone, {melody}, {tempo}, {background} background",
    "a {bars} xylophone plays {melody} {speed}, {background} background",
    "a {mallet} mallet plays {melody} on a {bars} xylophone, {speed}",
    "{speed}, a {mallet} mallet plays {melody} on a xylophone in front of a {background} background",
    "on a {background} background a xylophone with {bars} bars plays {melody}",
    "a {mallet} mallet strikes the bars of a {bars} xylophone one after another, "
    "playing {melody} {speed}; the background is {background}",
    "{background} background, a {bars} xylophone, a {mallet} mallet: {melody}, {tempo} tempo",
    "close-up of a {bars} xylophone, {melody} played {speed} with a {mallet} mallet, each bar lights up as it sounds",
)
HELDOUT = (
    "somebody taps {melody} {speed} on a {bars} xylophone with a {mallet} mallet, {background} behind it",
    "music lesson: {melody} for xylophone, {tempo}, {bars} bars, a {mallet} mallet, a {background} backdrop",
)


def make_xylophone(rng: np.random.Generator, seed: int, seconds: float) -> Scene:
    """A xylophone of eight bars, C5 to C6, whose mallet plays a named melody; bars light up when struck."""
    name, tempo = melody.choose(rng), str(rng.choice(list(melody.TEMPI)))
    beat = float(rng.uniform(*melody.TEMPI[tempo]))
    notes = melody.perform(name, beat, float(rng.uniform(0.12, 0.6)), seconds, rng)
    bars = str(rng.choice(list(BARS), p=[0.6, 0.25, 0.15]))
    background = str(
        rng.choice([c for c in BACKGROUNDS if not (bars == "silver" and c in ("gray", "white"))])
    )
    mallet = str(rng.choice(MALLETS))
    width, middle = about(rng, 0.84, 0.98), about(rng, 0.42, 0.54)
    tall = about(rng, 0.60, 0.74)
    centre = about(rng, -1, 1) * (0.5 - width / 2)
    pitch = width / 8
    bar_x = centre + (np.arange(8) - 3.5) * pitch
    half = tall / 2 * np.linspace(1.0, 0.62, 8)
    strike_y = middle + 0.10 * tall
    colors = [np.asarray(PALETTE[c], np.float32) for c in BARS[bars]]
    lift, reach = about(rng, 0.14, 0.20), about(rng, -0.10, 0.22)
    onsets = np.array([note.sample for note in notes]) / RATE
    steps = [note.step for note in notes]
    struck = bar_x[steps]

    def backdrop(canvas: Canvas) -> None:
        paint_background(canvas, background)
        left, right = bar_x[0] - 0.75 * pitch, bar_x[-1] + 0.75 * pitch
        for side in (-1, 1):
            first, last = middle + side * half[0] * 0.62, middle + side * half[-1] * 0.62
            canvas.capsule(left, first + 0.035, right, last + 0.035, 0.026, (0, 0, 0), alpha=0.18)
            canvas.capsule(left, first, right, last, 0.024, "dark wood")
        for x, h, color in zip(bar_x, half, colors, strict=True):
            canvas.rect(
                x - 0.43 * pitch + 0.012,
                middle - h + 0.03,
                x + 0.43 * pitch + 0.012,
                middle + h + 0.03,
                (0, 0, 0),
                0.2,
                0.02,
            )
            paint_bar(canvas, float(x), float(h), color, 0.0)

    def paint_bar(canvas: Canvas, x: float, h: float, color: np.ndarray, light: float) -> None:
        wide, dip = 0.43 * pitch, 0.008 * light
        body = mix(color, (1.0, 1.0, 0.92), 0.75 * light)
        canvas.rect(
            x - wide,
            middle - h + dip,
            x + wide,
            middle + h + dip,
            lighter(body, 0.14),
            radius=0.02,
            to=darker(body, 0.10),
        )
        canvas.rect(
            x - 0.62 * wide,
            middle - h + 0.03 + dip,
            x - 0.36 * wide,
            middle + h - 0.03,
            lighter(body, 0.4),
            0.55,
            0.012,
        )
        for side in (-1, 1):
            canvas.circle(x, middle + side * 0.62 * h + dip, 0.012, darker(body, 0.55))

    def head(times: np.ndarray) -> np.ndarray:
        """[F, 3]: x, y on the bars, and height over them in picture units."""
        index = np.searchsorted(onsets, times, side="right")
        before, after = np.clip(index - 1, 0, None), np.clip(index, None, len(notes) - 1)
        start = np.where(index == 0, onsets[0] - 0.6, onsets[before])
        stop = np.where(index == len(notes), onsets[-1] + 0.7, onsets[after])
        u = np.clip((times - start) / np.maximum(stop - start, 1e-3), 0.0, 1.0)
        ease = u * u * (3 - 2 * u)
        x = np.where(index == 0, struck[0], struck[before] + (struck[after] - struck[before]) * ease)
        rise = lift * np.minimum((stop - start) / 0.35, 1.0)
        height = rise * np.where(
            index == 0, np.minimum(1.0, (1 - u) * 4), np.minimum(np.sin(np.pi * u**0.8) * 1.3, 1.0)
        )
        height = np.where(index == len(notes), lift * np.minimum(u * 3, 1.0), height)
        return np.stack([x, np.full_like(x, strike_y), height], axis=1)

    def glow(times: np.ndarray, bar: int) -> np.ndarray:
        """[F] light of one bar: 1 when it is struck, fading after."""
        ages = times[:, None] - onsets[np.array(steps) == bar]
        return np.where(ages >= 0, np.exp(-np.maximum(ages, 0.0) / FADE), 0.0).max(axis=1, initial=0.0)

    def paint(canvas: Canvas, time: float) -> None:
        begun = int(np.searchsorted(onsets, time, side="right"))
        lit = {
            bar: float(np.exp((onset - time) / FADE))
            for bar, onset in zip(steps[:begun], onsets[:begun], strict=True)
        }
        for bar, light in lit.items():  # of a bar struck twice, the later light
            if light > 0.02:
                x = float(bar_x[bar])
                paint_bar(canvas, x, float(half[bar]), colors[bar], light)
                canvas.glow(x, strike_y, 0.26, mix(colors[bar], "white", 0.3), 0.5 * light)
        x, y, height = (float(v) for v in head(np.array([time]))[0])
        canvas.ellipse(
            x + 0.02 + 0.3 * height, y + 0.03, 0.055, 0.04, (0, 0, 0), alpha=0.28 - 0.7 * height, soft=0.03
        )
        y -= height
        canvas.capsule(x, y, x + reach, y + 0.62, 0.016, "wood", r1=0.02)
        canvas.sphere(x, y, 0.066, 0.066, mallet)

    def listen(rate: int) -> np.ndarray:
        draws = np.random.default_rng([seed, 1])
        out = np.zeros(sound.length(seconds, rate), np.float32)
        for note in notes:
            base = melody.pitch(72 + melody.semitone(note.step))
            sound.place(out, sound.onset(note.sample, rate), _bar(rate, base, bars == "silver", draws))
        return sound.level(out, rate)

    slots = {
        "melody": melody.PHRASES[name],
        "tempo": tempo,
        "speed": melody.TEMPO_WORDS[tempo],
        "background": background,
        "mallet": mallet,
        "bars": BAR_WORDS[bars],
    }
    words = np.random.default_rng([seed, 2])
    return Scene(
        family="xylophone",
        seed=seed,
        seconds=seconds,
        attributes={
            "melody": name,
            "tempo": tempo,
            "background": background,
            "mallet": mallet,
            "bars": bars,
            "notes": len(notes),
        },
        events=tuple(
            Event(
                "note",
                n.sample,
                float(bar_x[n.step]),
                strike_y,
                {
                    "note": melody.spell(72 + melody.semitone(n.step)),
                    "bar": n.step,
                    "color": BARS[bars][n.step],
                },
            )
            for n in notes
        ),
        captions=wordings(CAPTIONS, slots, words),
        heldout=wordings(HELDOUT, slots, words),
        backdrop=backdrop,
        paint=paint,
        sound=listen,
        track=lambda times: {
            "mallet": (h := head(np.asarray(times)))[:, :2] - h[:, 2:] * [0.0, 1.0],
            "bars": np.stack([glow(np.asarray(times), bar) for bar in range(8)], axis=1),
        },
    )


def _bar(rate: int, base: float, metal: bool, rng: np.random.Generator) -> np.ndarray:
    """[n] a xylophone bar (second mode tuned to the twelfth, ratio 3) or, of metal, a glockenspiel's (free bar)."""
    ratios = np.array(sound.BAR) if metal else np.array([1.0, 3.0, 6.1, 10.2])
    t60 = (1.6 if metal else 0.65) * (700 / base) ** 0.5 / np.array([1.0, 2.2, 4.0, 7.0])
    amps = np.array([1.0, 0.35, 0.18, 0.06]) * rng.uniform(0.85, 1.1, 4)
    out = sound.modes(rate, 0.9 * float(t60[0]), base * ratios, t60, amps) * 0.6
    click = sound.noise(rate, 0.012, rng, 1500, 7500) * sound.decay(rate, 0.012, 0.012)
    sound.place(out, 0, click, 0.12)
    return out
