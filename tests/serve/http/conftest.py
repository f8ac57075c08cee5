"""The app by itself, with a tiny model and one that enlarges; a worker is played by hand."""

import pytest
from starlette.testclient import TestClient

from happyhorse.serve.http.app import create_app
from happyhorse.serve.service import open_service
from happyhorse.serve.settings import Settings
from serving import finish


@pytest.fixture(scope="module")
def app(tiny_model, enlarging, tmp_path_factory):
    data = tmp_path_factory.mktemp("app")
    settings = Settings.read({}, data=data, models=(str(tiny_model), str(enlarging)), rate=0, checkpoint=1)
    service = open_service(settings)
    made = create_app(service)
    made.state.service, made.state.tiny, made.state.large = service, tiny_model.name, enlarging.name
    yield made
    service.close()


@pytest.fixture(scope="module")
def client(app):
    with TestClient(app) as running:
        yield running


@pytest.fixture
def done(app, client):
    """Asks for a clip, and makes it."""

    def make(**asked):
        answer = client.post("/v1/videos", json={"prompt": "a red ball", **asked})
        assert answer.status_code == 200, answer.text
        finish(app.state.service, answer.json()["id"])
        return client.get(f"/v1/videos/{answer.json()['id']}").json()

    return make
