"""Samplers against data whose velocity is known in closed form: Gaussian, ``x0 ~ N(MEAN, SPREAD^2)``."""

import itertools
import math

import numpy as np
import pytest
import torch

from happyhorse.flow import samplers, schedules

MEAN = {"video": 2.0, "audio": -1.0}
SPREAD = {"video": 0.5, "audio": 1.5}
START = 0.999
ODE = {"euler": samplers.euler, "heun": samplers.heun, "unipc": samplers.unipc}


def spread_at(name: str, sigma: float) -> float:
    return math.hypot((1 - sigma) * SPREAD[name], sigma)


def velocity(x, levels):
    """E[noise - clean | x] for Gaussian data."""
    out = {}
    for name, value in x.items():
        s = levels[name]
        score = (value - (1 - s) * MEAN[name]) / spread_at(name, s) ** 2
        out[name] = s * score - MEAN[name] - (1 - s) * SPREAD[name] ** 2 * score
    return out


def flow_map(x, levels):
    """Velocity of a perfect one-step student: it points at where the exact ODE ends."""
    out = {}
    for name, value in x.items():
        s = levels[name]
        end = MEAN[name] + SPREAD[name] * (value - (1 - s) * MEAN[name]) / spread_at(name, s)
        out[name] = (value - end) / s
    return out


def begin(count: int = 400, seed: int = 0, sigma: float = START):
    """Exact samples at the first level and where the exact ODE takes them."""
    rng = torch.Generator().manual_seed(seed)
    z = {name: torch.randn(count, generator=rng, dtype=torch.float64) for name in MEAN}
    start = {name: (1 - sigma) * MEAN[name] + spread_at(name, sigma) * z[name] for name in MEAN}
    return start, {name: MEAN[name] + SPREAD[name] * z[name] for name in MEAN}


def grids(steps: int, video: float = 1.0, audio: float = 1.0):
    return {
        "video": schedules.shifted(steps, video, START).double(),
        "audio": schedules.shifted(steps, audio, START).double(),
    }


def error(sampler, steps: int) -> float:
    start, exact = begin()
    end = sampler(velocity, start, grids(steps))
    return max((end[name] - exact[name]).abs().max().item() for name in MEAN)


@pytest.mark.parametrize(("name", "order"), [("euler", 1), ("heun", 2), ("unipc", 2)])
def test_order_of_convergence(name, order):
    errors = [error(ODE[name], steps) for steps in (64, 128, 256)]
    orders = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert min(orders) > order - 0.25, (errors, orders)
    assert order == 1 or error(ODE[name], 256) < 0.1 * error(samplers.euler, 256)


@pytest.mark.parametrize("name", ODE)
def test_modalities_follow_their_own_schedules_to_their_own_distribution(name):
    start, exact = begin(sigma=schedules.shifted(200, 3.0, START)[0].item())
    start["audio"] = begin(sigma=schedules.shifted(200, 1.5, START)[0].item())[0]["audio"]
    end = ODE[name](velocity, start, grids(200, video=3.0, audio=1.5))
    for modality in MEAN:
        assert end[modality].mean().item() == pytest.approx(exact[modality].mean().item(), abs=0.02)
        assert end[modality].std().item() == pytest.approx(exact[modality].std().item(), rel=0.02)


def test_unipc_is_the_best_at_ten_steps():
    assert error(samplers.unipc, 10) < 0.5 * error(samplers.euler, 10)


def recurrence(sigmas, x, predict_velocity):
    """UniPC in the form of the paper: coefficients from the linear systems R rho = b, for any order."""
    lam = [math.log((1 - s) / s) if s > 0 else math.inf for s in sigmas]
    xs, ms, orders, total = [np.array(x)], [], [], len(sigmas) - 1

    def update(k, target, base, points):
        """The step k -> target from x_k, with estimates (log_snr, m) beside m_k that fix the polynomial."""
        h = lam[target] - lam[k]
        hh, grow, factorial = -h, math.expm1(-h), 1.0
        out = sigmas[target] / sigmas[k] * base - (1 - sigmas[target]) * grow * ms[k]
        if not points:
            return out
        ratios = [(value - lam[k]) / h for value, _ in points]
        phi, b = grow / hh - 1, []
        for i in range(1, len(points) + 1):
            factorial *= i
            b.append(phi * factorial / grow)
            phi = phi / hh - 1 / (factorial * (i + 1))
        rows = [[ratio**i for ratio in ratios] for i in range(len(points))]
        rho = np.linalg.solve(np.array(rows), np.array(b)) if len(points) > 1 else np.array([0.5])
        for weight, ratio, (_, m) in zip(rho, ratios, points, strict=True):
            out = out - (1 - sigmas[target]) * grow * weight * (m - ms[k]) / ratio
        return out

    for k in range(total):
        ms.append(xs[k] - sigmas[k] * predict_velocity(xs[k], sigmas[k]))
        if k > 0:
            past = [(lam[k - 2], ms[k - 2])] if orders[k - 1] == 2 else []
            xs[k] = update(k - 1, k, xs[k - 1], [*past, (lam[k], ms[k])])
        orders.append(min(2, total - k, k + 1))
        past = [(lam[k - 1], ms[k - 1])] if orders[k] == 2 else []
        xs.append(ms[k] if sigmas[k + 1] == 0 else update(k, k + 1, xs[k], past))
    return xs[-1]


