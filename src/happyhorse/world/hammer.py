"""A hammer that drives a nail into a plank, deeper with every stroke, at irregular times."""

import numpy as np

from happyhorse.world import sound
from happyhorse.world.captions import wordings
from happyhorse.world.draw import Canvas
from happyhorse.world.palette import COLORS, darker, lighter
from happyhorse.world.rooms import WALLS, paint_wall
from happyhorse.world.scene import RATE, Event, Scene, about, details

PLANKS = {
    "light": (0.86, 0.68, 0.45),
    "brown": (0.64, 0.43, 0.25),
    "dark": (0.40, 0.26, 0.16),
    "red": (0.66, 0.30, 0.20),
}
TIMES = {
    1: ("once", "one time"),
    2: ("twice", "two times"),
    3: ("three times",),
    4: ("four times",),
    5: ("five times",),
}

CAPTIONS = (
    "a hammer drives a nail into wood",
    "a hammer hits a nail",
    "a hammer with a {handle} handle drives a nail into a {plank} plank",
    "a hammer strikes a nail {times}, {wall} background",
    "{times} a hammer with a {handle} handle comes down on a nail in a {plank} board",
    "a nail goes deeper into {plank} wood at each stroke of a hammer with a {handle} handle",
    "{wall} background, {handle} hammer, {plank} plank, {times}, sound of hammering",
    "from the {side} a hammer with a {handle} handle knocks a nail into a {plank} plank, {times}, "
    "in front of a {wall} wall",
    "hammering a nail, {handle} handle, {plank} wood",
    "in front of a {wall} wall a hammer with a {handle} handle hammers a nail into a {plank} plank",
)
HELDOUT = (
    "carpentry: bang, bang, a {handle} handled hammer pounds a nail into a {plank} plank {times}, {wall} behind it",
    "a nail in {plank} timber is struck {times} by a {handle} hammer swinging in from the {side}, the wall is {wall}",
)


