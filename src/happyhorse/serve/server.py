"""The server process: the app under uvicorn, and workers of its own that it keeps alive."""

import ipaddress
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import uvicorn

from happyhorse.serve.http.access import Keys
from happyhorse.serve.http.app import create_app
from happyhorse.serve.http.models import check_serveable
from happyhorse.serve.service import hold, open_service
from happyhorse.serve.settings import Settings

GRACE = 5  # seconds that connections are given when the server stops
BACKLOG = 2048  # connections that may wait to be taken
AGAIN = (0.5, 30.0)  # seconds before a worker that died is started again, at first and at most
logger = logging.getLogger("happyhorse.server")


def serve(
    settings: Settings, anyone: bool = False, started: Callable[[str], None] = lambda address: None
) -> None:
    """Serve until SIGTERM or SIGINT. `started` gets the address when the server begins to listen.

    Raises ValueError when another server has the data folder, when the database cannot be used, and when others than
    this machine could come in without a key, unless `anyone` may.
    """
    check_serveable(settings.models)
    lock = hold(settings) if settings.is_local else None
    service = open_service(settings)
    if not anyone and not _is_loopback(settings.host) and not Keys(service.engine, settings).are_used:
        raise ValueError(
            f"everyone who reaches {settings.host} could make clips; make a key first (happyhorse keys add NAME), "
            "listen on 127.0.0.1, or say --anyone"
        )
    app = create_app(service)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
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
    socket = config.bind_socket()
    for keeper in keepers:
        keeper.start()
    socket.listen(BACKLOG)  # whoever reads the address may connect at once, and waits until it is answered
    host, port = socket.getsockname()[:2]
    started(f"http://{f'[{host}]' if ':' in host else host}:{port}")
    try:
        server.run(sockets=[socket])
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
    command = [sys.executable, "-m", "happyhorse", "worker", "--with-parent"]
    environment = {**os.environ, **settings.as_environment()}
    wait = AGAIN[0]
    while not gone.is_set():
        began = time.monotonic()
        worker = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
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


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
