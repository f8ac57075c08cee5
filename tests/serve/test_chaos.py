"""Thirty jobs, three workers, SIGKILL at random, one server that dies and comes back: every clip is there, once.

On SQLite with a folder and, where they are installed, on PostgreSQL and with an object store.
"""

import json
import random
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from happyhorse.media import read
from happyhorse.serve.jobs.tables import usage
from happyhorse.serve.service import open_service
from happyhorse.serve.settings import Settings
from serving import Server, get

pytestmark = pytest.mark.slow
JOBS, WORKERS, KILLS = 30, 3, 6
SECONDS = 2400.0  # after which something hangs, also on a machine that is busy


@pytest.fixture(params=["sqlite", "postgresql", "postgresql and s3"])
def places(request, monkeypatch):
    """Variables that name a fresh database and a fresh store."""
    found = {}
    if "postgresql" in request.param:
        found["HAPPYHORSE_DATABASE_URL"] = request.getfixturevalue("postgres").url
    if "s3" in request.param:
        found |= request.getfixturevalue("s3")
    for name, value in found.items():  # this process looks at the store too
        monkeypatch.setenv(name, value)
    return found


def ask(server: Server, number: int) -> str:
    """One more job, by a client that tries again as long as the server is away, with the same key."""
    body = json.dumps(
        {"prompt": "a red ball", "seed": number, "steps": 2 + number % 7, "seconds": "0.6"}
    ).encode()
    headers = {"content-type": "application/json", "Idempotency-Key": f"job-{number}"}
    until = time.monotonic() + 120
    while True:
        try:
            request = urllib.request.Request(f"{server.url}/v1/videos", body, headers)
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)["id"]
        except (OSError, urllib.error.HTTPError):
            assert time.monotonic() < until, server.written()
            time.sleep(0.5)


def test_every_clip_is_there_once_whatever_dies(places, tiny_model, tmp_path):
    rng = random.Random(7)
    variables = {
        "HAPPYHORSE_WORKERS": "0",
        "HAPPYHORSE_PER_KEY": "9",
        "HAPPYHORSE_ATTEMPTS": "30",
        **places,
    }
    server = Server(tmp_path / "data", tiny_model, **variables)
    workers: list[subprocess.Popen[bytes]] = []
    try:
        server.wait(workers=0)
        workers = [server.worker() for _ in range(WORKERS)]
        server.wait(workers=WORKERS)
        jobs = [ask(server, number) for number in range(JOBS // 2)]
        began, killed, restarted = time.monotonic(), 0, False
        states: Counter[str] = Counter()
        while time.monotonic() - began < SECONDS:
            time.sleep(rng.uniform(0.3, 1.5))
            if killed < KILLS:
                victim = rng.randrange(len(workers))
                workers[victim].send_signal(signal.SIGKILL)
                workers[victim].wait()
                workers[victim] = server.worker()
                killed += 1
            if not restarted and killed >= KILLS // 2:
                server.kill()
                server = Server(tmp_path / "data", tiny_model, server.port, **variables)
                restarted = True
                jobs += [ask(server, number) for number in range(JOBS)][JOBS // 2 :]
                server.wait(workers=0)
            listed = get(f"{server.url}/v1/videos?limit=100")["data"]
            states = Counter(video["status"] for video in listed)
            if states["completed"] == JOBS:
                break
        assert states == {"completed": JOBS}, (states, killed, server.written())
        assert killed == KILLS and restarted and len(set(jobs)) == JOBS == len(listed)
        assert {video["id"] for video in listed} == set(jobs)
    finally:
        server.kill()
        for worker in workers:
            worker.kill()
            worker.wait()
    check_store(Settings.read({**server.environment}), jobs, tmp_path)


def check_store(settings: Settings, jobs: list[str], folder: Path) -> None:
    """Each job has one clip that plays, was finished once, and there is nothing else in the store."""
    service = open_service(settings)
    try:
        found = {job.id: job for job in service.store.page(limit=100)}
        assert set(found) == set(jobs)
        service.house.sweep(unclaimed=0)
        kept = {name for job in found.values() for name in job.blobs.values()}
        assert set(service.blobs.list("jobs/")) == kept
        for job in found.values():
            path = folder / "clip.mp4"
            path.write_bytes(service.blobs.get(job.blobs["video"]))
            clip = read(path)
            assert clip.video.shape == (15, 64, 96, 3), job
        with service.engine.connect() as connection:
            ended = [row for row in connection.execute(usage.select()) if row.seconds > 0]
        assert len(ended) == len(jobs)  # each end is counted where it is written
        print(f"{len(jobs)} clips; attempts {dict(Counter(job.attempt for job in found.values()))}")
    finally:
        service.close()
