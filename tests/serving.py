"""What tests of the server share: a clip made without a worker, and a server as people start it."""

import base64
import contextlib
import io
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from PIL import Image

from happyhorse.serve.jobs.attempt import make
from happyhorse.serve.service import Service


def finish(service: Service, job: str, worker: str = "w", stopping: threading.Event | None = None) -> str:
    """Make the clip of a job here and now, as a worker does."""
    return make(
        job,
        lambda name, function: function(),
        worker,
        service.store,
        service.blobs,
        stopping or threading.Event(),
    )


@contextlib.contextmanager
def full_disk(service: Service) -> Iterator[None]:
    """A time in which the database of a service, in a file, finds no room to grow."""

    def limit(pages: int) -> Callable[..., None]:
        def stop(connection: Any, *rest: Any) -> None:
            connection.execute(f"PRAGMA max_page_count={pages}")  # fewer than there are: as many as there are

        return stop

    full = limit(1)
    sa.event.listen(service.engine, "checkout", full)
    try:
        yield
    finally:
        sa.event.remove(service.engine, "checkout", full)
        room = limit(2**30)
        sa.event.listen(service.engine, "checkout", room)


class Server:
    """`happyhorse serve` in a process, and the processes that it starts."""

    def __init__(self, folder: Path, model: Path, port: int | None = None, **variables: str) -> None:
        self.port = port or free_port()
        self.url, self.folder = f"http://127.0.0.1:{self.port}", folder
        self.environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "HAPPYHORSE_DATA": str(folder),
            "HAPPYHORSE_MODELS": str(model),
            "HAPPYHORSE_PORT": str(self.port),
            "HAPPYHORSE_LEASE": "3",
            "HAPPYHORSE_DRAIN": "5",
            "HAPPYHORSE_CHECKPOINT": "1",
            "HAPPYHORSE_RATE": "0",
            **variables,
        }
        self.log = open(folder.parent / f"server-{self.port}.log", "ab")  # noqa: SIM115
        self.process = self._run("serve")

    def _run(self, verb: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "happyhorse", verb]
        return subprocess.Popen(
            command, env=self.environment, stdout=self.log, stderr=self.log, start_new_session=True
        )

    def worker(self) -> subprocess.Popen[bytes]:
        """One more worker."""
        return self._run("worker")

    def wait(self, workers: int = 1, seconds: float = 400) -> "Server":
        """Until it is ready, with so many workers."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                if get(f"{self.url}/readyz")["workers"] >= workers:
                    return self
            except (OSError, urllib.error.HTTPError):
                assert self.process.poll() is None, self.written()
            time.sleep(0.1)
        raise AssertionError(f"the server is not ready:\n{self.written()}")

    def written(self) -> str:
        """The end of its log."""
        return Path(self.log.name).read_text("utf-8", "replace")[-6000:]

    def lines(self, message: str, **facts: Any) -> list[dict[str, Any]]:
        """Lines of its whole log with this message and these facts."""
        found = []
        for text in Path(self.log.name).read_text("utf-8", "replace").splitlines():
            line = json.loads(text) if text.startswith("{") and text.endswith("}") else {}
            if line.items() >= {"message": message, **facts}.items():
                found.append(line)
        return found

    def stop(self, number: int = signal.SIGTERM, seconds: float = 30) -> int:
        """Send a signal and wait."""
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def kill(self) -> None:
        """End it at once, with everything that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.log.close()


class Postgres:
    """A PostgreSQL of its own in an empty folder, whose parents are open to all; `url` names its database."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries, self._folder, self.port = binaries, folder, free_port()
        self.url = f"postgresql://me@127.0.0.1:{self.port}/postgres"
        self._run: dict[str, Any] = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder}
        if os.geteuid() == 0:  # PostgreSQL does not run as root
            names = {user.pw_name: user for user in pwd.getpwall()}
            other = names.get("postgres", names["nobody"])
            os.chown(folder, other.pw_uid, other.pw_gid)
            self._run |= {"user": other.pw_uid, "group": other.pw_gid, "extra_groups": ()}
        command = [binaries / "initdb", "-D", folder / "data", "-U", "me", "-A", "trust", "--no-sync"]
        subprocess.run(command, **self._run)

    @classmethod
    def binaries(cls) -> Path | None:
        """Where its programs are; None where it is not installed."""
        found = [Path(where) for where in (shutil.which("initdb"),) if where]
        found += sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
        return found[0].resolve().parent if found else None

    def start(self) -> "Postgres":
        """Let it run."""
        options = f"-p {self.port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        command = [self._binaries / "pg_ctl", "-D", self._folder / "data", "-o", options]
        subprocess.run([*command, "-l", self._folder / "log", "-w", "start"], **self._run)
        return self

    def stop(self) -> None:
        """End it as a power cut would."""
        command = [self._binaries / "pg_ctl", "-D", self._folder / "data", "-m", "immediate", "stop"]
        subprocess.run(command, **self._run)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def get(url: str) -> Any:
    """The JSON at a URL."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def picture(width: int = 64, height: int = 48) -> bytes:
    """A PNG of noise."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def data_url(content: bytes, kind: str = "image/png") -> str:
    """A data URL."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
