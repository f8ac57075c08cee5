"""What docs/how-to/serve.md says: its commands are commands, its tables are whole, its examples run as they stand."""

import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from typer.main import get_command

from happyhorse.cli import app as cli
from happyhorse.serve.settings import Settings, variable

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "serve.md").read_text("utf-8")
ADDRESS = "http://127.0.0.1:8000"


def blocks(language: str) -> list[str]:
    """The blocks of code in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.M | re.S)


def lines(first: str) -> list[list[str]]:
    """The words of each command that begins with a word."""
    found = [line for block in blocks("bash") for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line, comments=True) for line in found if line.startswith(first)]


def test_commands_are_commands():
    commands = lines("happyhorse ")
    assert len(commands) > 8
    for _, verb, *rest in commands:
        command = get_command(cli).commands[verb]  # type: ignore[attr-defined]
        if hasattr(command, "commands"):
            command = command.commands[rest[0]]
        known = {name for parameter in command.params for name in parameter.opts}
        asked = {word for word in rest if word.startswith("--")}
        assert asked <= known, (verb, asked - known)


def test_files_are_there():
    for words in (*lines("docker "), *lines("cp "), *lines("kubectl ")):
        for word in words:
            if word.startswith("deploy/") and word not in (
                "deploy/kubernetes/happyhorse.env",
                "deploy/happyhorse-worker",
            ):
                assert (ROOT / word).exists(), word


def test_tables_are_whole():
    from happyhorse.serve.http import metrics

    settings = {variable(field.name) for field in fields(Settings)}
    table = "\n".join(line for line in PAGE.splitlines() if line.startswith("| `HAPPYHORSE_"))
    assert set(re.findall(r"HAPPYHORSE_\w+", table)) == settings
    assert set(re.findall(r"HAPPYHORSE_\w+", PAGE)) == settings
    source = Path(metrics.__file__).read_text("utf-8")
    assert set(re.findall(r"`(happyhorse_\w+)`", PAGE)) == set(re.findall(r'"(happyhorse_\w+)"', source))


def run(command: list[str], text: str, folder: Path) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, cwd=folder, timeout=600)
    assert done.returncode == 0, (text, done.stdout[-2000:], done.stderr[-3000:])
    return done.stdout


@pytest.mark.slow
def test_examples_of_curl_run(live, tmp_path):
    text = "\n".join(block for block in blocks("bash") if block.startswith("curl "))
    assert text.count(ADDRESS) > 8
    answers = run(["bash", "-euo", "pipefail"], text.replace(ADDRESS, live.url), tmp_path)
    assert (tmp_path / "ball.mp4").read_bytes()[4:8] == b"ftyp"
    assert (tmp_path / "last.png").read_bytes()[:4] == b"\x89PNG"
    assert "event: done" in answers and '"deleted":true' in answers and '"error":{' not in answers
    assert "happyhorse_workers 1.0" in answers and '"stages":' in answers


@pytest.mark.slow
@pytest.mark.parametrize("number", range(3))
def test_examples_of_clients_run(live, tmp_path, number):
    text = blocks("python")[number].replace(ADDRESS, live.url)
    module = next(name for name in ("openai", "dashscope", "volcenginesdkarkruntime") if name in text)
    pytest.importorskip(module, reason="pip install 'happyhorse[clients]' for the official clients")
    printed = run([sys.executable, "-"], text, tmp_path)
    if module == "openai":
        assert (tmp_path / "ball.mp4").read_bytes()[4:8] == b"ftyp"
    else:
        assert printed.startswith(f"{live.url}/files/")
