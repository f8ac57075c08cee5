"""Credentials: every MP4 says that it is machine-made, tampering shows, and the prompt stays private."""

import hashlib
import shutil

import av
import numpy as np
import pytest

from happyhorse import media
from happyhorse.generate import provenance
from happyhorse.values import Clip, Request

c2pa = pytest.importorskip("c2pa")
PROMPT = "a very private zebra"


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    noise = np.random.default_rng(0)
    clip = Clip(
        video=noise.integers(0, 255, (25, 64, 64, 3), np.uint8),
        audio=np.zeros(16_000, np.float32),
        request=Request(prompt=PROMPT, seed=77, model="/somebody/folder/horse"),
    )
    return clip.save(tmp_path_factory.mktemp("signed") / "x.mp4")


def test_it_says_machine_made_by_what_and_from_which_seed(signed):
    said = provenance.credentials(signed)
    assert said is not None and said["state"] == "Valid" and said["machine_made"]
    assert said["software"] == "happyhorse"
    facts = said["facts"]
    assert facts["seed"] == 77 and facts["model"] == "horse" and facts["first_frame"] is False
    assert facts["prompt_sha256"] == hashlib.sha256(PROMPT.encode()).hexdigest()


def test_a_clip_with_given_parts_is_called_a_composite(signed):
    def stated(**given):
        return provenance.manifest(Request(prompt=PROMPT, **given), "x.mp4")["assertions"]

    for given, kind in (({"first_frame": "a.png"}, "trained"), ({"audio": "a.wav"}, "compositeWithTrained")):
        actions, facts = stated(**given)
        assert actions["data"]["actions"][0]["digitalSourceType"].endswith(f"/{kind}AlgorithmicMedia")
        assert [name for name in provenance.GIVEN if facts["data"][name]] == list(given)
        assert "a.png" not in str(facts) and "a.wav" not in str(facts)


def test_neither_prompt_nor_folders_are_in_the_file(signed):
    data = signed.read_bytes()
    for secret in (b"private", b"zebra", b"somebody"):
        assert secret not in data
    assert b"AI-generated" in data  # the plain comment, for readers without C2PA


def test_the_signed_file_still_plays_and_stays_in_step(signed):
    clip = media.read(signed)
    assert len(clip.video) == 25 and len(clip.audio) == 16_000
    data = signed.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert list(signed.parent.iterdir()) == [signed]


def test_one_changed_byte_shows(signed, tmp_path):
    data = bytearray(signed.read_bytes())
    data[-1000] ^= 1
    (tmp_path / "x.mp4").write_bytes(data)
    said = provenance.credentials(tmp_path / "x.mp4")
    assert said is not None and said["state"] == "Invalid"


def test_copied_streams_have_no_credentials(signed, tmp_path):
    with av.open(str(signed)) as source, av.open(str(tmp_path / "x.mp4"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    assert provenance.credentials(tmp_path / "x.mp4") is None


def test_what_is_no_video_is_refused(tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"nothing of the kind" * 20)
    with pytest.raises(ValueError, match="cannot be read"):
        provenance.credentials(tmp_path / "x.mp4")


def test_webm_has_no_place_for_credentials(tmp_path):
    clip = Clip(video=np.zeros((25, 64, 64, 3), np.uint8), audio=np.zeros(16_000, np.float32))
    path = clip.save(tmp_path / "x.webm")
    assert not provenance.can_sign(path) and media.read(path).seconds == 1


def test_without_c2pa_clips_are_made_but_not_signed(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "find_spec", lambda name: None)
    clip = Clip(video=np.zeros((25, 64, 64, 3), np.uint8), audio=np.zeros(16_000, np.float32))
    path = clip.save(tmp_path / "x.mp4")
    assert media.read(path).seconds == 1
    with pytest.raises(ValueError, match="pip install c2pa-python"):
        provenance.credentials(path)
    monkeypatch.undo()
    assert provenance.credentials(path) is None


def test_a_disk_that_fills_up_while_signing_is_an_os_error(signed, tmp_path, monkeypatch):
    copy = shutil.copy(signed, tmp_path / "x.mp4")

    def full(*_):
        raise c2pa.C2paError("Io: no space left")

    monkeypatch.setattr(c2pa.Builder, "sign", full)
    with pytest.raises(OSError, match="disk full"):
        provenance.sign(tmp_path / "x.mp4", provenance.manifest(None, "x"), ".mp4")
    assert list(tmp_path.iterdir()) == [tmp_path / "x.mp4"] and copy.read_bytes() == signed.read_bytes()
