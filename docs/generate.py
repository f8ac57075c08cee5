"""Write the parts of the documentation that a program can know better than a person.

    python docs/generate.py            write every generated page and block
    python docs/generate.py --check    write nothing; exit with 1, naming what is stale

Whole pages: `reference/cli.md` from the command line's own declarations, `reference/recipes.md` from the
dataclasses that read a recipe, `reference/api/*.md` from the modules there are. Blocks between
`<!-- generated: NAME -->` and `<!-- end -->` in README.md and in the pages: `tree`, the packages with the first
sentence of each docstring; `families`, the scenes of the world; `clips`, what the small model was measured to do.
"""

import ast
import dataclasses
import inspect
import json
import re
import sys
import types
import typing
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "happyhorse"
DOCS = ROOT / "docs"
NOTE = "<!-- Written by docs/generate.py; edit the source it describes instead. -->\n"
FEWEST = 10  # events of which a share is told
BLOCK = re.compile(r"(<!-- generated: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

# The order in which things happen in the life of a model and of a clip; what is not named comes last, by alphabet.
ORDER = [
    *(
        "values",
        "config",
        "errors",
        "files",
        "checkpoint",
        "media",
        "world",
        "data",
        "codec",
        "model",
        "flow",
        "generate",
    ),
    *("train", "eval", "engine", "serve", "arena", "release", "integrations", "cli"),
]


# --- the command line ----------------------------------------------------------------------------------------


def cli_page() -> str:
    """The reference of every command, argument and option, in the order of `--help`."""
    from happyhorse.cli import LIFE, app

    parts = [NOTE, "# Command line\n"]
    callback = app.registered_callback
    if callback is not None and callback.callback is not None:
        parts.append(_section("happyhorse", callback.callback, None, level=2))
    for path, command in sorted(commands(app), key=lambda pair: LIFE.index(pair[0].split()[1])):
        assert command.callback is not None, path
        parts.append(_section(path, command.callback, command.help, level=2))
    return "\n".join(parts)


def commands(app: Any, prefix: str = "happyhorse") -> Iterator[tuple[str, Any]]:
    """Full name and declaration of every visible command of a typer application, groups after single verbs."""
    for command in app.registered_commands:
        if not command.hidden:
            yield f"{prefix} {command.name or _dashed(command.callback.__name__)}", command
    for group in app.registered_groups:
        name = group.name if isinstance(group.name, str) else group.typer_instance.info.name
        yield from commands(group.typer_instance, f"{prefix} {name}")


def parameters(callback: Callable[..., Any]) -> Iterator[tuple[str, str, str, str]]:
    """For each parameter of a command: how it is written, what it takes, its default, its help."""
    hints = typing.get_type_hints(callback, include_extras=True)
    for name, parameter in inspect.signature(callback).parameters.items():
        hint = hints[name]
        kind, *extras = typing.get_args(hint) if typing.get_origin(hint) is typing.Annotated else (hint,)
        info = next((extra for extra in extras if hasattr(extra, "param_decls")), None)
        if info is None or info.hidden:
            continue
        takes = _takes(kind, info)
        default = "" if takes == "flag" and parameter.default is False else _default(parameter.default)
        if type(info).__name__ == "ArgumentInfo":
            written = info.metavar or name.upper()
            default = default or ("required" if parameter.default is inspect.Parameter.empty else "")
        else:
            positive = f"--{_dashed(name)}"
            negated = f"{positive}/--no-{_dashed(name)}" if takes == "flag" else positive
            # typer keeps the first name of an Annotated option where a default would be
            first = [info.default] if isinstance(info.default, str) and info.default.startswith("-") else []
            written = ", ".join([*first, *(info.param_decls or ())]) or negated
            default = default or ("required" if parameter.default is inspect.Parameter.empty else "")
        yield written, takes, default, " ".join((info.help or "").split())


def _section(path: str, callback: Callable[..., Any], text: str | None, level: int) -> str:
    rows = list(parameters(callback))
    arguments = [written for written, *_ in rows if not written.startswith("-")]
    usage = " ".join([path, *arguments, *["[OPTIONS]"] * (len(arguments) < len(rows))])
    lines = [f"{'#' * level} {path}\n", inspect.cleandoc(text or callback.__doc__ or "").strip() + "\n"]
    lines.append(f"```text\n{usage}\n```\n")
    if rows:
        lines += ["| | takes | default | |", "|---|---|---|---|"]
        lines += [
            f"| `{_cell(written)}` | {_cell(takes)} | {_quoted(default)} | {_cell(help)} |"
            for written, takes, default, help in rows
        ]
        lines.append("")
    return "\n".join(lines)


def _takes(kind: Any, info: Any) -> str:
    """The words of a type: a flag, one of some words, a number in a range, a path, text."""
    if info.metavar and type(info).__name__ == "OptionInfo":
        return f"`{info.metavar}`"
    arguments = [argument for argument in typing.get_args(kind) if argument is not type(None)]
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return _takes(arguments[0], info)
    if typing.get_origin(kind) in (list, tuple):
        return f"{_takes(arguments[0], info)}, repeatable"
    if typing.get_origin(kind) is typing.Literal:
        return ", ".join(f"`{choice}`" for choice in typing.get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f"`{member.value}`" for member in kind)
    word = {bool: "flag", int: "whole number", float: "number", Path: "path", str: "text"}.get(
        kind, str(kind)
    )
    bounds = (info.min, info.max)
    if bounds == (None, None):
        return word
    if info.max is None:
        return f"{word} from {info.min:g}"
    return f"{word} up to {info.max:g}" if info.min is None else f"{word} from {info.min:g} to {info.max:g}"


def _default(value: Any) -> str:
    if value is inspect.Parameter.empty or value is None or value == [] or value == ():
        return ""
    if isinstance(value, Enum):
        value = value.value
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _quoted(default: str) -> str:
    return default if default in ("", "required") else f"`{_cell(default)}`"


def _dashed(name: str) -> str:
    return name.strip("_").replace("_", "-")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


# --- recipes -------------------------------------------------------------------------------------------------


def recipe_page() -> str:
    """Every key that a recipe may have, table by table, from the dataclasses that read it."""
    from happyhorse.train.recipe import Recipe

    lines = [NOTE, "# Recipes\n"]
    lines.append(
        "A key without default must be given. An unknown key is an error, and so is a number outside of its range. "
        "`--set a.b=c` changes one value.\n"
    )
    shown: dict[tuple[type, str], str] = {}
    for path, kind, given in _tables(Recipe, "", None):
        lines.append(f"## {f'[{path}]' if path else 'top level'}\n")
        if (first := shown.setdefault((kind, repr(given)), path)) != path:
            lines.append(f"Like `[{first}]`.\n")
            continue
        lines.append(f"{inspect.cleandoc(kind.__doc__ or '')}\n\n| key | takes | default |\n|---|---|---|")
        hints = typing.get_type_hints(kind, include_extras=True)
        for field in dataclasses.fields(kind):
            if _table(hints[field.name]) is None:
                default = getattr(given, field.name, field.default)
                words = "" if default is dataclasses.MISSING else f"`{_cell(repr(default))}`"
                lines.append(f"| `{field.name}` | {_cell(_named(hints[field.name]))} | {words} |")
        lines.append("")
    return "\n".join(lines)


def _named(hint: Any) -> str:
    """A type in words: `int`, 1 or more."""
    inner = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Annotated:
        return f"{_named(inner[0])}, {inner[1]}"
    if typing.get_origin(hint) is tuple:
        if inner[-1] is Ellipsis:
            return f"list of {_named(inner[0])}"
        return f"list of {len(inner)}: {_named(inner[0])}"
    if typing.get_origin(hint) is dict:
        return f"table: each {_named(inner[1])}"
    plain = isinstance(hint, type) and not inner
    return f"`{hint.__name__ if plain else str(hint).replace('typing.', '')}`"


def _table(hint: Any) -> type | None:
    """The dataclass of a table that may be there, None for a value."""
    kinds = [kind for kind in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(kind)]
    return kinds[0] if kinds and isinstance(kinds[0], type) else None


def _tables(kind: type, path: str, given: Any) -> Iterator[tuple[str, type, Any]]:
    """Dotted name, dataclass, and the default instance (None: there is none) of a table and of those inside it."""
    yield path, kind, given
    for field in dataclasses.fields(kind):
        inner = _table(typing.get_type_hints(kind)[field.name])
        if inner is not None:
            default = getattr(given, field.name, field.default)
            default = None if default is dataclasses.MISSING else default
            yield from _tables(inner, f"{path}.{field.name}".lstrip("."), default)


# --- the modules ---------------------------------------------------------------------------------------------


def parts() -> list[str]:
    """Names of the packages and modules directly inside happyhorse, in the order of their life."""
    names = {p.stem for p in SOURCE.glob("*.py")} | {p.parent.name for p in SOURCE.glob("*/__init__.py")}
    known = [name for name in ORDER if name in names]
    return known + sorted(name for name in names - set(ORDER) if not name.startswith("_"))


def api_pages() -> dict[Path, str]:
    """One page for each part, with the public definitions of each of its modules."""
    pages = {}
    for part in parts():
        lines = [NOTE, f"# {part}\n"]
        for name in _modules(part):
            lines += [f"## {name.removeprefix('happyhorse.')}\n"] * (name != f"happyhorse.{part}")
            lines.append(f"::: {name}\n    options:\n      heading_level: 3\n")
        pages[DOCS / "reference" / "api" / f"{part}.md"] = "\n".join(lines)
    return pages


def _modules(part: str) -> list[str]:
    folder = SOURCE / part
    if not folder.is_dir():
        return [f"happyhorse.{part}"]
    names = sorted(
        ".".join(["happyhorse", *path.relative_to(SOURCE).with_suffix("").parts])
        for path in folder.rglob("*.py")
        if not path.name.startswith("_")
    )
    return [f"happyhorse.{part}", *names]


def tree() -> str:
    """The packages and modules, each with the first sentence of its docstring."""
    lines = ["src/happyhorse/"]
    for part in parts():
        file = SOURCE / f"{part}.py" if (SOURCE / f"{part}.py").exists() else SOURCE / part / "__init__.py"
        name = file.name if file.stem == part else f"{part}/"
        lines.append(f"  {name:<15} {_sentence(file)}")
    return "```text\n" + "\n".join(lines) + "\n```\n"


def _sentence(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(re.split(r"(?<=\.)\s|\n\n", text, maxsplit=1)[0].split()).rstrip(".:")


def families() -> str:
    """The families of scenes, each with a caption and the events of one seed."""
    from happyhorse import world

    rows = ["| family | a caption | what is seen and heard |", "|---|---|---|"]
    for family in world.FAMILIES:
        scene = world.sample(0, families=[family])
        kinds = ", ".join(dict.fromkeys(event.kind for event in scene.events))
        rows.append(f"| {family} | {_cell(scene.captions[0])} | {kinds or 'one continuous sound'} |")
    return "\n".join(rows) + "\n"


def clips() -> str:
    """What the small model was measured to do: the sheet and the table of docs/pictures.py."""
    report = json.loads((DOCS / "assets" / "pony.json").read_text(encoding="utf-8"))
    lines = [
        "![one clip of each family, the first of the measured ones](docs/assets/pony.png)\n",
        f"{report['total']['clips']} held-out prompts, one clip each; brackets: 95 % intervals. *On time*: seen events",
        f"that have a sound between -45 and +125 ms, where {FEWEST} or more were seen. *Control*: the same pictures,",
        "each with another clip's sound.\n",
        "| | clips | shows what was asked | sounds like it | in the right colour | on time | control |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, part in (("all", report["total"]), *report["families"].items()):
        sync, control = part["sync"] or {}, part["control"] or {}
        if sync.get("seen", 0) < FEWEST:
            sync = control = {}
        shares = (part["family"], part["sound"], part["color"], sync.get("within"), control.get("within"))
        lines.append(f"| {name} | {part['clips']} | " + " | ".join(map(_percent, shares)) + " |")
    right = {name: f"{100 * share:.3g} %" for name, share in report["judge"].items()}
    lines += [
        "",
        "The judge behind the first three columns was trained on renders; on renders it had not seen it is right in "
        f"{right['family']} of the families,",
        f"{right['sound']} of the sounds and {right['color']} of the colours. `happyhorse eval --clips "
        f"{report['total']['clips']}` makes and measures the same clips.",
    ]
    return "\n".join(lines) + "\n"


def _percent(figure: dict[str, float | None] | None) -> str:
    if figure is None or figure["value"] is None:
        return ""
    value, low, high = (round(100 * (figure[key] or 0)) for key in ("value", "low", "high"))
    return f"{value} % [{low}, {high}]"


# --- writing -------------------------------------------------------------------------------------------------

BLOCKS: dict[str, Callable[[], str]] = {"tree": tree, "families": families, "clips": clips}


def generated() -> dict[Path, str]:
    """Every file that should exist, with the text it should have."""
    reference = DOCS / "reference"
    files = {reference / "cli.md": cli_page(), reference / "recipes.md": recipe_page(), **api_pages()}
    for path in [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]:
        text = files.get(path) or path.read_text(encoding="utf-8")
        if BLOCK.search(text):
            files[path] = BLOCK.sub(lambda hit: hit[1] + BLOCKS[hit["name"]]() + hit[3], text)
    return files


def stale() -> list[Path]:
    """Generated files that differ from what they should be, and generated pages that describe nothing any more."""
    files = generated()
    wrong = [p for p, text in files.items() if not p.exists() or p.read_text(encoding="utf-8") != text]
    return wrong + [path for path in sorted((DOCS / "reference" / "api").glob("*.md")) if path not in files]


def main(arguments: list[str]) -> int:
    """Write what is stale, or with --check only name it; the exit status of the script."""
    wrong, files = stale(), generated()
    if arguments == ["--check"]:
        for path in wrong:
            print(f"{path.relative_to(ROOT)} is stale; run: python docs/generate.py", file=sys.stderr)
        return 1 if wrong else 0
    for path in wrong:
        if path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path], encoding="utf-8")
        else:
            path.unlink()
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
