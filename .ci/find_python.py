"""Prints the path of a Python of the version that the command line names (3.13); nothing, and exit code 1, without one.

It is looked for under its name on PATH, and in pyenv's versions. Each is asked for its version: pyenv's stand-ins on
PATH are there for versions that do not run.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ASK = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"


def candidates(version: str) -> Iterator[str]:
    """Yield the paths of what may be a Python of that version, the newest of pyenv's first."""
    named = shutil.which(f"python{version}")
    if named:
        yield named
    versions = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser() / "versions"
    found = [path for path in versions.glob(f"{version}.*/bin/python") if path.parents[1].name.split(".")[2].isdigit()]
    yield from map(str, sorted(found, key=lambda path: int(path.parents[1].name.split(".")[2]), reverse=True))


def runs(python: str, version: str) -> bool:
    """Return whether it is a Python of that version that can make environments."""
    try:
        asked = subprocess.run([python, "-c", ASK], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return asked.stdout.strip() == version


def main() -> int:
    """Print the first that runs."""
    version = sys.argv[1]
    found = next((path for path in candidates(version) if runs(path, version)), None)
    if found:
        print(found)
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
