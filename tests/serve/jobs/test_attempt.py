"""Clips of jobs: the same as without a server, whatever happened on the way."""

import io
import threading
import time

import numpy as np
import pytest
import sqlalchemy as sa
from PIL import Image
from sqlalchemy.exc import OperationalError

from happyhorse.generate.load import load
from happyhorse.generate.pipeline import make as pipeline
from happyhorse.generate.provenance import credentials
from happyhorse.media import read
from happyhorse.serve.jobs import attempt as attempts
from happyhorse.serve.jobs.attempt import BASE, CHECKPOINT, make
from happyhorse.serve.jobs.records import Lost
from happyhorse.serve.jobs.tables import usage
from happyhorse.serve.jobs.usage import Limits
from happyhorse.values import Request
from serving import finish

NONE = Limits()


def frames_of(service, job, folder, blob="video"):
    path = folder / "clip.mp4"
    path.write_bytes(service.blobs.get(service.store.get(job.id).blobs[blob]))
    return read(path)


def test_a_clip_is_published_whole_and_signed(service, order, tmp_path):
    job = service.store.submit(order(), NONE)
    assert finish(service, job.id) == "completed" and finish(service, job.id) == "over"
    done = service.store.get(job.id)
    clip = frames_of(service, job, tmp_path)
    assert clip.video.shape == (15, 64, 96, 3) and done.facts["size"] == [96, 64]
    assert credentials(tmp_path / "clip.mp4")["machine_made"]
    assert set(service.blobs.list(job.folder)) == set(done.blobs.values())
    pictures = {
        name: Image.open(io.BytesIO(service.blobs.get(done.blobs[name])))
        for name in done.blobs
        if name != "video"
    }
    assert {name: (p.format, p.size) for name, p in pictures.items()} == {
        "thumbnail": ("WEBP", (96, 64)),
        "spritesheet": ("JPEG", (480, 192)),
        "last_frame": ("PNG", (96, 64)),
    }
    request = Request.from_dict(job.request)
    direct = np.concatenate(list(pipeline(request, load(request.model)).frames))
    assert np.array_equal(np.asarray(pictures["last_frame"]), direct[-1])


class Killed(BaseException):
    """What SIGKILL is to a worker, as far as a test inside of it can tell."""


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_killed_worker_costs_one_step(service, order, tmp_path, monkeypatch, after):
    """The next one goes on from the checkpoint, and the clip is the same to the last pixel."""
    job = service.store.submit(order(steps=4), NONE)
    real, steps = attempts.denoise, []

    def watched(*given, watch, **rest):
        def die(pause, expected):
            watch(pause, expected)
            steps.append(pause.done)
            if len(steps) == after:
                raise Killed

        return real(*given, watch=die, **rest)

    monkeypatch.setattr(attempts, "denoise", watched)
    with pytest.raises(Killed):
        finish(service, job.id, "w1")
    assert service.store.get(job.id).status == "in_progress"
    assert f"{job.folder}{CHECKPOINT}" in service.blobs.list(job.folder)
    assert finish(service, job.id, "w2") == "completed"
    assert steps == [1, 2, 3, 4]
    last = Image.open(io.BytesIO(service.blobs.get(service.store.get(job.id).blobs["last_frame"])))
    request = Request.from_dict(job.request)
    direct = np.concatenate(list(pipeline(request, load(request.model)).frames))
    assert np.array_equal(np.asarray(last), direct[-1])


def test_stages_that_are_done_are_not_done_again(service, order, monkeypatch):
    job = service.store.submit(order(), NONE)
    real = attempts.mux
    monkeypatch.setattr(attempts, "mux", lambda *given: (_ for _ in ()).throw(Killed()))
    with pytest.raises(Killed):
        finish(service, job.id, "w1")
    assert f"{job.folder}{BASE}" in service.blobs.list(job.folder)
    monkeypatch.setattr(attempts, "mux", real)
    monkeypatch.setattr(attempts, "denoise", lambda *given, **rest: pytest.fail("sampled again"))
    assert finish(service, job.id, "w2") == "completed"


