"""Kill coremlbench at random moments, again and again, and look at what is left: SIGKILL to a worker, the parent, all.

    python -m benchmarks.kills --kills 200 --seed 0 --jobs 2
    python -m benchmarks.kills --kills 200 --report docs/failures.md     go on, then write the table

Each kill hits a running process of a small run, at a moment drawn from the time that the command takes unbroken. Where
nothing lives that was to be hit, another moment is drawn; a kill that comes after the run's end, while its page is
written, is told apart, and the next one is drawn as well. What must hold is in ``kills_checks``. The findings are kept
in a file, a line for each kill, so that a campaign can be gone on with.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from benchmarks.kills_checks import AFTER, Known, known_of, left_behind, missing, sweep
from benchmarks.kills_report import COUNTED, TARGETS, Found, markdown, read, with_section
from coremlbench.runs import resume_data
from coremlbench.types.errors import InputError

MARKER = "COREMLBENCH_KILLS"
ORPHAN_SECONDS = 10.0
"""By then every process of a killed run must be gone; the guardian needs milliseconds on an idle machine."""
MOST_RUNS = 30
"""Runs of one command after which a kill is given up for which nothing was alive."""
NO_WORKERS = ("guardian.py", "multiprocessing.resource_tracker")
"""What a run starts besides workers and their processes; neither computes anything."""
NETWORK = "fashion-mnist"
MODEL = """
import sys, keras
layers = [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
keras.Sequential(layers).save(sys.argv[1])
"""


@dataclass(frozen=True)
class Command:
    """A command to kill: its arguments, how often it is drawn, and the kind of record that it ends with."""

    name: str
    arguments: tuple[str, ...]
    weight: int
    last: str = "training"

    @property
    def resumes(self) -> str:
        """Return the name of the command that it goes on with, empty for one that begins anew."""
        return self.name.removesuffix(" --resume") if self.name.endswith(" --resume") else ""


def commands(material: Path) -> tuple[Command, ...]:
    """Return the commands to kill, with the small data that ``prepare`` made; a new command is a new row."""
    pictures, arrays = str(material / "pictures"), f"fashion-mnist={material / 'fashion'}"
    createml = ("createml", "--dataset", pictures, "--extractor", "squeezenet_v1.1", "--augment", "flip")
    small = "--train 600 --test 100 --epochs 60 --device cpu"
    train = ("train", NETWORK, "--source", arrays, *small.split())
    model = str(material / "model.keras")
    rounds = ("--images", "10", "--rounds", "2", "--calls", "20", "--seconds", "0.1s", "--runtimes", "reference")
    return (
        Command("createml", createml, 4),
        Command("train", train, 3),
        Command("createml --resume", ("createml", "--resume"), 1),
        Command("train --resume", ("train", "--resume"), 1),
        Command("convert", ("convert", model, "--images", "10"), 1, "conversion"),
        Command("convert-and-time", ("convert-and-time", model, *rounds), 1, "timing"),
    )


def prepare(material: Path) -> None:
    """Make 180 pictures in three classes (for fewer no second process extracts) and a small Fashion-MNIST, once."""
    if (material / "fashion").exists():
        return
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from tests.small_datasets import fashion_folder, picture_folder

    picture_folder(material / "pictures", 45, 15, classes=3)
    fashion_folder(material / "fashion", 1200, 200)


def prepare_model(material: Path) -> None:
    """Make a small Keras model, if it is not there."""
    if not (material / "model.keras").exists():
        subprocess.run([sys.executable, "-c", MODEL, str(material / "model.keras")], capture_output=True, check=True)


# --- one kill -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """A started run: its process, the word in the environment of all its processes, and where it may write."""

    process: subprocess.Popen[bytes]
    token: str
    temporary: Path
    results: Path
    earlier: frozenset[Path]


def start(command: Command, results: Path) -> Run:
    """Start a command in a session of its own."""
    token = secrets.token_hex(8)
    temporary = Path(tempfile.mkdtemp(prefix="kills-", dir=results.parent))
    earlier = frozenset(path.parent for path in results.glob("*/run.json"))
    process = subprocess.Popen(
        [sys.executable, "-m", "coremlbench", *command.arguments, "--results", str(results)],
        env={**os.environ, MARKER: token, "TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    return Run(process, token, temporary, results, earlier)


def kill_once(
    number: int, command: Command, target: str, draw: random.Random, seconds: float, run: Run
) -> Found | None:
    """Return what a run's kill left, or ``None`` if it ended by itself before anything could be hit.

    The moment is drawn from ``seconds``; when no worker lives then, a later one is drawn.
    """
    began, moment = time.monotonic(), draw.uniform(0.0, seconds)
    while True:
        with suppress(subprocess.TimeoutExpired):
            run.process.wait(max(0.0, began + moment - time.monotonic()))
        known = known_of(run.results, run.earlier, command.last)
        victim = "" if run.process.poll() is not None else _kill(run.process, target, run.token, draw)
        if victim or run.process.poll() is not None:
            break
        now = time.monotonic() - began
        moment = draw.uniform(now, max(seconds, 1.1 * now))
    run.process.wait()
    broken = _end(run)
    if not victim:
        return None
    broken += missing(known, run.results)
    sweep(run.results)
    broken += left_behind(run.results, run.temporary)
    return Found(number, command.name, target, victim, round(moment, 2), known.phase, **_before(known), broken=broken)


def _before(known: Known) -> dict[str, int]:
    return {f"{what}_before": sum(getattr(known, what).values()) for what in COUNTED}


def _kill(process: subprocess.Popen[bytes], target: str, token: str, draw: random.Random) -> str:
    """Send SIGKILL to one worker or process of a worker, to the parent, or to the groups of all in one go.

    Returns what was hit, empty when nothing was alive.
    """
    workers = [worker for worker in alive(token) if worker.pid != process.pid and not _is_in(worker, NO_WORKERS)]
    if target == "worker":
        draw.shuffle(workers)
        for worker in workers:
            with suppress(psutil.Error):
                name = _name(worker)
                if worker.status() != psutil.STATUS_ZOMBIE:
                    worker.kill()
                    return name
        return ""
    groups = {process.pid}
    for worker in workers if target == "group" else ():
        with suppress(ProcessLookupError):
            groups.add(os.getpgid(worker.pid))
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    # One that had ended, and was only not collected yet, has an exit code of its own.
    return target if process.wait() == -signal.SIGKILL else ""


def _name(process: psutil.Process) -> str:
    """Return which worker a process is, or "a worker's process" for one that a worker started."""
    words = process.cmdline()
    names = [match[1] for word in words if (match := re.search(r"\bworkers[./](\w+)", word))]
    return f"{names[0]}_worker" if names else "a worker's process"


def _is_in(process: psutil.Process, words: Sequence[str]) -> bool:
    try:
        line = " ".join(process.cmdline())
    except psutil.Error:
        return True
    return any(word in line for word in words)


def alive(token: str) -> list[psutil.Process]:
    """Return the living processes of a run, the oldest first."""
    processes = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARKER) == token:
                processes.append((process.create_time(), process))
    return [process for _, process in sorted(processes, key=lambda entry: entry[0])]


def _end(run: Run) -> list[str]:
    """Wait for all processes of a run, end those that outlive it, and say how many they were."""
    deadline = time.monotonic() + ORPHAN_SECONDS
    while (orphans := alive(run.token)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for orphan in orphans:
        with suppress(psutil.Error):
            orphan.kill()
    return [f"{len(orphans)} processes outlived it"] if orphans else []


# --- a campaign ---------------------------------------------------------------------------------------------


def kill(
    number: int, command: Command, target: str, draw: random.Random, times: dict[str, float], results: Path
) -> list[Found]:
    """Return what came of one kill in the middle of a run, after those that hit one at its end.

    A command that resumes gets a run to go on with first, broken as soon as it has kept something.

    Raises:
        LookupError: Nothing that could be hit was alive in any of many runs.
    """
    findings: list[Found] = []
    for _ in range(MOST_RUNS):
        run = start(ready(command, results), results)
        finding = kill_once(number, command, target, draw, times[command.name], run)
        if finding is not None:
            findings.append(finding)
            if finding.phase != AFTER:
                return findings
    raise LookupError(f"Kill {number}: in {MOST_RUNS} runs of {command.name} there was no {target} to kill.")


def campaign(kills: int, seed: int, folder: Path, jobs: int, only: Sequence[str] = ()) -> list[Found]:
    """Return the findings of all kills; those that the file in ``folder`` holds already are not done again.

    With ``only``, the kills of other commands are left for later: which kill is whose depends on the seed alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    prepare(folder)
    prepare_model(folder)
    table = commands(folder)
    times = unbroken_times([command for command in table if not only or command.name in only], folder)
    file = folder / f"kills-{seed}.jsonl"
    done = {finding.number for finding in read(file) if finding.phase != AFTER}

    def one(number: int, results: Path) -> None:
        draw = random.Random(f"{seed} {number}")
        (command,) = draw.choices(table, [command.weight for command in table])
        if only and command.name not in only:
            return
        for finding in kill(number, command, draw.choice(TARGETS), draw, times, results):
            with file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(asdict(finding)) + "\n")
            problems = "; ".join(finding.broken) or "all there"
            print(f"{number}: {finding.command}, {finding.victim} in {finding.phase}: {problems}", flush=True)

    def some(numbers: Sequence[int], results: Path) -> None:
        for number in numbers:
            one(number, results)

    numbers = [number for number in range(kills) if number not in done]
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(lambda job: some(numbers[job::jobs], folder / f"results-{job}"), range(jobs)))
    return read(file)


