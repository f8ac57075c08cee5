"""A service without processes of its own, an app around it, and a server with workers as people start it."""

import contextlib
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as examples

pytest.importorskip("dbos", reason="serving is not installed: pip install 'happyhorse[serve]'")
pytest.importorskip("fastapi", reason="serving is not installed: pip install 'happyhorse[serve]'")

from happyhorse.serve.jobs.records import Job, new_id
from happyhorse.serve.service import Service, open_service
from happyhorse.serve.settings import Settings
from serving import Postgres, Server, free_port

# Requests are drawn from whole schemas: thinking of one takes long by itself.
patient = examples.get_profile("patient")
examples.register_profile("serving", parent=patient, suppress_health_check=[HealthCheck.too_slow])
examples.load_profile("serving")


@pytest.fixture
def settings(tiny_model: Path, tmp_path: Path) -> Settings:
    """Of a service in a fresh folder, with the tiny model and a checkpoint after every step."""
    return Settings.read({}, data=tmp_path / "data", models=(str(tiny_model),), lease=2.0, checkpoint=1)


@pytest.fixture
def service(settings: Settings) -> Iterator[Service]:
    """A service without workers."""
    opened = open_service(settings)
    yield opened
    opened.close()


@pytest.fixture
def order(tiny_model: Path) -> Callable[..., Job]:
    """Makes a job for the tiny model that is not submitted yet; `asked` are fields of a request."""
    from happyhorse.generate.load import load

    def ordered(owner: str = "local", prompt: str = "a red ball", **asked: Any) -> Job:
        request = load(str(tiny_model)).request(prompt, **{"seed": 1} | asked)
        seconds = {"denoise": 1.0, "decode": 1.0}
        plain = {**request.as_dict(), "model": str(tiny_model)}
        return Job(
            id=new_id(), owner=owner, model="tiny", request=plain, extra={"seconds": seconds, "asked": {}}
        )

    return ordered


@pytest.fixture(scope="session")
def enlarging(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with super-resolution: clips of 192x128, sampled at 96x64."""
    import torch

    from happyhorse import checkpoint
    from happyhorse.generate.upscaler import Upscaler, UpscalerConfig

    run = tmp_path_factory.mktemp("enlarging")
    (run / "flow").mkdir()
    (run / "upscale").mkdir()
    shutil.copy(tiny_model / "codec.safetensors", run)
    shutil.copy(tiny_model / "denoiser.safetensors", run / "flow")
    upscaler = Upscaler(UpscalerConfig(width=32, layers=1, head_dim=16, groups=1))
    rows, channels = len(upscaler.basis), upscaler.config.channels
    guess = torch.zeros(rows, channels, 9)
    guess[:, :, 4] = torch.eye(channels).repeat(rows // channels, 1)  # of the neighbours of a latent nothing
    with torch.no_grad():
        upscaler.basis.copy_(guess.flatten(1))
    facts = {"keep": 0.8, "sampler": {"steps": 2, "shift": 3.0}}
    part = checkpoint.Checkpoint("upscaler", upscaler.plain(), upscaler.state_dict(), facts)
    checkpoint.save(run / "upscale" / "upscaler.safetensors", part)
    return run


@pytest.fixture(scope="package")
def live(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that need a real one; it has one worker."""
    server = Server(tmp_path_factory.mktemp("live") / "data", tiny_model)
    try:
        yield server.wait()
    finally:
        server.kill()


@pytest.fixture(scope="package")
def taught(
    learnt_model: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A real server whose default model has learnt pictures of a subject and edits; its other one has not."""
    models = f"{learnt_model},{tiny_model}"
    server = Server(tmp_path_factory.mktemp("taught") / "data", learnt_model, HAPPYHORSE_MODELS=models)
    try:
        yield server.wait()
    finally:
        server.kill()


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL that runs, and is empty; not in a folder of pytest, which closes them to other users."""
    binaries = Postgres.binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with tempfile.TemporaryDirectory(prefix="happyhorse-") as folder:
        server = Postgres(binaries, Path(folder)).start()
        try:
            yield server
        finally:
            with contextlib.suppress(subprocess.CalledProcessError):  # a test may have ended it
                server.stop()


@pytest.fixture(scope="session")
def objects() -> Iterator[str]:
    """The address of a server that speaks S3 (moto), with a bucket called clips."""
    pytest.importorskip("moto", reason="pip install 'moto[server,s3]' for a store that speaks S3")
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 120
        while True:
            try:
                bucket = urllib.request.Request(f"{url}/clips", method="PUT")
                urllib.request.urlopen(bucket, timeout=10).close()
                break
            except OSError:
                assert time.monotonic() < until and process.poll() is None
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def s3(objects: str) -> dict[str, str]:
    """Variables that name a folder of its own in an object store."""
    return {
        "HAPPYHORSE_BLOBS": f"s3://clips/{secrets.token_hex(4)}",
        "AWS_ENDPOINT_URL": objects,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "y",
        "AWS_REGION": "us-east-1",
    }


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of a service whose database is empty: a file, and PostgreSQL where it is installed."""
    url = request.getfixturevalue("postgres").url if request.param == "postgresql" else None
    return Settings.read({}, data=tmp_path / "data", database=url, lease=2.0)
