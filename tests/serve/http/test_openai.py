"""The OpenAI dialect, on the app by itself."""

import json
import re
import threading

import pytest
from sqlalchemy.exc import OperationalError

from happyhorse.serve.http import events, sandbox
from serving import data_url as url
from serving import finish, picture

VIDEO_KEYS = {
    "id",
    "object",
    "model",
    "status",
    "progress",
    "created_at",
    "completed_at",
    "expires_at",
    "prompt",
}
VIDEO_KEYS |= {"size", "seconds", "remixed_from_video_id", "error"}


def test_a_video_from_the_asking_to_the_file(app, client):
    answer = client.post(
        "/v1/videos", data={"prompt": "a red ball", "seconds": "1", "size": "720x1280", "model": "sora-2"}
    )
    video = answer.json()
    assert answer.status_code == 200 and answer.headers["openai-poll-after-ms"] == "1000"
    assert set(list(video)[:13]) == VIDEO_KEYS and video["status"] == "queued" and video["seconds"] == "1"
    width, height = map(int, video["size"].split("x"))
    assert width < height and video["model"] == "sora-2" and video["progress"] == 0
    assert client.get(f"/v1/videos/{video['id']}/content").status_code == 404
    finish(app.state.service, video["id"])
    answer = client.get(f"/v1/videos/{video['id']}")
    assert answer.json()["status"] == "completed" and "openai-poll-after-ms" not in answer.headers
    assert answer.json()["size"] == video["size"] and answer.json()["progress"] == 100
    kinds = {
        "video": "video/mp4",
        "thumbnail": "image/webp",
        "spritesheet": "image/jpeg",
        "last_frame": "image/png",
    }
    for variant, kind in kinds.items():
        content = client.get(f"/v1/videos/{video['id']}/content", params={"variant": variant})
        assert content.status_code == 200 and content.headers["content-type"] == kind
        assert client.get(answer.json()["urls"][variant]).content == content.content


@pytest.mark.parametrize("form", ["files", "brackets", "json", "file"])
def test_a_first_frame_in_every_way_that_clients_send_it(app, client, form):
    asked = {"prompt": "a red ball"}
    if form == "json":
        answer = client.post("/v1/videos", json={**asked, "input_reference": {"image_url": url(picture())}})
    elif form == "brackets":
        answer = client.post("/v1/videos", data={**asked, "input_reference[image_url]": url(picture())})
    elif form == "files":
        answer = client.post(
            "/v1/videos", data=asked, files={"prompt2": b""} and {"input_reference": ("upload", picture())}
        )
    else:
        answer = client.post(
            "/v1/videos", files={"prompt": (None, "a red ball"), "input_reference": ("x.exe", picture())}
        )
    assert answer.status_code == 200, answer.text
    job = app.state.service.store.get(answer.json()["id"])
    assert (
        job.request["first_frame"] == f"{job.folder}given-first_frame.png" == job.blobs["given-first_frame"]
    )
    finish(app.state.service, job.id)
    assert client.get(f"/v1/videos/{job.id}").json()["status"] == "completed"


