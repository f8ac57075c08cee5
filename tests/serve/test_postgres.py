"""A PostgreSQL that dies in the middle of a clip and comes back."""

import threading

import pytest
from starlette.testclient import TestClient

from happyhorse.serve.http.app import create_app
from happyhorse.serve.jobs import attempt as attempts
from happyhorse.serve.service import open_service
from happyhorse.serve.settings import Settings
from serving import finish

pytestmark = pytest.mark.slow


def test_a_database_that_dies_is_waited_for(postgres, tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr(attempts, "LONGEST_WAIT", 0.5)
    monkeypatch.setattr(attempts, "PATIENCE", 0.0)
    settings = Settings.read(
        {}, data=tmp_path / "data", database=postgres.url, models=(str(tiny_model),), checkpoint=1
    )
    service, real, died, ended = open_service(settings), attempts.denoise, threading.Event(), []

    def denoise(*given, watch, **rest):
        def kill(pause, expected):
            watch(pause, expected)
            if pause.done == 2:
                postgres.stop()
                died.set()

        return real(*given, watch=kill, **rest)

    monkeypatch.setattr(attempts, "denoise", denoise)
    with TestClient(create_app(service)) as client:
        job = client.post("/v1/videos", json={"prompt": "a red ball", "steps": 5}).json()["id"]
        worker = threading.Thread(target=lambda: ended.append(finish(service, job)))
        worker.start()
        assert died.wait(300)
        for ask in (
            lambda: client.get(f"/v1/videos/{job}"),
            lambda: client.post("/v1/videos", json={"prompt": "x"}),
        ):
            refused = ask()
            assert refused.status_code == 503 and "cannot reach its database" in refused.text
            assert refused.headers["retry-after"] and "127.0.0.1" not in refused.text
        assert worker.is_alive() and not ended
        postgres.start()
        worker.join(300)
        assert ended == ["completed"] and service.store.get(job).attempt == 1
        assert client.get(f"/v1/videos/{job}/content").content[4:8] == b"ftyp"
    service.close()
