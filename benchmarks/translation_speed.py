"""Time the translation of ML Programs into ONNX graphs, against an earlier commit of the project, both in one run.

    python benchmarks/translation_speed.py --against fb84597                     the applications of the most ops
    python benchmarks/translation_speed.py --against HEAD~1 ResNet50 m.mlpackage

Each side is a process that stays, with the sources of its commit (a git worktree that is removed at the end) and the
same packages and libraries. They take turns, each going first every other time; what is compared is the processor time
of reading the package and building the graph. The exit code is 1 when now takes more than LIMIT times as long.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
APPLICATIONS = ("EfficientNetB7", "NASNetLarge", "DenseNet201", "InceptionResNetV2")
ROUNDS = 7
LIMIT = 1.1
SIDE = """
import json, sys, time
from coremlbench.mil_onnx import load_program, to_onnx
for line in sys.stdin:
    begun = time.process_time()
    program = load_program(json.loads(line))
    read = time.process_time()
    to_onnx(program)
    print(json.dumps([read - begun, time.process_time() - read]), flush=True)
"""
"""What a side does for the path of each package: the processor seconds of reading it and of building the graph."""


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=APPLICATIONS, help="applications of Keras, or packages")
    parser.add_argument("--against", required=True, help="a commit of this project")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    slower = False
    print(f"{'model':20} {'then s':>8} {'now s':>8} {'ratio':>7}  of the graph alone")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        then = stack.enter_context(side(stack.enter_context(sources(options.against, folder / "then"))))
        now = stack.enter_context(side(ROOT))
        for model in options.models:
            path = Path(model) if Path(model).exists() else package(model, folder)
            rounds = [turn(path, then, now, first=number % 2 == 0) for number in range(options.rounds + 1)][1:]
            old, new = (statistics.median(sum(seconds[index]) for seconds in rounds) for index in (0, 1))
            graph_old, graph_new = (statistics.median(seconds[index][1] for seconds in rounds) for index in (0, 1))
            slower |= new > LIMIT * old
            print(f"{path.stem:20} {old:8.3f} {new:8.3f} {new / old:7.3f}  {graph_new / graph_old:.3f}", flush=True)
    return int(slower)


def turn(
    path: Path, then: subprocess.Popen[str], now: subprocess.Popen[str], *, first: bool
) -> tuple[list[float], list[float]]:
    """Return the seconds of both sides for one package; ``first`` tells whether ``then`` begins."""
    seconds = {id(process): ask(process, path) for process in ((then, now) if first else (now, then))}
    return seconds[id(then)], seconds[id(now)]


def ask(process: subprocess.Popen[str], path: Path) -> list[float]:
    """Have a side translate a package; return the seconds of reading and of building."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(str(path.resolve())) + "\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"A side ended without an answer for {path}.")
    answer: list[float] = json.loads(line)
    return answer


@contextmanager
def sources(commit: str, folder: Path) -> Iterator[Path]:
    """Yield a folder with the files of a commit."""
    subprocess.run(["git", "-C", ROOT, "worktree", "add", "--quiet", "--detach", folder, commit], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", folder], check=True)


@contextmanager
def side(root: Path) -> Iterator[subprocess.Popen[str]]:
    """Yield a process that translates with the sources below ``root``."""
    path = os.pathsep.join(str(root / name) for name in ("toolkit", "models", "datasets"))
    environment = {**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SIDE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def package(name: str, folder: Path) -> Path:
    """Return the package of an application with random weights, made in a process of its own."""
    path = folder / f"{name}.mlpackage"
    code = "import sys, applications; applications.convert(applications.build(sys.argv[1]), sys.argv[2])"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, "-c", code, name, str(path)], env=environment, capture_output=True, check=True)
    return path


if __name__ == "__main__":
    sys.exit(main())
