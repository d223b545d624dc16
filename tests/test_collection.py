"""Looking for the fast tests imports neither TensorFlow nor coremltools, which takes each of xdist's processes long."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from tests.conftest import ALL_TENSORFLOW

TESTS = Path(__file__).parent
HEAVY = {"coremltools", "keras", "tensorflow", "tf_keras"}


def imports_at_the_top(statements: Iterable[ast.stmt]) -> Iterator[str]:
    """Yield the modules that a file imports when it is imported, and the names that it takes from them."""
    for statement in statements:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            yield str(statement.module)
            yield from (f"{statement.module}.{alias.name}" for alias in statement.names)
        elif isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            yield from imports_at_the_top(statement.orelse)
        elif isinstance(statement, (ast.If, ast.Try, ast.With)):
            yield from imports_at_the_top([*statement.body, *getattr(statement, "orelse", ())])


@cache
def heavy_imports(file: Path) -> frozenset[str]:
    """Return which of ``HEAVY`` a file of tests imports at its top, also through other modules of the tests."""
    heavy: set[str] = set()
    for name in imports_at_the_top(ast.parse(file.read_bytes()).body):
        heavy |= {name.partition(".")[0]} & HEAVY
        module = TESTS.parent / name.replace(".", "/")
        for other in (module.with_suffix(".py"), module / "__init__.py"):
            if name.startswith("tests.") and other.is_file():
                heavy |= heavy_imports(other)
    return frozenset(heavy)


def test_imports_are_found_wherever_they_stand_at_the_top(tmp_path: Path) -> None:
    file = tmp_path / "test_it.py"
    for code in ("import keras.layers", "from coremltools import utils", "if 1:\n    import tensorflow as tf"):
        file.write_text(code)
        heavy_imports.cache_clear()
        assert heavy_imports(file)
    file.write_text("def test_it():\n    import tensorflow\nif TYPE_CHECKING:\n    import keras\nimport numpy\n")
    heavy_imports.cache_clear()
    assert not heavy_imports(file)
    assert heavy_imports(TESTS / "mil_programs.py") == {"coremltools"}
    assert heavy_imports(TESTS / "small_packages.py") == {"coremltools"}, "it imports mil_programs"


def test_a_file_that_imports_tensorflow_at_its_top_is_marked_whole() -> None:
    unmarked = [
        str(file.relative_to(TESTS))
        for file in sorted(TESTS.rglob("test_*.py"))
        if heavy_imports(file) and not ALL_TENSORFLOW.search(file.read_text(encoding="utf-8"))
    ]
    assert not unmarked, "begin it with `pytestmark = pytest.mark.tensorflow`, or import in functions"
