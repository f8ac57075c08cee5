"""A server of this machine alone: it speaks to this machine, and to no page that came from elsewhere."""

from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from happyhorse.serve.http.app import create_app
from happyhorse.serve.http.origins import is_here

DASHSCOPE = "/api/v1/services/aigc/video-generation/video-synthesis"


@pytest.fixture
def client(service):
    named = replace(service.settings, public_url="https://clips.example.com/horse")
    app = create_app(replace(service, settings=named), local=True)
    return TestClient(app, base_url="http://127.0.0.1:8000")


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "localhost", "[::1]:8000", "a.localhost:1", "clips.example.com"]
)
def test_its_own_names_are_answered(client, host):
    assert client.get("/v1/videos", headers={"host": host}).status_code == 200
    assert client.get("/v1/videos", headers={"host": host, "origin": f"http://{host}"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example.com"},
        {"host": "evil.example.com:8000", "origin": "http://evil.example.com:8000"},
        {"host": "127.0.0.1.evil.example.com"},
        {"host": "192.168.1.2"},
        {"host": ""},
        {"host": "["},
        {"origin": "https://evil.example.com"},
        {"origin": "null"},
    ],
)
def test_other_names_and_pages_of_others_are_not(client, service, headers):
    form = {"prompt": (None, "a red ball")}  # what a page may send without asking first
    refused = client.post("/v1/videos", files=form, headers=headers)
    assert refused.status_code == 403 and refused.json()["error"]["code"] == "foreign_origin"
    assert "HAPPYHORSE_PUBLIC_URL" in refused.json()["error"]["message"]
    other = client.post(DASHSCOPE, json={}, headers=headers)
    assert other.status_code == 403 and other.json()["code"] == "AccessDenied"
    assert client.get("/", headers=headers).status_code == 403 and service.store.count() == 0


def test_a_server_for_others_has_any_name(service):
    client = TestClient(create_app(service), base_url="http://gpu-3.example.com")
    assert client.get("/v1/videos", headers={"origin": "https://page.example.com"}).status_code == 200


@pytest.mark.parametrize(
    ("host", "here"), [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True),
                       ("0.0.0.0", False), ("", False), ("10.0.0.1", False), ("nolocalhost", False)]
)  # fmt: skip
def test_which_addresses_are_this_machine(host, here):
    assert is_here(host) is here
