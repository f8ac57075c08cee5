"""The blob store in a folder; the same over S3 is in test_s3."""

import asyncio

import pytest

from happyhorse.serve.blobs import Blobs
from happyhorse.serve.settings import Settings


@pytest.fixture
def blobs(tmp_path):
    return Blobs(Settings.read({}, data=tmp_path))


async def collect(pieces) -> bytes:
    return b"".join([piece async for piece in pieces])


def test_what_is_put_is_there_whole(blobs, tmp_path):
    content = bytes(range(256)) * 4000
    blobs.put("jobs/video_1/clip.mp4", content)
    path = tmp_path / "x"
    path.write_bytes(b"from a file")
    blobs.put("jobs/video_1/other.png", path)
    assert blobs.get("jobs/video_1/clip.mp4") == content and blobs.size("jobs/video_1/clip.mp4") == len(
        content
    )
    assert blobs.get("jobs/video_1/other.png") == b"from a file"
    assert set(blobs.list("jobs/")) == {"jobs/video_1/clip.mp4", "jobs/video_1/other.png"} and not blobs.list(
        "jobs/video_2/"
    )
    for start, end in ((0, len(content)), (5, 7), (999, 300_001), (7, 7)):
        assert asyncio.run(collect(blobs.stream("jobs/video_1/clip.mp4", start, end))) == content[start:end]
    assert blobs.address("jobs/video_1/clip.mp4", 60) is None


def test_what_is_not_there_is_said(blobs):
    for ask in (blobs.get, blobs.size):
        with pytest.raises(FileNotFoundError):
            ask("jobs/none")
    blobs.delete(["jobs/none"])


def test_names_stay_in_the_folder(blobs, tmp_path):
    for name in ("../outside", "jobs/../../outside"):
        with pytest.raises(ValueError):
            blobs.put(name, b"x")
    blobs.check()
    assert not (tmp_path.parent / "outside").exists() and not blobs.list("check/")


@pytest.mark.parametrize("blobs", ["nowhere://bucket", "memory:///", "https://example.com/clips", "bucket"])
def test_a_wrong_place_says_what_to_give(tmp_path, blobs):
    with pytest.raises(ValueError, match="give a URL such as s3://"):
        Blobs(Settings.read({}, data=tmp_path, blobs=blobs))


def test_a_folder_can_be_named_too(tmp_path):
    blobs = Blobs(Settings.read({}, data=tmp_path / "data", blobs=f"file://{tmp_path}/shared/clips"))
    blobs.put("jobs/video_1/clip.mp4", b"clip")
    assert (tmp_path / "shared" / "clips" / "jobs" / "video_1" / "clip.mp4").read_bytes() == b"clip"
    assert blobs.address("jobs/video_1/clip.mp4", 60) is None and not (tmp_path / "data").exists()
