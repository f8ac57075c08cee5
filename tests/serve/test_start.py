"""The start of a service: several processes at the same time on an empty database, and the socket."""

import fcntl
import socket
import threading

import pytest
import sqlalchemy as sa

from happyhorse.serve.server import bind
from happyhorse.serve.service import open_service
from happyhorse.serve.settings import Settings

AT_ONCE = 4


def test_all_of_them_start_and_are_one_service(fresh):
    together, opened, faults = threading.Barrier(AT_ONCE), [], []

    def start() -> None:
        together.wait()
        try:
            opened.append(open_service(fresh))
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=start) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert not faults and len(opened) == AT_ONCE
        assert len({service.secret for service in opened}) == 1
    finally:
        for service in opened:
            service.close()


def test_on_one_data_folder_they_start_one_after_another(tmp_path):
    """SQLite refuses at once, whatever the patience, while another connection turns on its log: rarely, so unseen."""
    settings, opened = Settings.read({}, data=tmp_path), []
    with open(tmp_path / "start.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        thread = threading.Thread(target=lambda: opened.append(open_service(settings)))
        thread.start()
        thread.join(0.5)
        assert not opened and not (tmp_path / "jobs.db").exists()
    thread.join(60)
    (service,) = opened
    service.close()


@pytest.mark.parametrize("url", ["postgresql://me:a b@host:port/x", "postgresql://me:p@ss:word@h:1:2/x"])
def test_an_address_that_cannot_be_read_is_no_fault_and_is_not_shown(tmp_path, url):
    with pytest.raises(ValueError, match="HAPPYHORSE_DATABASE_URL is no address") as refused:
        open_service(Settings.read({}, data=tmp_path, database=url))
    assert "ss:word" not in str(refused.value)


def test_parameters_of_statements_are_not_in_errors(tmp_path):
    service = open_service(Settings.read({}, data=tmp_path))
    try:
        with pytest.raises(sa.exc.DBAPIError) as failed, service.engine.begin() as connection:
            connection.execute(sa.text("INSERT INTO nowhere VALUES (:prompt)"), {"prompt": "between us"})
        assert "between us" not in str(failed.value)
    finally:
        service.close()


def test_small_answers_leave_at_once():
    """asyncio sets TCP_NODELAY on what comes in only where the listening socket says that it is of TCP."""
    with bind("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP
