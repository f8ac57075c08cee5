"""The DashScope dialect, on the app by itself."""

import uuid

import pytest

from serving import data_url as url
from serving import finish, picture

DASHSCOPE = "/api/v1/services/aigc/video-generation/video-synthesis"
ASYNC = {"X-DashScope-Async": "enable"}


def test_a_dashscope_task(app, client):
    body = {
        "model": "happyhorse-1.0-t2v",
        "input": {"prompt": "a red ball"},
        "parameters": {"resolution": "720P", "ratio": "9:16", "duration": 3, "seed": 7, "watermark": True},
    }
    answer = client.post(DASHSCOPE, json=body, headers=ASYNC)
    assert answer.status_code == 200, answer.text
    task = answer.json()["output"]
    assert (
        task["task_status"] == "PENDING"
        and uuid.UUID(task["task_id"])
        and uuid.UUID(answer.json()["request_id"])
    )
    job = app.state.service.store.page(limit=1)[0]
    assert (
        job.request["width"] < job.request["height"]
        and job.request["seconds"] == 3
        and job.request["seed"] == 7
    )
    assert job.extra["watermark"] is True
    finish(app.state.service, job.id)
    found = client.get(f"/api/v1/tasks/{task['task_id']}").json()
    assert found["output"]["task_status"] == "SUCCEEDED" and found["usage"]["video_count"] == 1
    assert client.get(found["output"]["video_url"]).headers["content-type"] == "video/mp4"
    listed = client.get("/api/v1/tasks", params={"status": "SUCCEEDED", "page_size": 1}).json()
    assert listed["data"][0]["task_id"] == task["task_id"] and listed["total"] >= 1
    over = client.post(f"/api/v1/tasks/{task['task_id']}/cancel")
    assert over.status_code == 409 and set(over.json()) == {"request_id", "code", "message"}


def test_a_dashscope_task_from_a_picture(app, client):
    media = [{"type": "first_frame", "url": url(picture())}]
    for given in ({"media": media}, {"img_url": url(picture())}):
        body = {"model": "happyhorse-1.0-i2v", "input": {"prompt": "a red ball", **given}}
        assert client.post(DASHSCOPE, json=body, headers=ASYNC).status_code == 200
        assert app.state.service.store.page(limit=1)[0].request["first_frame"]
    task = client.post(DASHSCOPE, json=body, headers=ASYNC).json()["output"]["task_id"]
    assert client.post(f"/api/v1/tasks/{task}/cancel").json()["output"]["task_status"] == "CANCELED"


@pytest.mark.parametrize("task", ["4609f7ba-cc17-439f-88f0-bfa53c648142", "nothing"])
def test_a_task_that_is_not_there_is_unknown(client, task):
    answer = client.get(f"/api/v1/tasks/{task}")
    assert answer.status_code == 200 and answer.json()["output"] == {
        "task_id": task,
        "task_status": "UNKNOWN",
    }


@pytest.mark.parametrize(
    ("change", "status", "code", "word"),
    [
        ({"model": None}, 400, "InvalidParameter", "model"),
        ({"model": "gpt"}, 404, "ModelNotFound", "gpt"),
        ({"model": "happyhorse-1.0-i2v"}, 400, "InvalidParameter", "first_frame"),
        ({"model": "happyhorse-1.0-r2v"}, 400, "InvalidParameter", "type reference_image"),
        ({"model": "happyhorse-1.0-video-edit"}, 400, "InvalidParameter", "type video"),
        ({"input": None}, 400, "InvalidParameter", "input"),
        ({"input": {"prompt": ""}}, 400, "InvalidParameter", "input.prompt"),
        ({"input": {"prompt": "马" * 2501}}, 400, "InvalidParameter", "2,500"),
        (
            {"input": {"prompt": "x", "negative_prompt": "y"}},
            400,
            "InvalidParameter",
            "input.negative_prompt",
        ),
        (
            {"input": {"prompt": "x", "media": [{"type": "reference_image", "url": "u"}]}},
            400,
            "InvalidParameter",
            "media.0",
        ),
        (
            {"input": {"prompt": "x", "reference_urls": ["u"]}},
            400,
            "InvalidParameter",
            "media of the type reference_image",
        ),
        ({"parameters": {"duration": 99}}, 400, "InvalidParameter", "parameters.duration"),
        ({"parameters": {"ratio": "7:1"}}, 400, "InvalidParameter", "parameters.ratio"),
        ({"parameters": {"size": "1*1"}}, 400, "InvalidParameter", "parameters.size"),
        ({"parameters": {"shot_type": "multi"}}, 400, "InvalidParameter", "parameters.shot_type"),
        ({"paramters": {}}, 400, "InvalidParameter", "paramters"),
    ],
)
def test_wrong_dashscope_fields_name_themselves(client, change, status, code, word):
    body = {"model": "happyhorse-1.0-t2v", "input": {"prompt": "a red ball"}, **change}
    answer = client.post(DASHSCOPE, json={k: v for k, v in body.items() if v is not None}, headers=ASYNC)
    assert (
        answer.status_code == status and answer.json()["code"] == code and word in answer.json()["message"]
    ), answer.text


def test_dashscope_is_asynchronous_only(client):
    answer = client.post(DASHSCOPE, json={"model": "wan2.7-t2v", "input": {"prompt": "x"}})
    assert answer.status_code == 403 and "synchronous calls" in answer.json()["message"]