def test_cancelling_stops_at_the_next_step(service, order, monkeypatch):
    job = service.store.submit(order(steps=6), NONE)
    real, steps = attempts.denoise, []

    def watched(*given, watch, **rest):
        def cancel(pause, expected):
            watch(pause, expected)
            steps.append(pause.done)
            if pause.done == 2:
                service.store.cancel(job.id)

        return real(*given, watch=cancel, **rest)

    monkeypatch.setattr(attempts, "denoise", watched)
    with pytest.raises(Lost):
        finish(service, job.id)
    assert steps == [1, 2] and service.store.get(job.id).status == "cancelled"
    assert finish(service, job.id) == "over" and service.house.sweep() and not service.blobs.list("jobs/")


def test_a_worker_that_is_told_to_stop_hands_its_clip_over(service, order):
    job, stopping = service.store.submit(order(), NONE), threading.Event()
    stopping.set()
    with pytest.raises(Lost):
        finish(service, job.id, "w1", stopping)
    assert service.store.get(job.id).status == "in_progress" and finish(service, job.id, "w2") == "completed"


def test_work_on_a_clip_that_was_cancelled_is_counted(service, order, monkeypatch):
    spent = sa.select(sa.func.sum(usage.c.seconds))
    real = attempts.denoise

    def denoise(*given, watch, **rest):
        def cancel(pause, expected):
            watch(pause, expected)
            service.store.cancel(job.id)

        return real(*given, watch=cancel, **rest)

    monkeypatch.setattr(attempts, "denoise", denoise)
    job = service.store.submit(order(), NONE)
    with pytest.raises(Lost):
        finish(service, job.id)
    with service.engine.connect() as connection:
        assert connection.execute(spent).scalar() > 0


def test_a_clip_that_kills_its_workers_is_given_up(service, order):
    job = service.store.submit(order(), NONE)
    for number in range(service.settings.attempts):
        service.store.claim(job.id, f"w{number}")
    assert finish(service, job.id) == "failed"
    assert service.store.get(job.id).error["code"] == "worker_lost"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("the sampler diverged; ask for less"), "invalid_request"),
        (RuntimeError("a secret"), "server_error"),
        (OSError(28, "No space left on device"), "storage_unavailable"),
    ],
)
def test_what_goes_wrong_is_said_once(service, order, monkeypatch, error, code):
    job = service.store.submit(order(), NONE)
    monkeypatch.setattr(attempts, "denoise", lambda *given, **rest: (_ for _ in ()).throw(error))
    monkeypatch.setattr(attempts, "PATIENCE", 0.0)
    assert finish(service, job.id) == "failed"
    failed = service.store.get(job.id)
    assert (
        failed.status == "failed" and failed.error["code"] == code and "secret" not in failed.error["message"]
    )
    assert failed.expires and finish(service, job.id) == "over"


def test_a_store_that_is_away_is_waited_for(service, order, monkeypatch):
    job = service.store.submit(order(), NONE)
    real, failures = service.blobs.put, []

    def put(name, content):
        if len(failures) < 2:
            failures.append(name)
            raise OSError(5, "the disk is away")
        real(name, content)

    monkeypatch.setattr(service.blobs, "put", put)
    assert finish(service, job.id) == "completed" and len(failures) == 2


@pytest.mark.parametrize("name", ["claim", "report", "finish"])
def test_a_database_that_is_away_is_waited_for_without_end(service, order, monkeypatch, name):
    job = service.store.submit(order(), NONE)
    real, failures = getattr(service.store, name), []

    def away(*given, **values):
        if len(failures) < 3:
            failures.append(name)
            raise OperationalError("", None, Exception("the database is away"))
        return real(*given, **values)

    monkeypatch.setattr(service.store, name, away)
    monkeypatch.setattr(attempts, "PATIENCE", 0.0)
    monkeypatch.setattr(attempts, "LONGEST_WAIT", 0.01)
    assert finish(service, job.id) == "completed" and len(failures) == 3
    assert service.store.get(job.id).attempt == 1


def test_a_worker_that_waits_for_a_store_can_be_told_to_stop(service, order, monkeypatch):
    job, stopping = service.store.submit(order(), NONE), threading.Event()

    def put(name, content):
        stopping.set()
        raise OSError(5, "the disk is away")

    with monkeypatch.context() as patched, pytest.raises(Lost):
        patched.setattr(service.blobs, "put", put)
        finish(service, job.id, "w1", stopping)
    assert service.store.get(job.id).status == "in_progress" and finish(service, job.id, "w2") == "completed"


