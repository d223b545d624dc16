"""Fuzz the readers of untrusted files, and tell executions, coverage and findings.

    python -m tests.fuzz                                a minute for each reader
    python -m tests.fuzz --seconds 1800 keras record    longer, and only these

It needs atheris, which the dependency group ``fuzz`` has for Linux and Python 3.11 and later. An input that breaks a
reader, takes longer than ``TIMEOUT`` seconds or more than ``MEGABYTES`` of memory is saved in the folder of findings;
once the reader is mended, it belongs into ``tests/fuzz/seeds/READER``.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.readers import READERS

TIMEOUT = 20
MEGABYTES = 3072
"""The limit of a reader's memory, TensorFlow's own 700 MB included."""
LENGTH = 1 << 16
FINDINGS = Path("fuzz-findings")


@dataclass(frozen=True)
class Result:
    """libFuzzer's figures of a reader: executions, edges covered at the start and at the end, and peak memory."""

    reader: str
    executions: int
    covered: tuple[int, int]
    megabytes: int
    findings: tuple[Path, ...]
    code: int
    log: str


def main() -> int:
    """Run the command line; return 1 when a reader broke."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("readers", nargs="*", metavar="READER", help=f"of {', '.join(READERS)}; all by default")
    parser.add_argument("--seconds", type=int, default=60, help="for each reader")
    parser.add_argument("--seed", type=int, default=1, help="of the fuzzer's choices")
    parser.add_argument("--findings", type=Path, default=FINDINGS, help="the folder for inputs that break a reader")
    options = parser.parse_args()
    unknown = sorted(set(options.readers) - set(READERS))
    if unknown:
        parser.error(f"there is no reader {', '.join(unknown)}; choose from {', '.join(READERS)}")
    if importlib.util.find_spec("atheris") is None:
        print("Nothing was fuzzed: atheris is not installed, which is there for Linux and Python 3.11 and later.")
        return 0
    broken = False
    print(f"{'reader':12} {'executions':>10} {'edges':>12} {'memory':>8}  findings")
    for name in options.readers or READERS:
        result = fuzz(name, options.seconds, options.seed, options.findings)
        edges = f"{result.covered[0]}-{result.covered[1]}"
        print(
            f"{name:12} {result.executions:10,} {edges:>12} {result.megabytes:5} MB  "
            f"{', '.join(map(str, result.findings)) or 'none'}",
            flush=True,
        )
        if result.code:
            broken = True
            print(result.log)
    return int(broken)


def fuzz(name: str, seconds: int, seed: int, findings: Path) -> Result:
    """Fuzz one reader in a child and return what came of it."""
    artifacts = findings / name
    artifacts.mkdir(parents=True, exist_ok=True)
    before = set(artifacts.iterdir())
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        command = [sys.executable, "-m", "tests.fuzz.child", name, folder, f"-max_total_time={seconds}"]
        command += [f"-seed={seed}", f"-timeout={TIMEOUT}", f"-rss_limit_mb={MEGABYTES}", f"-max_len={LENGTH}"]
        command += ["-print_final_stats=1", f"-artifact_prefix={artifacts.resolve()}/"]
        ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    text = ended.stdout.decode("utf-8", "replace")
    covered = [int(number) for number in re.findall(r"\bcov: (\d+)", text)] or [0]
    counted = re.findall(r"stat::number_of_executed_units:\s*(\d+)", text) or re.findall(r"^#(\d+)", text, re.MULTILINE)
    memory = re.findall(r"stat::peak_rss_mb:\s*(\d+)", text) or ["0"]
    found = tuple(sorted(set(artifacts.iterdir()) - before))
    if not found and not list(artifacts.iterdir()):
        shutil.rmtree(artifacts)
    return Result(
        name,
        int(counted[-1]) if counted else 0,
        (covered[0], covered[-1]),
        int(memory[-1]),
        found,
        ended.returncode,
        text[-3000:],
    )


def _memory() -> str | None:
    """Return a folder in memory, where there is one: files are written thousands of times a second."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


if __name__ == "__main__":
    sys.exit(main())
