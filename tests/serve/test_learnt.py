"""Pictures of a subject and edits by a server in a process: from the asking to the file, in each dialect."""

import json
import time
import urllib.error
import urllib.request

import pytest

from serving import Server, data_url, get, picture

pytestmark = pytest.mark.slow
DASHSCOPE = "/api/v1/services/aigc/video-generation/video-synthesis"
ARK = "/api/v3/contents/generations/tasks"


@pytest.fixture(scope="module")
def clip(taught) -> str:
    """A clip that it made, as a data URL."""
    return data_url(openai(taught, "/v1/videos", prompt="a red ball"), "video/mp4")


def post(url: str, body: dict) -> dict:
    headers = {"content-type": "application/json", "x-dashscope-async": "enable"}
    with urllib.request.urlopen(
        urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=60
    ) as answer:
        return json.load(answer)


def refused(url: str, body: dict) -> str:
    with pytest.raises(urllib.error.HTTPError) as refusal:
        post(url, body)
    assert refusal.value.code == 400
    return refusal.value.read().decode()


def follow(url: str, *path: str) -> dict:
    """The answer at a URL once the state in it, at a path of keys, is that of a job that is over."""
    until = time.monotonic() + 120
    while True:
        answer = state = get(url)
        for key in path:
            state = state[key]
        if state.lower() not in ("queued", "in_progress", "pending", "running"):
            assert state.lower() in ("completed", "succeeded"), answer
            return answer
        assert time.monotonic() < until, answer
        time.sleep(0.2)


def file(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        content = answer.read()
    assert content[4:8] == b"ftyp"
    return content


def openai(server: Server, path: str, **body) -> bytes:
    video = post(f"{server.url}{path}", body)
    return file(follow(f"{server.url}/v1/videos/{video['id']}", "status")["urls"]["video"])


def dashscope(server: Server, model: str, kind: str, address: str, **how) -> bytes:
    given = {"prompt": "a red ball", "media": [{"type": kind, "url": address}]}
    task = post(f"{server.url}{DASHSCOPE}", {"model": model, "input": given, "parameters": how})["output"][
        "task_id"
    ]
    done = follow(f"{server.url}/api/v1/tasks/{task}", "output", "task_status")
    return file(done["output"]["video_url"])


def content(kind: str, address: str) -> list[dict]:
    role = {"image_url": "reference_image", "video_url": "reference_video"}[kind]
    return [{"type": "text", "text": "a red ball"}, {"type": kind, kind: {"url": address}, "role": role}]


def ark(server: Server, kind: str, address: str) -> bytes:
    task = post(f"{server.url}{ARK}", {"model": "doubao-seedance-2-0", "content": content(kind, address)})[
        "id"
    ]
    return file(follow(f"{server.url}{ARK}/{task}", "status")["content"]["video_url"])


def test_clips_of_a_subject_are_made(taught):
    shown = data_url(picture())
    openai(taught, "/v1/videos", prompt="a red ball", references=[shown, shown])
    dashscope(taught, "happyhorse-1.0-r2v", "reference_image", shown)
    ark(taught, "image_url", shown)


def test_clips_are_edited(taught, clip):
    openai(taught, "/v1/videos/edits", prompt="make it blue", video=clip, keep="sound")
    dashscope(taught, "happyhorse-1.0-video-edit", "video", clip, resolution="720P", audio_setting="origin")
    ark(taught, "video_url", clip)


def test_the_other_model_refuses(taught, tiny_model, clip):
    plain, shown = tiny_model.name, data_url(picture())
    asked = {"model": plain, "prompt": "a red ball"}
    assert "not trained with pictures of a subject" in refused(
        f"{taught.url}/v1/videos", asked | {"references": [shown]}
    )
    assert "trained with edits" in refused(f"{taught.url}/v1/videos/edits", asked | {"video": clip})
    for kind, address in (("reference_image", shown), ("video", clip)):
        given = {"prompt": "a red ball", "media": [{"type": kind, "url": address}]}
        assert "was not trained with" in refused(f"{taught.url}{DASHSCOPE}", {"model": plain, "input": given})
    for kind, address in (("image_url", shown), ("video_url", clip)):
        body = {"model": plain, "content": content(kind, address)}
        assert "was not trained with" in refused(f"{taught.url}{ARK}", body)