def unbroken_times(table: Sequence[Command], folder: Path) -> dict[str, float]:
    """Return the seconds of each command when nobody kills it, measured once for a campaign.

    The second of two runs counts: the first on a machine reads everything from the disk. A command that resumes is
    measured on a run that was broken as soon as it had kept something.
    """
    file, results = folder / "times.json", folder / "unbroken"
    times: dict[str, float] = json.loads(file.read_text()) if file.exists() else {}
    for command in table:
        if command.name in times:
            continue
        for _ in range(2):
            times[command.name] = _seconds(ready(command, results), results)
        file.write_text(json.dumps(times))
    return times


def _break(command: Command, results: Path) -> None:
    """Leave a run of a command broken, with something to go on with."""
    run = start(command, results)
    while run.process.poll() is None:
        begun = {path.parent for path in results.glob("*/run.json")} - run.earlier
        if any(resume_data.describe_progress(folder) for folder in begun):
            _kill(run.process, "group", run.token, random.Random(0))
        time.sleep(0.01)
    _end(run)
    sweep(results)


def _seconds(command: Command, results: Path) -> float:
    began = time.monotonic()
    run = start(command, results)
    if run.process.wait():
        raise SystemExit(f"{command.name} does not work unbroken: it ended with exit code {run.process.returncode}.")
    return time.monotonic() - began


