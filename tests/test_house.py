"""The rules of the house, checked on the sources themselves: documentation, size, words, and who may import whom."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src" / "happyhorse").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
LONGEST_FILE = 400  # lines

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef

# "[B, L, D]", "[F, height, width, 3]", "[N+1]", "[4(T-1)+1]", "[]": what a bracket must look like to be a shape.
DIMENSION = r"\s*\.{0,3}[\w *+/()|^=-]*\s*"
SHAPE = re.compile(rf"\[{DIMENSION}(,{DIMENSION})*\]")
UNIT = re.compile(
    r"\b(s|ms|seconds?|Hz|kHz|samples?|frames?|fps|px|pixels?|dB|nats?|bits?|bytes?|units?|cents?|semitones?|"
    r"beats?|degrees?|radians?|rad|ratio|share|relative)\b|%|/s\b"
)
NEEDS_UNIT = {
    "rate",
    "duration",
    "time",
    "times",
    "offset",
    "lag",
    "delay",
    "frequency",
    "frequencies",
    "tempo",
    "onset",
}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def definitions(path: Path) -> Iterator[tuple[str, Definition]]:
    """Every public class, function and method of a file, with its dotted name; what is nested in a function is not."""

    def walk(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, Definition]]:
        for node in body:
            if isinstance(node, Definition) and not node.name.startswith("_"):
                yield prefix + node.name, node
                if isinstance(node, ast.ClassDef):
                    yield from walk(node.body, f"{prefix}{node.name}.")

    yield from walk(ast.parse(path.read_text(encoding="utf-8")).body, "")


def is_shapeless(annotation: ast.expr | None) -> bool:
    """Whether an annotation names a tensor or an array whose shape jaxtyping does not give."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            annotation = ast.parse(annotation.value, mode="eval").body
        except SyntaxError:
            return False
    if annotation is None:
        return False
    if isinstance(annotation, ast.Subscript) and getattr(annotation.value, "id", "") in {"Mapping", "dict"}:
        return False  # tensors by name, each with a shape of its own
    names = {getattr(node, "attr", getattr(node, "id", None)) for node in ast.walk(annotation)}
    shaped = any(
        isinstance(node, ast.Subscript)
        and isinstance(node.slice, ast.Tuple)
        and len(node.slice.elts) == 2
        and isinstance(node.slice.elts[1], ast.Constant)
        and isinstance(node.slice.elts[1].value, str)
        for node in ast.walk(annotation)
    )
    return bool(names & {"Tensor", "ndarray"}) and not shaped


