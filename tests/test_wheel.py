"""The wheel alone holds the program: all of its files, its command and its extras."""

from __future__ import annotations

import email
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"coremlbench": "toolkit", "coremlbench_models": "models", "coremlbench_datasets": "datasets"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by the locked hatchling."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_it_holds_every_file_of_the_packages(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {
        path.relative_to(ROOT / folder).as_posix()
        for package, folder in PACKAGES.items()
        for path in (ROOT / folder / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert len(sources) > 300
    assert sources - names == set()


def test_it_has_the_command_and_the_extra_for_training(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    read = {name.rpartition("/")[2]: archive.read(name).decode() for name in archive.namelist() if "dist-info" in name}
    assert "coremlbench = coremlbench.cli.main:main" in read["entry_points.txt"]
    metadata = email.message_from_string(read["METADATA"])
    assert {"train", "tensorflow", "energy", "cuda"} <= set(metadata.get_all("Provides-Extra", []))
    required = metadata.get_all("Requires-Dist", [])
    of_extra = {
        extra: {line.partition(" and extra ==")[0] for line in required if f"extra == '{extra}'" in line}
        for extra in ("train", "tensorflow")
    }
    assert of_extra["train"] == of_extra["tensorflow"] != set()
    assert all("extra ==" in line for line in required if line.startswith(("tensorflow", "tf-keras", "tf_keras")))


def test_it_runs_without_the_clone(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'installed')!r})\n"
        "import coremlbench\nfrom coremlbench.runs.schema import results_schema\n"
        "from coremlbench.createml.turicreate_environment import LOCK\nfrom coremlbench.cli.main import cli\n"
        "print(coremlbench.__file__, LOCK.is_file(), len(results_schema()))\ncli(['datasets'])\n"
    )
    ended = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ended.stdout.startswith(f"{tmp_path / 'installed' / 'coremlbench' / '__init__.py'} True ")
    assert "drawn-food" in ended.stdout
