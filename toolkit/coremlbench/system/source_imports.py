"""Find all modules that a module imports, directly or indirectly, from the sources without running them.

Import statements inside functions count too; those below ``if TYPE_CHECKING:`` do not, as they never run. In a module
that calls ``import_module``, each string constant that names a module counts, absolute
(``"coremlbench.conversion.originals.keras:open_keras"``) or relative to its own package (``"lenet"``).
"""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Any

OWN_PACKAGES = ("coremlbench", "coremlbench_models", "coremlbench_datasets")


@dataclass(frozen=True)
class Imports:
    """What a module imports: ``files`` of our own modules by module name, and top-level names of ``libraries``.

    The standard library is in neither.
    """

    files: dict[str, Path]
    libraries: frozenset[str]


@functools.cache
def imports_of(module: str, packages: tuple[str, ...] = OWN_PACKAGES) -> Imports:
    """Return everything that importing a module, and calling its functions, can import.

    Only modules of ``packages`` are read, from where this Python would import them.

    Raises:
        ModuleNotFoundError: there is no such module.
    """
    if _file_of(module, packages) is None:
        raise ModuleNotFoundError(f"There is no module {module} in {', '.join(packages)}.", name=module)
    files: dict[str, Path] = {}
    libraries: set[str] = set()
    queue = [module]
    while queue:
        name = queue.pop()
        top = name.partition(".")[0]
        if top not in packages:
            libraries.add(top)
        elif name not in files and (file := _file_of(name, packages)) is not None:
            files[name] = file
            queue += [name.rpartition(".")[0] or name, *_imported_names(name, file, packages)]
    return Imports(dict(sorted(files.items())), frozenset(libraries - sys.stdlib_module_names))


@functools.cache
def _folders_of(package: str) -> tuple[Path, ...]:
    """Return the folders of a top-level package, without importing it."""
    spec = util.find_spec(package)
    return tuple(map(Path, (spec.submodule_search_locations or ()) if spec else ()))


def _file_of(module: str, packages: tuple[str, ...]) -> Path | None:
    """Return the file of a module or package; ``None`` for any other name, such as that of a function."""
    top, *parts = module.split(".")
    for folder in _folders_of(top) if top in packages else ():
        path = folder.joinpath(*parts)
        for file in (path / "__init__.py", path.with_name(f"{path.name}.py")):
            if file.is_file():
                return file
    return None


def _imported_names(module: str, file: Path, packages: tuple[str, ...]) -> Iterator[str]:
    """Yield the names of the modules that a module imports, and of the objects in them, which may be modules too."""
    source = file.read_bytes()
    tree = ast.parse(source, file)
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for statement in _import_statements(tree):
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        else:
            base = statement.module or ""
            if statement.level:
                base = util.resolve_name("." * statement.level + base, package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in statement.names)
    if b"import_module" in source:
        yield from _dynamic_names(tree, package, packages)


def _import_statements(tree: ast.Module) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the import statements that can run; expressions, which contain none, are not walked."""
    queue: list[Any] = list(tree.body)
    while queue:
        node = queue.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, ast.If) and _for_type_checkers(node.test):
            queue += node.orelse
        else:
            for field in ("body", "orelse", "handlers", "finalbody", "cases"):
                queue += getattr(node, field, ())


def _for_type_checkers(test: ast.expr) -> bool:
    return (test.id if isinstance(test, ast.Name) else getattr(test, "attr", "")) == "TYPE_CHECKING"


def _dynamic_names(tree: ast.Module, package: str, packages: tuple[str, ...]) -> Iterator[str]:
    """Yield our modules that string constants name, absolutely or relative to ``package``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value.partition(":")[0]
            for candidate in (name, f"{package}.{name}"):
                if all(part.isidentifier() for part in candidate.split(".")) and _file_of(candidate, packages):
                    yield candidate
