"""The paths between sound and picture, over a frame, to neighbours and from the words: what they reach, and no more."""

import math
from collections.abc import Callable
from typing import TypeVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from happyhorse.model.mixing import STEPS, WAVES, Layout, Moving, Scene, Together, Told, waves
from happyhorse.model.tokens import Grid

WIDTH = 16
Kind = TypeVar("Kind", bound=torch.nn.Module)


def drawn(module: Kind, silent: tuple[str, ...] = ()) -> Kind:
    """The module with random weights; those whose names begin with something `silent` are zero, as at the start."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in module.named_parameters():
            weight.normal_(0, 0.3, generator=generator)
            if name.startswith(silent):
                weight.zero_()
    return module


def stream(
    grid: Grid, steps: int, beside: int = 0, words: int = 3
) -> tuple[torch.Tensor, tuple[int, int, int]]:
    """A batch of two, with as many tokens of both kinds beside the clip's own."""
    sizes = (grid.tokens + beside, steps + beside, words)
    return torch.randn(2, sum(sizes), WIDTH, generator=torch.Generator().manual_seed(1)), sizes


def reached(path: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, place: int) -> set[int]:
    """The tokens of a stream that say something else after the one at `place` does."""
    y = x.clone()
    y[:, place] += torch.linspace(-2, 2, WIDTH)
    with torch.no_grad():
        differ = (path(y) - path(x)).abs().amax((0, 2)) > 1e-6
    return set(differ.nonzero().flatten().tolist())


def changed(module: Together, grid: Grid, place: int, steps: int, beside: int = 0) -> set[int]:
    """The other tokens that say something else after the one at `place` does."""
    x, sizes = stream(grid, steps, beside)
    return reached(lambda x: module(x, grid, sizes), x, place) - {place}


def test_it_starts_as_nothing():
    grid = Grid(3, 2, 2)
    x, sizes = stream(grid, 9)
    assert torch.equal(drawn(Together(WIDTH), ("show", "tell"))(x, grid, sizes), x)


@settings(max_examples=25)
@given(st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(0, 4), st.data())
def test_sound_is_heard_in_its_own_frame_and_a_frame_is_seen_in_its_own_sound(
    frames, rows, columns, beside, data
):
    grid, steps = Grid(frames, rows, columns), STEPS * (frames - 1) + 1
    frame_of = [(step + STEPS - 1) // STEPS for step in range(steps)]
    own = grid.frame_tokens
    first = grid.tokens + beside  # of the sound
    step = data.draw(st.integers(0, steps - 1))
    heard = changed(drawn(Together(WIDTH)), grid, first + step, steps, beside)
    assert heard == {frame_of[step] * own + i for i in range(own)}
    token = data.draw(st.integers(0, grid.tokens - 1))
    seen = changed(drawn(Together(WIDTH)), grid, token, steps, beside)
    assert seen == {first + step for step in range(steps) if frame_of[step] == token // own}


@pytest.mark.parametrize("steps", [1, 3, 8, 11])
def test_sound_may_be_shorter_or_longer_than_the_picture(steps):
    grid = Grid(3, 2, 2)
    first = changed(drawn(Together(WIDTH)), grid, grid.tokens, steps)
    assert first == set(range(grid.frame_tokens)), "the first step still belongs to the first frame"
    last = changed(drawn(Together(WIDTH)), grid, grid.tokens - 1, steps)
    assert last == {grid.tokens + step for step in range(5, min(steps, 9))}


def test_words_and_what_stands_beside_the_clip_stay_as_they_are():
    grid, steps, beside = Grid(2, 2, 2), 5, 3
    x, sizes = stream(grid, steps, beside)
    with torch.no_grad():
        y = drawn(Together(WIDTH))(x, grid, sizes)
    same = (x == y).all(-1).all(0)
    assert same[grid.tokens : sizes[0]].all() and same[sizes[0] + steps :].all()
    assert not same[: grid.tokens].any() and not same[sizes[0] : sizes[0] + steps].any()


@settings(max_examples=25)
@given(st.integers(1, 12), st.integers(1, 12))
def test_waves_are_orthogonal_and_of_mean_square_one(rows, columns):
    products = waves(rows, columns).T @ waves(rows, columns) / (rows * columns)
    there = [float(y < rows and x < columns) for y in range(WAVES) for x in range(WAVES)]
    torch.testing.assert_close(products, torch.diag(torch.tensor(there)), atol=1e-5, rtol=0)


def test_waves_are_those_of_the_cosine_transform():
    y, x, i, j = 1, 3, 2, 1
    value = waves(4, 5)[y * 5 + x, i * WAVES + j]
    assert float(value) == pytest.approx(
        2 * math.cos(math.pi * (y + 0.5) * i / 4) * math.cos(math.pi * (x + 0.5) * j / 5), abs=1e-6
    )


@pytest.mark.parametrize("kind", [Layout, Moving])
def test_a_path_within_the_picture_starts_as_nothing(kind):
    grid = Grid(3, 2, 4)
    x, _ = stream(grid, 9)
    assert torch.equal(drawn(kind(WIDTH), ("show",))(x, grid), x)


@settings(max_examples=25)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(2, 4), st.data())
def test_a_token_tells_all_of_its_frame_and_no_one_else(frames, rows, columns, data):
    grid = Grid(frames, rows, columns)
    x, _ = stream(grid, 4 * frames - 3, beside=2)
    token, module = data.draw(st.integers(0, grid.tokens - 1)), drawn(Layout(WIDTH))
    own = token // grid.frame_tokens * grid.frame_tokens
    assert reached(lambda x: module(x, grid), x, token) == set(range(own, own + grid.frame_tokens))


@settings(max_examples=25)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.data())
def test_what_moves_is_told_to_neighbours_in_picture_and_time_and_no_one_else(frames, rows, columns, data):
    grid = Grid(frames, rows, columns)
    x, _ = stream(grid, 4 * frames - 3, beside=2)
    t, r, c = (data.draw(st.integers(0, size - 1)) for size in (frames, rows, columns))
    module = drawn(Moving(WIDTH))
    near = {
        (i * rows + j) * columns + k
        for i in range(max(0, t - 1), min(frames, t + 2))
        for j in range(max(0, r - 1), min(rows, r + 2))
        for k in range(max(0, c - 1), min(columns, c + 2))
    }
    assert reached(lambda x: module(x, grid), x, (t * rows + r) * columns + c) == near