def wobble(x, sigma):
    return np.sin(3 * x) + sigma * x * x / 4 - math.cos(5 * sigma)


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 8, 32])
def test_unipc_against_the_paper_in_its_own_form(steps):
    x = np.linspace(-2, 2, 9)
    grid = schedules.shifted(steps).double()
    want = recurrence(grid.tolist(), x, wobble)
    end = samplers.unipc(
        lambda state, levels: {"video": torch.from_numpy(wobble(state["video"].numpy(), levels["video"]))},
        {"video": torch.from_numpy(x)},
        {"video": grid},
    )
    np.testing.assert_allclose(end["video"].numpy(), want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("steps", [5, 8, 32])
def test_unipc_against_diffusers(steps):
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed: pip install diffusers")
    scheduler = diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0, final_sigmas_type="zero"
    )
    scheduler.set_timesteps(sigmas=np.linspace(schedules.START, 0, steps + 1)[:steps])
    torch.testing.assert_close(schedules.shifted(steps), scheduler.sigmas, atol=1e-6, rtol=0)
    x = torch.randn(1, 64, generator=torch.Generator().manual_seed(0))
    want = x.clone()
    for k, t in enumerate(scheduler.timesteps):
        v = torch.from_numpy(wobble(want.numpy(), scheduler.sigmas[k].item()))
        want = scheduler.step(v, t, want, return_dict=False)[0]
    end = samplers.unipc(
        lambda state, levels: {"video": torch.from_numpy(wobble(state["video"].numpy(), levels["video"]))},
        {"video": x},
        {"video": scheduler.sigmas},
    )
    torch.testing.assert_close(end["video"], want, atol=2e-5, rtol=0)


def fresh(seed: int, count: int):
    rng = torch.Generator().manual_seed(seed)
    return lambda step, name: torch.randn(count, generator=rng, dtype=torch.float64)


def test_renoise_keeps_mean_and_variance_under_the_exact_map():
    count = 40_000
    start, _ = begin(count)
    end = samplers.renoise(flow_map, start, grids(8, 5.0, 5.0), noise=fresh(1, count))
    for name in MEAN:
        assert end[name].mean().item() == pytest.approx(MEAN[name], abs=0.03)
        assert end[name].std().item() == pytest.approx(SPREAD[name], rel=0.015)


def test_renoise_under_the_posterior_mean_loses_the_variance_the_recursion_says():
    count, grid = 40_000, schedules.shifted(8).double()
    start, _ = begin(count, sigma=grid[0].item())
    end = samplers.renoise(velocity, start, {"video": grid, "audio": grid}, noise=fresh(2, count))
    for name, spread in SPREAD.items():
        variance = spread_at(name, grid[0].item()) ** 2
        for now, then in zip(grid[:-1].tolist(), grid[1:].tolist(), strict=True):
            gain = (1 - now) * spread**2 / spread_at(name, now) ** 2
            variance = ((1 - then) * gain) ** 2 * variance + then**2
        assert end[name].std().item() == pytest.approx(math.sqrt(variance), rel=0.02)


def test_renoise_uses_the_noise_it_is_given_in_order_and_none_at_the_end():
    asked = []

    def noise(step, name):
        asked.append((step, name))
        return torch.full((3,), 10.0 * step + (name == "audio"))

    grid = torch.tensor([1.0, 0.5, 0.25, 0.0])
    x = {"video": torch.zeros(3), "audio": torch.zeros(3)}
    end = samplers.renoise(
        lambda s, _: {k: torch.zeros(3) for k in s}, x, {"video": grid, "audio": grid}, noise=noise
    )
    assert asked == [(0, "video"), (0, "audio"), (1, "video"), (1, "audio")]
    # zero velocity: clean = x, so x1 = .5 * 0 + .5 n0, x2 = .75 x1 + .25 n1
    assert end["video"].tolist() == [2.5] * 3
    assert end["audio"].tolist() == [0.75 * 0.5 + 0.25 * 11] * 3


