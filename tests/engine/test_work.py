"""Operations against closed forms and against torch's own counter; memory against cases that can be counted by hand."""

import dataclasses

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from happyhorse.engine import attention, work
from happyhorse.model.attention import LOCAL_RADIUS, Window
from happyhorse.model.horse import Horse
from happyhorse.model.presets import HORSE_15B, HORSE_15B_1080P, HorseConfig
from happyhorse.model.tokens import Grid, coordinates


def closed_form(
    config: HorseConfig, grid: Grid, steps: int, words: int, radius: int = LOCAL_RADIUS
) -> tuple[float, float]:
    """Operations of products and of attention, written from docs/15b.md."""
    tokens, d = grid.tokens + steps + words, config.hidden_size
    # in and out
    products = 2.0 * d * (grid.tokens * config.video_in_channels + steps * config.audio_in_channels) * 2
    products += 2.0 * d * words * config.text_in_channels
    attending = 0.0
    for layer in range(config.num_layers):
        columns = (
            d + 2 * config.num_query_groups * config.head_dim + config.num_heads * config.enable_attn_gating
        )
        inner = config.mlp_width(layer)
        up = inner if layer in config.gelu7_layers else 2 * inner
        products += 2.0 * tokens * d * (columns + d + up + inner)
        pairs = tokens**2
        if layer in config.local_attn_layers:
            near = [min(t + radius + 1, grid.frames) - max(0, t - radius) for t in range(grid.frames)]
            pairs = sum(grid.frame_tokens * (n * grid.frame_tokens + steps + words) for n in near)
            pairs += (steps + words) * tokens
        attending += 4.0 * pairs * d
    return products, attending


@pytest.mark.parametrize(
    ("config", "grid"),
    [(HORSE_15B, Grid(32, 8, 14)), (HORSE_15B, Grid(32, 16, 28)), (HORSE_15B_1080P, Grid(32, 34, 60))],
)
def test_the_15b_against_the_closed_form(config, grid):
    amount = work.network(config, grid, 126, 640)
    assert (amount.matrices, amount.attention) == pytest.approx(closed_form(config, grid, 126, 640), rel=1e-9)


def test_a_real_pass_against_the_counter_of_torch(network, run):
    """Within one per cent, as counted by torch while the same network computes on a CPU, attention as products."""
    horse, grid = attention.use(network(), "math"), Grid(4, 4, 4)
    counter = FlopCounterMode(display=False)
    with counter:
        run(horse, grid=grid)
    config = dataclasses.replace(horse.config)
    with torch.device("meta"):
        meta, coords = Horse(config), coordinates(grid, 5, 3, "v2")
        tokens = torch.empty(1, grid.tokens, 8), torch.empty(1, 5, 4), torch.empty(1, 3, 6)
    amount = work.measure(lambda: meta(*tokens, coords, window=Window(grid.frame_tokens, 1)))
    assert amount.flops == pytest.approx(counter.get_total_flops(), rel=0.01)
    assert (amount.matrices, amount.attention) == pytest.approx(closed_form(config, grid, 5, 3, 1), rel=1e-9)


def test_memory_is_what_lives_at_once():
    x = torch.empty(1000, device="meta")  # 4000 bytes, not counted: it was there before

    def chain():
        y = x + 1  # 4000
        y = y * 2  # 8000 while both live
        view = y[:10]
        del y
        # 4000 under the view, 2000, and some scalars
        return view.sum() + torch.empty(500, device="meta").sum()

    amount = work.measure(chain)
    assert 8000 <= amount.held <= 8012 and amount.matrices == amount.attention == 0
    assert amount.moved == pytest.approx(4 * 4000 + 40 + 2000, abs=40)


def test_attention_counts_as_one_operation_without_scores():
    q = torch.empty(1, 2, 1000, 64, device="meta")
    amount = work.measure(lambda: torch.nn.functional.scaled_dot_product_attention(q, q, q))
    assert amount.attention == 4 * 2 * 1000**2 * 64 and amount.held == q.nbytes


def test_layers_of_a_kind_are_counted_as_often_as_they_occur(network):
    config, grid = network().config, Grid(4, 2, 2)
    deeper = dataclasses.replace(config, num_layers=7, mm_layers=(0, 6))  # two more plain layers
    one, more = (work.network(c, grid, 5, 3) for c in (config, deeper))
    whole, longer = (sum(closed_form(c, grid, 5, 3)) for c in (config, deeper))
    assert (one.flops, more.flops) == pytest.approx((whole, longer), rel=1e-9) and one.held == more.held


@pytest.mark.parametrize("local", [(), (1, 2)])
def test_the_first_of_several_processes(network, local):
    """It has the most tokens and heads, and holds, beside its share, what is exchanged."""
    config, grid = (
        dataclasses.replace(network().config, num_query_groups=4, local_attn_layers=local),
        Grid(8, 4, 4),
    )
    alone, first = work.network(config, grid, 5, 3), work.network(config, grid, 5, 3, 3)
    tokens, most = grid.tokens + 8, -(-(grid.tokens + 8) // 3)
    layers = (sum(closed_form(config, grid, 5, 3)) - alone.attention) / tokens  # of a token, of any modality
    assert first.matrices == pytest.approx(layers * most, rel=0.01)
    assert first.attention == pytest.approx(alone.attention * 2 / 4, rel=1e-9)
    assert alone.held / 3 < first.held < alone.held


@pytest.mark.gpu
def test_memory_on_a_gpu(network, run):
    """What a pass takes on a GPU is what was predicted, within a tenth and the workspace of the libraries."""
    grid = Grid(8, 24, 40)
    changes = {"hidden_size": 1024, "head_dim": 128, "param_dtype": "bf16", "local_attn_layers": ()}
    horse = network(**changes).cuda()
    run(horse, grid=grid, device="cuda")
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run(horse, grid=grid, device="cuda")
    taken = torch.cuda.max_memory_allocated() - before
    predicted = work.network(horse.config, grid, 5, 3).held
    assert taken == pytest.approx(predicted, rel=0.1, abs=64e6)
