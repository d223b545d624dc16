"""The scripts in .ci that look after the repository itself."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import pytest_collection_modifyitems

CI = Path(__file__).parents[1] / ".ci"
ENDS = ("<" * 7, ">" * 7, "|" * 7)
MIDDLE = "=" * 7


def script(name: str, *arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(CI / name), *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    return tmp_path


def track(repository: Path, name: str, content: bytes) -> None:
    (repository / name).write_bytes(content)
    subprocess.run(["git", "add", name], cwd=repository, check=True)


@pytest.mark.parametrize("marker", [*ENDS, *(f"{end} HEAD" for end in ENDS), MIDDLE])
def test_a_merge_conflict_marker_is_found(repository: Path, marker: str) -> None:
    track(repository, "clean.py", b"value = 1\n")
    for name, end in (("a.md", "\n"), ("b ü.md", "\r\n"), ("c.md", "")):
        track(repository, name, f"one sentence\n{marker}{end}".encode())
    ended = script("conflict_markers.py", folder=repository)
    said = "a merge-conflict marker; resolve the conflict."
    assert ended.stdout.splitlines() == [f"{name}:2: {said}" for name in ("a.md", "b ü.md", "c.md")]
    assert ended.returncode == 1


def test_what_only_looks_like_a_marker_is_none(repository: Path) -> None:
    lines = [
        "Heading",
        MIDDLE,
        "=" * 8,
        f" {ENDS[0]} indented",
        f"{ENDS[0]}<",
        f"{ENDS[0]}HEAD",
        f"{MIDDLE} x",
        "a ||||||| b",
    ]
    track(repository, "page.rst", "\n".join(lines).encode())
    (repository / "untracked.txt").write_text(f"{ENDS[0]} HEAD\n", encoding="utf-8")
    track(repository, "gone.txt", f"{ENDS[0]} HEAD\n".encode())
    (repository / "gone.txt").unlink()
    ended = script("conflict_markers.py", folder=repository)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ("x" * 72 + "\n\nA body with a line of " + "y" * 90, ""),
        ("\n# Please enter the commit message\nShort\n# comment", ""),
        ("x" * 73, "The subject has 73 characters; shorten it to 72"),
        ("ü" * 72, ""),
        ("# only git's own lines\n\n", "The commit message is empty"),
        ("Short\nand at once a body", "The second line of the commit message is not empty"),
    ],
)
def test_the_subject_of_a_commit_is_short(tmp_path: Path, message: str, problem: str) -> None:
    (tmp_path / "message").write_text(message, encoding="utf-8")
    ended = script("commit_subject.py", "message", folder=tmp_path)
    assert ended.returncode == bool(problem)
    assert ended.stderr.startswith(problem)
    assert bool(ended.stderr) == bool(problem)


def write_python(path: Path, version: str) -> None:
    """Write a stand-in for a Python that tells this version, or that fails without one, as pyenv's do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {version}\n" if version else "#!/bin/sh\nexit 127\n", encoding="utf-8")
    path.chmod(0o755)


def test_a_python_is_found_on_path_or_among_those_of_pyenv(tmp_path: Path) -> None:
    versions = tmp_path / "pyenv" / "versions"
    environment = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "PYENV_ROOT": str(tmp_path / "pyenv")}
    write_python(tmp_path / "bin" / "python3.77", "")  # pyenv's stand-in on PATH
    assert script("find_python.py", "3.77", folder=tmp_path, **environment).returncode == 1
    for name in ("3.77.9", "3.77.10", "3.77.11rc1", "3.7.7"):
        write_python(versions / name / "bin" / "python", "3.77")
    ended = script("find_python.py", "3.77", folder=tmp_path, **environment)
    assert (ended.returncode, ended.stdout) == (0, f"{versions / '3.77.10' / 'bin' / 'python'}\n")
    write_python(versions / "3.77.11" / "bin" / "python", "3.78")  # not what its folder says
    assert "3.77.10" in script("find_python.py", "3.77", folder=tmp_path, **environment).stdout
    write_python(tmp_path / "bin" / "python3.77", "3.77")
    ended = script("find_python.py", "3.77", folder=tmp_path, **environment)
    assert (ended.returncode, ended.stdout) == (0, f"{tmp_path / 'bin' / 'python3.77'}\n")


@pytest.fixture
def makefile(tmp_path: Path) -> Path:
    """A folder with the Makefile, and an environment of Python 3.77 made there."""
    shutil.copyfile(CI.parent / "Makefile", tmp_path / "Makefile")
    shutil.copytree(CI, tmp_path / ".ci")
    for name in ("pyproject.toml", "requirements.lock", "requirements-bootstrap.lock"):
        (tmp_path / name).touch()
    write_python(tmp_path / ".venv" / "bin" / "python", "3.77")
    return tmp_path


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    own = {
        name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "PYTHON", "VENV"}
    }
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env={**own, **environment})


def test_make_lists_every_target(makefile: Path) -> None:
    listed = {line.split()[1] for line in make(makefile).stdout.splitlines()}
    text = (makefile / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    (phony,) = (line for line in text.splitlines() if line.startswith(".PHONY:"))
    assert listed == set(phony.split()[1:])


@pytest.mark.parametrize(
    ("version", "environment"), [("3.77", ".venv"), ("3.78", ".venv-3.78")], ids=["the same", "another"]
)
def test_a_python_of_another_version_has_its_own_environment(makefile: Path, version: str, environment: str) -> None:
    write_python(makefile / "bin" / "python", version)
    planned = make(makefile, "--dry-run", "test-fast", f"PYTHON={makefile / 'bin' / 'python'}")
    assert planned.stdout.splitlines()[-1].startswith(f"{environment}/bin/python -m pytest"), planned.stderr


def test_a_python_that_does_not_run_is_looked_for_or_said(makefile: Path) -> None:
    write_python(makefile / "bin" / "python3.78", "")
    (makefile / "bin" / "python3").symlink_to(sys.executable)  # pyenv's own follows PYENV_ROOT
    environment = {"PATH": f"{makefile / 'bin'}:{os.environ['PATH']}", "PYENV_ROOT": str(makefile / "pyenv")}
    ended = make(makefile, "--dry-run", "test-fast", "PYTHON=python3.78", **environment)
    assert ended.returncode == 2
    assert "python3.78 does not run here; give PYTHON= a Python 3.10 to 3.13" in ended.stderr
    write_python(makefile / "pyenv" / "versions" / "3.78.1" / "bin" / "python", "3.78")
    planned = make(makefile, "--dry-run", "test-fast", "PYTHON=python3.78", **environment)
    assert planned.stdout.splitlines()[-1].startswith(".venv-3.78/bin/python -m pytest"), planned.stderr


def test_an_interpreter_that_is_not_there_is_said_and_the_rest_go_on(makefile: Path) -> None:
    ended = make(
        makefile, "test-pythons", "VERSIONS=3.97 3.98", f"PYTHON={sys.executable}", PYENV_ROOT=str(makefile / "pyenv")
    )
    said = "is neither on PATH nor among pyenv's versions, so nothing was tried under it."
    assert (ended.returncode, ended.stdout) == (0, f"Python 3.97 {said}\nPython 3.98 {said}\n")


@pytest.mark.linux("a name in /proc")
def test_what_needs_linux_is_skipped_elsewhere_with_a_reason(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert request.node.get_closest_marker("skip") is None
    monkeypatch.setattr(sys, "platform", "darwin")
    pytest_collection_modifyitems([request.node])
    assert request.node.get_closest_marker("skip").kwargs == {
        "reason": "It needs a name in /proc, which only Linux has."
    }
