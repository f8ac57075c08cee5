"""The Wan2.2 codec: normalisation, one frame at a time, and folders that are something else."""

import json
import shutil

import pytest
import torch

from happyhorse.codec.wan import DEVIATION, MEAN, denormalise, load_wan, statistics


@pytest.fixture(scope="module")
def codec(published_15b):
    return load_wan(published_15b / "Wan2.2-TI2V-5B-Diffusers" / "vae", "cpu", torch.float32)


def test_statistics_of_48_channels():
    assert len(MEAN) == len(DEVIATION) == 48
    # sums of the published table
    assert round(sum(MEAN), 4) == -0.5589 and round(sum(DEVIATION), 4) == 32.536
    mean, scale = statistics(torch.zeros(1))
    z = torch.randn(2, 48, 3, 1, 1)
    torch.testing.assert_close((denormalise(z) - mean) * scale, z)
    assert torch.equal(denormalise(z), z / (1 / torch.tensor(DEVIATION).view(1, 48, 1, 1, 1)) + mean)


def test_frame_by_frame_equals_whole(codec):
    z = torch.randn(1, 48, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        whole = codec.vae.decode(denormalise(z)).sample
    pieces = list(codec.stream(z))
    assert [piece.shape[2] for piece in pieces] == [1, 4, 4] and pieces[0].shape[3:] == (64, 96)
    assert torch.equal(torch.cat(pieces, 2), whole) and whole.std() > 0.01


def test_encodes_to_normalised_means(codec):
    video = torch.rand(1, 3, 5, 32, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    z = codec.encode(video)
    assert z.shape == (1, 48, 2, 2, 4) and z.dtype == torch.float32
    with torch.inference_mode():
        means = codec.vae.encode(video).latent_dist.mean
    deviation, mean = (torch.tensor(v).view(1, 48, 1, 1, 1) for v in (DEVIATION, MEAN))
    torch.testing.assert_close(z, (means - mean) / deviation)
    assert torch.equal(codec.encode(video), z)  # nothing is drawn


def test_what_is_no_codec(published_15b, tmp_path):
    with pytest.raises(ValueError, match="video codec is missing: there is no folder"):
        load_wan(tmp_path / "nothing", "cpu")
    with pytest.raises(ValueError, match=r"video codec in .* cannot be read .*; pull it again"):
        load_wan(tmp_path, "cpu")
    folder = shutil.copytree(published_15b / "Wan2.2-TI2V-5B-Diffusers" / "vae", tmp_path / "vae")
    settings = json.loads((folder / "config.json").read_text())
    (folder / "diffusion_pytorch_model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"video codec in .* cannot be read"):
        load_wan(folder, "cpu")
    (folder / "config.json").write_text(json.dumps(settings | {"z_dim": 16}))
    with pytest.raises(ValueError, match="video codec"):
        load_wan(folder, "cpu")


def test_a_missing_package_is_named(published_15b, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "diffusers", None)
    with pytest.raises(
        ValueError, match=r"needs the package diffusers; install it with: pip install 'happyhorse\[15b\]'"
    ):
        load_wan(published_15b / "Wan2.2-TI2V-5B-Diffusers" / "vae", "cpu")