def ready(command: Command, results: Path) -> Command:
    """Return the command, with a broken run for it to go on with where it needs one and there is none.

    Raises:
        LookupError: No run could be broken in time.
    """
    for _ in range(MOST_RUNS if command.resumes else 0):
        try:
            resume_data.find_resumable_run(results, [NETWORK if command.resumes == "train" else command.resumes], "")
        except InputError:  # noqa: PERF203 - a turn is a run
            _break(
                next(candidate for candidate in commands(results.parent) if candidate.name == command.resumes), results
            )
        else:
            return command
    if command.resumes:
        raise LookupError(f"No run of {command.resumes} could be broken while it had something to go on with.")
    return command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", action="append", default=[], help="a command's name; may be repeated")
    parser.add_argument("--folder", type=Path, default=Path("kills"), help="where runs and findings are kept")
    parser.add_argument("--report", type=Path, help="a page with a section for the table: docs/failures.md")
    arguments = parser.parse_args()
    folder = arguments.folder.absolute()
    findings = campaign(arguments.kills, arguments.seed, folder, arguments.jobs, arguments.only)
    table = markdown(findings, arguments.seed)
    print(table)
    if arguments.report:
        page = arguments.report.read_text(encoding="utf-8")
        arguments.report.write_text(with_section(page, table), encoding="utf-8")
    if any(finding.broken for finding in findings):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
