"""Operations, keys and limits, on the app by itself."""

import json
import re
import time

from starlette.testclient import TestClient

from happyhorse.serve.http import access
from happyhorse.serve.http.access import Keys
from happyhorse.serve.http.app import create_app
from happyhorse.serve.http.models import Models
from serving import full_disk

DASHSCOPE = "/api/v1/services/aigc/video-generation/video-synthesis"
ASYNC = {"X-DashScope-Async": "enable"}
ARK = "/api/v3/contents/generations/tasks"


def test_operations(client, done):
    done()
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz").json()
    assert ready["status"] == "ok" and ready["workers"] == 0
    figures = client.get("/metrics").text
    for line in (
        'happyhorse_jobs{status="completed"}',
        "happyhorse_queue_seconds",
        'happyhorse_stage_seconds{stage="denoise"}',
        "happyhorse_http_request_seconds_count",
        "happyhorse_workers 0.0",
    ):
        assert line in figures, line
    document = client.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path not in ("/healthz",):
                assert {"400", "401", "503"} <= set(operation["responses"]), (path, method)


def test_words_that_clients_make_up_do_not_become_figures(client):
    for number in range(3):
        assert client.request(f"BREW{number}", "/v1/videos").status_code == 405
        assert client.get(f"/nowhere/{number}").status_code == 404
    figures = client.get("/metrics").text
    assert 'method="other",path="/v1/videos",status="405"' in figures
    assert "BREW" not in figures and "nowhere" not in figures


def test_a_model_that_cannot_be_loaded_is_said(service):
    def broken(path):
        raise RuntimeError("damaged")

    with TestClient(create_app(service, Models(service.settings.models, broken))) as client:
        until = time.monotonic() + 30
        while "is loading" in (refused := client.get("/readyz")).text and time.monotonic() < until:
            time.sleep(0.05)
        assert refused.status_code == 503 and "has a model that it cannot load" in refused.text
        assert client.get("/healthz").status_code == 200


def test_every_reference_of_the_document_leads_somewhere(client):
    document = client.get("/openapi.json").json()
    found = set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(document)))
    assert found and found <= {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    body = document["paths"][DASHSCOPE]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["input"]["properties"]["prompt"]["maxLength"] == 5000
    assert body["properties"]["parameters"]["anyOf"][0]["properties"]["duration"]


def test_a_full_disk_refuses_orders_and_shows_what_there_is(app, client, done):
    video = done()["id"]
    with full_disk(app.state.service):
        for path, body in (
            ("/v1/videos", {"prompt": "a red ball"}),
            (DASHSCOPE, {"model": "wan2.7-t2v", "input": {"prompt": "a red ball"}}),
            (ARK, {"model": "doubao-seedance-2-0", "content": [{"type": "text", "text": "a red ball"}]}),
        ):
            answers = [
                client.post(path, json=body, headers=ASYNC) for _ in range(20)
            ]  # the last page has room
            refused = answers[-1]
            assert refused.status_code == 503 and "the disk of the server is full" in refused.text, path
            assert refused.headers["retry-after"] == "5"
        assert client.get(f"/v1/videos/{video}/content").status_code == 200
    assert client.post("/v1/videos", json={"prompt": "a red ball"}).status_code == 200


def test_a_store_that_is_lost_is_said_and_comes_back(app, client, done, caplog):
    service, video = app.state.service, done()["id"]
    blobs = service.settings.data / "blobs"
    moved = blobs.rename(blobs.with_name("moved"))
    blobs.write_text("no folder")
    try:
        refused = client.get("/readyz")
        assert (
            refused.status_code == 503 and "store of clips" in refused.text and str(blobs) not in refused.text
        )
        assert "storage:" in caplog.text  # the operator reads more
    finally:
        blobs.unlink()
        moved.rename(blobs)
    assert client.get("/readyz").status_code == 200
    assert client.get(f"/v1/videos/{video}/content").content[4:8] == b"ftyp"


def test_a_database_that_is_lost_is_said_and_comes_back(app, client, done):
    video = done()["id"]
    path = app.state.service.settings.data / "jobs.db"
    moved = path.rename(path.with_name("moved.db"))
    try:
        for ask in (
            lambda: client.get(f"/v1/videos/{video}"),
            lambda: client.post("/v1/videos", json={"prompt": "x"}),
        ):
            refused = ask()
            assert refused.status_code == 503 and "cannot reach its database" in refused.text
            assert str(path) not in refused.text
    finally:
        moved.rename(path)
    assert client.get(f"/v1/videos/{video}").json()["status"] == "completed"


def test_keys_separate_callers(app, client, monkeypatch):
    monkeypatch.setattr(access, "FRESH", 0.0)
    keys = Keys(app.state.service.engine, app.state.service.settings)
    one, two = ({"Authorization": f"Bearer {keys.add(name)}"} for name in ("one", "two"))
    reader = {"Authorization": f"Bearer {keys.add('reader', ('read',), rate=1)}"}
    try:
        assert client.get("/v1/videos").status_code == 401
        assert client.post(DASHSCOPE, json={}, headers=ASYNC).json()["code"] == "InvalidApiKey"
        assert client.get(ARK).json()["error"]["code"] == "AuthenticationError"
        video = client.post("/v1/videos", json={"prompt": "a red ball"}, headers=one).json()["id"]
        assert client.get(f"/v1/videos/{video}", headers=one).status_code == 200
        for path in (f"/v1/videos/{video}", f"/v1/videos/{video}/content", f"/v1/videos/{video}/events"):
            assert client.get(path, headers=two).status_code == 404
        assert client.delete(f"/v1/videos/{video}", headers=two).status_code == 404
        assert client.get("/v1/videos", headers=two).json()["data"] == []
        assert client.post("/v1/videos", json={"prompt": "x"}, headers=reader).status_code == 403
        assert client.get("/metrics", headers=one).status_code == 403
        assert client.get("/healthz").status_code == 200
    finally:
        for key in keys.list():
            keys.revoke(key["id"])


def test_limits_say_when_to_come_back(app, client, monkeypatch):
    monkeypatch.setattr(access, "FRESH", 0.0)
    keys = Keys(app.state.service.engine, app.state.service.settings)
    mine = {"Authorization": f"Bearer {keys.add('mine', rate=1)}"}
    try:
        assert client.post("/v1/videos", json={"prompt": "a red ball"}, headers=mine).status_code == 200
        answer = client.post("/v1/videos", json={"prompt": "a red ball"}, headers=mine)
        assert answer.status_code == 429 and 0 < int(answer.headers["retry-after"]) <= 60
        assert answer.json()["error"]["type"] == "rate_limit_error"
    finally:
        keys.revoke(keys.list()[0]["id"])
