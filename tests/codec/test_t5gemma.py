"""The text encoder: the soft-cap is off, nothing is padded, and values have been through bf16 and fp16."""

import json
import shutil

import pytest
import torch

from happyhorse.codec.t5gemma import LONGEST, load_text_encoder, load_tokenizer


@pytest.fixture(scope="module")
def folder(published_15b):
    return published_15b / "t5gemma-9b-9b-ul2"


@pytest.fixture(scope="module")
def encoder(folder):
    return load_text_encoder(folder, "cpu")


def test_begins_with_bos_and_is_never_cut_or_padded(encoder):
    ids = encoder.tokenize("a red ball")
    assert ids.shape == (1, 11) and ids[0, 0] == 2 and 0 not in ids
    assert encoder.tokenize("x" * 3000).shape == (1, 3001)


@pytest.mark.parametrize(
    ("said", "begin"), [({"add_bos_token": False}, None), ({"add_bos_token": True}, 2), ({}, 2)]
)
def test_bos_as_the_folder_says_and_else_as_gemma_does(folder, tmp_path, said, begin):
    copy = shutil.copytree(folder, tmp_path / "copy")
    settings = json.loads((copy / "tokenizer_config.json").read_text())
    settings.pop("add_bos_token", None)
    (copy / "tokenizer_config.json").write_text(json.dumps(settings | said))
    assert load_tokenizer(copy)[1] == begin


def plain_attention(encoder, ids, softcap):
    """The states by the slow path of transformers, in fp32, with the given soft-cap."""
    model = encoder.model.float()
    model.encoder.config._attn_implementation = "eager"
    for layer in model.encoder.layers:
        layer.self_attn.attn_logit_softcapping = softcap
    with torch.inference_mode():
        return model(input_ids=ids).last_hidden_state


def test_equals_attention_without_softcap(folder):
    encoder = load_text_encoder(folder, "cpu", torch.float32)
    ids = encoder.tokenize("the quick brown fox jumps over the lazy dog")
    ours = encoder.encode(ids)
    without, capped = (plain_attention(encoder, ids, cap) for cap in (None, 0.5))
    assert (ours - without).abs().max() < 2e-3  # fp16
    assert (without - capped).abs().max() > 0.1  # the cap would be noticed


def test_values_are_those_of_bf16_and_fp16(encoder):
    ids = encoder.tokenize("a horse")
    states = encoder.encode(ids)
    assert states.shape == (1, 8, 16) and states.dtype == torch.float32
    with torch.inference_mode():
        raw = encoder.model(input_ids=ids).last_hidden_state
    assert raw.dtype == torch.bfloat16 and torch.equal(states, raw.to(torch.float16).to(torch.float32))


def test_a_long_prompt_is_read_whole_and_then_cut(encoder):
    ids = encoder.tokenize("x" * 700 + "y")
    other = encoder.tokenize("x" * 700 + "z")
    states = encoder.encode(ids)
    assert states.shape == (1, LONGEST, 16)
    assert not torch.equal(states, encoder.encode(other))  # the last word is cut, but was attended to


def test_a_checkpoint_without_the_encoder(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    copy = shutil.copytree(folder, tmp_path / "copy")
    weights = load_file(copy / "model.safetensors")
    missing = next(key for key in weights if "encoder.layers.1.mlp" in key)
    del weights[missing]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        ValueError, match=r"text encoder in .* is incomplete \(.*encoder.layers.1.mlp.* is missing"
    ):
        load_text_encoder(copy, "cpu")
    (copy / "model.safetensors").write_bytes(b"0" * 100)
    with pytest.raises(ValueError, match=r"text encoder in .* cannot be read"):
        load_text_encoder(copy, "cpu")
