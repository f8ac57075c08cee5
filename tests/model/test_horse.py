"""The network as a whole: published keys, batches with padding, given tokens, precision, starting weights."""

import dataclasses

import pytest
import torch
from einops import rearrange
from jaxtyping import TypeCheckError

from happyhorse.config import build as build_config
from happyhorse.config import plain
from happyhorse.model.attention import Window
from happyhorse.model.horse import Horse, Near, initialise
from happyhorse.model.presets import HORSE_15B, HORSE_15B_1080P, HorseConfig
from happyhorse.model.tokens import Grid, coordinates

TINY = HorseConfig(
    num_layers=3,
    hidden_size=32,
    head_dim=8,
    num_query_groups=2,
    mm_layers=(0, 2),
    gelu7_layers=(0,),
    text_in_channels=6,
    given_embedding=True,
    param_dtype="fp32",
)
GRID, STEPS = Grid(3, 1, 2), 9


def build(config: HorseConfig = TINY, seed: int = 0) -> Horse:
    """A network with nothing left at zero."""
    generator = torch.Generator().manual_seed(seed)
    horse = Horse(config)
    with torch.no_grad():
        for parameter in horse.parameters():
            parameter.normal_(0.0, parameter.shape[-1] ** -0.5, generator=generator)
    return horse


def draw(batch: int, words: int, seed: int = 1) -> tuple:
    generator = torch.Generator().manual_seed(seed)
    shapes = (
        (GRID.tokens, TINY.video_in_channels),
        (STEPS, TINY.audio_in_channels),
        (words, TINY.text_in_channels),
    )
    return tuple(torch.randn(batch, *shape, generator=generator) for shape in shapes)


# --- the published 15B ---------------------------------------------------------------------------------------


