"""What the sources import, compared with what a process that ran them had imported."""

import json
import subprocess
import sys
import textwrap
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from coremlbench.conversion.cache import CONVERT_WORKER, DISTRIBUTION_NAMES
from coremlbench.conversion.sources import random_weights_source
from coremlbench.system import serialization
from coremlbench.system.source_imports import OWN_PACKAGES, imports_of

LIST_MODULES = """
import json, sys
request, modules = sys.argv[1:]
from coremlbench.workers.convert import work
work(json.loads(open(request, "rb").read()), lambda *_, **__: None)
with open(modules, "w", encoding="utf-8") as file:
    json.dump(sorted(sys.modules), file)
"""


def picture_paths(folder: Path, count: int) -> list[list[object]]:
    """Save grey pictures of noise; return the path and the label of each."""
    random = np.random.default_rng(0)
    rows: list[list[object]] = []
    for number in range(count):
        path = folder / f"{number}.png"
        Image.fromarray(random.integers(0, 256, (28, 28), dtype=np.uint8)).save(path)
        rows.append([str(path), number % 10])
    return rows


@pytest.mark.tensorflow
@pytest.mark.slow  # a conversion in a process that forks nothing, to see all its imports
@pytest.mark.timeout(600)
def test_all_that_a_worker_imports_is_found(tmp_path: Path) -> None:
    source, images = random_weights_source("lenet", 0), picture_paths(tmp_path, 8)
    common: dict[str, Any] = {"batch": 1, "target": "macOS15", "base_target": "macOS15"}
    common |= {"ready_package": None, "without_original": False}
    variants = [
        {**common, "key": name, "variant": name, "package": str(tmp_path / f"{name}.mlpackage")}
        for name in ("palettized-6", "int8-activations")
    ]
    request = {
        "source": serialization.to_json(source),
        "settings": {"data": {"name": "noise", "classes": list(source.classes)}},
        "data": {"kind": "images", "name": "noise", "classes": list(source.classes), "train": images, "test": images},
        "images": 4,
        "calibration": 4,
        "seed": 0,
        "folder": str(tmp_path),
        "metadata": {},
        "variants": variants,
    }
    (tmp_path / "request.json").write_text(json.dumps(request), encoding="utf-8")
    command = [sys.executable, "-I", "-c", LIST_MODULES, str(tmp_path / "request.json"), str(tmp_path / "modules.json")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert all(Path(variant["package"]).is_dir() for variant in variants)
    modules = json.loads((tmp_path / "modules.json").read_bytes())
    own = {name for name in modules if name.partition(".")[0] in OWN_PACKAGES}
    assert {"coremlbench_models.lenet", "coremlbench_datasets.images", "coremlbench.conversion.compression"} <= own
    assert own <= set(imports_of(CONVERT_WORKER).files)


SOURCES = {
    "__init__": "",
    "start": """
        from __future__ import annotations
        import json, numpy.linalg
        from typing import TYPE_CHECKING
        from example import statement, VERSION
        if TYPE_CHECKING:
            from example import for_type_checkers
        else:
            import example.without_type_checkers
        def function():
            try:
                from example.function import something
            except ImportError:
                import PIL.Image as image
            match something:
                case 1:
                    from . import relative
    """,
    "statement": "import example.indirect",
    "indirect": "import example.start, h5py",
    "function": "",
    "relative": "from .package.inner import name",
    "package.__init__": """
        import importlib
        WHOLE = {"one": "example.absolute:open_it", "two": "coremltools", "three": "a sentence of 3 words."}
        BELOW = ("inner", "sibling")
        def get(name):
            return importlib.import_module(f"{__name__}.{name}")
    """,
    "package.inner": "",
    "package.sibling": "",
    "absolute": "",
    "without_type_checkers": "",
    "for_type_checkers": "import rich",
    "unused": "import jinja2; 'example.absolute'",
}


def test_imports_of_every_kind_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, source in SOURCES.items():
        file = tmp_path / "example" / f"{name.replace('.', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(source), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    found = imports_of("example.start", ("example",))
    expected = {f"example.{name}".removesuffix(".__init__") for name in SOURCES}
    assert set(found.files) == expected - {"example.for_type_checkers", "example.unused"}
    assert found.libraries == {"numpy", "PIL", "h5py"}
    assert found.files["example.package.inner"] == tmp_path / "example" / "package" / "inner.py"
    assert found.files["example.package"].name == "__init__.py"
    with pytest.raises(ModuleNotFoundError, match=r"no module example\.nothing"):
        imports_of("example.nothing", ("example",))


def test_every_table_of_modules_is_understood() -> None:
    for name, file in imports_of(CONVERT_WORKER).files.items():
        text = file.read_text(encoding="utf-8")
        if "import_module(" in text:
            below = {"coremlbench.conversion.originals", "coremlbench_models", "coremlbench_datasets"}
            below.add("coremlbench.conversion.conversion_progress")  # of coremltools, whose version is in the key
            assert name in below, f"{name} imports by name: see that source_imports finds what, and add it here"
        assert "__import__(" not in text


def test_libraries_have_the_names_of_their_distributions() -> None:
    installed = packages_distributions()
    for name in imports_of(CONVERT_WORKER).libraries & set(installed):
        assert DISTRIBUTION_NAMES.get(name, name) in {each.lower() for each in installed[name]}
