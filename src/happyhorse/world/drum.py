"""A drum and its two sticks: the skin shakes at every beat of a named rhythm."""

import itertools

import numpy as np

from happyhorse.world import sound
from happyhorse.world.captions import PACE, wordings
from happyhorse.world.draw import Canvas
from happyhorse.world.palette import COLORS, darker, lighter
from happyhorse.world.rooms import FLOORS, WALLS, paint_floor, paint_wall
from happyhorse.world.scene import RATE, Event, Scene, about, details

RHYTHMS = {
    "steady": ("a steady beat", "even beats"),
    "march": ("a march", "a marching rhythm"),
    "gallop": ("a galloping rhythm", "a gallop"),
    "heartbeat": ("a heartbeat rhythm", "pairs of beats like a heartbeat"),
    "roll": ("a drum roll", "a long roll"),
    "random": ("an irregular rhythm", "random beats"),
}
BEATS = {"steady": (1.0,), "march": (1.0, 0.5, 0.5), "gallop": (0.25, 0.25, 0.5), "heartbeat": (0.4, 1.1)}
TEMPI = {"slow": (0.68, 0.85), "medium": (0.46, 0.56), "fast": (0.30, 0.36)}

CAPTIONS = (
    "a drum is played with two sticks",
    "a {color} drum plays {rhythm}",
    "{rhythm} on a {size} {color} drum",
    "two drumsticks play {rhythm} on a {color} drum, {speed}",
    "a {size} {color} drum in front of a {wall} background, {rhythm}, {speed}",
    "{wall} background, {size} {color} drum, {rhythm}, {tempo} tempo",
    "the skin of a {size} {color} drum shakes as the sticks play {rhythm} {speed}",
    "{speed}, two sticks play {rhythm} on a {size} drum",
    "in front of a {wall} wall two sticks play {rhythm} on a {size} {color} drum",
    "drumming, {color} drum, {rhythm}",
)
HELDOUT = (
    "a drummer's sticks alone: {rhythm} on a {size} drum painted {color}, {wall} backdrop, {speed}",
    "rat-a-tat, the {size} {color} drum sounds {rhythm} {speed} before a {wall} wall",
)