@pytest.mark.parametrize(
    ("asked", "status", "code", "param"),
    [
        ({"prompt": ""}, 400, "missing_parameter", "prompt"),
        ({"prompt": 'she says "hi'}, 400, "invalid_value", "prompt"),
        ({"seconds": "999"}, 400, "invalid_value", "seconds"),
        ({"seconds": "soon"}, 400, "invalid_value", "seconds"),
        ({"size": "7x9"}, 400, "invalid_value", "size"),
        ({"size": "333x777"}, 400, "invalid_value", "size"),
        ({"model": "nobody"}, 404, "model_not_found", "model"),
        ({"seed": -1}, 400, "invalid_value", "seed"),
        ({"steps": 0}, 400, "invalid_value", "steps"),
        ({"guidance": 99}, 400, "invalid_value", "guidance"),
        ({"sampler": "magic"}, 400, "invalid_value", "sampler"),
        ({"language": "xx"}, 400, "invalid_value", "language"),
        ({"guidence": 3}, 400, "unknown_parameter", "guidence"),
        ({"input_reference": "hello"}, 400, "invalid_file", "input_reference"),
        ({"input_reference": {"file_id": "f"}}, 400, "unsupported_parameter", "input_reference.file_id"),
        ({"input_reference": {"image_url": "https://host/x.png"}}, 400, "invalid_file", "input_reference"),
        ({"key_frames": [{"seconds": 99, "image": "PNG"}]}, 400, "invalid_value", "key_frames"),
        ({"key_frames": "x"}, 400, "invalid_value", "key_frames"),
        ({"draft": True}, 400, "unsupported_parameter", "draft"),
        ({"priority": 10}, 400, "invalid_value", "priority"),
        ({"video": {"id": "video_x"}}, 404, "not_found", None),
    ],
)
def test_every_wrong_field_names_itself(client, asked, status, code, param):
    asked = json.loads(json.dumps(asked).replace('"PNG"', json.dumps(url(picture()))))
    answer = client.post("/v1/videos", json={"prompt": "a red ball", **asked})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param), error
    assert set(error) == {"message", "type", "code", "param"} and error["message"]
    assert not re.search(r"/tmp|Traceback", error["message"])


@pytest.mark.parametrize(
    ("verb", "path", "options", "status"),
    [
        ("POST", "/v1/videos", {"content": b"{", "headers": {"content-type": "application/json"}}, 400),
        ("POST", "/v1/videos", {"content": b"x", "headers": {"content-type": "text/plain"}}, 415),
        ("POST", "/v1/videos", {"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400),
        ("GET", "/v1/videos/video_0", {}, 404),
        ("GET", "/v1/videos/video_0/content", {}, 404),
        ("DELETE", "/v1/videos/nothing", {}, 404),
        ("POST", "/v1/videos/nothing/cancel", {}, 404),
        ("GET", "/v1/videos?limit=1000", {}, 400),
        ("GET", "/v1/videos?order=up", {}, 400),
        ("GET", "/v1/videos?after=x", {}, 404),
        ("POST", "/v1/videos/characters", {"data": {"name": "x"}}, 400),
        ("PUT", "/v1/videos", {}, 405),
        ("GET", "/v1/nothing", {}, 404),
        ("POST", "/v1/videos/edits", {"json": {"prompt": "x"}}, 400),
        ("POST", "/v1/videos/extensions", {"json": {"prompt": "x"}}, 400),
    ],
)
def test_errors_are_typed_on_every_path(client, verb, path, options, status):
    answer = client.request(verb, path, **options)
    assert answer.status_code == status and set(answer.json()["error"]) == {
        "message",
        "type",
        "code",
        "param",
    }
    assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])


def test_a_body_that_is_too_large_is_not_read(client):
    answer = client.post(
        "/v1/videos", content=b"x", headers={"content-length": str(10**9), "content-type": "application/json"}
    )
    assert answer.status_code == 413 and answer.json()["error"]["code"] == "request_too_large"


def test_lists_go_page_by_page(client, done):
    made = [client.post("/v1/videos", json={"prompt": "a red ball"}).json()["id"] for _ in range(5)]
    page = client.get("/v1/videos", params={"limit": 2}).json()
    assert (
        [video["id"] for video in page["data"]] == made[:-3:-1]
        and page["has_more"]
        and page["last_id"] == made[-2]
    )
    after = client.get("/v1/videos", params={"limit": 2, "after": page["last_id"]}).json()
    assert [video["id"] for video in after["data"]] == [made[2], made[1]] and after["first_id"] == made[2]
    first = client.get("/v1/videos", params={"limit": 1, "order": "asc"}).json()
    assert first["has_more"] and first["data"][0]["created_at"] <= page["data"][0]["created_at"]
    assert client.get("/v1/videos", params={"limit": 0}).json()["data"] == []


def test_deleting_and_cancelling(app, client):
    one, two = (client.post("/v1/videos", json={"prompt": "a red ball"}).json()["id"] for _ in range(2))
    assert client.post(f"/v1/videos/{one}/cancel").json()["status"] == "cancelled"
    assert client.delete(f"/v1/videos/{two}").json() == {
        "id": two,
        "object": "video.deleted",
        "deleted": True,
    }
    assert client.get(f"/v1/videos/{two}").status_code == 404
    assert [finish(app.state.service, job) for job in (one, two)] == ["over", "over"]