def test_someone_who_looks_on_sees_pictures(service, order, monkeypatch):
    job = service.store.submit(order(), NONE)
    pictures = []
    real = service.store.report

    def report(job, **values):
        if "picture" in values:
            content = service.blobs.get(f"{job.folder}expected.webp")
            pictures.append((values["picture"], Image.open(io.BytesIO(content)).size))
        return real(job, **values)

    monkeypatch.setattr(service.store, "report", report)
    service.store.watch(job.id)
    assert finish(service, job.id) == "completed" and [n for n, _ in pictures] == [1, 2, 3]
    assert {size for _, size in pictures} == {(96, 64)}
    unseen = service.store.submit(order(), NONE)
    pictures.clear()
    assert finish(service, unseen.id) == "completed" and not pictures


def test_silence_and_a_label_can_be_asked_for(service, order, tmp_path):
    plain, other = order(), order()
    other.extra.update(silent=True, watermark=True)
    for job in (plain, other):
        service.store.submit(job, NONE)
        assert finish(service, job.id) == "completed"
    one, two = frames_of(service, plain, tmp_path), frames_of(service, other, tmp_path)
    assert np.abs(two.audio).max() < 1e-3 < np.abs(one.audio).max()
    change = np.abs(one.video.astype(int) - two.video).mean((0, 3))
    assert change[-12:, -40:].mean() > 10 > 4 > change[:40, :40].mean()


def test_a_draft_is_there_before_the_large_clip_and_can_be_promoted(
    service, order, enlarging, monkeypatch, tmp_path
):
    request = load(str(enlarging)).request("a red ball", seed=1)
    assert (request.width, request.height) == (192, 128)
    job = order()
    job.request.update(request.as_dict(), model=str(enlarging))
    service.store.submit(job, NONE)
    real = attempts.upscale

    def upscale(*given):
        now = service.store.get(job.id)
        assert now.status == "in_progress" and frames_of(service, job, tmp_path, "preview").width == 96
        return real(*given)

    monkeypatch.setattr(attempts, "upscale", upscale)
    stages = []
    make(
        job.id,
        lambda name, f: (stages.append(name), f())[1],
        "w",
        service.store,
        service.blobs,
        threading.Event(),
    )
    assert stages == ["denoise", "draft", "upscale", "publish"]
    whole = frames_of(service, job, tmp_path)
    assert (whole.width, whole.height) == (192, 128) and "preview" not in service.store.get(job.id).blobs
    assert not {name for name in service.blobs.list(job.folder)} - set(
        service.store.get(job.id).blobs.values()
    )

    draft = order()
    draft.request.update(request.as_dict(), model=str(enlarging))
    draft.extra["draft"] = True
    service.store.submit(draft, NONE)
    assert finish(service, draft.id) == "completed"
    kept = service.store.get(draft.id)
    assert kept.facts["size"] == [96, 64] and kept.blobs["latents"].endswith(BASE)
    promoted = order()
    promoted.request.update(kept.request)
    service.blobs.put(promoted.folder + BASE, service.blobs.get(kept.blobs["latents"]))
    service.store.submit(promoted, NONE)
    monkeypatch.setattr(attempts, "denoise", lambda *given, **rest: pytest.fail("sampled again"))
    monkeypatch.setattr(attempts, "upscale", real)
    assert finish(service, promoted.id) == "completed"
    ends = [service.blobs.get(service.store.get(one.id).blobs["last_frame"]) for one in (job, promoted)]
    assert ends[0] == ends[1]  # of pixels; x264 does not always make the same file of them


def test_what_is_left_is_foreseen(service, order, monkeypatch):
    job = order(steps=5)
    job.extra["seconds"] = {"denoise": 5.0, "decode": 7.0}
    service.store.submit(job, NONE)
    seen = []
    real = service.store.report
    monkeypatch.setattr(service.store, "report", lambda job, **v: (seen.append(v), real(job, **v))[1])
    assert finish(service, job.id) == "completed"
    etas = [values["eta"] for values in seen if values.get("stage") == "denoise"]
    assert etas[0] == pytest.approx(4.0 + 7.0) and etas == sorted(etas, reverse=True) and etas[-1] == 7.0
    assert [values["progress"] for values in seen if "progress" in values][-1] == 99 and time.time()
