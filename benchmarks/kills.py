"""Kill coremlbench at random moments, again and again, and look at what is left: SIGKILL to a worker, the parent, all.

    python benchmarks/kills.py --kills 200 --seed 0 --jobs 2
    python benchmarks/kills.py --kills 200 --report docs/failures.md     go on, then write the table

Each kill is a small run of a command that is killed after a share of the command's unbroken time, drawn from the
seed. What must hold after it: every record can be read, every phase, epoch and image's features that were finished
before the kill are still there, no process of the run lives, and the start of the next run removes every temporary
file. The findings are kept in a file, a line for each kill, so that a campaign can be gone on with.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from coremlbench import kept, store
from coremlbench.types import TrainingRecord

MARKER = "COREMLBENCH_KILLS"
TARGETS = ("worker", "parent", "group")
ORPHAN_SECONDS = 10.0
"""By then every process of a killed run must be gone; the guardian needs milliseconds on an idle machine."""
LEFTOVERS = ("*/.writing-*", "*/kept/.writing-*", "*/work", "*/scratch", "*/run.lock")
NETWORK = "fashion-mnist"
MODEL = """
import sys, keras
layers = [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
keras.Sequential(layers).save(sys.argv[1])
"""
HEADINGS = (
    *("command", "kills", "to a worker", "to the parent", "to both groups"),
    *("phases, epochs and images finished before", "of these lost", "processes that outlived it"),
    "runs with files left after the next start",
)


@dataclass(frozen=True)
class Command:
    """A command to kill: its arguments, and how often it is drawn."""

    name: str
    arguments: tuple[str, ...]
    weight: int


@dataclass(frozen=True)
class Found:
    """What one kill left. ``broken`` holds a sentence for whatever should not be so."""

    number: int
    command: str
    target: str
    moment: float
    phase: str
    phases_before: int = 0
    images_before: int = 0
    epochs_before: int = 0
    ended_before: bool = False
    broken: list[str] = field(default_factory=list)


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
        Command("convert", ("convert", model, "--images", "10"), 1),
        Command("convert-and-time", ("convert-and-time", model, *rounds), 1),
    )


def prepare(material: Path) -> None:
    """Make 60 pictures in three classes and a small Fashion-MNIST, if they are not there."""
    if (material / "fashion").exists():
        return
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from small_datasets import fashion_folder, picture_folder

    picture_folder(material / "pictures", 15, 5, classes=3)
    fashion_folder(material / "fashion", 1200, 200)


def prepare_model(material: Path) -> None:
    """Make a small Keras model, if it is not there."""
    if not (material / "model.keras").exists():
        subprocess.run([sys.executable, "-c", MODEL, str(material / "model.keras")], capture_output=True, check=True)


# --- one kill -----------------------------------------------------------------------------------------------


def kill_once(number: int, command: Command, target: str, moment: float, results: Path) -> Found:
    """Return what was left of a run of ``command`` that was killed after ``moment`` seconds."""
    token = secrets.token_hex(8)
    temporary = Path(tempfile.mkdtemp(prefix="kills-", dir=results.parent))
    before = {path.parent for path in results.glob("*/run.json")}
    process = subprocess.Popen(
        [sys.executable, "-m", "coremlbench", *command.arguments, "--results", str(results)],
        env={**os.environ, MARKER: token, "TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with suppress(subprocess.TimeoutExpired):
        process.wait(moment)
    known = _known(results, before)
    ended = process.poll() is not None
    _kill(process.pid, target, token)
    process.wait()
    orphans = _wait_for_all(token)
    broken = [f"{len(orphans)} processes outlived it"] if orphans else []
    for orphan in orphans:
        with suppress(psutil.Error):
            orphan.kill()
    broken += _missing(known, results)
    sweep(results)
    broken += _leftovers(results, temporary)
    return Found(
        number=number,
        command=command.name,
        target=target,
        moment=round(moment, 2),
        phase=known.phase,
        phases_before=sum(known.phases.values()),
        images_before=sum(known.images.values()),
        epochs_before=sum(known.epochs.values()),
        ended_before=ended,
        broken=broken,
    )


@dataclass(frozen=True)
class Known:
    """What had been done, as it could be seen on disk just before the kill: by run folder."""

    phase: str
    phases: dict[Path, int]
    images: dict[Path, int]
    epochs: dict[Path, int]


def _known(results: Path, before: set[Path]) -> Known:
    """Look at the runs that began since; what is read here was finished, and must be found again after the kill."""
    phases: dict[Path, int] = {}
    images: dict[Path, int] = {}
    epochs: dict[Path, int] = {}
    phase = "start"
    for folder in {path.parent for path in results.glob("*/run.json")} - before:
        with suppress(OSError, ValueError):
            phases[folder] = len(json.loads((folder / "run.json").read_bytes()).get("phases", ()))
        with suppress(OSError):
            images[folder] = _lines(folder / kept.KEPT / kept.JOURNAL) - 1
        with suppress(OSError):
            epochs[folder] = _lines(folder / "work" / "train" / "epochs.jsonl")
        stages = sorted((folder / "work").glob("*/"), key=lambda path: path.stat().st_mtime)
        phase = stages[-1].name if stages else "between stages"
    return Known(phase, phases, images, epochs)


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")


def _kill(pid: int, target: str, token: str) -> None:
    """Send SIGKILL to the worker, to the parent, or to the groups of both in one go."""
    everyone = _alive(token)
    workers = [each for each in everyone if each.pid != pid and not _is_guardian(each)]
    if target == "worker":
        for each in workers[:1]:
            with suppress(psutil.Error):
                each.kill()
        return
    groups = {pid, *(os.getpgid(each.pid) for each in workers if psutil.pid_exists(each.pid))}
    for group in [pid] if target == "parent" else groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


def _is_guardian(process: psutil.Process) -> bool:
    try:
        return any(part.endswith("guardian.py") for part in process.cmdline())
    except psutil.Error:
        return True


def _alive(token: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARKER) == token:
                found.append(process)
    return sorted(found, key=lambda each: each.create_time())


def _wait_for_all(token: str) -> list[psutil.Process]:
    """Return the processes of a run that still live after a while."""
    deadline = time.monotonic() + ORPHAN_SECONDS
    while (alive := _alive(token)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return alive


# --- what must hold -----------------------------------------------------------------------------------------


def _missing(known: Known, results: Path) -> list[str]:
    """Return a sentence for each record that cannot be read, and for all that was finished and is gone."""
    _, problems = store.load_all(results)
    broken = list(problems)
    for folder, count in known.phases.items():
        record = store.load(folder)
        found = record.phases if isinstance(record, TrainingRecord) else ()
        if isinstance(record, TrainingRecord) and len(found) < count:
            broken.append(f"{count} phases were finished, and the record has {len(found)}")
        if record.outcome.status != "failed":
            continue
        if _kept_images(folder) < known.images.get(folder, 0):
            broken.append(
                f"the features of {known.images[folder]} images were finished, {_kept_images(folder)} are kept"
            )
        epochs = known.epochs.get(folder, 0)
        checkpoint = kept.newest_checkpoint(folder)
        if epochs and (checkpoint is None or int(checkpoint.stem.rpartition("-")[2]) < epochs):
            broken.append(f"{epochs} epochs were finished, and {checkpoint} is kept")
    return broken


def _kept_images(folder: Path) -> int:
    with suppress(OSError):
        return _lines(folder / kept.KEPT / kept.JOURNAL) - 1
    return 0


def sweep(results: Path) -> None:
    """Do what a run does at its start, a minute later: a younger folder without a record may be of one that begins."""
    for path in (*results.glob(f"*/{store.LOCK}"), *results.glob("*")):
        with suppress(OSError):
            os.utime(path, (time.time() - 120,) * 2)
    store.sweep(results)
    kept.limit(results)


def _leftovers(results: Path, temporary: Path) -> list[str]:
    left = [str(path.relative_to(results)) for pattern in LEFTOVERS for path in results.glob(pattern)]
    left += [str(path.relative_to(results)) for path in results.glob("*") if not any(path.iterdir())]
    left += [path.name for path in temporary.iterdir()]
    if not left:
        temporary.rmdir()
    return [f"left behind: {', '.join(sorted(left)[:5])}"] if left else []


# --- a campaign ---------------------------------------------------------------------------------------------


def unbroken_seconds(command: Command, results: Path) -> float:
    """Return how long the command takes when nobody kills it; its moments are drawn from that."""
    began = time.monotonic()
    process = subprocess.run(
        [sys.executable, "-m", "coremlbench", *command.arguments, "--results", str(results)],
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        raise SystemExit(f"{command.name} does not work unbroken: {process.stderr[-2000:]}")
    return time.monotonic() - began


def campaign(kills: int, seed: int, folder: Path, jobs: int, only: Sequence[str] = ()) -> list[Found]:
    """Return the findings of all kills; those that the file in ``folder`` holds already are not done again.

    With ``only``, the kills of other commands are left for later: which kill is whose depends on the seed alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    prepare(folder)
    prepare_model(folder)
    table = commands(folder)
    times = _times([each for each in table if not only or each.name in only], folder)
    file = folder / f"kills-{seed}.jsonl"
    done = {each.number: each for each in read(file)}

    def one(number: int, results: Path) -> None:
        draw = random.Random(f"{seed} {number}")
        (command,) = draw.choices(table, [each.weight for each in table])
        if only and command.name not in only:
            return
        target = draw.choice(TARGETS)
        moment = draw.uniform(0.0, times[command.name.removesuffix(" --resume")])
        found = kill_once(number, _as_possible(command, table, results), target, moment, results)
        with file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(asdict(found)) + "\n")
        print(f"{number}: {found.command}, {found.target} in {found.phase}: {'; '.join(found.broken) or 'all there'}")

    numbers = [number for number in range(kills) if number not in done]
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(lambda job: [one(each, folder / f"results-{job}") for each in numbers[job::jobs]], range(jobs)))
    return read(file)


