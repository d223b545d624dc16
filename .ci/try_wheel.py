"""Install the wheel alone into a clean environment of each Python, and try what needs no TensorFlow.

    try_wheel.py --uv UV VERSION...    Pythons that are not found are named and left out

The environments have their own folder, cache and working folder, so that nothing of the clone is used. It needs the
package index.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHECKS = ("drawn-pictures", "the-reference-runtime", "conversion-and-proof", "the-report")
COMMANDS = (
    ("--version",),
    ("datasets",),
    ("cache",),
    ("createml", "--scale", "0.1", "--dry-run"),
    ("selftest", *CHECKS),
)


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """Return what a command says; exit with it when the command fails."""
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{ended.stdout}{ended.stderr}")
    return ended.stdout


def try_wheel(uv: str, wheel: Path, python: str, folder: Path) -> None:
    """Install the wheel with this Python into an environment in ``folder``, and run the commands there."""
    environment, work = folder / "environment", folder / "work"
    work.mkdir()
    run([uv, "venv", "--quiet", "--no-project", "--python", python, str(environment)], work)
    installed = environment / "bin" / "python"
    # Compiled, as checks have limits of time, which the first import of everything can exceed on a busy machine.
    run([uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(installed), str(wheel)], work)
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("COREMLBENCH_", "PYTHON"))}
    variables["COREMLBENCH_CACHE"] = str(folder / "cache")
    for arguments in COMMANDS:
        run([str(environment / "bin" / "coremlbench"), *arguments], work, variables)
    origin = run([str(installed), "-c", "import coremlbench; print(coremlbench.__file__)"], work, variables)
    if not Path(origin.strip()).is_relative_to(environment):
        sys.exit(f"The clone was used, not the wheel: {origin}")


def main() -> int:
    """Try the wheel under each Python; return 1 when no Python was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="+")
    parser.add_argument("--uv", default=shutil.which("uv") or "uv", help="the uv to run")
    arguments = parser.parse_args()
    tried = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        uv = str(Path(shutil.which(arguments.uv) or arguments.uv).absolute())
        run([uv, "build", "--quiet", "--wheel", "--out-dir", str(folder), str(ROOT)], folder)
        (wheel,) = folder.glob("*.whl")
        for version in arguments.versions:
            found = subprocess.run(
                [sys.executable, str(ROOT / ".ci" / "find_python.py"), version],
                capture_output=True,
                text=True,
                check=False,
            )
            if found.returncode:
                print(f"Python {version} was not found, so the wheel was not tried under it.")
                continue
            (folder / version).mkdir()
            try_wheel(uv, wheel, found.stdout.strip(), folder / version)
            shutil.rmtree(folder / version)
            print(f"Python {version}: the wheel alone does all that needs no TensorFlow.", flush=True)
            tried += 1
    return 0 if tried else 1


if __name__ == "__main__":
    sys.exit(main())
