"""Operations, keys and limits, on the app by itself."""

from happyhorse.serve.http import access
from happyhorse.serve.http.access import Keys

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
