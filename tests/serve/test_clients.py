"""The official clients against a real server process: OpenAI in two versions, DashScope, Ark."""

import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from serving import data_url, picture

pytestmark = pytest.mark.slow
LATEST = Path(sys.prefix) / "openai-latest"
"""Where `pip install --target` put the newest `openai`, which cannot be beside the pinned one."""


def use_openai(live, path: Path | None) -> str:
    environment = {**os.environ, "PYTHONPATH": str(path) if path else ""}
    script = Path(__file__).parent / "use_openai.py"
    run = subprocess.run(
        [sys.executable, str(script), live.url],
        input=picture(),
        capture_output=True,
        env=environment,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr.decode()[-3000:] + live.written()[-1500:]
    return run.stdout.decode()


def test_openai(live):
    pytest.importorskip("openai")
    assert use_openai(live, None).startswith("openai 2.")


@pytest.mark.skipif(
    not LATEST.is_dir(), reason=f"pip install --target {LATEST} 'openai>=3' for the newest client"
)
def test_the_newest_openai(live):
    assert use_openai(live, LATEST).startswith("openai 3.")


def test_dashscope(live, monkeypatch):
    dashscope = pytest.importorskip("dashscope")
    monkeypatch.setattr(dashscope, "base_http_api_url", f"{live.url}/api/v1")
    synthesis = dashscope.VideoSynthesis
    key = {"api_key": "none"}
    created = synthesis.async_call(
        model="happyhorse-1.0-t2v",
        prompt="a red ball",
        resolution="720P",
        ratio="16:9",
        duration=3,
        seed=5,
        **key,
    )
    assert created.status_code == 200 and created.output.task_status == "PENDING", created.message
    done = synthesis.wait(created, **key)
    assert done.output.task_status == "SUCCEEDED", done
    assert done.usage.video_count == 1 and done.usage.video_duration == 3
    with urllib.request.urlopen(done.output.video_url) as file:
        assert file.headers["content-type"] == "video/mp4" and file.read()[4:8] == b"ftyp"
    called = synthesis.call(
        model="happyhorse-1.0-i2v",
        prompt="a red ball",
        media=[{"type": "first_frame", "url": data_url(picture())}],
        duration=3,
        **key,
    )
    assert called.output.task_status == "SUCCEEDED", called
    wrong = synthesis.async_call(model="happyhorse-1.0-t2v", prompt="a red ball", duration=99, **key)
    assert wrong.status_code == 400 and wrong.code == "InvalidParameter" and "duration" in wrong.message
    waiting = synthesis.async_call(model="wan2.7-t2v", prompt="a red ball", duration=15, **key)
    stopped = synthesis.cancel(waiting, **key)
    assert stopped.status_code == 200, stopped
    assert synthesis.fetch(waiting, **key).output.task_status == "CANCELED"
    listed = synthesis.list(page_size=1, status="CANCELED", **key)
    assert listed.status_code == 200, listed
    unknown = synthesis.fetch("00000000-0000-0000-0000-000000000000", **key)
    assert unknown.output.task_status == "UNKNOWN"


def test_ark(live):
    ark = pytest.importorskip("volcenginesdkarkruntime")
    errors = pytest.importorskip("volcenginesdkarkruntime._exceptions")
    client = ark.Ark(base_url=f"{live.url}/api/v3", api_key="none", max_retries=0)
    tasks = client.content_generation.tasks
    content = [
        {"type": "text", "text": "a red ball --dur 1"},
        {"type": "image_url", "image_url": {"url": data_url(picture())}, "role": "first_frame"},
    ]
    task = tasks.create(
        model="doubao-seedance-2-0",
        content=content,
        ratio="adaptive",
        return_last_frame=True,
        watermark=False,
    )
    until = time.monotonic() + 120
    while (found := tasks.get(task_id=task.id)).status in ("queued", "running") and time.monotonic() < until:
        time.sleep(0.3)
    assert found.status == "succeeded" and found.error is None and found.duration == 1, found
    for address, magic in ((found.content.video_url, b"ftyp"), (found.content.last_frame_url, b"\r\n\x1a\n")):
        with urllib.request.urlopen(address) as file:
            assert file.read()[4:8] == magic
    listed = tasks.list(page_size=1, status="succeeded", task_ids=[task.id])
    assert listed.total == 1 and listed.items[0].id == task.id
    with pytest.raises(errors.ArkBadRequestError) as wrong:
        tasks.create(model="doubao-seedance-2-0", content=[{"type": "text", "text": "x"}], ratio="9:1")
    assert wrong.value.code == "InvalidParameter" and wrong.value.param == "ratio"
    tasks.delete(task_id=task.id)
    with pytest.raises(errors.ArkNotFoundError):
        tasks.get(task_id=task.id)


# Pictures of a subject and edits: a model that has learnt them, and, by its own name, one that has not


def test_openai_with_a_subject_and_edits(taught, tiny_model):
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=f"{taught.url}/v1", api_key="none", max_retries=0)
    shown = {"references": [data_url(picture())] * 2}
    made = client.videos.create_and_poll(prompt="a red ball", extra_body=shown)
    assert made.status == "completed", made
    content = client.videos.download_content(made.id).read()
    edits = [
        client.videos.edit(prompt="make it blue", video=content),
        client.videos.edit(prompt="make it blue", video=openai.omit, extra_body={"video": {"id": made.id}}),
    ]
    assert [client.videos.poll(edit.id).status for edit in edits] == ["completed"] * 2
    with pytest.raises(openai.BadRequestError) as wrong:
        client.videos.create(prompt="a red ball", model=tiny_model.name, extra_body=shown)
    assert wrong.value.param == "references" and "not trained" in wrong.value.message