def published() -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Keys, shapes and dtypes of the published checkpoints, from the table in 15B spec section 2.9."""
    full, half, d = torch.float32, torch.bfloat16, 5120
    table = {"adapter.rope.bands": ((16,), full)}
    for name, width in (("video", 192), ("audio", 64), ("text", 3584)):
        table[f"adapter.{name}_embedder.weight"] = (d, width), full
        table[f"adapter.{name}_embedder.bias"] = (d,), full
    for i in range(40):
        at, e = f"block.layers.{i}", 3 if i < 4 or i >= 36 else 1
        table[f"{at}.attention.pre_norm.weight"] = (d * e,), full
        table[f"{at}.attention.linear_qkv.weight"] = (7208 * e, d), half
        table[f"{at}.attention.q_norm.weight"] = (128 * e,), full
        table[f"{at}.attention.k_norm.weight"] = (128 * e,), full
        table[f"{at}.attention.linear_proj.weight"] = (d * e, d), half
        table[f"{at}.mlp.pre_norm.weight"] = (d * e,), full
        up, down = ((61440, d), (15360, 20480)) if i < 4 else ((27304 * e, d), (d * e, 13652))
        table[f"{at}.mlp.up_gate_proj.weight"] = up, half
        table[f"{at}.mlp.down_proj.weight"] = down, half
    table["final_norm_video.weight"] = table["final_norm_audio.weight"] = (d,), full
    table["final_linear_video.weight"] = (192, d), full
    table["final_linear_audio.weight"] = (64, d), full
    return table


@pytest.mark.parametrize("config", [HORSE_15B, HORSE_15B_1080P], ids=["base", "1080p"])
def test_the_15b_has_the_published_tensors(config):
    with torch.device("meta"):
        horse = Horse(config)
    state = horse.state_dict()
    assert all(tensor.is_meta for tensor in state.values())
    assert {key: (tuple(t.shape), t.dtype) for key, t in state.items()} == published()
    assert len(state) == 331
    assert sum(parameter.numel() for parameter in horse.parameters()) == 15_299_419_136


def test_the_1080p_model_is_local_in_32_layers():
    everywhere = {3, 7, 11, 15, 19, 23, 27, 31}
    assert set(range(40)) - set(HORSE_15B_1080P.local_attn_layers) == everywhere
    with torch.device("meta"):
        horse = Horse(HORSE_15B_1080P)
    assert [layer.attention.local for layer in horse.block.layers] == [i not in everywhere for i in range(40)]


def test_post_norm_layers_have_two_more_tensors():
    fewer, more = (set(Horse(dataclasses.replace(TINY, post_norm_layers=p)).state_dict()) for p in ((), (1,)))
    assert more - fewer == {"block.layers.1.attn_post_norm.weight", "block.layers.1.mlp_post_norm.weight"}


def test_building_draws_nothing_from_the_global_generator():
    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    Horse(TINY)
    assert torch.equal(state, torch.random.get_rng_state())


# --- batches -------------------------------------------------------------------------------------------------


def test_padding_changes_nothing():
    """A sample gives the same alone, and in a batch where its text is padded with rubbish."""
    horse = build()
    video, audio, text = draw(3, 8)
    lengths = (8, 3, 0)
    said = torch.stack([torch.arange(-8, 0), torch.arange(8), torch.zeros(8)]).float()
    mask = torch.arange(8) < torch.tensor(lengths)[:, None]
    text = torch.where(mask.unsqueeze(-1), text, 1e3)
    together = horse(video, audio, text, coordinates(GRID, STEPS, said, "clock"), text_mask=mask)
    for i, n in enumerate(lengths):
        places = coordinates(GRID, STEPS, said[i, :n], "clock")
        alone = horse(video[i : i + 1], audio[i : i + 1], text[i : i + 1, :n], places)
        for a, b in zip(together, alone, strict=True):
            torch.testing.assert_close(a[i : i + 1], b, atol=1e-5, rtol=1e-5)


def test_one_row_of_coordinates_serves_a_batch():
    horse = build()
    inputs, places = draw(2, 4), coordinates(GRID, STEPS, 4, "v2")
    one, each = horse(*inputs, places), horse(*inputs, places.expand(2, -1, -1).contiguous())
    assert torch.equal(one[0], each[0]) and torch.equal(one[1], each[1])


def test_a_full_mask_is_no_mask():
    horse = build()
    inputs, places = draw(2, 4), coordinates(GRID, STEPS, 4, "v2")
    masked = horse(*inputs, places, text_mask=torch.ones(2, 4, dtype=torch.bool))
    torch.testing.assert_close(masked, horse(*inputs, places), atol=1e-6, rtol=0)


# --- given tokens and windows --------------------------------------------------------------------------------


def test_given_tokens_are_marked():
    horse = build()
    inputs, places = draw(2, 4), coordinates(GRID, STEPS, 4, "v2")
    none = torch.zeros(2, GRID.tokens + STEPS, dtype=torch.bool)
    some = none.clone()
    some[1, -1] = True  # the last sound of the second sample
    without, unmarked, marked = (horse(*inputs, places, given=g)[1] for g in (None, none, some))
    assert torch.equal(without, unmarked)
    assert torch.equal(without[0], marked[0])
    assert not torch.allclose(without[1], marked[1])
    before = horse.adapter(*inputs, some) - horse.adapter(*inputs)
    assert before[1, GRID.tokens + STEPS - 1].allclose(horse.adapter.given, atol=1e-6)
    assert before.count_nonzero(-1).bool().sum() == 1


def test_the_published_networks_have_no_given_embedding():
    horse = build(dataclasses.replace(TINY, given_embedding=False))
    assert "adapter.given" not in horse.state_dict()
    with pytest.raises(ValueError, match="given=None"):
        given = torch.zeros(1, GRID.tokens + STEPS, dtype=torch.bool)
        horse(*draw(1, 4), coordinates(GRID, STEPS, 4, "v2"), given=given)


def test_local_layers_insist_on_a_window():
    horse = build(dataclasses.replace(TINY, local_attn_layers=(1,)))
    inputs, places = draw(2, 4), coordinates(GRID, STEPS, 4, "v2")
    with pytest.raises(ValueError, match="pass window"):
        horse(*inputs, places)
    near, far = (horse(*inputs, places, window=Window(GRID.frame_tokens, r))[0] for r in (0, 2))
    assert not torch.allclose(near, far)
    torch.testing.assert_close(far, build()(*inputs, places)[0])


# --- precision -----------------------------------------------------------------------------------------------


def test_mixed_precision_training():
    """Under autocast matrices multiply in bf16 while the stream, the norms and the velocities stay fp32."""
    horse = build()
    inputs, places = draw(2, 4), coordinates(GRID, STEPS, 4, "v2")
    seen = {}
    attention = horse.block.layers[0].attention
    for name, module in (
        ("stream", horse.block.layers[1]),
        ("matrix", attention.linear_qkv),
        ("norm", attention.pre_norm),
    ):
        module.register_forward_hook(lambda _, __, out, name=name: seen.update({name: out.dtype}))
    with torch.autocast("cpu", torch.bfloat16):
        video, audio = horse(*inputs, places)
    assert seen == {"stream": torch.float32, "matrix": torch.bfloat16, "norm": torch.float32}
    assert video.dtype == audio.dtype == torch.float32
    exact = horse(*inputs, places)[0]
    assert 0 < (video - exact).abs().mean() < 0.03 * exact.std()
    (video.square().mean() + audio.square().mean()).backward()
    assert all(
        p.grad is not None and p.grad.isfinite().all()
        for p in horse.parameters()
        if p.requires_grad and p is not horse.adapter.given
    )


def test_bf16_weights_are_the_four_families():
    horse = Horse(dataclasses.replace(TINY, param_dtype="bf16"))
    for key, tensor in horse.state_dict().items():
        family = key.split(".")[-2] in ("linear_qkv", "linear_proj", "up_gate_proj", "down_proj")
        assert tensor.dtype == (torch.bfloat16 if family else torch.float32), key


@pytest.mark.slow
def test_compiled_equals_eager():
    horse = build()
    inputs, places = draw(2, 4), coordinates(GRID, STEPS, 4, "v2")
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    eager = horse(*inputs, places, text_mask=mask)
    compiled = torch.compile(horse, fullgraph=True)(*inputs, places, text_mask=mask)
    torch.testing.assert_close(compiled, eager, atol=1e-4, rtol=0)


# --- starting weights ----------------------------------------------------------------------------------------


def test_a_new_network_says_zero_and_learns():
    horse = initialise(Horse(TINY), torch.Generator().manual_seed(0))
    inputs, places = draw(4, 4), coordinates(GRID, STEPS, 4, "v2")
    assert all(v.count_nonzero() == 0 for v in horse(*inputs, places))
    optimizer = torch.optim.AdamW(horse.parameters(), 3e-3)
    losses = []
    for _ in range(60):
        video, audio = horse(*inputs, places)
        loss = (video - inputs[0].flip(0)).square().mean() + (audio + inputs[1]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0], losses[::10]
    still = [name for name, p in horse.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == ["adapter.given"]  # nothing was given


def test_starting_weights_follow_the_generator():
    one, same, other = (
        initialise(Horse(TINY), torch.Generator().manual_seed(seed)).state_dict() for seed in (1, 1, 2)
    )
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not torch.equal(one["adapter.video_embedder.weight"], other["adapter.video_embedder.weight"])
    qkv = one["block.layers.0.attention.linear_qkv.weight"].view(3, -1, 32)
    gates, rest = qkv[:, -4:], qkv[:, :-4]
    assert not gates.any() and rest.std().item() == pytest.approx(32**-0.5, rel=0.05)


def test_a_network_built_without_memory_can_be_started():
    with torch.device("meta"):
        horse = Horse(TINY)
    horse = initialise(horse.to_empty(device="cpu"), torch.Generator().manual_seed(1))
    straight = initialise(Horse(TINY), torch.Generator().manual_seed(1)).state_dict()
    assert all(torch.equal(tensor, straight[key]) for key, tensor in horse.state_dict().items())


# --- numbers that cannot form a network ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mm_layers": (0, 3)}, "outside 0..2"),
        ({"hidden_size": 36}, "multiple of head_dim"),
        ({"num_query_groups": 3}, "divisor of 4"),
        ({"head_dim": 4}, "multiple of 8"),
    ],
)
def test_impossible_numbers(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **changes)


def test_an_unknown_precision():
    with pytest.raises((ValueError, TypeCheckError)):
        dataclasses.replace(TINY, param_dtype="fp16")


def test_one_network_has_one_config():
    turned = dataclasses.replace(TINY, mm_layers=(2, 0))
    assert turned == TINY and hash(turned) == hash(TINY)
    assert build_config(HorseConfig, plain(TINY)) == TINY  # through a file


# --- neighbours ----------------------------------------------------------------------------------------------


def test_a_neighbourhood_is_a_depthwise_convolution_of_the_picture_alone():
    grid, width = Grid(2, 3, 4), 5
    near, generator = Near(width), torch.Generator().manual_seed(0)
    x = torch.randn(2, grid.tokens + 7, width, generator=generator)
    assert torch.equal(near(x, grid), x), "at first nothing is taken"
    with torch.no_grad():
        near.weight.normal_(generator=generator)
    out = near(x, grid)
    assert torch.equal(out[:, grid.tokens :], x[:, grid.tokens :])
    pictures = rearrange(x[:, : grid.tokens], "b (t y x) d -> (b t) d y x", t=2, y=3)
    kernel = rearrange(near.weight, "(i j) d -> d 1 i j", i=3)
    mixed = pictures + torch.nn.functional.conv2d(pictures, kernel, padding=1, groups=width)
    expected = rearrange(mixed, "(b t) d y x -> b (t y x) d", t=2)
    assert torch.allclose(out[:, : grid.tokens], expected, atol=1e-5)


def test_a_network_that_mixes_neighbours_needs_to_know_who_they_are():
    horse = build(dataclasses.replace(TINY, near_layers=(0, 2)))
    assert {name for name in horse.state_dict() if name.startswith("near")} == {
        "near.0.weight",
        "near.2.weight",
    }
    tokens, places = draw(1, 4), coordinates(GRID, STEPS, 4, "v2")
    with pytest.raises(ValueError, match="pass the grid"):
        horse(*tokens, places)
    mixed = horse(*tokens, places, grid=GRID)
    with torch.no_grad():
        for near in horse.near.values():
            near.weight.zero_()
    alone = horse(*tokens, places, grid=GRID)
    assert not torch.allclose(mixed[0], alone[0], atol=1e-3)