def test_what_moves_says_the_same_wherever_it_is():
    """Away from the edges a clip moved by one place is answered by the answer moved by one place."""
    grid, module = Grid(3, 5, 6), drawn(Moving(WIDTH))
    x = torch.zeros(1, 3, 5, 6, WIDTH)
    x[:, 1, 2, 2] = torch.randn(WIDTH, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        here, there = (module(z.flatten(1, 3), grid).view_as(x) for z in (x, x.roll((1, 1), (2, 3))))
    torch.testing.assert_close(here.roll((1, 1), (2, 3)), there)


def test_told_starts_as_nothing():
    x, sizes = stream(Grid(2, 2, 2), 5)
    assert torch.equal(drawn(Told(WIDTH), ("show",))(x, sizes, None), x)


def test_words_reach_picture_and_sound_and_nothing_else_does():
    x, sizes = stream(Grid(2, 2, 2), 5)
    begin, module = sizes[0] + sizes[1], drawn(Told(WIDTH))
    for place in (0, begin - 1, begin):
        found = reached(lambda x: module(x, sizes, None), x, place)
        assert found == ({place} if place < begin else {*range(begin), place})


def test_words_that_pad_are_as_if_they_were_not_there():
    x, sizes = stream(Grid(2, 2, 2), 5, words=4)
    begin, module = sizes[0] + sizes[1], drawn(Told(WIDTH))
    mask = torch.ones(2, 1, 1, sum(sizes), dtype=torch.bool)
    mask[..., -2:] = False
    with torch.no_grad():
        padded = module(x, sizes, mask)[:, :begin]
        short = module(x[:, :-2], (*sizes[:2], 2), None)[:, :begin]
        silent = module(x[:, :begin], (*sizes[:2], 0), None)
    torch.testing.assert_close(padded, short)
    assert torch.equal(silent, x[:, :begin]), "without words nothing is told"


def test_a_scene_starts_as_nothing():
    grid = Grid(3, 2, 4)
    x, _ = stream(grid, 9)
    assert torch.equal(drawn(Scene(WIDTH), ("show",))(x, grid), x)


def test_a_scene_is_told_to_all_of_the_picture_and_nothing_else():
    grid = Grid(3, 2, 4)
    x, _ = stream(grid, 9, beside=2)
    y = x.clone()
    y[:, 5] += torch.linspace(-2, 2, WIDTH)
    with torch.no_grad():
        differ = (drawn(Scene(WIDTH))(y, grid) - drawn(Scene(WIDTH))(x, grid)).abs().amax((0, 2)) > 1e-6
    assert set(differ.nonzero().flatten().tolist()) == set(range(grid.tokens))


def test_a_scene_does_not_depend_on_the_order_of_the_frames():
    grid, module = Grid(3, 2, 4), drawn(Scene(WIDTH))
    x = torch.randn(1, 3, 8, WIDTH, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        forward = module(x.flatten(1, 2), grid).view_as(x)
        backward = module(x.flip(1).flatten(1, 2), grid).view_as(x)
    torch.testing.assert_close(forward.flip(1), backward)


def test_a_layout_does_not_depend_on_how_many_tokens_show_it():
    """An even picture says the same to every token, whatever its size."""
    token = torch.randn(1, 1, WIDTH, generator=torch.Generator().manual_seed(3))
    module = drawn(Layout(WIDTH))
    with torch.no_grad():
        small, large = (module(token.expand(1, g.tokens, -1), g) for g in (Grid(1, 3, 3), Grid(1, 8, 12)))
    torch.testing.assert_close(small.mean(1), large.mean(1), atol=1e-5, rtol=0)