def test_a_key_for_repeats(client):
    headers = {"Idempotency-Key": "one"}
    one = client.post("/v1/videos", json={"prompt": "a red ball"}, headers=headers).json()
    two = client.post("/v1/videos", json={"prompt": "a red ball"}, headers=headers).json()
    assert one["id"] == two["id"] and one["seed"] == two["seed"]
    other = client.post("/v1/videos", json={"prompt": "a blue ball"}, headers=headers)
    assert other.status_code == 409 and other.json()["error"]["code"] == "idempotency_conflict"
    remix, again = {"prompt": "a blue ball"}, {"Idempotency-Key": "two"}
    made = [client.post(f"/v1/videos/{one['id']}/remix", json=remix, headers=again).json() for _ in range(2)]
    assert made[0]["id"] == made[1]["id"] and made[0]["remixed_from_video_id"] == one["id"]


def test_remix_extend_and_edit(app, client, done):
    old = done(seed=5, steps=2, seconds="0.6")
    remixed = client.post(f"/v1/videos/{old['id']}/remix", json={"prompt": "a blue ball"}).json()
    assert (
        remixed["remixed_from_video_id"] == old["id"]
        and remixed["seed"] == 5
        and remixed["size"] == old["size"]
    )
    assert app.state.service.store.get(remixed["id"]).request["steps"] == 2
    longer = client.post(
        "/v1/videos/extensions", data={"prompt": "it stops", "seconds": "0.6", "video[id]": old["id"]}
    )
    assert longer.status_code == 200, longer.text
    finish(app.state.service, longer.json()["id"])
    extended = client.get(f"/v1/videos/{longer.json()['id']}").json()
    assert extended["status"] == "completed" and float(extended["seconds"]) == pytest.approx(1.2)
    edited = client.post(
        "/v1/videos/edits",
        json={"prompt": "a horse", "video": {"id": longer.json()["id"]}, "span": "0.2-0.6"},
    )
    assert edited.status_code == 200, edited.text
    finish(app.state.service, edited.json()["id"])
    assert client.get(f"/v1/videos/{edited.json()['id']}").json()["status"] == "completed"
    again = client.post(f"/v1/videos/{edited.json()['id']}/remix", json={"prompt": "a red ball"})
    assert again.status_code == 200, again.text
    for span, param in (("0.2-9", "span"), ("x", "span"), (None, "span")):
        wrong = client.post(
            "/v1/videos/edits", json={"prompt": "x", "video": {"id": old["id"]}, "span": span}
        )
        assert wrong.status_code == 400 and wrong.json()["error"]["param"] == param, wrong.text
    unready = client.post("/v1/videos/extensions", json={"prompt": "x", "video": {"id": remixed["id"]}})
    assert unready.status_code == 409 and unready.json()["error"]["code"] == "video_not_ready"


def test_an_uploaded_clip_can_be_extended(app, client, done):
    clip = client.get(done()["urls"]["video"]).content
    answer = client.post("/v1/videos/extensions", data={"prompt": "on"}, files={"video": ("x", clip)})
    assert answer.status_code == 200, answer.text
    finish(app.state.service, answer.json()["id"])
    assert client.get(f"/v1/videos/{answer.json()['id']}").json()["status"] == "completed"


def test_a_draft_is_promoted(app, client):
    large = app.state.large
    draft = client.post("/v1/videos", json={"prompt": "a red ball", "model": large, "draft": True}).json()
    early = client.post(f"/v1/videos/{draft['id']}/promote")
    assert early.status_code == 409 and draft["draft"] is True
    finish(app.state.service, draft["id"])
    small = client.get(f"/v1/videos/{draft['id']}").json()
    assert small["size"] == "96x64"
    key = {"Idempotency-Key": "large"}
    promoted = client.post(f"/v1/videos/{draft['id']}/promote", headers=key).json()
    repeated = client.post(f"/v1/videos/{draft['id']}/promote", headers=key).json()
    assert repeated["id"] == promoted["id"]
    assert promoted["draft"] is False and promoted["size"] == "192x128" and promoted["seed"] == draft["seed"]
    client.delete(f"/v1/videos/{draft['id']}")
    finish(app.state.service, promoted["id"])
    whole = client.get(f"/v1/videos/{promoted['id']}").json()
    assert whole["status"] == "completed" and whole["size"] == "192x128"


