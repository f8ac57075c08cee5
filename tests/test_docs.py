"""Commands that the documentation shows are understood: verbs, options and settings of recipes exist."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from happyhorse.cli import app
from happyhorse.train.recipe import load_recipe

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted(p for p in (ROOT / "docs").rglob("*.md") if p.name != "log.md")]
ENDS = {"|", ">", ">>", "<", "&&", ";", "&", "||"}  # where a command of a shell ends


def commands(page: Path) -> Iterator[list[str]]:
    """The arguments of the `happyhorse` of each line of the code blocks of a page."""
    for block in re.findall(r"```(?:bash|sh)\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            start = next((i for i, word in enumerate(words) if Path(word).name == "happyhorse"), None)
            first = start is not None and all("=" in word for word in words[:start])  # but for variables
            if start is not None and (first or words[start - 1] in ("--", "-m")):
                end = next((i for i in range(start, len(words)) if words[i] in ENDS), len(words))
                yield words[start + 1 : end]


SHOWN = [(page, words) for page in PAGES for words in commands(page)]


def test_commands_are_found():
    assert len(SHOWN) > 60 and {page.name for page, _ in SHOWN} >= {"README.md", "tutorial.md", "train.md"}


@pytest.mark.parametrize(
    ("page", "words"), SHOWN, ids=[f"{page.relative_to(ROOT)}: {shlex.join(words)}" for page, words in SHOWN]
)
def test_a_command_of_a_page_is_understood(page, words, monkeypatch):
    monkeypatch.chdir(ROOT)
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        assert rest[0] in command.commands, f"{page}: there is no verb {rest[0]!r}"
        command = command.commands[rest.pop(0)]
    if not rest:
        return
    try:
        values = command.make_context("happyhorse", rest).params
    except typer.Exit:  # --help, --version
        return
    except Exception as error:
        pytest.fail(f"{page}: {getattr(error, 'format_message', error.__str__)()}")
    recipe = values.get("recipe")
    if recipe and Path(recipe).is_file():
        load_recipe(recipe, values.get("settings") or ())