def make_hammer(rng: np.random.Generator, seed: int, seconds: float) -> Scene:
    """A hammer that swings without an arm about the end of its handle and meets the nail at every strike."""
    onsets = _strikes(rng, seconds)
    count = len(onsets)
    handle = str(rng.choice(list(COLORS)))
    wood, paper = str(rng.choice(list(PLANKS))), str(rng.choice(WALLS))
    decor = str(rng.choice(["plain", "stripes", "panels", "bricks"]))
    side = int(rng.choice([-1, 1]))
    nail_x = -side * about(rng, 0.14, 0.28)
    plank = about(rng, 0.77, 0.84)
    reach = about(rng, 0.46, 0.56)
    standing = about(rng, 0.17, 0.22)
    bite = rng.uniform(0.7, 1.3, count)
    depth = (
        np.concatenate([[0.0], np.cumsum(bite)])
        * float(rng.uniform(0.6, 0.95))
        * standing
        / max(bite.sum(), 3.0)
    )
    tone = PLANKS[wood]
    face = 0.125  # from the middle of the hammer's head to the face that hits
    # as high as the picture allows
    lift = float(np.arcsin((plank - standing - face - 0.17) / reach) * about(rng, 0.8, 1.0))

    def backdrop(canvas: Canvas) -> None:
        draws = np.random.default_rng([details(seed), 3])
        paint_wall(canvas, paper, decor, 1.0, draws)
        edge = canvas.aspect / 2 + 0.1
        canvas.rect(-edge, plank, edge, 1.1, lighter(tone, 0.05), to=darker(tone, 0.25))
        canvas.rect(-edge, plank, edge, plank + 0.022, lighter(tone, 0.28))
        for y in np.linspace(plank + 0.07, 0.97, 4):
            x = np.arange(-1.2, 1.2, 0.08)
            wave = y + 0.010 * np.sin(draws.uniform(3, 7) * x + draws.uniform(0, 6))
            grain = np.stack([x[:-1], wave[:-1], x[1:], wave[1:]], axis=1)
            canvas.lines(grain, 0.004, darker(tone, 0.35), 0.6)

    def pose(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[F] angle of the handle over the horizontal (0 = at the nail), and [F] how deep the nail is, picture units.

        After a stroke the hammer rests for a moment, rises smoothly, and falls ever faster until the next onset.
        """
        times = np.asarray(times, np.float64)
        index = np.searchsorted(onsets, times, side="right")
        before = np.where(index > 0, onsets[np.clip(index - 1, 0, None)], -1.0)
        after = np.where(index < count, onsets[np.clip(index, None, count - 1)], 1e3)
        fall = np.minimum(0.13, 0.4 * (after - before))
        rise = np.clip((times - before - 0.04) / (np.minimum(after - before, 0.9) - fall - 0.06), 0.0, 1.0)
        swing = np.clip(1.0 - (after - times) / fall, 0.0, 1.0)
        return lift * rise * rise * (3 - 2 * rise) * (1.0 - swing**2), depth[index]

    def paint(canvas: Canvas, time: float) -> None:
        angles, depths = pose(np.array([time]))
        angle, sunk = float(angles[0]), float(depths[0])
        top = plank - standing + sunk
        canvas.ellipse(nail_x, plank + 0.008, 0.030, 0.010, darker(tone, 0.6))
        canvas.rect(nail_x - 0.016, top, nail_x + 0.016, plank + 0.006, lighter("metal", 0.2))
        canvas.rect(nail_x + 0.004, top, nail_x + 0.016, plank + 0.006, darker("metal", 0.25))
        canvas.rect(nail_x - 0.048, top, nail_x + 0.048, top + 0.026, darker("metal", 0.15), radius=0.008)
        passed = int(np.searchsorted(onsets, time, side="right"))
        cos, sin = float(np.cos(angle)), float(np.sin(angle))
        along = np.array([-side * cos, -sin])  # towards the head
        up = np.array([-side * sin, cos])  # towards the face
        grip = np.array([nail_x + side * reach, top - face])
        head = grip + reach * along
        (x0, y0), (x1, y1) = head + 0.03 * along, grip - 0.10 * along
        canvas.capsule(x0, y0, x1, y1, 0.026, darker(handle, 0.18), r1=0.040)
        canvas.capsule(x0, y0 - 0.005, x1, y1 - 0.006, 0.018, lighter(handle, 0.10), r1=0.029)
        for first, last, half, shade in ((-0.12, 0.075, 0.058, "black"), (0.055, face, 0.074, "gray")):
            corners = [
                head + first * up - half * along,
                head + last * up - half * along,
                head + last * up + half * along,
                head + first * up + half * along,
            ]
            canvas.polygon(np.array(corners), lighter(shade, 0.22), to=lighter(shade, 0.02))
        age = time - onsets[passed - 1] if passed else 1.0
        if age < 0.12:
            spread = 0.05 + 0.9 * age
            rays = np.array([-2.9, -2.4, -0.75, -0.25])
            tips = np.stack([np.cos(rays), np.sin(rays)], axis=1)
            origin = np.array([nail_x, top])
            canvas.lines(
                np.concatenate(
                    [origin + 0.05 * tips + spread * 0.4 * tips, origin + (0.10 + spread) * tips], axis=1
                ),
                0.011,
                "yellow",
                1.0 - age / 0.12,
            )

    def listen(rate: int) -> np.ndarray:
        draws = np.random.default_rng([seed, 1])
        out = np.zeros(sound.length(seconds, rate), np.float32)
        for index, onset in enumerate(onsets):
            start = sound.length(float(onset), rate)
            ring = sound.strike(rate, "metal", 0.35 - 0.9 * float(depth[index]), 0.5, draws, 0.8)
            ring *= sound.decay(rate, len(ring) / rate, 0.35)[: len(ring)]
            sound.place(out, start, ring)
            sound.place(out, start, sound.strike(rate, "wood", 0.6, 0.8, draws, 0.7))
        return sound.level(out, rate)

    slots = {
        "handle": handle,
        "plank": wood,
        "wall": paper,
        "times": TIMES.get(count, (f"{count} times",)),
        "side": "right" if side > 0 else "left",
    }
    words = np.random.default_rng([seed, 2])
    tops = plank - standing + depth[1:]
    return Scene(
        family="hammer",
        seed=seed,
        seconds=seconds,
        attributes={"handle": handle, "plank": wood, "wall": paper, "side": slots["side"], "strikes": count},
        events=tuple(
            Event("strike", round(float(t) * RATE), nail_x, float(y), {"depth": round(float(d), 4)})
            for t, y, d in zip(onsets, tops, depth[1:], strict=True)
        ),
        captions=wordings(CAPTIONS, slots, words),
        heldout=wordings(HELDOUT, slots, words),
        backdrop=backdrop,
        paint=paint,
        sound=listen,
        track=lambda times: {"angle": pose(times)[0], "depth": pose(times)[1]},
    )


def _strikes(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Irregular onsets in seconds, whole samples at 16 kHz, 0.38 to 1.1 s apart; one or more in any clip."""
    pace = rng.uniform(0.45, 0.85)
    times = [min(rng.uniform(0.15, 0.9), 0.5 * seconds)]
    while times[-1] < seconds:
        times.append(times[-1] + max(0.38, pace * rng.uniform(0.7, 1.35)))
    kept = [time for time in times if time < max(seconds - 0.15, times[0] + 1e-6)]
    return np.round(np.array(kept) * RATE) / RATE