def test_a_plan_says_what_it_would_take(app, client, done):
    before = client.post("/v1/videos/plan", json={"prompt": "a red ball"}).json()
    done()
    app.state.happyhorse.desk.forecast._rates.clear()
    plan = client.post("/v1/videos/plan", json={"prompt": "a red ball", "steps": 30}).json()
    assert plan["measured"] and plan["seconds"] == pytest.approx(sum(plan["stages"].values()), abs=0.01)
    assert (
        set(plan["stages"]) == {"condition", "denoise", "decode", "mux", "provenance"}
        and before["clip_seconds"] == 0.6
    )
    large = client.post("/v1/videos/plan", json={"prompt": "a red ball", "model": app.state.large}).json()
    assert "upscale" in large["stages"] and large["size"] == "192x128"


def test_models(app, client):
    listed = client.get("/v1/models").json()
    assert [card["id"] for card in listed["data"]] == [app.state.tiny, app.state.large]
    card = client.get("/v1/models/sora-2").json()["happyhorse"]
    assert card["defaults"]["steps"] == 3 and "96x64" in card["sizes"] and card["examples"]
    assert client.get("/v1/models/nobody").status_code == 404


def test_events_go_on_when_a_lost_database_is_back(app, client, monkeypatch):
    service = app.state.service
    job = client.post("/v1/videos", json={"prompt": "a red ball"}).json()["id"]
    real, looks = service.store.get, []

    def get(job_id, owner=None):
        looks.append(1)
        if len(looks) == 2:
            raise OperationalError("", None, Exception("the database is away"))
        if len(looks) == 3:
            service.store.cancel(job_id)
        return real(job_id, owner)

    monkeypatch.setattr(events, "AWAY", 0.0)
    monkeypatch.setattr(service.store, "get", get)
    text = client.get(f"/v1/videos/{job}/events").text
    assert ": the server cannot reach its storage" in text and text.rstrip().endswith(
        '"status": "cancelled"}'
    )


def test_a_file_that_would_have_to_wait_for_many_others_is_refused_for_now(app, client, monkeypatch):
    full = threading.BoundedSemaphore(1)
    full.acquire()
    monkeypatch.setattr(sandbox, "_waiting", full)
    asked = {"prompt": "a red ball", "input_reference": url(picture())}
    refused = client.post("/v1/videos", json=asked)
    assert refused.status_code == 503 and refused.json()["error"]["code"] == "busy"
    assert refused.headers["retry-after"] == "5"
    monkeypatch.undo()
    assert client.post("/v1/videos", json=asked).status_code == 200


def test_events_tell_what_happens(app, client):
    service = app.state.service
    job = client.post("/v1/videos", json={"prompt": "a red ball", "seed": 1}).json()["id"]
    real, kinds = service.store.get, []

    def get(job_id, owner=None):  # the worker makes a step whenever the stream looks
        found = real(job_id, owner)
        if found.status == "queued" and kinds:
            service.store.watch(job_id)
            finish(service, job_id)
        return real(job_id, owner)

    service.store.get = get
    try:
        with client.stream("GET", f"/v1/videos/{job}/events") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            events = []
            for line in stream.iter_lines():
                if line.startswith("event:"):
                    kinds.append(line[7:])
                elif line.startswith("data:"):
                    events.append(json.loads(line[6:]))
    finally:
        service.store.get = real
    assert kinds[0] == "status" and kinds[-1] == "done" and events[-1] == {"id": job, "status": "completed"}
    assert events[0]["status"] == "queued" and {"stage", "step", "steps", "eta"} <= set(events[0])
