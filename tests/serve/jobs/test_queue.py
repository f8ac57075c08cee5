"""The queue and its house: dead workers, what is put back, what is cleaned up. No worker runs here."""

import threading
import time
from dataclasses import replace

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from happyhorse.serve.jobs import tables
from happyhorse.serve.jobs.house import MARK
from happyhorse.serve.jobs.records import Job, NoJobError, new_id
from happyhorse.serve.jobs.usage import Limits

PENDING = "UPDATE workflow_status SET status = 'PENDING', executor_id = :worker WHERE workflow_uuid = :job"
STATUS = (
    "SELECT status, queue_name, queue_partition_key, priority FROM workflow_status WHERE workflow_uuid = :job"
)


def submit(service, **values) -> Job:
    job = Job(id=new_id(), owner="a", model="tiny", request={"prompt": "x"}, **values)
    return service.store.submit(job, Limits())


def row(service, job: Job):
    with service.engine.connect() as connection:
        return connection.execute(sa.text(STATUS), {"job": job.id}).first()


def take(service, job: Job, worker: str) -> None:
    """What the queue writes when a worker takes a job."""
    with service.engine.begin() as connection:
        connection.execute(sa.text(PENDING), {"job": job.id, "worker": worker})
    service.store.claim(job.id, worker)


def test_a_row_and_its_place_in_the_queue_come_together(service):
    job = submit(service, priority=4)
    assert tuple(row(service, job)) == ("ENQUEUED", "clips", "a", 6)
    service.store._enqueue = lambda connection, job: 1 / 0
    with pytest.raises(ZeroDivisionError):
        submit(service)
    assert service.store.count() == 1


def test_the_job_of_a_dead_worker_goes_back_once(service):
    job, other = submit(service), submit(service)
    house = service.house
    house.greet("alive", {"models": ["tiny"]})
    take(service, job, "dead")
    take(service, other, "alive")
    assert house.alive() == {"alive": {"models": ["tiny"]}}
    assert house.adopt() == [job.id] and house.adopt() == []
    assert row(service, job)[:3] == ("ENQUEUED", "clips", "a") and row(service, other)[0] == "PENDING"
    house.leave("alive")
    assert house.adopt() == [other.id]


def test_a_job_that_its_worker_forgot_goes_back(service):
    job, other = submit(service), submit(service)
    take(service, job, "w")
    take(service, other, "else")
    house = service.house
    assert house.astray("w", {job.id}, {job.id}) == set() and row(service, job)[0] == "PENDING"
    assert house.astray("w", set(), set()) == {job.id} and row(service, job)[0] == "PENDING"
    assert house.astray("w", set(), {job.id}) == set() and row(service, job)[0] == "ENQUEUED"
    assert row(service, other)[0] == "PENDING"


def test_a_cancelled_job_is_not_put_back(service):
    job = submit(service)
    take(service, job, "dead")
    service.store.cancel(job.id)
    assert service.house.adopt() == [] and row(service, job)[0] == "CANCELLED"


def test_what_another_process_removed_first_does_not_stop_the_cleaning(service, monkeypatch):
    first, second = submit(service), submit(service)
    monkeypatch.setattr(service.store, "expired", lambda: [first, second])
    service.store.delete(first.id)
    service.house.clean()
    assert service.store.count() == 0


def test_an_error_without_words_does_not_end_the_housekeeping(service, monkeypatch, caplog):
    rounds, stop = [], threading.Event()

    def adopt():
        rounds.append(1)
        if len(rounds) > 1:
            stop.set()
        raise TimeoutError

    monkeypatch.setattr(service.house, "adopt", adopt)
    monkeypatch.setattr(service.house, "settings", replace(service.settings, lease=1.0))
    service.house.keep(stop)
    assert len(rounds) == 2 and "housekeeping has to wait: TimeoutError" in caplog.text


def test_what_is_removed_leaves_nothing(service):
    job = submit(service)
    service.blobs.put(f"{job.folder}clip.mp4", b"x")
    with pytest.raises(NoJobError):
        service.house.remove(job.id, "someone")
    service.house.remove(job.id, "a")
    assert row(service, job) is None and service.blobs.list("jobs/") == {}


def test_what_expired_goes(service):
    service.store.settings = replace(service.settings, keep=0.01)
    job, kept = submit(service), submit(service)
    service.store.cancel(job.id)
    time.sleep(0.02)
    service.blobs.put(f"{job.folder}clip.mp4", b"x")
    assert service.house.clean() == 1
    assert [found.id for found in service.store.page()] == [kept.id] and service.blobs.list("jobs/") == {}


def test_the_sweep_takes_what_belongs_to_nothing(service):
    store, blobs = service.store, service.blobs
    done, running = submit(service), submit(service)
    claimed = store.claim(done.id, "w")
    names = [
        f"{done.folder}clip-1.mp4",
        f"{done.folder}leftover",
        f"{running.folder}denoise",
        "jobs/gone/clip.mp4",
    ]
    for name in names:
        blobs.put(name, b"x")
    store.finish(claimed, {"video": names[0]}, {}, 1.0)
    assert service.house.sweep() == [names[1]]
    assert service.house.sweep(unclaimed=0) == [names[3]]
    assert set(blobs.list("jobs/")) == {names[0], names[2]}


def test_the_sweep_leaves_the_clips_of_another_database(service, caplog):
    """Who starts with a new database on the clips of an old one must not lose them."""
    clip, house = "jobs/theirs/clip.mp4", service.house
    service.blobs.put(clip, b"x")
    service.blobs.put(MARK, b"another")
    assert house.sweep(unclaimed=0) == [] and "are of another database" in caplog.text
    assert list(service.blobs.list("jobs/")) == [clip]
    service.blobs.delete([MARK])
    assert house.sweep(unclaimed=0) == [clip] and service.blobs.get(MARK) != b"another"
    assert house.sweep() == []


def test_a_database_that_was_replaced_is_not_written_to(service):
    job = submit(service)
    path = service.settings.data / "jobs.db"
    moved = path.rename(path.with_name("moved.db"))
    for _ in range(2):
        with pytest.raises(OperationalError, match="was removed or replaced"):
            service.store.get(job.id)
        path.touch()
    moved.rename(path)
    assert service.store.get(job.id).id == job.id


def test_tables_of_another_version_are_not_touched(service):
    with service.engine.begin() as connection:
        connection.execute(sa.update(tables.facts).where(tables.facts.c.name == "version").values(value="99"))
    with pytest.raises(ValueError, match="tables of version 99"):
        tables.create(service.engine)
