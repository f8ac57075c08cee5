"""The generated pages are up to date, and the generator says what the command line says."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Annotated, Literal

import pytest
import typer
from typer.testing import CliRunner

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_nothing_generated_is_stale(generate: ModuleType) -> None:
    stale = [str(path.relative_to(ROOT)) for path in generate.stale()]
    assert not stale, f"run: python docs/generate.py  ({', '.join(stale)})"


def test_every_command_and_option_has_help(generate: ModuleType) -> None:
    from happyhorse.cli import app

    faults = []
    for path, command in generate.commands(app):
        if not (command.help or command.callback.__doc__):
            faults.append(f"{path} has no help")
        faults += [
            f"{path} {written} has no help"
            for written, _, _, text in generate.parameters(command.callback)
            if not text
        ]
    assert not faults, "\n".join(faults)


def test_every_option_of_help_is_on_the_page(generate: ModuleType) -> None:
    """The page is made from declarations; `--help` is what a person sees. Each option of the second is in the first."""
    from happyhorse.cli import app

    page = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    for path, _ in generate.commands(app):
        plain = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
        run = CliRunner().invoke(app, [*path.split()[1:], "--help"], env=plain)
        assert run.exit_code == 0, run.output
        section = page.partition(f"## {path}\n")[2].partition("\n## ")[0]
        seen = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", run.stdout)) - {"--help"}
        missing = {option for option in seen if option not in section}
        assert not missing, f"{path}: {missing}"


def test_parameters(generate: ModuleType) -> None:
    def command(
        prompt: Annotated[str, typer.Argument(help="What to show.")],
        steps: Annotated[int, typer.Option("--steps", "-n", help="How many.", min=1)] = 32,
        loud: Annotated[bool, typer.Option(help="Or not.")] = True,
        kind: Annotated[Literal["a", "b"], typer.Option(help="Which.")] = "a",
        given: Annotated[Path | None, typer.Option("--set-this", help="Where.")] = None,
        several: Annotated[list[str] | None, typer.Option(help="More.")] = None,
        unseen: Annotated[int, typer.Option(hidden=True)] = 1,
    ) -> None:
        pass

    assert list(generate.parameters(command)) == [
        ("PROMPT", "text", "required", "What to show."),
        ("--steps, -n", "whole number from 1", "32", "How many."),
        ("--loud/--no-loud", "flag", "True", "Or not."),
        ("--kind", "`a`, `b`", "a", "Which."),
        ("--set-this", "path", "", "Where."),
        ("--several", "text, repeatable", "", "More."),
    ]


def test_every_page_is_in_the_navigation() -> None:
    listed = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    missing = [page for page in pages if page not in listed]
    assert not missing, f"add to nav in mkdocs.yml: {missing}"