ALL = {**ODE, "renoise": lambda *a, **k: samplers.renoise(*a, **k, noise=fresh(3, 400))}


@pytest.mark.parametrize("name", ALL)
def test_given_tokens_reach_the_denoiser_clean_and_come_out_clean(name):
    start, _ = begin()
    given = torch.arange(10, dtype=torch.float64)
    seen = []

    def project(x):
        return {**x, "video": torch.cat([given, x["video"][10:]])}

    def watched(x, levels):
        seen.append(x["video"][:10].clone())
        return velocity(x, levels)

    pinned = ALL[name](watched, start, grids(6, 3.0, 3.0), project=project)
    free = ALL[name](velocity, start, grids(6, 3.0, 3.0))
    assert seen and all(torch.equal(value, given) for value in seen)
    assert torch.equal(pinned["video"][:10], given)
    assert torch.equal(pinned["video"][10:], free["video"][10:])  # its neighbours do not notice
    assert torch.equal(pinned["audio"], free["audio"])


@pytest.mark.parametrize("name", ALL)
def test_a_modality_at_level_zero_is_left_alone(name):
    start, exact = begin()
    driving = torch.linspace(-1, 1, 400, dtype=torch.float64)
    sigmas = {**grids(50, 3.0), "audio": torch.zeros(51)}

    def only_video(x, levels):
        assert levels["audio"] == 0 and torch.equal(x["audio"], driving)
        return {"video": velocity({"video": x["video"]}, levels)["video"], "audio": torch.full((400,), 1e6)}

    end = ALL[name](only_video, {"video": start["video"], "audio": driving}, sigmas)
    assert torch.equal(end["audio"], driving)
    assert end["video"].mean().item() == pytest.approx(exact["video"].mean().item(), abs=0.1)


@pytest.mark.parametrize("name", ALL)
def test_progress_reports_every_step_and_the_input_is_not_touched(name):
    start, _ = begin()
    copies = {key: value.clone() for key, value in start.items()}
    steps = []
    end = ALL[name](velocity, start, grids(4), progress=steps.append)
    assert [(step.index, step.total) for step in steps] == [(k, 4) for k in range(4)]
    assert [step.sigmas["video"] for step in steps] == pytest.approx(grids(4)["video"][:-1].tolist())
    torch.testing.assert_close(steps[-1].clean["video"], end["video"])
    assert all(torch.equal(start[key], copies[key]) for key in start)


@pytest.mark.parametrize("name", ALL)
def test_an_exception_in_progress_ends_the_sampling(name):
    class CancelledError(Exception):
        pass

    calls = []

    def watched(x, levels):
        calls.append(levels)
        return velocity(x, levels)

    def cancel(step):
        if step.index == 1:
            raise CancelledError

    with pytest.raises(CancelledError):
        ALL[name](watched, begin()[0], grids(10), progress=cancel)
    assert len(calls) == (4 if name == "heun" else 2)


@pytest.mark.parametrize(
    ("sigmas", "message"),
    [
        ({"video": torch.tensor([0.5, 0.0])}, "one schedule per modality"),
        ({"video": torch.tensor([0.5, 0.0]), "audio": torch.tensor([0.5, 0.2, 0.0])}, "common length"),
        ({"video": torch.tensor([0.5, 0.6]), "audio": torch.tensor([0.5, 0.0])}, "rises"),
        ({"video": torch.tensor([1.0, 0.0]), "audio": torch.tensor([0.5, 0.0])}, "below 1"),
    ],
)
def test_schedules_that_cannot_be_followed(sigmas, message):
    with pytest.raises(ValueError, match=message):
        samplers.unipc(velocity, begin()[0], sigmas)


@pytest.mark.parametrize("name", samplers.SAMPLERS)
def test_a_sampler_goes_on_after_any_step_as_if_nothing_had_happened(name):
    sampler = samplers.SAMPLERS[name]
    extra = {"noise": fresh_noise} if name == "renoise" else {}
    start, _ = begin(count=5)
    start["audio"] = start["audio"].clone()
    grid = grids(6, video=3.0)
    grid["audio"][4:] = 0  # a modality that arrives before the other
    steps = []
    whole = sampler(velocity, start, grid, progress=steps.append, **extra)
    for step in steps:
        rest = []
        end = sampler(velocity, step.state, grid, start=step.index + 1, progress=rest.append, **extra)
        assert [later.index for later in rest] == list(range(step.index + 1, 6))
        assert all(torch.equal(end[key], whole[key]) for key in MEAN), step.index


def fresh_noise(step: int, name: str) -> torch.Tensor:
    return torch.randn(5, generator=torch.Generator().manual_seed(step), dtype=torch.float64)
