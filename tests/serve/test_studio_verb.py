"""`happyhorse studio`: a server for this machine, and its page in the browser. No server is started here."""

import json
import os
import socket
import webbrowser

import pytest
from typer.testing import CliRunner

from happyhorse.cli import app
from happyhorse.serve import server
from happyhorse.serve.http.models import check_serveable
from happyhorse.serve.service import hold, note, running
from happyhorse.serve.settings import Settings


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """What browsers were asked to show."""
    pages: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda page: pages.append(page) or True)
    monkeypatch.setenv("DISPLAY", ":9")
    return pages


@pytest.fixture
def served(monkeypatch) -> list[tuple[Settings, int]]:
    """With which settings and on which port it would have been served."""
    found: list[tuple[Settings, int]] = []

    def serve(settings, started, listener):
        found.append((settings, listener.getsockname()[1]))
        started(f"http://127.0.0.1:{found[-1][1]}")
        listener.close()

    monkeypatch.setattr(server, "serve", serve)
    return found


def studio(*arguments: str):
    done = CliRunner().invoke(app, ["studio", *arguments])
    assert done.exit_code == 0, done.output
    return done


def test_it_serves_this_machine_and_shows_the_page(opened, served, tmp_path, monkeypatch):
    monkeypatch.setenv("HAPPYHORSE_HOST", "0.0.0.0")  # for servers; a page of one's own needs no door
    done = studio("--data", str(tmp_path), "--port", "0", "--json")
    (settings, port), url = served[0], json.loads(done.stdout)["url"]
    assert settings.host == "127.0.0.1" and opened == [url] == [f"http://127.0.0.1:{port}"]


def test_the_page_is_only_named_where_it_is_not_to_be_shown_or_cannot_be(
    opened, served, tmp_path, monkeypatch
):
    data = ("--data", str(tmp_path), "--port", "0")
    quiet = studio(*data, "--no-open")
    assert not opened and quiet.stdout.startswith("http://127.0.0.1:") and not quiet.stderr
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    assert "there is no browser to open here; open http://" in studio(*data).stderr and not opened


def test_a_port_that_is_taken_is_another_one_unless_it_was_asked_for(opened, served, tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HAPPYHORSE_PORT", str(taken))
            studio("--data", str(tmp_path))
        assert served[0][1] != taken
        asked = CliRunner().invoke(app, ["studio", "--data", str(tmp_path), "--port", str(taken)])
        assert asked.exit_code == 2 and f"port {taken}" in asked.stderr and "--port" in asked.stderr
        with pytest.raises(ValueError, match="give another --port"):
            server.bind("127.0.0.1", taken)


def test_where_a_server_runs_its_page_is_shown(opened, served, tmp_path):
    settings = Settings.read({}, data=tmp_path)
    assert running(settings) is None
    lock = hold(settings)
    try:
        note(lock, "http://127.0.0.1:4321")
        assert running(settings) == "http://127.0.0.1:4321"
        with pytest.raises(ValueError, match=r"at http://127.0.0.1:4321"):
            hold(settings)
        done = studio("--data", str(tmp_path))
        assert opened == ["http://127.0.0.1:4321"] and not served and "running already" in done.stderr
    finally:
        os.close(lock)
    assert running(settings) is None


def test_a_model_that_is_not_there_is_said_before_anything_is_started(tmp_path):
    with pytest.raises(ValueError, match="no model called 'ponny'"):
        check_serveable(("ponny",))
    refused = CliRunner().invoke(app, ["serve", "--model", "ponny", "--data", str(tmp_path), "--port", "0"])
    assert refused.exit_code == 2 and "did you mean 'pony'" in refused.stderr