def make_drum(rng: np.random.Generator, seed: int, seconds: float) -> Scene:
    """A drum on a floor, beaten by two sticks in turn; big drums sound low, small ones high."""
    rhythm, tempo = str(rng.choice(list(RHYTHMS))), str(rng.choice(list(TEMPI)))
    onsets = _beats(rng, rhythm, float(rng.uniform(*TEMPI[tempo])), seconds)
    if rhythm == "roll":
        tempo = "fast"
    first = int(rng.integers(0, 2))
    hands = [(first + index) % 2 for index in range(len(onsets))]
    loud = rng.uniform(0.7, 1.0, len(onsets))
    size = str(rng.choice(["big", "small"]))
    color = str(rng.choice(list(COLORS)))
    paper, ground = str(rng.choice([c for c in WALLS if c != color])), str(rng.choice(FLOORS))
    decor = str(rng.choice(["plain", "stripes", "panels", "bricks"]))
    trim = str(rng.choice([c for c in ("gold", "white", "black", "red") if c != color]))
    wide = about(rng, 0.30, 0.37) if size == "big" else about(rng, 0.19, 0.24)
    high = wide * (about(rng, 1.1, 1.3) if size == "big" else about(rng, 0.8, 1.0))
    flat = 0.30 * wide
    cx, base = about(rng, -0.10, 0.10), about(rng, 0.86, 0.90)
    skin = base - high
    floor = about(rng, 0.66, 0.76)
    tips = np.array([[cx - 0.36 * wide, skin], [cx + 0.36 * wide, skin + 0.02]])
    grips = np.array([[cx - wide - 0.15, skin - 0.17], [cx + wide + 0.15, skin - 0.16]])
    times_of = [onsets[np.array(hands) == hand] for hand in (0, 1)]
    seam = np.linspace(-1.0, 1.0, 9)

    def backdrop(canvas: Canvas) -> None:
        draws = np.random.default_rng([details(seed), 3])
        paint_wall(canvas, paper, decor, floor, draws)
        paint_floor(canvas, ground, floor, draws)
        canvas.ellipse(cx + 0.03, base, 1.15 * wide, 1.2 * flat, "black", alpha=0.35, soft=0.10)
        canvas.ellipse(cx, base, wide, flat, darker(color, 0.35))
        slices = np.linspace(-1.0, 1.0, 15)
        for a, b in itertools.pairwise(slices):  # the round side, in upright strips of their own light
            shade = 0.45 * abs((a + b) / 2 + 0.3) ** 1.5
            tone = darker(color, shade) if shade > 0.06 else lighter(color, 0.12)
            ya, yb = flat * np.sqrt(1 - a * a), flat * np.sqrt(1 - b * b)
            x0, x1 = cx + a * wide, cx + b * wide + 0.002
            canvas.polygon([[x0, skin], [x1, skin], [x1, base + yb], [x0, base + ya]], tone)
        rim = flat * np.sqrt(1 - seam**2)
        x, top, low = cx + seam * wide, skin + rim + 0.05, base + rim - 0.05
        rope = [
            [x[i], (top if i % 2 else low)[i], x[i + 1], (low if i % 2 else top)[i + 1]] for i in range(8)
        ]
        canvas.lines(np.array(rope), 0.009, lighter(trim, 0.1))
        for y, thick in ((base - 0.02, 0.022), (skin + 0.02, 0.022)):
            arc = np.linspace(-1.0, 1.0, 25)
            hoop = np.stack([cx + arc * (wide - 0.004), y + flat * np.sqrt(1 - arc**2)], axis=1)
            canvas.lines(np.concatenate([hoop[:-1], hoop[1:]], axis=1), thick, trim)

    def lifts(times: np.ndarray) -> np.ndarray:
        """[F, 2] height of the left and right stick over the skin, 0 at their beats, 1 when fully raised."""
        times = np.asarray(times, np.float64)
        out = np.ones((len(times), 2))
        for hand in (0, 1):
            mine = times_of[hand]
            if not len(mine):
                continue
            index = np.searchsorted(mine, times, side="right")
            since = np.where(index > 0, times - mine[np.clip(index - 1, 0, None)], 9.0)
            until = np.where(index < len(mine), mine[np.clip(index, None, len(mine) - 1)] - times, 9.0)
            up, down = np.clip(since / 0.16, 0.0, 1.0), np.clip(until / 0.11, 0.0, 1.0)
            out[:, hand] = np.minimum(up * (2 - up), down * (2 - down))
        return out

    def paint(canvas: Canvas, time: float) -> None:
        passed = int(np.searchsorted(onsets, time, side="right"))
        age = time - onsets[passed - 1] if passed else 9.0
        shake = np.exp(-age / 0.10) * loud[passed - 1] if passed else 0.0
        bump = 0.35 * flat * shake * np.cos(2 * np.pi * age / 0.11)
        canvas.ellipse(cx, skin, wide * 1.03, flat * 1.06, trim)
        canvas.ellipse(cx, skin, wide * 0.95, flat * 0.93, darker("cream", 0.10))
        canvas.ellipse(cx, skin + 0.4 * bump, wide * 0.86, flat * 0.84, lighter("cream", 0.6 * shake))
        if shake > 0.04:
            hit = tips[hands[passed - 1]]
            canvas.ellipse(
                cx + 0.5 * (hit[0] - cx), skin + bump, wide * 0.55, flat * 0.52, darker("cream", 0.30 * shake)
            )
            canvas.ellipse(cx + 0.6 * (hit[0] - cx), skin + 1.2 * bump, wide * 0.34, flat * 0.34, "white")
        up = lifts(np.array([time]))[0]
        for hand, way in ((0, -1.0), (1, 1.0)):
            gx, gy = grips[hand]
            hit = tips[hand]
            angle = np.arctan2(hit[1] - gy, hit[0] - gx)
            reach = np.hypot(hit[0] - gx, hit[1] - gy)
            angle += way * 0.62 * up[hand]
            tx, ty = gx + reach * np.cos(angle), gy + reach * np.sin(angle)
            bx, by = gx - 0.16 * np.cos(angle), gy - 0.16 * np.sin(angle)
            canvas.ellipse(
                hit[0] + 0.01, hit[1] + 0.012, 0.045, 0.016, "black", alpha=0.30 * (1 - up[hand]), soft=0.01
            )
            canvas.capsule(bx, by, tx, ty, 0.025, "dark wood", r1=0.013)
            canvas.capsule(bx, by - 0.005, tx, ty - 0.004, 0.018, lighter("wood", 0.15), r1=0.009)
            canvas.sphere(tx, ty, 0.036, 0.031, lighter("wood", 0.3))

    def listen(rate: int) -> np.ndarray:
        draws = np.random.default_rng([seed, 1])
        out = np.zeros(sound.length(seconds, rate), np.float32)
        pitch = 0.62 if size == "big" else 0.05
        for onset, strength, hand in zip(onsets, loud, hands, strict=True):
            body = sound.strike(
                rate, "skin", pitch - 0.04 * hand, float(strength), draws, 0.5 + 0.3 * float(strength)
            )
            start = sound.length(float(onset), rate)
            sound.place(out, start, body)
            sound.place(out, start, sound.strike(rate, "wood", 0.05, 0.3 * float(strength), draws, 0.9))
        return sound.level(out, rate)

    slots = {
        "color": color,
        "size": size,
        "wall": paper,
        "tempo": tempo,
        "speed": PACE[tempo],
        "rhythm": RHYTHMS[rhythm],
    }
    words = np.random.default_rng([seed, 2])
    return Scene(
        family="drum",
        seed=seed,
        seconds=seconds,
        attributes={
            "color": color,
            "size": size,
            "wall": paper,
            "floor": ground,
            "tempo": tempo,
            "rhythm": rhythm,
            "beats": len(onsets),
        },
        events=tuple(
            Event(
                "strike",
                round(float(t) * RATE),
                float(tips[hand][0]),
                float(tips[hand][1]),
                {"hand": ("left", "right")[hand]},
            )
            for t, hand in zip(onsets, hands, strict=True)
        ),
        captions=wordings(CAPTIONS, slots, words),
        heldout=wordings(HELDOUT, slots, words),
        backdrop=backdrop,
        paint=paint,
        sound=listen,
        track=lambda times: {"sticks": lifts(times)},
    )


def _beats(rng: np.random.Generator, rhythm: str, beat: float, seconds: float) -> np.ndarray:
    """Onsets of a rhythm in seconds, whole samples at 16 kHz: played by hand, so a few milliseconds uneven."""
    time, times = min(float(rng.uniform(0.12, 0.6)), 0.4 * seconds), []
    while time < seconds - 0.1 or not times:
        times.append(time)
        if rhythm == "roll":
            time += rng.uniform(0.085, 0.105)
        elif rhythm == "random":
            time += beat * rng.uniform(0.35, 1.6)
        else:
            pattern = BEATS[rhythm]
            time += beat * pattern[(len(times) - 1) % len(pattern)] + rng.uniform(-0.006, 0.006)
    return np.round(np.array(times) * RATE) / RATE
