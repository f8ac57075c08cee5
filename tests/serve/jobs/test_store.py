"""Rows of jobs: what clients and workers may do with them, and in which order."""

import threading
from dataclasses import replace

import pytest

from happyhorse.serve.jobs import store as stores
from happyhorse.serve.jobs.records import Job, Lost, NoJobError, RefusedError, new_id
from happyhorse.serve.jobs.usage import Limits

NONE = Limits()


def plain(owner: str = "a", **values) -> Job:
    return Job(id=new_id(), owner=owner, model="tiny", request={"prompt": "x"}, **values)


def test_a_job_from_queued_to_completed(service):
    store, job = service.store, plain()
    assert store.submit(job, NONE) == job == store.get(job.id, "a")
    claimed = store.claim(job.id, "w1")
    assert claimed and claimed.status == "in_progress" and claimed.attempt == 1 and claimed.started
    seen = store.report(claimed, stage="denoise", done=2, total=4, progress=40, eta=1.5)
    assert (seen.stage, seen.progress) == ("denoise", 40)
    store.finish(claimed, {"video": "v"}, {"frames": 3}, seconds=2.5)
    done = store.get(job.id)
    assert (
        done.status == "completed" and done.progress == 100 and done.blobs == {"video": "v"} and done.expires
    )
    assert store.claim(job.id, "w2") is None


def test_only_the_newest_attempt_may_write(service):
    store, job = service.store, plain()
    store.submit(job, NONE)
    old = store.claim(job.id, "w1")
    new = store.claim(job.id, "w2")
    assert old and new and new.attempt == 2
    for late in (
        lambda: store.report(old, stage="denoise"),
        lambda: store.finish(old, {}, {}, 1.0),
        lambda: store.fail(old, "x", "y"),
    ):
        with pytest.raises(Lost):
            late()
    store.finish(new, {"video": "new"}, {}, 1.0)
    with pytest.raises(Lost):
        store.finish(new, {"video": "again"}, {}, 1.0)
    assert store.get(job.id).blobs == {"video": "new"}


def test_a_cancelled_job_stays_cancelled(service):
    store, job = service.store, plain()
    store.submit(job, NONE)
    claimed = store.claim(job.id, "w1")
    assert claimed and store.cancel(job.id, "a").status == "cancelled"
    with pytest.raises(Lost):
        store.report(claimed, stage="denoise")
    assert store.claim(job.id, "w2") is None and store.cancel(job.id).status == "cancelled"


def test_jobs_belong_to_their_owner(service):
    store, job = service.store, plain("a")
    store.submit(job, NONE)
    for attempt in (store.get, store.cancel, store.delete):
        with pytest.raises(NoJobError):
            attempt(job.id, "b")
    for strange in ("", "video_", job.id.upper(), job.id + "\0", "../" + job.id):
        with pytest.raises(NoJobError):
            store.get(strange)
    assert store.page("b") == [] and store.page("a") == [job] == store.page(None)
    assert store.delete(job.id, "a") == job
    with pytest.raises(NoJobError):
        store.get(job.id)


def test_pages_are_in_order_whatever_is_added(service):
    store = service.store
    jobs = [plain() for _ in range(7)]
    for job in jobs:
        store.submit(job, NONE)
    ids = [job.id for job in jobs]
    assert ids == sorted(ids)
    first = store.page(limit=3)
    store.submit(plain(), NONE)
    second = store.page(limit=3, after=first[-1].id)
    assert [job.id for job in first + second] == ids[:0:-1]
    assert [job.id for job in store.page(limit=3, oldest_first=True, after=ids[1])] == ids[2:5]
    assert store.count() == 8 and store.count(status=["completed"]) == 0 and store.count(ids=ids[:2]) == 2
    assert store.page(model="no\0thing") == []


def test_the_queue_has_an_end(service):
    store = service.store
    store.settings = replace(store.settings, queue=2)
    for _ in range(2):
        store.submit(plain(predicted=90.0), NONE)
    with pytest.raises(RefusedError, match="2 clips are waiting") as refused:
        store.submit(plain(), NONE)
    assert refused.value.code == "queue_full" and refused.value.retry == 90
    assert store.count() == 2


def test_an_idempotency_key_makes_one_job(service):
    store = service.store
    one = plain(idempotency="k", fingerprint="f")
    assert store.submit(one, NONE) == one and store.knows("k") and not store.knows("other")
    assert store.submit(plain(idempotency="k", fingerprint="f"), NONE).id == one.id
    with pytest.raises(RefusedError, match="another request") as refused:
        store.submit(plain(idempotency="k", fingerprint="g"), NONE)
    assert refused.value.code == "idempotency_conflict" and store.count() == 1


def test_one_job_however_many_send_the_key_at_once(service):
    store, made = service.store, []

    def send() -> None:
        made.append(store.submit(plain(idempotency="k", fingerprint="f"), NONE).id)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8 and len(set(made)) == 1 and store.count() == 1


def test_rates_and_quotas_are_of_each_key(service):
    store, limits = service.store, Limits(jobs_a_minute=2, seconds_a_day=10)
    for _ in range(2):
        store.submit(plain("a"), limits)
    with pytest.raises(RefusedError, match="2 clips a minute") as refused:
        store.admit("a", limits)
    assert refused.value.code == "rate_limit_exceeded" and 0 < refused.value.retry <= 60
    job = plain("b")
    store.submit(job, limits)
    store.finish(store.claim(job.id, "w"), {}, {}, seconds=11.0)
    with pytest.raises(RefusedError, match="10 seconds of work a day; 11 are used") as refused:
        store.submit(plain("b"), limits)
    assert refused.value.code == "quota_exceeded" and refused.value.retry > 80_000
    store.submit(plain("c"), limits)


def test_clips_that_are_not_over_count_by_what_is_foreseen_for_them(service):
    store, limits = service.store, Limits(seconds_a_day=10)
    for seconds in (6.0, 6.0):
        store.submit(plain("a", predicted=seconds), limits)
    with pytest.raises(RefusedError, match="0 are used, and 12 foreseen") as refused:
        store.submit(plain("a"), limits)
    assert refused.value.code == "quota_exceeded" and refused.value.retry < 600
    store.cancel(store.page()[0].id)
    store.submit(plain("a"), limits)


def test_more_ids_than_one_statement_takes(service, monkeypatch):
    jobs = [service.store.submit(plain(), NONE).id for _ in range(5)]
    monkeypatch.setattr(stores, "AT_ONCE", 2)
    assert set(service.store.existing([*jobs, new_id()])) == set(jobs)


def test_one_nudge_in_a_lease(service):
    store, job = service.store, plain()
    store.submit(job, NONE)
    assert store.nudge(job.id) and not store.nudge(job.id)
