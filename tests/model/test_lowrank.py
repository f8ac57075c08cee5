"""Adapters: nothing changes at first, each works alone, and merged weights do what map and adapter do."""

import pytest
import torch
from torch import nn

from happyhorse.codec.text import TextConfig
from happyhorse.generate.denoiser import Denoiser
from happyhorse.model.layers import ModalLinear
from happyhorse.model.lowrank import Adapted, LowRank, merge, names_of
from happyhorse.model.presets import HorseConfig

HORSE = HorseConfig(
    num_layers=2, hidden_size=32, head_dim=16, num_query_groups=1, text_in_channels=8, mm_layers=(0,),
    gelu7_layers=(0,), given_embedding=True, param_dtype="fp32",
)  # fmt: skip


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def denoiser() -> Denoiser:
    model = Denoiser(HORSE, TextConfig(buckets=16, width=8))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator(parameter.numel())))
    return model


def inputs() -> tuple[torch.Tensor, ...]:
    ids = torch.randint(1, 16, (2, 3, 4), generator=generator())
    video, audio = (torch.randn(shape, generator=generator(1)) for shape in ((2, 48, 2, 2, 4), (2, 5, 64)))
    return video, audio, ids, torch.zeros(2, 3), torch.zeros(2, 2).bool(), torch.zeros(2, 5).bool()


def drawn(model: Adapted, name: str, seed: int) -> None:
    with torch.no_grad():
        for tensor in model.adapter(name).values():
            tensor.normal_(0, 0.1, generator=generator(seed))


def same(one: tuple[torch.Tensor, ...], two: tuple[torch.Tensor, ...]) -> bool:
    """Up to the last bits: without gradients attention takes another path."""
    return all(torch.allclose(a, b, atol=1e-6) for a, b in zip(one, two, strict=True))


def test_a_fresh_adapter_changes_nothing_and_one_in_use_only_itself():
    given, plain = inputs(), denoiser()
    before = plain(*given)
    model = Adapted(plain, ("student", "critic"), 2, generator())
    for adapter in (None, "student", "critic"):
        assert same(before, model(*given, adapter=adapter))
    drawn(model, "student", 1)
    assert not torch.allclose(model(*given, adapter="student")[0], before[0], atol=1e-3)
    for adapter in ("critic", None):
        assert same(before, model(*given, adapter=adapter))


def test_only_the_adapter_in_use_learns():
    model = Adapted(denoiser(), ("student", "critic"), 2, generator())
    for name in ("student", "critic"):
        drawn(model, name, 1)
    video, audio = model(*inputs(), adapter="student")
    (video.square().mean() + audio.square().mean()).backward()
    learning = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert learning and all(name.endswith(".student") for name in learning)
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {
        name for name, _ in model.named_parameters() if name.endswith((".student", ".critic"))
    }


def test_merged_weights_do_what_map_and_adapter_do():
    given, plain = inputs(), denoiser()
    weights = {key: tensor.clone() for key, tensor in plain.state_dict().items()}
    model = Adapted(plain, ("student",), 3, generator())
    drawn(model, "student", 2)
    expected = model(*given, adapter="student")
    adapter = names_of(model.state_dict(), "student")
    assert adapter.keys() == model.adapter("student").keys()
    own = denoiser()
    own.load_state_dict(merge(weights, adapter))
    for one, two in zip(expected, own(*given), strict=True):
        assert torch.allclose(one, two, atol=1e-5)
    assert merge(weights, {}).keys() == weights.keys()


def test_each_modality_has_its_own_adapter():
    base = ModalLinear(4, 5, 3, torch.float32)
    nn.init.zeros_(base.weight)
    linear = LowRank(base, ("a",), 2, generator())
    assert linear.down["a"].shape == (6, 4) and linear.up["a"].shape == (15, 2)
    with torch.no_grad():
        linear.up["a"][5:10] = 1.0  # the second one's
    linear.active = "a"
    x = torch.randn(1, 6, 4, generator=generator(3))
    y = linear(x, (1, 2, 3))
    expected = x[:, 1:3] @ linear.down["a"][2:4].T @ torch.ones(2, 5)
    assert torch.allclose(y[:, 1:3], expected) and not y[:, :1].any() and not y[:, 3:].any()


def test_a_copy_of_an_adapter_is_the_adapter():
    one, two = (Adapted(denoiser(), ("student",), 2, generator(seed)) for seed in (0, 1))
    drawn(one, "student", 4)
    two.load_adapter("student", names_of(one.state_dict(), "student"))
    for a, b in zip(one(*inputs(), adapter="student"), two(*inputs(), adapter="student"), strict=True):
        assert torch.equal(a, b)


def test_layers_computed_again_use_the_adapter_of_their_pass():
    """Another role passes between the student's forward and backward pass, as in distribution matching."""
    gradients = []
    for light in (False, True):
        model = Adapted(denoiser(), ("student", "critic"), 2, generator())
        for name in ("student", "critic"):
            drawn(model, name, 1)
        if light:
            model.lighten()
        video, _ = model(*inputs(), adapter="student")
        with torch.no_grad():
            model(*inputs(), adapter="critic")
            model(*inputs(), adapter=None)
        video.square().mean().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    assert all(torch.allclose(gradients[0][name], g, atol=1e-6) for name, g in gradients[1].items())


def test_paces_are_those_of_the_adapters():
    model = Adapted(denoiser(), ("student", "critic"), 2, generator())
    model.paces = {"critic": 4.0}
    assert model.pace("model.horse.block.layers.0.mlp.down_proj.up.critic") == 4
    assert model.pace("model.horse.block.layers.0.mlp.down_proj.up.student") == 1


def test_what_does_not_fit_is_refused():
    model = Adapted(denoiser(), ("student",), 2, generator())
    adapter = names_of(model.state_dict(), "student")
    weights = denoiser().state_dict()
    with pytest.raises(ValueError, match=r"changes other\.path, which these weights do not have"):
        merge(weights, {"other.path.down": torch.zeros(2, 4), "other.path.up": torch.zeros(4, 2)})
    weights["horse.final_linear_video.weight"] = torch.zeros(3, 3)
    with pytest.raises(ValueError, match="give the weights it was made from"):
        merge(weights, adapter)
    with pytest.raises(ValueError, match="rank of 1 or more, not 0"):
        Adapted(denoiser(), ("student",), 0, generator())
