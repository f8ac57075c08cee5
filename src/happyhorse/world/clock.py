"""A clock on a wall whose second hand jumps at every tick, with or without a pendulum."""

import numpy as np

from happyhorse.world import sound
from happyhorse.world.captions import PACE, wordings
from happyhorse.world.draw import Canvas
from happyhorse.world.palette import COLORS, darker, lighter
from happyhorse.world.rooms import WALLS, paint_wall
from happyhorse.world.scene import RATE, Event, Scene, about, details

CAPTIONS = (
    "a ticking clock",
    "a {color} clock ticks on a {wall} wall",
    "{shape} {color} wall clock, ticking {speed}",
    "a {shape} {color} clock hangs on a {wall} wall and ticks {speed}",
    "the {hand} second hand of a {color} clock jumps with every tick, {speed}",
    "tick tock, a {color} clock {pendulum} on a {wall} wall, {tempo}",
    "on a {wall} wall hangs a {color} clock {pendulum}, its {hand} second hand moves {speed}",
    "{wall} wall, {color} {shape} clock {pendulum}, sound of {tempo} ticking",
    "close-up of a {shape} clock with a {color} case {pendulum}; "
    "its {hand} hand jumps from mark to mark and every jump is a tick, {speed}",
    "a clock {pendulum} ticks {speed}",
)
HELDOUT = (
    "time passes: a {shape} {color} clock {pendulum} tick-tocks {speed} against a {wall} wall",
    "we hear the {tempo} tick of a {color} clock and see its {hand} second hand hop, a {wall} wall behind",
)


