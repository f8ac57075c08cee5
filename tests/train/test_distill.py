"""The mathematics of distillation against closed forms: Gaussians, whose velocities and optima are known."""

import math

import pytest
import torch
from torch import Tensor

from happyhorse.flow import path
from happyhorse.train import distill
from happyhorse.train.distill import Told

GRID = {"video": [1.0, 0.9, 0.6, 0.3, 0.0], "audio": [1.0, 0.8, 0.5, 0.2, 0.0]}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def told(count: int, frames: int = 2, steps: int = 5, size: int = 2) -> Told:
    """Nothing is given, and nothing is said."""
    given = {"video": torch.zeros(count, frames).bool(), "audio": torch.zeros(count, steps).bool()}
    clean = {
        "video": torch.full((count, 3, frames, size, size), 7.0),
        "audio": torch.full((count, steps, 4), 7.0),
    }
    return Told((torch.zeros(count, 1),), (torch.zeros(count, 1),), given, clean)


def noise(like: Told, seed: int = 0) -> dict[str, Tensor]:
    draw = generator(seed)
    return {name: torch.randn(x.shape, generator=draw) for name, x in like.clean.items()}


def estimate(z: Tensor, sigma: Tensor | float, mean: Tensor | float, spread: float = 1.0) -> Tensor:
    """E[x0 | x_s = z] of data N(mean, spread^2): closed form."""
    gain = (1 - sigma) * spread**2 / ((1 - sigma) ** 2 * spread**2 + sigma**2)
    return mean + gain * (z - (1 - sigma) * mean)


def test_given_tokens_stay_as_they_are():
    some = told(2)
    some.given["video"][0, 0] = True
    some.given["audio"][1, 2:] = True
    x = distill.noised(some, some.clean, noise(some), {name: torch.full((2,), 0.5) for name in GRID})
    assert (x["video"][0, :, 0] == 7).all() and (x["audio"][1, 2:] == 7).all()
    assert not (x["video"][0, :, 1] == 7).any() and not (x["audio"][0] == 7).any()
    wrong = {name: v.clone() for name, v in some.clean.items()}
    wrong["video"][0, :, 0] = 100
    assert all(float(e) == 0 for e in distill.error(wrong, some.clean, some).values())
    wrong["video"][0, :, 1] += 2  # of the three frames that are not given, in two clips: means 4 and 0
    assert float(distill.error(wrong, some.clean, some)["video"]) == pytest.approx(2)
    channels = torch.zeros(some.clean["video"].shape[1])
    channels[0] = len(channels)  # all weight on the first, in which there is no error any more
    wrong["video"][0, 0, 1] -= 2
    assert float(distill.error(wrong, some.clean, some, channels)["video"]) == 0
    one = some.rows(torch.tensor([False, True]))
    assert len(one.words[0]) == 1 and one.given["audio"][0, 2:].all() and not one.given["video"].any()
    assert len(some.rows(torch.tensor([1, 1, 0])).clean["audio"]) == 3


@pytest.mark.parametrize("renoising", [False, True])
def test_simulation_keeps_the_variance_of_the_path(renoising):
    """Data N(0, c^2): with the exact velocity the state at level s has variance ((1-s) c)^2 + s^2.

    Euler from pure noise keeps x proportional to that deviation in the limit of many steps; renoising from an exact
    *sample* of the data would, from its mean it loses variance: so the call jumps to a sample.
    """
    spread, some = 0.5, told(4000, size=1)
    fine = {name: [1 - i / 200 for i in range(201)] for name in GRID}
    grid, stop = (GRID, 2) if renoising else (fine, 120)
    at, draw = iter(range(1000)), generator(1)

    def call(x):
        k = next(at)
        if renoising:  # the velocity that leads to a clean sample, whatever x is
            return {
                name: (x[name] - spread * torch.randn(x[name].shape, generator=draw)) / grid[name][k]
                for name in x
            }
        return {name: (x[name] - estimate(x[name], grid[name][k], 0.0, spread)) / grid[name][k] for name in x}

    fresh = (lambda name: torch.randn(some.clean[name].shape, generator=draw)) if renoising else None
    x = distill.simulate(call, noise(some), grid, stop, fresh, some)
    for name in x:
        sigma = grid[name][stop]
        assert float(x[name].std()) == pytest.approx(math.hypot((1 - sigma) * spread, sigma), rel=0.02), name