def annotations(node: Definition) -> Iterator[tuple[str, ast.expr | None]]:
    """Names and annotations of what goes in and out of a function, or of the fields of a class."""
    if isinstance(node, ast.ClassDef):
        for item in node.body:
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                yield item.target.id, item.annotation
        return
    arguments = node.args
    for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg]:
        if argument is not None:
            yield argument.arg, argument.annotation
    yield "return", node.returns


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_everything_public_is_documented(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    faults = [] if ast.get_docstring(tree) or not tree.body else ["the module has no docstring"]
    for name, node in definitions(path):
        if not ast.get_docstring(node):
            faults.append(f"line {node.lineno}: {name} has no docstring")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_every_tensor_has_a_shape(path: Path) -> None:
    """A tensor in a signature has its shape from jaxtyping, or the docstring gives it in brackets (or says scalar)."""
    faults = []
    for name, node in definitions(path):
        text = ast.get_docstring(node) or ""
        bare = [which for which, annotation in annotations(node) if is_shapeless(annotation)]
        if bare and not SHAPE.search(text) and not re.search(r"\bscalar\b|\b(any|same) shape\b", text):
            faults.append(
                f"line {node.lineno}: {name}: say the shape of {', '.join(bare)}, for example [B, L, D]"
            )
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_every_quantity_has_a_unit(path: Path) -> None:
    faults = []
    for name, node in definitions(path):
        text = ast.get_docstring(node) or ""
        bare = [which for which, _ in annotations(node) if which in NEEDS_UNIT]
        if bare and not UNIT.search(text):
            faults.append(f"line {node.lineno}: {name}: say the unit of {', '.join(bare)}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=name_of)
def test_no_file_is_long(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST_FILE, f"{lines} lines: past {LONGEST_FILE} a file is asking to become two"


# Written in halves, so that this file does not hold what it forbids.
FORBIDDEN = {
    "unfinished work": re.compile(
        "|".join(rf"\b{a}{b}\b" for a, b in [("TO", "DO"), ("FIX", "ME"), ("XX", "X")])
    ),
    "a stub": re.compile("NotImplemented" + "Error"),
    "a path of one machine": re.compile(r"(?<![\w.*~/-])/(wo" + r"rk|ro" + r"ot|home/\w+)(?=/|\b)"),
    "a package host": re.compile(
        "|".join(
            ["py" + r"pi\.org", "python" + r"hosted\.org", "download" + r"\.pytorch\.org", "npm" + r"js\.org"]
        )
    ),
}
TEXTS = sorted(
    path
    for pattern in ["*.md", "*.toml", "*.cff", "Makefile", "NOTICE", ".ci/*", "mkdocs.yml", "recipes/*"]
    for path in ROOT.glob(pattern)
    if path.is_file()
)
PAGES = sorted(path for path in (ROOT / "docs").rglob("*") if path.suffix in {".md", ".py", ".css", ".js"})


@pytest.mark.parametrize("path", [*SOURCES, *TESTS, *TEXTS, *PAGES], ids=name_of)
def test_forbidden_words(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    faults = [
        f"line {text.count(chr(10), 0, hit.start()) + 1}: {what}: {hit.group()!r}"
        for what, pattern in FORBIDDEN.items()
        for hit in pattern.finditer(text)
    ]
    assert not faults, "\n".join(faults)


# A package that only one part of the tree may import: the part, by the start of its path.
CONFINED = {
    "typer": ("cli",),
    "click": ("cli",),
    "rich": ("cli",),
    "pydantic": ("serve/",),
    "fastapi": ("serve/",),
    "espeakng_loader": ("world/",),
    "fugashi": ("world/",),
    "diffusers": ("codec/", "integrations/"),
    "transformers": ("codec/", "engine/", "integrations/"),
    "zstandard": ("model/weights",),
    "av": ("media", "data/", "generate/", "eval/", "serve/"),
}
# The only packages, besides the standard library and happyhorse itself, that a part may import.
ALLOWED = {
    "world/": {"numpy", "espeakng_loader", "fugashi", "unidic_lite"},
    "flow/": {"torch", "jaxtyping"},
}
# The only modules of happyhorse that a part may import, besides itself.
INSIDE = {"world/": set(), "flow/": {"happyhorse.values"}}


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of every import in a file, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield (
                    node.lineno,
                    f"{node.module}.{alias.name}" if node.module == "happyhorse" else node.module,
                )


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_packages_are_imported_where_they_belong(path: Path) -> None:
    inside = path.relative_to(ROOT / "src" / "happyhorse").as_posix()
    faults = []
    for line, module in imports(path):
        package = module.partition(".")[0]
        if package in CONFINED and not inside.startswith(CONFINED[package]):
            faults.append(f"line {line}: {package} belongs to {', '.join(CONFINED[package])}")
        for part, packages in ALLOWED.items():
            own = package == "happyhorse" or package in sys.stdlib_module_names
            if inside.startswith(part) and not own and package not in packages:
                faults.append(
                    f"line {line}: {part} may import {', '.join(sorted(packages))} and no {package}"
                )
        for part, modules in INSIDE.items():
            own = f"happyhorse.{part.rstrip('/')}"
            if inside.startswith(part) and package == "happyhorse" and not module.startswith((own, *modules)):
                faults.append(f"line {line}: {part} may not import {module}")
    assert not faults, "\n".join(faults)


def test_layers() -> None:
    """The contract of pyproject.toml, the same that `make lint` checks."""
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())",
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("module", ["happyhorse", "happyhorse.cli", "happyhorse.values", "happyhorse.world"])
def test_import_costs_no_torch(module: str) -> None:
    """Asking for help, or making a request, must not wait for torch to load."""
    heavy = "{'torch', 'av', 'transformers', 'diffusers', 'matplotlib'}"
    code = f"import {module}, sys; print(*{heavy} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == []


def test_typed_marker_is_shipped() -> None:
    assert (ROOT / "src" / "happyhorse" / "py.typed").is_file()


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.toml")), ids=name_of)
def test_recipe_loads(path: Path) -> None:
    """Strictly: a key that nothing reads is an error. The name is that of the file, which names the run's folder."""
    from happyhorse.train.recipe import load_recipe

    assert load_recipe(path).name == path.stem
    with pytest.raises(ValueError, match="did you mean 'clips'"):
        load_recipe(path, ["flow.clipz=1"])