def make_clock(rng: np.random.Generator, seed: int, seconds: float) -> Scene:
    """A wall clock whose second hand jumps 30 degrees at every tick; its pendulum, if any, turns at the ticks."""
    tempo = str(rng.choice(["slow", "medium", "fast"], p=[0.4, 0.35, 0.25]))
    period = float(rng.uniform(*{"slow": (0.85, 1.1), "medium": (0.5, 0.65), "fast": (0.26, 0.36)}[tempo]))
    first = min(float(rng.uniform(0.05, min(period, 0.7))), 0.4 * seconds)
    onsets = np.round(np.arange(first, seconds - 0.02, period) * RATE) / RATE
    color, shape = str(rng.choice(list(COLORS))), str(rng.choice(["round", "square"]))
    paper = str(rng.choice([c for c in WALLS if c != color]))
    decor = str(rng.choice(["plain", "stripes", "panels", "bricks"]))
    hand = str(rng.choice([c for c in ("red", "blue", "green", "orange", "purple") if c != color]))
    pendulum = bool(rng.random() < 0.5)
    radius = about(rng, 0.24, 0.29) if pendulum else about(rng, 0.30, 0.40)
    cx, cy = (
        about(rng, -0.09, 0.09),
        about(rng, 0.32, 0.36) if pendulum else about(rng, 0.46, 0.54),
    )
    hour = about(rng, 1.62, 1.78) * np.pi  # about ten past ten
    minute = hour * 12
    start = int(rng.integers(0, 12))
    swing = about(rng, 0.28, 0.42)
    drop = 0.90 - cy

    def backdrop(canvas: Canvas) -> None:
        paint_wall(canvas, paper, decor, 1.0, np.random.default_rng([details(seed), 3]))
        case = radius * 1.16
        if pendulum:
            canvas.rect(
                cx - 0.74 * radius + 0.03, cy + 0.03, cx + 0.74 * radius + 0.03, 0.99, (0, 0, 0), 0.16, 0.04
            )
            canvas.rect(
                cx - 0.74 * radius, cy, cx + 0.74 * radius, 0.96, color, radius=0.04, to=darker(color, 0.25)
            )
            canvas.rect(cx - 0.60 * radius, cy, cx + 0.60 * radius, 0.925, darker(color, 0.62), radius=0.03)
        if shape == "round":
            canvas.circle(cx + 0.03, cy + 0.04, case, (0, 0, 0), alpha=0.22, soft=0.05)
            canvas.circle(cx, cy, case, lighter(color, 0.12), to=darker(color, 0.18))
            canvas.circle(cx, cy, radius * 1.02, darker(color, 0.35))
            canvas.circle(cx, cy, radius, "cream")
        else:
            canvas.rect(
                cx - case + 0.03, cy - case + 0.04, cx + case + 0.03, cy + case + 0.04, (0, 0, 0), 0.2, 0.06
            )
            canvas.rect(
                cx - case,
                cy - case,
                cx + case,
                cy + case,
                lighter(color, 0.12),
                radius=0.06,
                to=darker(color, 0.18),
            )
            canvas.rect(cx - radius, cy - radius, cx + radius, cy + radius, "cream", radius=0.04)
        for mark in range(12):
            angle = mark * np.pi / 6
            inner = radius * (0.78 if mark % 3 == 0 else 0.84)
            sx, sy = np.sin(angle), -np.cos(angle)
            canvas.capsule(
                cx + inner * sx,
                cy + inner * sy,
                cx + 0.90 * radius * sx,
                cy + 0.90 * radius * sy,
                0.014 if mark % 3 == 0 else 0.008,
                "black",
            )
        for angle, reach, thick in ((hour, 0.45, 0.020), (minute, 0.66, 0.014)):
            canvas.capsule(
                cx,
                cy,
                cx + reach * radius * np.sin(angle),
                cy - reach * radius * np.cos(angle),
                thick,
                "black",
            )

    def angles(times: np.ndarray) -> np.ndarray:
        """[F] of the second hand, radians clockwise from twelve: it jumps within 20 ms and rings for a moment after."""
        count = np.searchsorted(onsets, times, side="right")
        age = np.where(count > 0, times - onsets[np.clip(count - 1, 0, None)], 1.0)
        recoil = 0.16 * np.exp(-age / 0.04) * np.cos(2 * np.pi * age / 0.08)
        return (start + count + recoil) * np.pi / 6

    def lean(times: np.ndarray) -> np.ndarray:
        """[F] angle of the pendulum, at its turning points at the ticks."""
        return swing * np.cos(np.pi * (np.asarray(times) - first) / period)

    def paint(canvas: Canvas, time: float) -> None:
        if pendulum:
            tilt = float(lean(np.array([time]))[0]) * 0.55 * radius / (0.55 * drop)
            x, y = cx + 0.82 * drop * np.sin(tilt), cy + 0.82 * drop * np.cos(tilt)
            top = radius if shape == "square" else radius * 1.16
            canvas.capsule(
                cx + top * 1.16 * np.sin(tilt), cy + top * 1.16 * np.cos(tilt), x, y, 0.010, "gold"
            )
            canvas.sphere(x, y, 0.072, 0.072, "gold")
        angle = float(angles(np.array([time]))[0])
        sx, sy = np.sin(angle), -np.cos(angle)
        canvas.capsule(
            cx - 0.16 * radius * sx,
            cy - 0.16 * radius * sy,
            cx + 0.84 * radius * sx,
            cy + 0.84 * radius * sy,
            0.017,
            hand,
        )
        canvas.circle(cx, cy, 0.030, hand)
        canvas.circle(cx, cy, 0.012, "black")

    def listen(rate: int) -> np.ndarray:
        draws = np.random.default_rng([seed, 1])
        out = np.zeros(sound.length(seconds, rate), np.float32)
        size, material = (0.55, "wood") if pendulum else (0.15, "wood")
        for index, onset in enumerate(onsets):
            place = sound.length(float(onset), rate)
            tock = 0.12 * (index % 2)
            sound.place(out, place, sound.strike(rate, material, size + tock, 0.8, draws, 0.9))
            sound.place(out, place, sound.strike(rate, "stone", 0.25 + tock, 0.35, draws, 0.8))
        return sound.level(out, rate)

    slots = {
        "color": color,
        "wall": paper,
        "shape": shape,
        "hand": hand,
        "tempo": tempo,
        "speed": PACE[tempo],
        "pendulum": ("with a pendulum", "with a swinging pendulum") if pendulum else "",
    }
    words = np.random.default_rng([seed, 2])
    return Scene(
        family="clock",
        seed=seed,
        seconds=seconds,
        attributes={
            "color": color,
            "wall": paper,
            "shape": shape,
            "hand": hand,
            "tempo": tempo,
            "pendulum": "yes" if pendulum else "no",
            "ticks": len(onsets),
        },
        events=tuple(
            Event("tick", round(float(t) * RATE), cx, cy, {"mark": (start + i + 1) % 12})
            for i, t in enumerate(onsets)
        ),
        captions=wordings(CAPTIONS, slots, words),
        heldout=wordings(HELDOUT, slots, words),
        backdrop=backdrop,
        paint=paint,
        sound=listen,
        track=lambda times: {
            "hand": angles(np.asarray(times)),
            "pendulum": lean(times) if pendulum else np.zeros(len(times)),
        },
    )
