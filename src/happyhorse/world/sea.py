"""Waves rolling onto a beach: each breaks with a rush of noise, runs up the sand as foam and draws back hissing."""

import numpy as np

from happyhorse.world import sound
from happyhorse.world.captions import wordings
from happyhorse.world.draw import Canvas
from happyhorse.world.palette import COLORS, darker, lighter, mix
from happyhorse.world.scene import RATE, Event, Scene, about, details
from happyhorse.world.scenery import REACH, cloud, moon, stars

FORCES = {"gentle": ("gentle", "small", "calm"), "big": ("big", "strong", "high")}
WHEN = {
    "day": ("on a sunny day", "by day", "under a blue sky"),
    "sunset": ("at sunset", "in the evening light"),
    "night": ("at night", "in the moonlight", "by night"),
}
SKIES = {"day": ("sky", "haze"), "sunset": ("dusk", "sunset"), "night": ("night", (0.16, 0.20, 0.36))}

CAPTIONS = (
    "waves roll onto a beach",
    "the sea {when}",
    "{force} waves on a beach {when}",
    "{when}, {force} waves roll onto the sand",
    "the sound of {force} waves, {time}, beach {boat}",
    "{force} waves break and run up the sand {when} {boat}",
    "{time} at the sea, {force} surf {boat}",
    "a beach {when}: {force} waves come in and draw back with a hiss {boat}",
    "sea, {force} waves, {time}",
    "{when} the sea rolls {force} waves onto a sandy beach {boat}, sound of the surf",
)
HELDOUT = (
    "standing on the shore {when} we hear {force} breakers wash over the sand {boat}",
    "seaside, {time}: foam slides up the beach with every {force} wave {boat}",
)


