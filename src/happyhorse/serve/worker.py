"""A process that makes clips: it takes jobs from the queue until it is told to stop."""

import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
from typing import Any

from happyhorse.generate.load import load
from happyhorse.serve.jobs.attempt import make
from happyhorse.serve.jobs.queue import Step, listen
from happyhorse.serve.logs import first_line
from happyhorse.serve.service import Service

logger = logging.getLogger("happyhorse.worker")


def work(service: Service, with_parent: bool = False) -> None:
    """Make clips until SIGTERM or SIGINT; the clip at work then gets `drain` seconds, and goes to another worker.

    `with_parent`: stop also when standard input ends, that is, when the server that started this process is gone.
    Raises ValueError when a model cannot be loaded.
    """
    settings, house = service.settings, service.house
    for name in settings.models:
        load(name)
    worker = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    facts = {"models": list(settings.models), "host": socket.gethostname(), "process": os.getpid()}
    told, stopping, gone, at = threading.Event(), threading.Event(), threading.Event(), set[str]()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    if with_parent:
        threading.Thread(target=_until_end_of_input, args=(told,), daemon=True).start()
    house.greet(worker, facts)
    threading.Thread(target=_greet, args=(service, worker, facts, at, gone), daemon=True).start()
    threading.Thread(target=house.keep, args=(gone,), daemon=True).start()

    def make_or_die(job: str, step: Step) -> str:
        """A job that could not even be written down is left to others, which is what becomes of those of the dead."""
        at.add(job)
        try:
            return make(job, step, worker, service.store, service.blobs, stopping)
        except Exception:
            logger.exception(
                "the queue cannot be written; this worker ends", extra={"job": job, "worker": worker}
            )
            logging.shutdown()
            os._exit(1)
        finally:
            at.discard(job)

    stop = listen(service.engine, settings, worker, make_or_die)
    logger.info("ready", extra={"worker": worker, "models": list(settings.models)})
    while not told.wait(3600):
        pass
    logger.info("stopping", extra={"worker": worker})
    threading.Timer(settings.drain, stopping.set).start()
    stop(max(2, round(settings.drain) + 2))
    gone.set()
    try:
        house.leave(worker)
    except Exception as error:  # others find out when the lease is over
        logger.warning("the database cannot be reached: %s", first_line(error))
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)  # threads of a clip that was handed over may still be in a long step of theirs


def _greet(service: Service, worker: str, facts: dict[str, Any], at: set[str], gone: threading.Event) -> None:
    astray: set[str] = set()
    while not gone.wait(service.settings.lease / 4):
        try:
            service.house.greet(worker, facts)
            astray = service.house.astray(worker, at.copy(), astray)
        except Exception as error:  # the database is away: jobs wait for it, and so does this
            logger.warning("the database cannot be reached: %s", first_line(error))


def _until_end_of_input(told: threading.Event) -> None:
    while os.read(0, 4096):
        time.sleep(0)
    told.set()
