"""The Ark dialect, on the app by itself."""

import pytest

from serving import data_url as url
from serving import finish, picture

ARK = "/api/v3/contents/generations/tasks"
REFERENCE = {"type": "video_url", "video_url": {"url": "u"}, "role": "background_video"}


def test_an_ark_task(app, client):
    body = {
        "model": "doubao-seedance-2-0",
        "content": [
            {"type": "text", "text": "a red ball --ratio 1:1 --dur 2"},
            {"type": "image_url", "image_url": {"url": url(picture())}, "role": "first_frame"},
        ],
        "seed": 3,
        "generate_audio": False,
        "return_last_frame": True,
    }
    answer = client.post(ARK, json=body)
    assert answer.status_code == 200, answer.text
    task = answer.json()["id"]
    queued = client.get(f"{ARK}/{task}").json()
    assert queued["status"] == "queued" and queued["model"] == body["model"] and queued["error"] is None
    job = app.state.service.store.page(limit=1)[0]
    assert job.request["prompt"] == "a red ball" and job.request["seconds"] == 2 and job.extra["silent"]
    assert job.request["width"] == job.request["height"] and job.request["first_frame"]
    finish(app.state.service, job.id)
    found = client.get(f"{ARK}/{task}").json()
    assert (
        found["status"] == "succeeded"
        and found["usage"]["completion_tokens"] > 0
        and found["generate_audio"] is False
    )
    assert client.get(found["content"]["video_url"]).headers["content-type"] == "video/mp4"
    assert client.get(found["content"]["last_frame_url"]).headers["content-type"] == "image/png"
    listed = client.get(
        ARK, params=[("filter.status", "succeeded"), ("filter.task_ids", task), ("page_size", 5)]
    ).json()
    assert listed["total"] == 1 and listed["items"][0]["id"] == task
    assert client.delete(f"{ARK}/{task}").json() == {} and client.get(f"{ARK}/{task}").status_code == 404


def test_an_ark_draft(app, client):
    body = {
        "model": app.state.large,
        "content": [{"type": "text", "text": "a red ball"}],
        "draft": True,
        "ratio": "3:4",
    }
    body["ratio"] = "adaptive"
    draft = client.post(ARK, json=body).json()["id"]
    finish(app.state.service, "video_" + draft[4:])
    promoted = client.post(
        ARK, json={"model": app.state.large, "content": [{"type": "draft_task", "draft_task": {"id": draft}}]}
    )
    assert promoted.status_code == 200, promoted.text
    assert client.get(f"{ARK}/{promoted.json()['id']}").json()["draft_task_id"] == draft
    waiting = client.post(ARK, json={**body, "draft": False}).json()["id"]
    assert client.delete(f"{ARK}/{waiting}").json() == {}
    assert client.get(f"{ARK}/{waiting}").json()["status"] == "cancelled"


@pytest.mark.parametrize(
    ("change", "status", "code", "param"),
    [
        ({"model": None}, 400, "MissingParameter", "model"),
        ({"model": "gpt"}, 404, "InvalidEndpointOrModel.NotFound", None),
        ({"content": None}, 400, "MissingParameter", "content"),
        ({"content": [{"type": "text", "text": "--ratio 1:1"}]}, 400, "MissingParameter", "content"),
        ({"content": [{"type": "text", "text": "x"}, REFERENCE]}, 400, "InvalidParameter", "content.1.role"),
        ({"content": ["x"]}, 400, "InvalidParameter", "content.0"),
        ({"duration": 61}, 400, "InvalidParameter", "duration"),
        ({"ratio": "5:1"}, 400, "InvalidParameter", "ratio"),
        ({"resolution": "9k"}, 400, "InvalidParameter", "resolution"),
        ({"camera_fixed": True}, 400, "InvalidParameter", "camera_fixed"),
        ({"callback_url": "https://x"}, 400, "InvalidParameter", "callback_url"),
        ({"seeds": 1}, 400, "InvalidParameter", "seeds"),
        ({"content": [{"type": "draft_task", "draft_task": {"id": "cgt-1"}}]}, 404, "NotFound", None),
    ],
)  # fmt: skip
def test_wrong_ark_fields_name_themselves(client, change, status, code, param):
    body = {"model": "doubao-seedance-2-0", "content": [{"type": "text", "text": "a red ball"}], **change}
    answer = client.post(ARK, json={k: v for k, v in body.items() if v is not None})
    error = answer.json()["error"]
    assert answer.status_code == status and error["code"] == code, answer.text
    assert param is None or error["param"] == param, error