def test_dashscope_with_a_subject_and_edits(taught, tiny_model, monkeypatch):
    dashscope = pytest.importorskip("dashscope")
    monkeypatch.setattr(dashscope, "base_http_api_url", f"{taught.url}/api/v1")
    synthesis, asked = (
        dashscope.VideoSynthesis,
        {"api_key": "none", "prompt": "a red ball", "resolution": "720P"},
    )
    shown = [{"type": "reference_image", "url": data_url(picture())}]
    made = synthesis.call(model="happyhorse-1.0-r2v", media=shown, duration=2, **asked)
    assert made.output.task_status == "SUCCEEDED", made
    with urllib.request.urlopen(made.output.video_url) as file:
        clip = [{"type": "video", "url": data_url(file.read(), "video/mp4")}]
    edited = synthesis.call(model="happyhorse-1.0-video-edit", media=clip, audio_setting="origin", **asked)
    assert edited.output.task_status == "SUCCEEDED", edited
    for media in (shown, clip):
        wrong = synthesis.async_call(model=tiny_model.name, media=media, **asked)
        assert (
            wrong.status_code == 400
            and "input.media.0.url" in wrong.message
            and "not trained" in wrong.message
        )


def test_ark_with_a_subject_and_edits(taught, tiny_model):
    ark = pytest.importorskip("volcenginesdkarkruntime")
    errors = pytest.importorskip("volcenginesdkarkruntime._exceptions")
    client = ark.Ark(base_url=f"{taught.url}/api/v3", api_key="none", max_retries=0)
    tasks, text = client.content_generation.tasks, {"type": "text", "text": "a red ball"}

    def made(**asked):
        task, until = tasks.create(model="doubao-seedance-2-5", **asked), time.monotonic() + 120
        while (found := tasks.get(task_id=task.id)).status in ("queued", "running"):
            assert time.monotonic() < until
            time.sleep(0.3)
        assert found.status == "succeeded", found
        return found.content.video_url

    shown = {"type": "image_url", "image_url": {"url": data_url(picture())}, "role": "reference_image"}
    with urllib.request.urlopen(made(content=[text, shown, shown])) as file:
        address = data_url(file.read(), "video/mp4")
    clip = {"type": "video_url", "video_url": {"url": address}, "role": "reference_video"}
    made(content=[text, clip], omni_reference_task_type="edit", ratio="adaptive", duration=-1)
    for given in (shown, clip):
        with pytest.raises(errors.ArkBadRequestError) as wrong:
            tasks.create(model=tiny_model.name, content=[text, given])
        assert wrong.value.param == f"content.1.{given['type']}.url"
