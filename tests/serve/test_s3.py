"""Blobs in an object store: a server that speaks S3 (moto) in a process."""

import asyncio
import time
import urllib.error
import urllib.request

import pytest

from happyhorse.serve.blobs import Blobs
from happyhorse.serve.settings import Settings
from serving import Server, free_port, get

pytestmark = pytest.mark.slow


def test_blobs(s3, monkeypatch, tmp_path):
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    blobs = Blobs(Settings.read(data=tmp_path))
    content = bytes(range(256)) * 3000
    blobs.put("jobs/video_1/clip.mp4", content)
    assert blobs.get("jobs/video_1/clip.mp4") == content and blobs.size("jobs/video_1/clip.mp4") == len(
        content
    )

    async def part() -> bytes:
        return b"".join([piece async for piece in blobs.stream("jobs/video_1/clip.mp4", 1000, 500_000)])

    assert asyncio.run(part()) == content[1000:500_000]
    address = blobs.address("jobs/video_1/clip.mp4", 60)
    with urllib.request.urlopen(address) as answer:
        assert answer.read() == content and answer.headers["content-type"] == "video/mp4"
    assert list(blobs.list("jobs/")) == ["jobs/video_1/clip.mp4"]
    blobs.delete(["jobs/video_1/clip.mp4", "jobs/none"])
    assert not blobs.list("jobs/")
    with pytest.raises(FileNotFoundError):
        blobs.get("jobs/video_1/clip.mp4")
    blobs.check()


def test_a_service_with_an_object_store(s3, tiny_model, tmp_path):
    openai = pytest.importorskip("openai")
    server = Server(tmp_path / "data", tiny_model, **s3)
    try:
        server.wait()
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
        video = client.videos.create_and_poll(prompt="a red ball")
        assert video.status == "completed", (video, server.written())
        content = client.videos.download_content(video.id)  # follows the redirect to the store
        assert content.read()[4:8] == b"ftyp" and len(content.response.history) == 1
        assert get(f"{server.url}/readyz")["workers"] == 1
        assert not (tmp_path / "data" / "blobs").exists()
        client.videos.delete(video.id)
    finally:
        server.kill()


def test_a_store_that_is_away_is_said(s3, tiny_model, tmp_path):
    away = {**s3, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}
    server = Server(tmp_path / "data", tiny_model, HAPPYHORSE_WORKERS="0", **away)
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                get(f"{server.url}/healthz")
                break
            except OSError:
                time.sleep(0.2)
        with pytest.raises(urllib.error.HTTPError) as refused:
            until = time.monotonic() + 60
            while time.monotonic() < until:
                get(f"{server.url}/readyz")
        assert refused.value.code == 503
    finally:
        server.kill()
