"""The server as a process: what it refuses to start with, how it stops, what it survives."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

from happyhorse.serve.http.access import FRESH, Keys
from happyhorse.serve.service import open_service
from happyhorse.serve.settings import Settings
from serving import Server, free_port, get

pytestmark = pytest.mark.slow


def post(url: str, key: str = "none", **body) -> dict:
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def wait(server: Server, job: str, seconds: float = 120) -> dict:
    until = time.monotonic() + seconds
    while (video := get(f"{server.url}/v1/videos/{job}"))["status"] in ("queued", "in_progress"):
        assert time.monotonic() < until, (video, server.written())
        time.sleep(0.2)
    return video


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "happyhorse", *arguments]
    return subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, timeout=120
    )


def test_a_second_server_on_the_same_folder_says_so(live):
    second = run("serve", "--data", str(live.folder), "--port", "0")
    assert second.returncode == 2 and "another server uses" in second.stderr and "--data" in second.stderr


def test_others_come_in_with_a_key_or_not_at_all(tmp_path, tiny_model):
    data = ["--data", str(tmp_path / "data")]
    refused = run("serve", "--host", "0.0.0.0", "--port", "0", "--model", str(tiny_model), *data)
    assert refused.returncode == 2 and "happyhorse keys add" in refused.stderr
    added = run("keys", "add", "me", "--json", *data)
    key = json.loads(added.stdout)["key"]
    listed = run("keys", "list", *data)
    assert listed.stdout.split()[0] == key.split("-")[1] and key not in listed.stdout
    assert (
        run("keys", "revoke", key.split("-")[1], *data).returncode == 0
        and not run("keys", "list", *data).stdout
    )


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"HAPPYHORSE_DATABASE_URL": "postgresql://me@127.0.0.1:1/none"},
            "start it, or correct HAPPYHORSE_DATABASE_URL",
        ),
        ({"HAPPYHORSE_BLOBS": "nowhere://x"}, "give a URL such as s3://"),
        ({"HAPPYHORSE_QUEUE": "x"}, "HAPPYHORSE_QUEUE is 'x'; give a whole number"),
    ],
)
def test_what_cannot_start_says_why(tmp_path, variables, message):
    refused = run("serve", "--data", str(tmp_path), "--port", str(free_port()), **variables)
    assert refused.returncode == 2 and message in refused.stderr and "Traceback" not in refused.stderr, (
        refused.stderr
    )


def test_a_file_that_is_no_database_is_left_alone(tmp_path):
    (tmp_path / "jobs.db").write_bytes(b"no database" * 1000)
    refused = run("serve", "--data", str(tmp_path), "--port", str(free_port()))
    assert refused.returncode == 2 and "give another folder with --data" in refused.stderr, refused.stderr
    assert (tmp_path / "jobs.db").read_bytes() == b"no database" * 1000


def test_a_server_stops_in_peace_and_goes_on_later(tmp_path, tiny_model):
    # with less time than the clip takes, however fast the machine
    server = Server(tmp_path / "data", tiny_model, HAPPYHORSE_DRAIN="1").wait()
    try:
        slow = post(f"{server.url}/v1/videos", prompt="a red ball", steps=400)["id"]
        quick = post(f"{server.url}/v1/videos", prompt="a red ball")["id"]
        while get(f"{server.url}/v1/videos/{slow}")["progress"] < 5:
            time.sleep(0.1)
        began = time.monotonic()
        assert server.stop(seconds=90) == 0 and time.monotonic() - began < 60, server.written()
        assert server.lines("stopping")
    finally:
        server.kill()
    again = Server(tmp_path / "data", tiny_model).wait()
    try:
        assert wait(again, quick)["status"] == wait(again, slow)["status"] == "completed"
        assert again.lines("goes on", job=slow)[0]["step"] > 1
    finally:
        again.kill()


def test_a_worker_that_dies_is_replaced_and_its_clip_goes_on(live):
    job = post(f"{live.url}/v1/videos", prompt="a red ball", steps=300)["id"]
    while (video := get(f"{live.url}/v1/videos/{job}"))["progress"] < 10:
        assert video["status"] in ("queued", "in_progress")
        time.sleep(0.1)
    begun = live.lines("begun", job=job)
    os.kill(int(begun[0]["worker"].split("-")[-2]), signal.SIGKILL)
    assert wait(live, job)["status"] == "completed"
    assert live.lines("goes on", job=job)[0]["attempt"] == 2


def test_a_cancelled_clip_frees_its_worker_at_once(live):
    job = post(f"{live.url}/v1/videos", prompt="a red ball", steps=1000)["id"]
    while get(f"{live.url}/v1/videos/{job}")["status"] == "queued":
        time.sleep(0.1)
    post(f"{live.url}/v1/videos/{job}/cancel")
    began = time.monotonic()
    other = post(f"{live.url}/v1/videos", prompt="a red ball", steps=2)["id"]
    assert wait(live, other)["status"] == "completed" and time.monotonic() - began < 30
    assert get(f"{live.url}/v1/videos/{job}")["status"] == "cancelled"


def test_keys_take_turns_and_priority_decides_within_one(tmp_path, tiny_model):
    """Two workers and one place for each key: a clip of another key passes those that wait for their own."""
    server = Server(tmp_path / "data", tiny_model, HAPPYHORSE_WORKERS="0", HAPPYHORSE_PER_KEY="1")
    workers: list[subprocess.Popen[bytes]] = []
    try:
        server.wait(workers=0)
        service = open_service(Settings.read(server.environment))
        keys = [Keys(service.engine, service.settings).add(name) for name in ("anna", "bert")]
        time.sleep(FRESH)  # until the server has noticed
        asked = [(0, {}), (0, {"priority": 0}), (0, {"priority": 9}), (1, {})]
        names = ("first", "low", "high", "other")
        jobs = {
            name: post(f"{server.url}/v1/videos", keys[owner], prompt="a red ball", steps=150, **extra)["id"]
            for name, (owner, extra) in zip(names, asked, strict=True)
        }
        workers = [server.worker() for _ in range(2)]
        until, together, store = time.monotonic() + 600, False, service.store
        while (found := store.existing(jobs.values())) and not all(job.is_over for job in found.values()):
            assert time.monotonic() < until, server.written()
            running = [job for job in found.values() if job.status == "in_progress"]
            owners = [job.owner for job in running]
            assert len(owners) == len(set(owners)), "two clips of one key at once"
            together |= len(owners) == 2
            time.sleep(0.1)
        assert {job.status for job in found.values()} == {"completed"} and together
        ended = {name: found[job] for name, job in jobs.items()}
        assert ended["high"].started < ended["first"].started < ended["low"].started
        service.close()
    finally:
        server.kill()
        for worker in workers:
            worker.kill()
            worker.wait()


def test_events_reach_a_client_while_the_clip_is_made(live):
    job = post(f"{live.url}/v1/videos", prompt="a red ball", steps=60)["id"]
    kinds, steps = [], []
    with urllib.request.urlopen(f"{live.url}/v1/videos/{job}/events", timeout=120) as stream:
        for line in stream:
            if line.startswith(b"event:"):
                kinds.append(line.split()[1].decode())
            elif line.startswith(b"data:"):
                event = json.loads(line[5:])
                if event.get("stage") == "denoise":
                    steps.append(event["step"])
                if kinds[-1] == "picture":
                    assert event["image"].startswith("data:image/webp;base64,UklGR")
    assert kinds[-1] == "done" and "picture" in kinds and steps == sorted(steps) and len(steps) > 1