def _times(table: Sequence[Command], folder: Path) -> dict[str, float]:
    """Return the unbroken seconds of each command, measured once for a campaign."""
    file = folder / "times.json"
    times: dict[str, float] = json.loads(file.read_text()) if file.exists() else {}
    for command in table:
        if command.name not in times and not command.name.endswith("--resume"):
            times[command.name] = unbroken_seconds(command, folder / "unbroken")
            file.write_text(json.dumps(times))
    return times


def _as_possible(command: Command, table: Sequence[Command], results: Path) -> Command:
    """Return the command, or what it resumes where there is nothing to resume."""
    name = command.name.removesuffix(" --resume")
    if name == command.name:
        return command
    from coremlbench.types import InputError

    try:
        kept.broken_run(results, [NETWORK if name == "train" else name], "")
    except InputError:
        return next(each for each in table if each.name == name)
    return command


def read(file: Path) -> list[Found]:
    """Return the findings in a file."""
    if not file.exists():
        return []
    return sorted((Found(**json.loads(line)) for line in file.read_text().splitlines()), key=lambda each: each.number)


def markdown(found: Sequence[Found], seed: int) -> str:
    """Return the figures as a section of a page."""
    rows = [
        f"{len(found)} kills with SIGKILL at random moments (seed {seed}), by `python benchmarks/kills.py`.",
        "",
        f"| {' | '.join(HEADINGS)} |",
        "|---" * len(HEADINGS) + "|",
    ]
    for name in dict.fromkeys(each.command for each in found):
        mine = [each for each in found if each.command == name]
        targets = Counter(each.target for each in mine)
        said = [sentence for each in mine for sentence in each.broken]
        orphans = sum("outlived" in sentence for sentence in said)
        left = sum("left behind" in sentence for sentence in said)
        done = [sum(getattr(each, f"{what}_before") for each in mine) for what in ("phases", "epochs", "images")]
        counts = " | ".join(str(targets[target]) for target in TARGETS)
        finished = ", ".join(f"{count:,}" for count in done)
        rows.append(
            f"| `{name}` | {len(mine)} | {counts} | {finished} | {len(said) - orphans - left} | {orphans} | {left} |"
        )
    phases = Counter(each.phase for each in found)
    rows += ["", "Where they were: " + ", ".join(f"{phase} {count}" for phase, count in phases.most_common()) + "."]
    return "\n".join(rows) + "\n"


def with_section(page: str, table: str) -> str:
    """Return the page with the table between the comments ``kills`` and ``/kills``."""
    before, start, rest = page.partition("<!-- kills -->\n")
    _, end, after = rest.partition("<!-- /kills -->")
    if not start or not end:
        raise SystemExit(
            "The page has no section for the table: <!-- kills --> and <!-- /kills --> on lines of their own."
        )
    return f"{before}{start}\n{table}\n{end}{after}"


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
    found = campaign(arguments.kills, arguments.seed, folder, arguments.jobs, arguments.only)
    table = markdown(found, arguments.seed)
    print(table)
    if arguments.report:
        page = arguments.report.read_text(encoding="utf-8")
        arguments.report.write_text(with_section(page, table), encoding="utf-8")
    if any(each.broken for each in found):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
