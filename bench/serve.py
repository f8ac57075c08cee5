"""What the server costs on this machine: `python bench/serve.py [--model NAME] [--clips N] [--write FILE]`.

Three things: how many requests the control plane answers (create a video, look at it once) with 1, 4 and 16 clients;
how long it takes from the create to the first event; and what a job costs over the same clip made in a process of its
own, in turn with it, so that both meet the same machine. Server, worker and clients share this machine. Nothing here
asserts: speed is measured, not tested.
"""

import argparse
import http.client
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# As the command line and its workers have it: decoders are threads beside those of the model, and threads that wait
# do not spin (see `happyhorse.cli.main`). Else the clip in a process would be made under other rules than the job.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

PROMPT = "a big red ball bounces on a wooden floor in front of a blue wall"
CLIENTS = (1, 4, 16)
TICKS = os.sysconf("SC_CLK_TCK")


class Client:
    """One connection that is kept open, as the official clients keep it."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=600)

    def ask(self, method: str, path: str, **body: Any) -> Any:
        """The JSON of an answer. Raises RuntimeError for one that is no success."""
        text = json.dumps(body) if body else None
        self._connection.request(method, path, text, {"content-type": "application/json"} if text else {})
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{method} {path}: {answer.status} {content.decode()}")
        return json.loads(content)

    def events(self, video: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Kind and data of each event of a video, as they come; the last one is `done`."""
        self._connection.request("GET", f"/v1/videos/{video}/events")
        answer, kind = self._connection.getresponse(), ""
        while line := answer.readline():
            if line.startswith(b"event:"):
                kind = line.split()[1].decode()
            elif line.startswith(b"data:"):
                yield kind, json.loads(line[5:])


@dataclass(frozen=True)
class Running:
    """A server with its `address`, the `process`, and the file that its log goes to."""

    address: str
    process: subprocess.Popen[str]
    log: Path

    def line(self, message: str, job: str) -> dict[str, Any]:
        """The line of the log with a message about a job. Waits for it."""
        while True:
            for text in self.log.read_text("utf-8", "replace").splitlines():
                with suppress(ValueError):
                    line = json.loads(text)
                    if line.get("message") == message and line.get("job") == job:
                        return line
            time.sleep(0.05)


@contextmanager
def serving(model: str, folder: Path, workers: int) -> Iterator[Running]:
    """A server with its workers, ready for orders, in a fresh folder."""
    settings = {
        "DATA": str(folder / "data"),
        "MODELS": model,
        "WORKERS": str(workers),
        "RATE": "0",
        "PORT": "0",
    }
    environment = {**os.environ, **{f"HAPPYHORSE_{name}": value for name, value in settings.items()}}
    folder.mkdir()
    log = folder / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "happyhorse", "serve", "--json"],
            env=environment, stdout=subprocess.PIPE, stderr=file, text=True,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        started = process.stdout.readline()
        if not started:
            raise SystemExit(log.read_text())
        running = Running(json.loads(started)["url"].removeprefix("http://"), process, log)
        client = Client(running.address)
        while True:
            with suppress(RuntimeError):  # it loads its models
                if client.ask("GET", "/readyz")["workers"] >= workers:
                    break
            time.sleep(0.2)
        yield running
    finally:
        process.terminate()
        process.wait()


def rush(running: Running, clients: int, videos: int) -> tuple[float, float, list[float], list[float]]:
    """Seconds in which `clients` ask for `videos` videos and look at each once, by the wall and of the server's
    processor; seconds of each create, and of each look.
    """
    creates: list[float] = []
    looks: list[float] = []
    made: list[str] = []
    left, lock, faults = list(range(videos)), threading.Lock(), []

    def one() -> None:
        client = Client(running.address)
        try:
            while True:
                with lock:
                    if not left:
                        return
                    left.pop()
                began = time.perf_counter()
                video = client.ask("POST", "/v1/videos", prompt=PROMPT, seed=1)["id"]
                created = time.perf_counter()
                client.ask("GET", f"/v1/videos/{video}")
                looked = time.perf_counter()
                with lock:
                    creates.append(created - began)
                    looks.append(looked - created)
                    made.append(video)
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=one) for _ in range(clients)]
    began, before = time.perf_counter(), processor_seconds(running.process.pid)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took, worked = time.perf_counter() - began, processor_seconds(running.process.pid) - before
    if faults:
        raise faults[0]
    client = Client(running.address)
    for video in made:  # the next round finds the queue as this one did
        client.ask("DELETE", f"/v1/videos/{video}")
    return took, worked, creates, looks


def first_events(running: Running) -> dict[str, float]:
    """Seconds from the moment at which a video is asked for: to the answer, the first event, the first of the work."""
    client, began = Client(running.address), time.perf_counter()
    video = client.ask("POST", "/v1/videos", prompt=PROMPT, seed=1, steps=1)["id"]
    seen = {"answer": time.perf_counter() - began}
    for kind, data in client.events(video):
        now = time.perf_counter() - began
        seen.setdefault("first event", now)
        if kind == "status" and data["status"] == "in_progress":
            seen.setdefault("a worker is at it", now)
    return seen


