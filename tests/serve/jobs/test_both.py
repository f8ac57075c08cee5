"""The life of a job on each of the databases: what is taken, who gets it, who may end it, what is put back."""

import threading
from dataclasses import replace

import pytest
import sqlalchemy as sa

from happyhorse.serve.jobs.records import Job, Lost, RefusedError, new_id
from happyhorse.serve.jobs.usage import Limits
from happyhorse.serve.service import Service, open_service

NONE, ROOM, CLIENTS = Limits(), 3, 8
SCHEMA = {"sqlite": "", "postgresql": "dbos."}


@pytest.fixture
def service(fresh):
    """A service with room for few jobs."""
    opened = open_service(replace(fresh, queue=ROOM))
    yield opened
    opened.close()


def plain(owner: str = "a", **values) -> Job:
    return Job(id=new_id(), owner=owner, model="tiny", request={"prompt": "x"}, **values)


def take(service: Service, job: str, worker: str) -> Job:
    """What the queue writes when a worker takes a job, and what the worker does then."""
    table = f"{SCHEMA[service.engine.dialect.name]}workflow_status"
    change = f"UPDATE {table} SET status = 'PENDING', executor_id = :worker WHERE workflow_uuid = :job"
    with service.engine.begin() as connection:
        assert connection.execute(sa.text(change), {"job": job, "worker": worker}).rowcount == 1
    claimed = service.store.claim(job, worker)
    assert claimed is not None
    return claimed


def test_limits_hold_however_many_ask_at_once_and_jobs_of_the_dead_go_on(service):
    store, house, together = service.store, service.house, threading.Barrier(CLIENTS)
    taken, refused = [], []

    def ask() -> None:
        together.wait()
        try:
            taken.append(store.submit(plain(), NONE))
        except RefusedError as error:
            refused.append(error.code)

    threads = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == ROOM == store.count() and refused == ["queue_full"] * (CLIENTS - ROOM)

    first, second, third = (job.id for job in sorted(taken, key=lambda job: job.id))
    house.greet("alive", {})
    old, other = take(service, first, "dead"), take(service, second, "alive")
    assert list(house.alive()) == ["alive"] and house.adopt() == [first] and house.adopt() == []
    new = take(service, first, "alive")
    with pytest.raises(Lost):
        store.report(old, stage="denoise", done=1, total=2, progress=40)
    store.finish(new, {"video": "v"}, {"frames": 3}, seconds=2.5)
    with pytest.raises(Lost):
        store.finish(new, {"video": "again"}, {}, seconds=1.0)
    store.cancel(second)
    with pytest.raises(Lost):
        store.report(other, stage="denoise")
    assert [job.status for job in store.page(oldest_first=True)] == ["completed", "cancelled", "queued"]
    house.remove(third)
    assert set(store.existing([first, second, third])) == {first, second}
