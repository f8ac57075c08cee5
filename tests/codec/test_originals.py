"""Original files of the codecs and of the tokeniser: rewritten, they are what is published otherwise, to the bit."""

import itertools
import json
import pickle
import random

import pytest
import torch

pytest.importorskip("transformers")
pytest.importorskip("diffusers")

import originals
from happyhorse.codec.originals import (
    convert_stable_audio,
    convert_tokenizer,
    convert_wan,
    read_sentencepiece,
)
from happyhorse.codec.stable_audio import load_stable_audio
from happyhorse.codec.t5gemma import load_tokenizer
from happyhorse.codec.wan import load_wan

WAN, AUDIO, TEXT = "Wan2.2-TI2V-5B-Diffusers/vae", "stable-audio-open-1.0/vae", "t5gemma-9b-9b-ul2"


def drawn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_the_video_codec(published_15b, tmp_path):
    originals.write_wan(published_15b / WAN, tmp_path / "Wan2.2_VAE.pth")
    keys = torch.load(tmp_path / "Wan2.2_VAE.pth").keys()
    assert {
        "encoder.downsamples.1.downsamples.1.time_conv.bias",
        "decoder.head.0.gamma",
        "conv2.bias",
    } <= keys
    convert_wan(tmp_path / "Wan2.2_VAE.pth", tmp_path / "vae")
    ours, theirs = (load_wan(folder, "cpu") for folder in (tmp_path / "vae", published_15b / WAN))
    picture, latents = drawn(1, 3, 1, 32, 32), drawn(1, 48, 2, 2, 2)
    assert torch.equal(ours.encode(picture), theirs.encode(picture))
    for one, other in zip(ours.stream(latents), theirs.stream(latents), strict=True):
        assert torch.equal(one, other)


def test_the_audio_codec(published_15b, tmp_path):
    originals.write_stable_audio(published_15b / AUDIO, tmp_path)
    convert_stable_audio(tmp_path, tmp_path / "vae")
    ours, theirs = (load_stable_audio(folder, "cpu") for folder in (tmp_path / "vae", published_15b / AUDIO))
    wave, latents = drawn(1, 2048), drawn(1, 2, 64)
    assert torch.equal(ours.encode(wave, latents[:, :1]), theirs.encode(wave, latents[:, :1]))
    assert torch.equal(ours.decode(latents), theirs.decode(latents))


def test_the_tokeniser(published_15b, tmp_path):
    folder = originals.write_all(published_15b, tmp_path) / TEXT
    assert sorted(path.name for path in folder.glob("token*")) == ["tokenizer.model"]
    convert_tokenizer(folder / "tokenizer.model", folder)
    (ours, begin), (theirs, other) = load_tokenizer(folder), load_tokenizer(published_15b / TEXT)
    assert begin == other is not None
    for prompt in ("a horse", "  two  spaces", "naïve 馬\n\tend", "<bos>x", ""):
        assert ours(prompt).input_ids == theirs(prompt).input_ids


def by_score(text, scores):
    """Ids as SentencePiece finds them: again and again the best pair of neighbours becomes one."""
    ids, pieces = list(scores), list(text.replace(" ", "▁"))
    while True:
        pairs = [
            (-scores[a + b], at) for at, (a, b) in enumerate(itertools.pairwise(pieces)) if a + b in scores
        ]
        if not pairs:
            return [ids.index(piece) for piece in pieces]
        at = min(pairs)[1]
        pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]


def test_merges_follow_the_scores(tmp_path):
    letters = ["▁", *"abcd"]
    draw = random.Random(0)
    longer = sorted({"".join(draw.choices(letters, k=n)) for n in (2, 2, 3, 4) for _ in range(12)}, key=len)
    draw.shuffle(longer)
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<turn>"]
    raw = [f"<0x{byte:02X}>" for byte in range(256)]
    words = [*longer, *letters]  # of a higher score the earlier they stand
    pieces = [(text, 0.0) for text in (*special, *raw)] + [(text, -float(i)) for i, text in enumerate(words)]
    originals.write_sentencepiece(tmp_path / "tokenizer.model", pieces, user=("<mask>", "<turn>"))
    assert [piece.text for piece in read_sentencepiece(tmp_path / "tokenizer.model")] == [
        p for p, _ in pieces
    ]
    convert_tokenizer(tmp_path / "tokenizer.model", tmp_path)
    tokenizer, begin = load_tokenizer(tmp_path)
    assert begin == 2
    for _ in range(50):
        text = "".join(draw.choices(" abcd", k=20))
        found = tokenizer(text, add_special_tokens=False).input_ids
        assert found == by_score(text, dict(pieces)), text
    of = dict(zip((text for text, _ in pieces), range(len(pieces)), strict=True))
    ids = tokenizer("<turn>\té", add_special_tokens=False).input_ids
    assert ids == [of["<turn>"], of["<0x09>"], of["<0xC3>"], of["<0xA9>"]]


class Malice:
    def __reduce__(self):
        return print, ("run",)


def test_what_is_no_original(published_15b, tmp_path, capsys):
    file = tmp_path / "Wan2.2_VAE.pth"
    torch.save({"conv1.weight": Malice()}, file)
    with pytest.raises(
        ValueError, match=r"video codec in .*Wan2.2_VAE.pth cannot be read \(it is damaged, or holds more"
    ):
        convert_wan(file, tmp_path / "vae")
    assert "run" not in capsys.readouterr().out
    originals.write_wan(published_15b / WAN, file)
    whole = torch.load(file)
    cut = file.read_bytes()[:-5000]
    file.write_bytes(cut)
    with pytest.raises(ValueError, match=r"Wan2.2_VAE.pth cannot be read .*; pull it again"):
        convert_wan(file, tmp_path / "vae")
    torch.save({key: tensor for key, tensor in whole.items() if key != "decoder.conv1.bias"}, file)
    with pytest.raises(ValueError, match=r"do not fit this model \(missing: decoder.conv_in.bias\)"):
        convert_wan(file, tmp_path / "vae")
    torch.save({"state_dict": whole}, file)
    with pytest.raises(ValueError, match=r"encoder.conv_in.bias' is missing"):
        convert_wan(file, tmp_path / "vae")
    originals.write_stable_audio(published_15b / AUDIO, tmp_path / "audio")
    said = json.loads((tmp_path / "audio" / "model_config.json").read_text())
    said["model"]["pretransform"]["config"]["decoder"]["config"]["final_tanh"] = True
    (tmp_path / "audio" / "model_config.json").write_text(json.dumps(said))
    with pytest.raises(ValueError, match="describes another autoencoder"):
        convert_stable_audio(tmp_path / "audio", tmp_path / "vae")
    originals.write_sentencepiece(tmp_path / "tokenizer.model", [("a", 0.0)], kind=1)
    with pytest.raises(ValueError, match="another kind of tokeniser than Gemma's"):
        convert_tokenizer(tmp_path / "tokenizer.model", tmp_path / "text")
    for content in (b"", b"no model at all", pickle.dumps([1])):
        (tmp_path / "tokenizer.model").write_bytes(content)
        with pytest.raises(ValueError, match=r"tokenizer.model cannot be read \(it is"):
            convert_tokenizer(tmp_path / "tokenizer.model", tmp_path / "text")
    assert not (tmp_path / "vae").exists() and not (tmp_path / "text").exists()


def test_no_chatter_while_packages_are_read(caplog):
    """torchao would tell everybody about kernels that nothing here uses."""
    import logging

    from happyhorse.codec.published import hushed

    chatty = logging.getLogger("torchao")
    before = chatty.level
    with hushed():
        chatty.warning("Failed to load a library")
    assert not caplog.records and chatty.level == before
    chatty.warning("heard")
    assert [record.message for record in caplog.records] == ["heard"]