def processor_seconds(process: int) -> float:
    """Seconds of all threads of a process so far."""
    values = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(values[11]) + int(values[12])) / TICKS


def job(running: Running, worker: int, seed: int) -> dict[str, float]:
    """Seconds of one clip as a job: as the client sees it, of the worker at work, of processors."""
    client, processes = Client(running.address), (running.process.pid, worker)
    before, began = [processor_seconds(process) for process in processes], time.perf_counter()
    video = client.ask("POST", "/v1/videos", prompt=PROMPT, seed=seed)["id"]
    last = [data for kind, data in client.events(video) if kind == "done"]
    seen = time.perf_counter() - began
    if not last or last[0]["status"] != "completed":
        raise SystemExit(f"{video} is {last}; {running.log.read_text()[-2000:]}")
    at_work = running.line("completed", video)["seconds"]
    after = [processor_seconds(process) for process in processes]
    return {"seen": seen, "work": at_work, "processor": sum(after) - sum(before)}


def main() -> None:
    """Print the tables, and write them into a page if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="pony")
    parser.add_argument(
        "--videos", type=int, default=160, help="asked for by each number of clients; fewer than wait"
    )
    parser.add_argument(
        "--rounds", type=int, default=3, help="of each number of clients; the fastest is reported"
    )
    parser.add_argument("--clips", type=int, default=5, help="made as a job, and as many in a process")
    parser.add_argument(
        "--write", type=Path, help="Markdown page whose block between the bench marks to replace"
    )
    options = parser.parse_args()
    import torch

    from happyhorse.generate.load import load
    from happyhorse.generate.pipeline import make_file

    lines = [
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before "
        f"the run, torch {torch.__version__}, Python {platform.python_version()}; SQLite, one server, clients on the "
        "same machine.",
        "",
        "| clients | requests/s | processor of the server, ms a request | create, ms (median, 95 %) | look, ms |",
        "|--:|--:|--:|--:|--:|",
    ]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with serving(options.model, folder / "desk", 0) as running:
            rush(running, 1, 20)  # warms up
            for clients in CLIENTS:
                rounds = [rush(running, clients, options.videos) for _ in range(options.rounds)]
                took, worked, creates, looks = min(rounds, key=lambda found: found[0])
                count = len(creates) + len(looks)
                rate, each = f"{count / took:.0f}", f"{1000 * worked / count:.1f}"
                lines.append(f"| {clients} | {rate} | {each} | {spread(creates)} | {spread(looks)} |")
        print("\n".join(lines), flush=True)
        shown = len(lines)
        with serving(options.model, folder / "jobs", 1) as running:
            first_events(running)
            told = [first_events(running) for _ in range(options.clips)]
            worker = worker_of(running)
            model, path, pairs = load(options.model), folder / "clip.mp4", []
            for seed in range(options.clips + 1):  # the first pair warms up
                began, before = time.perf_counter(), time.process_time()
                make_file(model.request(PROMPT, seed=seed), model, path)
                alone = {"seen": time.perf_counter() - began, "processor": time.process_time() - before}
                pairs.append(({**alone, "work": alone["seen"]}, job(running, worker, seed)))
    lines += ["", "| from create to | s (median) |", "|---|--:|"]
    lines += [f"| {what} | {statistics.median(one[what] for one in told):.3f} |" for what in told[0]]
    lines += [
        "",
        "| one clip, default request | in a process, s | as a job, s | ratio |",
        "|---|--:|--:|--:|",
    ]
    names = {
        "work": "at work: worker from first to last stage",
        "seen": "as the client sees it: from create to the last event",
        "processor": "processor seconds, of worker and server",
    }
    for key, name in names.items():
        ratio = statistics.median(made[key] / alone[key] for alone, made in pairs[1:])
        alone, made = (statistics.median(pair[side][key] for pair in pairs[1:]) for side in (0, 1))
        lines.append(f"| {name} | {alone:.2f} | {made:.2f} | {ratio:.3f} |")
    print("\n".join(lines[shown:]))
    if options.write:
        before_block, rest = options.write.read_text().split("<!-- bench: serve -->")
        after = rest.split("<!-- end -->", 1)[1]
        block = "\n".join(lines)
        options.write.write_text(f"{before_block}<!-- bench: serve -->\n{block}\n<!-- end -->{after}")


def worker_of(running: Running) -> int:
    """The process of the worker of a server."""
    for text in running.log.read_text().splitlines():
        with suppress(ValueError):
            line = json.loads(text)
            if line.get("logger") == "happyhorse.worker" and line.get("message") == "ready":
                return int(line["worker"].split("-")[-2])
    raise SystemExit("no worker said that it is ready")


def spread(seconds: list[float]) -> str:
    """Median and 95th percentile in milliseconds."""
    return f"{1000 * statistics.median(seconds):.0f}, {1000 * statistics.quantiles(seconds, n=20)[-1]:.0f}"


if __name__ == "__main__":
    main()
