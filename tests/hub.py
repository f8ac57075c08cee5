"""A Hugging Face Hub on this machine, as far as downloads need one."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee" + "0" * 34


@dataclass
class Shop:
    """What the server has, and what happened: folders by repository, gated ones, names of files that were sent."""

    url: str = ""
    repositories: dict[str, Path] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    sent: list[str] = field(default_factory=list)
    revisions: list[str] = field(default_factory=list)
    commits: dict[str, str] = field(default_factory=lambda: {"main": COMMIT})  # by branch or tag
    fetched: list[str] = field(default_factory=list)  # the revisions of files that were sent
    pause: threading.Event | None = None  # in the middle of each large file, until it is set
    reached: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serve() -> Iterator[Shop]:
    """Run the server for a while."""
    shop = Shop()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self):
            self.answer(False)

        def do_GET(self):
            self.answer(True)

        def answer(self, body):
            path = unquote(urlsplit(self.path).path)
            if path.startswith("/api/models/") and "/revision/" in path:
                repository, _, revision = path.removeprefix("/api/models/").partition("/revision/")
                return self.describe(repository, revision)
            repository, _, rest = path.lstrip("/").partition("/resolve/")
            revision, _, name = rest.partition("/")
            folder = shop.repositories.get(repository)
            if folder is None or not (folder / name).is_file():
                return self.say(404, b"", {"X-Error-Code": "EntryNotFound"})
            if repository in shop.gated:
                return self.say(403, b"", {"X-Error-Code": "GatedRepo"})
            raw = (folder / name).read_bytes()
            headers = {
                "X-Repo-Commit": shop.commits.get(revision, revision),
                "ETag": f'"{hashlib.sha256(raw).hexdigest()}"',
            }
            if body:
                shop.sent.append(f"{repository}/{name}")
                shop.fetched.append(revision)
            self.say(200, raw, headers, body)

        def describe(self, repository, revision):
            if repository not in shop.repositories:
                return self.say(401, b"", {"X-Error-Code": "RepoNotFound"})
            if repository in shop.gated:
                return self.say(403, b"", {"X-Error-Code": "GatedRepo"})
            shop.revisions.append(revision)
            commit = shop.commits.get(revision, revision if len(revision) == 40 else "")
            if not commit:
                return self.say(404, b"", {"X-Error-Code": "RevisionNotFound"})
            root = shop.repositories[repository]
            files = [path for path in sorted(root.rglob("*")) if path.is_file()]
            siblings = [{"rfilename": str(p.relative_to(root)), "size": p.stat().st_size} for p in files]
            facts = {"id": repository, "sha": commit, "siblings": siblings}
            self.say(200, json.dumps(facts).encode(), {"Content-Type": "application/json"})

        def say(self, status, raw, headers, body=True):
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(raw))}.items():
                self.send_header(key, value)
            self.end_headers()
            if not body:
                return
            try:
                self.wfile.write(raw[: len(raw) // 2])
                self.wfile.flush()
                if shop.pause and len(raw) > 10_000:
                    shop.reached.set()
                    shop.pause.wait(30)
                self.wfile.write(raw[len(raw) // 2 :])
            except OSError:
                self.close_connection = True

        def log_message(self, *args):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    shop.url = f"http://127.0.0.1:{http.server_port}"
    threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield shop
    finally:
        http.shutdown()
        http.server_close()
