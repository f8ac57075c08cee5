"""The server process: the app under uvicorn, and workers of its own that it keeps alive."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import uvicorn

from happyhorse.errors import explain
from happyhorse.serve.http import sandbox
from happyhorse.serve.http.access import Keys
from happyhorse.serve.http.app import create_app
from happyhorse.serve.http.models import check_serveable
from happyhorse.serve.http.origins import is_here
from happyhorse.serve.service import hold, note, open_service
from happyhorse.serve.settings import Settings

GRACE = 5  # seconds that connections are given when the server stops
BACKLOG = 2048  # connections that may wait to be taken
AGAIN = (0.5, 30.0)  # seconds before a worker that died is started again, at first and at most
logger = logging.getLogger("happyhorse.server")


def bind(host: str, port: int) -> socket.socket:
    """A socket at an address; it does not listen yet. Raises ValueError, with a remedy, where that cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small answers at once only where the socket says that it is of TCP; else each waits 40 ms for an
    # acknowledgement of the piece before
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except (OSError, OverflowError) as error:
        found.close()
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ValueError(
            f"cannot listen on {host} at port {port} ({why}); give another --port (0: any free one) or --host"
        ) from None
    return found


def serve(
    settings: Settings,
    anyone: bool = False,
    started: Callable[[str], None] = lambda address: None,
    listener: socket.socket | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT. `started` gets the address when the server begins to listen, on `listener` (from
    `bind`) where one is given.

    Raises ValueError when another server has the data folder or the port, when the database cannot be used, when there
    is no such model, and when others than this machine could come in without a key, unless `anyone` may.
    """
    check_serveable(settings.models)
    lock = hold(settings) if settings.is_local else None
    service = open_service(settings)
    closed = not anyone and not is_here(settings.host)
    if closed and not Keys(service.engine, settings).are_used:
        raise ValueError(
            f"everyone who reaches {settings.host} could make clips; make a key first (happyhorse keys add NAME), "
            "listen on 127.0.0.1, or say --anyone"
        )
    listener = listener or bind(settings.host, settings.port)
    sandbox.start()
    app = create_app(service, closed=closed, local=is_here(settings.host))
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE,
        server_header=False,
        backlog=BACKLOG,
        proxy_headers=False,
    )
    server, gone = _Server(config, app.state.happyhorse.stopping.set), threading.Event()
    threading.Thread(target=service.house.keep, args=(gone,), daemon=True).start()
    keepers = [
        threading.Thread(target=_keep_worker, args=(settings, gone), daemon=True)
        for _ in range(settings.workers)
    ]
    for keeper in keepers:
        keeper.start()
    listener.listen(BACKLOG)  # whoever reads the address may connect at once, and waits until it is answered
    host, port = listener.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    if lock is not None:
        note(lock, address)
    started(address)
    try:
        server.run(sockets=[listener])
    finally:
        gone.set()
        for keeper in keepers:
            keeper.join(settings.drain + 10)
        service.close()
        if lock is not None:
            os.close(lock)


class _Server(uvicorn.Server):
    """Tells the app at once when it is to stop, so that streams of events end and it says that it is not ready.

    Signals are not raised again when it has stopped, as those of `uvicorn.Server` are: to be told to stop is no fault.
    """

    def __init__(self, config: uvicorn.Config, stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop = stop

    def handle_exit(self, sig: int, frame: object) -> None:
        """What a signal does: the first one stops in peace, Ctrl-C after that at once."""
        self._stop()
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def _keep_worker(settings: Settings, gone: threading.Event) -> None:
    """Run a worker until the server stops, and a new one when it dies."""
    level = logging.getLevelName(logging.getLogger().getEffectiveLevel())
    command = [sys.executable, "-m", "happyhorse", "worker", "--with-parent", "--log", level]
    environment = {**os.environ, **settings.as_environment()}
    wait = AGAIN[0]
    while not gone.is_set():
        began = time.monotonic()
        try:
            worker = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
        except OSError as error:  # no memory for a process, for now
            logger.error("a worker cannot be started: %s", explain(error))
            gone.wait(AGAIN[1])
            continue
        while worker.poll() is None and not gone.wait(0.2):
            pass
        if worker.poll() is None:
            worker.terminate()
            try:
                worker.wait(settings.drain + 8)
            except subprocess.TimeoutExpired:
                worker.kill()
            return
        if gone.is_set():
            return
        logger.error("a worker ended; starting another", extra={"code": worker.returncode})
        wait = AGAIN[0] if time.monotonic() - began > 60 else min(2 * wait, AGAIN[1])
        gone.wait(wait)
