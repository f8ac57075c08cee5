"""Run by torchrun from test_ulysses: each kind of network, spread over the processes, against the whole one."""

import copy

import torch
import torch.distributed as dist

from happyhorse.engine import ulysses
from happyhorse.model.attention import Window
from happyhorse.model.horse import Horse
from happyhorse.model.presets import HorseConfig
from happyhorse.model.tokens import Grid, coordinates


def network(**changes):
    settings = {
        "num_layers": 3,
        "hidden_size": 128,
        "head_dim": 16,
        "num_query_groups": 4,
        "video_in_channels": 8,
        "audio_in_channels": 4,
        "text_in_channels": 6,
        "mm_layers": (0,),
        "gelu7_layers": (0,),
        "param_dtype": "fp32",
    }
    horse = Horse(HorseConfig(**settings | changes))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in horse.parameters():
            parameter.normal_(0, 0.2, generator=generator)
    return horse.requires_grad_(False)


def check(name, tolerance=1e-5, words=3, batch=1, masked=False, given=False, **changes):
    horse = network(given_embedding=given, **changes)
    grid, steps = Grid(5, 2, 3), 7
    generator = torch.Generator().manual_seed(2)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    inputs = draw(batch, grid.tokens, 8), draw(batch, steps, 4), draw(batch, words, 6)
    coords = coordinates(grid, steps, words, "v2")
    options = {"window": Window(grid.frame_tokens, 1)}
    if masked:
        options["text_mask"] = torch.arange(words) < torch.tensor([[words], [words - 2]])
    if given:
        options["given"] = torch.arange(grid.tokens + steps)[None] < grid.frame_tokens
    alone = copy.deepcopy(horse)(*inputs, coords, **options)
    together = ulysses.spread(horse)(*inputs, coords, **options)
    for one, other in zip(alone, together, strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape
        torch.testing.assert_close(other, one, rtol=0, atol=tolerance * float(one.abs().max()))
        first = other.clone()
        dist.broadcast(first, 0)
        assert torch.equal(first, other), "processes hold different bits"
    if dist.get_rank() == 0:
        print(name, "agree", flush=True)


if __name__ == "__main__":
    ulysses.join()
    check("plain")
    check("windowed", local_attn_layers=(0, 2))
    check("masked, given, two rows", batch=2, masked=True, given=True, local_attn_layers=(1,))
    check("uneven heads", hidden_size=224, num_query_groups=7, words=6)
    check("no text to speak of", words=1, post_norm_layers=(1,), enable_attn_gating=False)
    check("bf16", tolerance=2e-2, param_dtype="bf16")
    refusals = (
        ({"hidden_size": 64, "num_query_groups": 1}, "cannot share the 1 key-value heads"),
        (
            {"near_layers": (1,)},
            "near_, moving_, together_, told_, layout_ or scene_layers cannot be shared among",
        ),
        (
            {"told_layers": (1,)},
            "near_, moving_, together_, told_, layout_ or scene_layers cannot be shared among",
        ),
    )
    for changes, sentence in refusals:
        try:
            ulysses.spread(network(**changes))
        except ValueError as error:
            assert sentence in str(error)
        else:
            raise AssertionError(f"what is shared wrongly must be refused: {changes}")
    ulysses.leave()