def make_sea(rng: np.random.Generator, seed: int, seconds: float) -> Scene:
    """A beach by day, at sunset or at night; the foam's edge and the loudness of the surf come from the same waves."""
    time_of_day, force = str(rng.choice(list(WHEN))), str(rng.choice(list(FORCES)))
    sail = str(
        rng.choice(["none", *(c for c in COLORS if c not in ("gray", "black"))], p=[0.4, *[0.6 / 9] * 9])
    )
    period = float(rng.uniform(1.9, 2.7) if force == "gentle" else rng.uniform(1.5, 2.1))
    start = float(rng.uniform(-0.6, 0.9))
    breaks = (
        start
        + period * np.arange(-1, int(seconds / period) + 3)
        + rng.uniform(-0.08, 0.08, int(seconds / period) + 4)
    )
    power = rng.uniform(0.75, 1.1, len(breaks))
    run = 0.10 if force == "gentle" else 0.17
    horizon, shore = about(rng, 0.32, 0.42), about(rng, 0.70, 0.74)
    light = about(rng, -0.38, 0.38)
    boat = about(rng, -0.4, 0.4)
    form = np.random.default_rng([details(seed), 4])
    ripple, phase = form.uniform(3, 7, 3), form.uniform(0, 2 * np.pi, 3)
    night, sunset = time_of_day == "night", time_of_day == "sunset"
    top, low = SKIES[time_of_day]
    deep = (
        mix("water", "night", 0.62)
        if night
        else mix("water", "dusk", 0.45)
        if sunset
        else darker("water", 0.12)
    )
    shallow = (
        mix(lighter("water", 0.25), "night", 0.5)
        if night
        else mix("water", "sunset", 0.35)
        if sunset
        else lighter("water", 0.3)
    )
    sand = (
        mix("sand", "night", 0.62)
        if night
        else mix("sand", "sunset", 0.25)
        if sunset
        else mix("sand", "white", 0.05)
    )
    foam = (
        mix("white", "night", 0.28)
        if night
        else mix("white", "sunset", 0.15)
        if sunset
        else mix("white", "white", 0)
    )
    x = np.linspace(-REACH, REACH, 30)
    wobble = 0.012 * np.sin(ripple[0] * x + phase[0]) + 0.008 * np.sin(2.2 * ripple[1] * x + phase[1])

    def swash(times: np.ndarray) -> np.ndarray:
        """[F] how far up the sand the water is, units: it shoots up within 0.5 s of the break and drains slowly."""
        total = np.zeros(len(times))
        for moment, strength in zip(breaks, power, strict=True):
            age = np.maximum(np.asarray(times) - moment, 0.0)
            total += run * strength * 2.9 * (np.exp(-age / 0.85) - np.exp(-age / 0.22)) * 0.72
        return total

    def loudness(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[F] level of the surf's roar, rising to each break and fading, and [F] of the hiss of the foam after it."""
        roar, hiss = np.full(len(times), 0.06), np.full(len(times), 0.04)
        for moment, strength in zip(breaks, power, strict=True):
            age = np.asarray(times) - moment
            roar += strength * np.where(age < 0, np.exp(age / 0.16), np.exp(-np.maximum(age, 0) / 0.42))
            late = np.maximum(age, 0)
            hiss += strength * 2.0 * (np.exp(-late / 0.75) - np.exp(-late / 0.18))
        return roar, hiss

    def backdrop(canvas: Canvas) -> None:
        draws = np.random.default_rng([details(seed), 3])
        canvas.gradient(top, low, 0.0, horizon)
        if night:
            stars(canvas, draws, 50, horizon - 0.03)
            moon(canvas, light, 0.15, 0.075, "full")
        elif sunset:
            canvas.glow(light, horizon, 0.55, "sunset", 0.5)
            canvas.circle(light, horizon - 0.035, 0.10, "sun")
        else:
            canvas.glow(light, 0.12, 0.34, "sun", 0.45)
            canvas.circle(light, 0.12, 0.07, "sun")
            for cx, cy, size in draws.uniform([-0.9, 0.08, 0.2], [0.9, 0.22, 0.36], (3, 3)):
                cloud(canvas, cx, cy, size, "cloud", 0.9)
        canvas.rect(-1.2, horizon, 1.2, shore - 0.05, deep, to=shallow)
        if night or sunset:  # the light's road on the water
            for y in np.linspace(horizon + 0.015, shore - 0.06, 9):
                half = 0.03 + 0.16 * (y - horizon)
                shift = draws.uniform(-0.03, 0.03)
                canvas.capsule(
                    light - half + shift,
                    y,
                    light + half + shift,
                    y,
                    0.006,
                    "moon" if night else "sun",
                    alpha=0.55,
                )
        canvas.rect(-1.2, shore - 0.05, 1.2, 1.1, darker(sand, 0.12), to=lighter(sand, 0.08))
        spots = draws.uniform([-0.95, shore + run + 0.06], [0.95, 1.0], (70, 2))
        canvas.lines(np.concatenate([spots, spots], axis=1), 0.004, darker(sand, 0.3), 0.6)
        for cx, cy, size in draws.uniform([-0.7, 0.93, 0.02], [0.7, 0.97, 0.035], (3, 3)):
            canvas.ellipse(cx, cy, 1.3 * size, size, darker(sand, 0.35), to=darker(sand, 0.55))

    def crest(canvas: Canvas, y: float, thick: float, white: float, shift: float) -> None:
        """One wave out on the water, `thick` high, with a lip of foam that is `white` in 0..1."""
        wave = y + 0.010 * np.sin(ripple[2] * x + phase[2] + shift) * (y - horizon) * 4
        band = thick * (0.75 + 0.25 * np.sin(1.7 * ripple[0] * x + phase[1] + 2 * shift))
        ridge = np.concatenate([np.stack([x, wave - band], 1), np.stack([x, wave], 1)[::-1]])
        canvas.polygon(ridge, mix(darker(deep, 0.15), foam, white), to=mix(shallow, foam, white))
        thin = 0.010 + 0.016 * white
        lip = np.concatenate([np.stack([x, wave - band - thin], 1), np.stack([x, wave - band], 1)[::-1]])
        canvas.polygon(lip, foam, alpha=0.4 + 0.6 * white)

    def paint(canvas: Canvas, time: float) -> None:
        if sail != "none":
            bob = 0.008 * np.sin(2 * np.pi * time / 1.7 + phase[0])
            by = horizon + 0.035 + bob
            canvas.polygon(
                [[boat - 0.10, by], [boat + 0.10, by], [boat + 0.07, by + 0.04], [boat - 0.07, by + 0.04]],
                darker("brown", 0.5 if night else 0.1),
            )
            canvas.capsule(boat, by, boat + 2 * bob, by - 0.19, 0.006, "dark wood")
            shade = darker(sail, 0.45 if night else 0.0)
            canvas.polygon(
                [[boat + 0.012, by - 0.015], [boat + 0.10, by - 0.02], [boat + 0.012 + 2 * bob, by - 0.18]],
                lighter(shade, 0.1),
                to=shade,
            )
            canvas.polygon(
                [[boat - 0.012, by - 0.015], [boat - 0.07, by - 0.02], [boat - 0.008 + 2 * bob, by - 0.15]],
                lighter(shade, 0.3),
            )
        edge = shore + float(swash(np.array([time]))[0])
        line = edge + wobble * (1.0 + 4.0 * (edge - shore))
        sheet = np.concatenate([np.stack([x, line], 1), [[REACH, shore - 0.07], [-REACH, shore - 0.07]]])
        wet = sheet.copy()
        wet[: len(x), 1] = np.maximum(line, shore + 0.62 * run) + 0.02
        canvas.polygon(wet, darker(sand, 0.22), alpha=0.55)
        canvas.polygon(sheet, shallow, to=mix(shallow, sand, 0.40))
        thin = 0.022 + 0.022 * (edge - shore) / run
        rim = np.concatenate([np.stack([x, line - thin], 1), np.stack([x, line], 1)[::-1]])
        canvas.polygon(rim, foam)
        for moment, strength in zip(breaks, power, strict=True):
            age = time - moment
            if -1.6 < age <= 0.0:  # rolling in, growing, white at the break
                near = 1.0 + age / 1.6
                y = horizon + 0.05 + (shore - horizon - 0.05) * near**1.6
                crest(
                    canvas,
                    y,
                    (0.02 + 2.2 * run * strength * near**2 * 0.22),
                    max(0.0, 1 + age / 0.35) * 0.9,
                    moment,
                )
            elif 0.0 < age < 0.5:  # the broken wave runs along with the swash
                crest(
                    canvas,
                    shore + 0.35 * (edge - shore),
                    0.5 * run * strength * (1 - age / 0.5),
                    0.95,
                    moment,
                )

    def listen(rate: int) -> np.ndarray:
        draws = np.random.default_rng([seed, 1])
        n = sound.length(seconds, rate)
        grid = np.linspace(0, seconds, 200)
        roar, hiss = (
            np.interp(np.arange(n) / rate, grid, level).astype(np.float32) for level in loudness(grid)
        )
        out = sound.noise(rate, seconds, draws, 90, 1400 if force == "big" else 2000, 0.35) * roar
        out += sound.noise(rate, seconds, draws, 1500, 6500, 0.2) * hiss * np.float32(0.5)
        return sound.level(out, rate, -19.0 if force == "big" else -22.0)

    slots = {
        "time": time_of_day,
        "when": WHEN[time_of_day],
        "force": FORCES[force],
        "boat": ""
        if sail == "none"
        else (f", a boat with a {sail} sail", f", a sailing boat with a {sail} sail in the distance"),
    }
    words = np.random.default_rng([seed, 2])
    seen = [
        (round(float(t) * RATE), float(p)) for t, p in zip(breaks, power, strict=True) if 0 <= t < seconds
    ]
    return Scene(
        family="sea",
        seed=seed,
        seconds=seconds,
        attributes={"time": time_of_day, "force": force, "sail": sail, "waves": len(seen)},
        events=tuple(
            Event("wave", sample, 0.0, shore, {"power": round(strength, 3)}) for sample, strength in seen
        ),
        captions=wordings(CAPTIONS, slots, words),
        heldout=wordings(HELDOUT, slots, words),
        backdrop=backdrop,
        paint=paint,
        sound=listen,
        track=lambda times: {
            "edge": shore + swash(np.asarray(times)),
            "roar": loudness(np.asarray(times))[0],
        },
    )