def test_one_step_leads_to_the_next_state():
    some = told(3)
    now, then = noise(some, 1), noise(some, 2)
    sigma, next = ({name: torch.tensor(s[i : i + 3]) for name, s in GRID.items()} for i in (0, 1))
    v = distill.step_target(now, then, sigma, next)
    for name in now:
        step = (next[name] - sigma[name]).reshape(-1, *[1] * (now[name].ndim - 1))
        assert torch.allclose(now[name] + step * v[name], then[name], atol=1e-6)


def test_matching_finds_the_mean_of_the_teacher():
    """Student N(m, 1), teacher N(2, 1), an ideal critic N(m, 1): descent along the direction takes m to 2."""
    draw, mean = generator(3), torch.zeros((), requires_grad=True)
    for _ in range(150):
        x0 = mean + torch.randn(64, 8, generator=draw)
        sigma = torch.rand(64, 1, generator=draw).clamp(0.02, 0.98)
        z = path.interpolate(x0.detach(), torch.randn(64, 8, generator=draw), sigma)
        fake, real = estimate(z, sigma, float(mean.detach())), estimate(z, sigma, 2.0)
        direction = distill.matching_gradient(x0.detach(), fake, real, torch.zeros(64, 1).bool())
        (gradient,) = torch.autograd.grad(distill.pull(x0, direction), mean)
        mean = (mean.detach() - 0.2 * gradient).requires_grad_()
    assert float(mean.detach()) == pytest.approx(2, abs=0.1)


def test_the_direction_is_normalised_masked_and_zero_where_both_agree():
    draw = generator(4)
    x0, real, fake = (torch.randn(2, 6, 3, generator=draw) for _ in range(3))
    given = torch.zeros(2, 6, 1).bool()
    given[0, :2] = True
    assert not distill.matching_gradient(x0, real, real, given).any()
    direction = distill.matching_gradient(x0, fake, real, given)
    assert not direction[0, :2].any()
    expected = (fake - real)[0, 2:] / (x0 - real)[0, 2:].abs().mean()
    assert torch.allclose(direction[0, 2:], expected)
    scaled = distill.matching_gradient(10 * x0, 10 * fake, 10 * real, given)
    assert torch.allclose(scaled, direction, atol=1e-5), "the length of the clips' values does not matter"


def test_the_gradient_of_the_pull_is_the_direction():
    x0 = torch.randn(4, 5, generator=generator(5), requires_grad=True)
    direction = torch.randn(4, 5, generator=generator(6))
    distill.pull(x0, direction).backward()
    assert torch.allclose(x0.grad * x0.numel(), direction, atol=1e-6)


class Toy:
    """A model whose teacher says 2 with the prompt and 1 without, and whose student says 5."""

    def __call__(self, video, audio, words, given_video, given_audio, adapter=None):
        value = 5.0 if adapter == "student" else 1.0 + float(words.mean())
        return torch.full_like(video, value), torch.full_like(audio, value)


def test_guidance_goes_beyond_the_prompt():
    some = told(2)
    some = Told((torch.ones(2, 1),), some.nothing, some.given, some.clean)
    v = distill.guided(Toy(), noise(some), some, {"video": 3.0, "audio": 4.0})
    assert (v["video"] == 2 + 2 * (2 - 1)).all() and (v["audio"] == 2 + 3 * (2 - 1)).all()
    assert (distill.guided(Toy(), noise(some), some, {"video": 1.0, "audio": 1.0})["video"] == 2).all()
    opening, shifts = noise(some), {"video": 3.0, "audio": 1.5}
    made = distill.sample(Toy(), some, opening, shifts, 4, "euler", "student")
    assert torch.allclose(made["video"], opening["video"] - 0.999 * 5, atol=0.02)
    seen = []
    distill.sample(
        Toy(), some, opening, shifts, 4, "unipc", None, {"video": 3.0, "audio": 4.0}, visit=seen.append
    )
    assert len(seen) == 4 and torch.equal(seen[0]["audio"], opening["audio"])
