"""The pages for contributors are true, and the sources keep to the sizes and places that they name."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs import make_architecture

ROOT = Path(__file__).parents[1]
TOOLKIT = ROOT / "toolkit" / "coremlbench"
PAGE = make_architecture.PAGE.read_text(encoding="utf-8")

FILE_LINES = {
    "toolkit": 400,
    "models": 400,
    "datasets": 400,
    "docs": 400,
    "benchmarks": 400,
    ".ci": 400,
    "tests": 600,
}
"""The most lines of a Python file, by top-level folder."""
FUNCTION_LINES = 60


def path_of(name: str) -> Path:
    """Return the path of a file or folder that the page names, relative to the toolkit or to the repository."""
    return next((base / name for base in (TOOLKIT, ROOT) if (base / name).exists()), ROOT / name)


def names_in(file: Path) -> set[str]:
    """Return the names that a module defines: functions, classes, constants, and methods as ``Class.method``."""
    names = set[str]()
    for node in ast.parse(file.read_bytes()).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def steps(title: str) -> list[str]:
    """Return the items of the numbered list in a section of the page."""
    (section,) = re.findall(rf"^## {title}$(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    return [" ".join(item.split()) for item in re.findall(r"^\d+\. (.*(?:\n +.*)*)", section, re.MULTILINE)]


def test_the_generated_part_is_up_to_date() -> None:
    assert make_architecture.document(PAGE) == PAGE, "run `make docs`"


@pytest.mark.parametrize("page", ["", make_architecture.END, PAGE + make_architecture.BEGIN])
def test_a_page_without_its_two_markers_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="The page must have one line"):
        make_architecture.document(page)


def test_only_implied_arrows_are_left_out() -> None:
    nothing = frozenset[str]()
    edges = {"a": frozenset("bcd"), "b": frozenset("c"), "c": nothing, "d": nothing}
    assert make_architecture.without_implied(edges) == {"a": ["b", "d"], "b": ["c"], "c": [], "d": []}


def test_the_drawing_holds_every_package_of_the_toolkit() -> None:
    folders = {path.parent.name for path in TOOLKIT.glob("*/__init__.py")}
    drawn = set(re.findall(r'^    (\w+)\["', PAGE, re.MULTILINE))
    assert drawn == folders | set(make_architecture.CONTENT)


@pytest.mark.parametrize("title", ["The path of one image", "The path of one measurement"])
def test_every_step_names_functions_that_exist(title: str) -> None:
    items = steps(title)
    assert len(items) > 20
    for item in items:
        head = re.match(r"`([\w./]+\.py)` (`[\w.]+`(?:, `[\w.]+`)*): ", item)
        assert head is not None, item
        assert set(re.findall(r"[\w.]+", head[2])) <= names_in(path_of(head[1])), item


def test_every_path_on_the_page_exists() -> None:
    paths = set(re.findall(r"`([\w./]+(?:\.py|/))`", PAGE)) | set(re.findall(r"\]\(\.\./([\w./]+)\)", PAGE))
    assert sorted(name for name in paths if not path_of(name).exists()) == []


def test_every_table_to_add_to_exists() -> None:
    named = re.findall(r"`(\w+)` of `([\w./]+\.py)`", PAGE)
    assert len(named) > 5
    assert [(name, file) for name, file in named if name not in names_in(path_of(file))] == []


def rows(heading: str) -> dict[str, str]:
    """Return the first two cells of each row of CONTRIBUTING's table with that first heading."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (table,) = re.findall(rf"^\| {heading} \|.*\n\|-.*\n((?:\|.*\n)+)", page, re.MULTILINE)
    return dict(re.findall(r"^\| `(?:make )?([\w-]+)` \| (.*?) \|", table, re.MULTILINE))


def test_contributing_lists_the_targets_of_make() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = dict(re.findall(r"^([a-z-]+):.*?## (.*)$", makefile, re.MULTILINE))
    assert rows("target") == {name: text for name, text in targets.items() if name != "help"}


def test_contributing_lists_the_markers() -> None:
    settings = make_architecture.project_settings()
    markers = settings["tool"]["pytest"]["ini_options"]["markers"]
    assert set(rows("marker")) == {marker.partition(":")[0] for marker in markers}


def test_no_module_lies_outside_of_a_package() -> None:
    assert sorted(path.name for path in TOOLKIT.glob("*.py")) == ["__init__.py", "__main__.py"]


def long_parts(folder: str, most: int) -> Iterator[str]:
    """Yield files of more than ``most`` lines, and functions of more than ``FUNCTION_LINES``, with their lines."""
    for file in sorted((ROOT / folder).rglob("*.py")):
        source = file.read_text(encoding="utf-8")
        name = file.relative_to(ROOT)
        if (lines := len(source.splitlines())) > most:
            yield f"{name}: {lines} lines"
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                assert node.end_lineno is not None
                if (lines := node.end_lineno - node.lineno + 1) > FUNCTION_LINES:
                    yield f"{name}: {node.name} has {lines} lines"


@pytest.mark.parametrize(("folder", "most"), FILE_LINES.items())
def test_files_and_functions_are_short(folder: str, most: int) -> None:
    assert list(long_parts(folder, most)) == []
