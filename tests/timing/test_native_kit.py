"""A kit without Python: packed, run with ``sh`` and a stand-in for Core ML, interrupted, resumed and collected."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coremlbench.runs import store
from coremlbench.system.files import hash_file
from coremlbench.timing.kit import MANIFEST, README
from coremlbench.timing.native_collect import collect
from coremlbench.timing.native_kit import PLAN, TEMPLATE, TEMPLATES, write_native_kit
from coremlbench.timing.native_program import COMPILER_VARIABLE, NATIVE_RUNNER
from coremlbench.timing.plan import TimingOptions
from coremlbench.timing.statistics import summarise
from coremlbench.types.errors import InputError
from coremlbench.types.timing import Timed, TimingRecord
from tests.timed_packages import TINY, quiet
from tests.timing.native_stand_in import BEHAVIOUR, ONLY, native_input

COMMAND = ["coremlbench", "convert-and-time"]
OPTIONS = replace(TINY, calls=10, units=("CPU_ONLY", "ALL"), seed=3)


def pack(folder: Path, options: TimingOptions = OPTIONS, *names: str, **changes: Any) -> Path:
    """Return a kit in a folder with a space in its name."""
    kit = folder / "the kit"
    write_native_kit(native_input(folder / "models", *(names or ("one", "two")), **changes), options, kit)
    shutil.rmtree(folder / "models")
    return kit


def prepare_home(kit: Path, home: Path, program: Path) -> dict[str, str]:
    """Return the environment of ``run.sh``, with the compiled program in its place."""
    text = (kit / "run.sh").read_text()
    name = text.partition('folder="$HOME/')[2].partition('"')[0]
    (home / name).mkdir(parents=True)
    shutil.copy(program, home / name / NATIVE_RUNNER.name)
    variables = {"HOME": str(home), "PATH": os.environ["PATH"], COMPILER_VARIABLE: "/bin/false"}
    return {**variables, "SWIFT_BACKTRACE": "enable=no"}


def run(kit: Path, environment: dict[str, str], **variables: str) -> subprocess.CompletedProcess[str]:
    shell = shutil.which("dash") or "sh"
    return subprocess.run(
        [shell, "run.sh"], cwd=kit, env=environment | variables, capture_output=True, text=True, check=False
    )


def collected(path: Path, results: Path) -> tuple[TimingRecord, Path]:
    return collect(path, results=results, command=COMMAND, on_progress=quiet)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, native_program: Path) -> tuple[Path, Path, str]:
    """A kit of two models that was run, its results folder, and what ``run.sh`` printed."""
    folder = tmp_path_factory.mktemp("measured")
    kit = pack(folder)
    ended = run(kit, prepare_home(kit, folder / "home", native_program))
    assert ended.returncode == 0, ended.stderr
    (results,) = (folder / "home" / "coremlbench-native-results").iterdir()
    return kit, results, ended.stdout


@pytest.mark.tensorflow
def test_a_kit_is_run_and_collected(measured: tuple[Path, Path, str], tmp_path: Path) -> None:
    kit, results, printed = measured
    (archive,) = kit.glob("results-*.tar.gz")
    record, folder = collected(archive, tmp_path / "records")
    assert record.outcome == Timed(cells=4, failed=0)
    assert record.kit == hash_file(kit / MANIFEST)
    assert (record.seed, record.machine.system) == (3, "Linux")
    assert "STEP" in printed.upper()
    assert "coremlbench convert-and-time --collect results-" in printed
    for row in record.measurements:
        assert (row.runner, row.stand_in, len(row.rounds)) == ("native", True, 2)
        assert row.output_error == pytest.approx(0, abs=1e-7)
        assert row.plan is not None
        assert row.rounds[0].compile_seconds
        assert row.rounds[0].before.thermal_state == "nominal"
    assert record.orders == tuple(map(tuple, json.loads((kit / MANIFEST).read_text())["orders"]))
    assert folder == tmp_path / "records" / record.id
    assert "one fp16 on ALL" in printed
    assert "The tests' stand-in for Core ML ran: none of these figures is Core ML's." in printed
    with pytest.raises(InputError, match="already; there is nothing new to collect"):
        collected(results, tmp_path / "records")


@pytest.mark.tensorflow
def test_equal_samples_give_equal_figures(measured: tuple[Path, Path, str], tmp_path: Path) -> None:
    """The figures of a record are those of the raw samples, by the code of every other matrix, to the last digit."""
    _, results, _ = measured
    record, folder = collected(results, tmp_path)
    for path in results.glob("time-*/samples.u64"):
        number, index = (int(part) for part in path.parent.name.split("-")[1:3])
        row = record.measurements[index]
        timed = row.rounds[number]
        raw = np.fromfile(path, "<u8")
        summary = summarise(raw.astype(np.int64) / 1e9)
        assert {name: getattr(timed, name) for name in vars(summary)} == vars(summary)
        with np.load(folder / timed.samples) as stored:
            assert np.array_equal(stored["wall"], raw / 1e9)


@pytest.mark.tensorflow
def test_a_kit_says_what_it_is(measured: tuple[Path, Path, str]) -> None:
    kit, _, _ = measured
    text = (kit / README).read_text()
    assert "2 Core ML packages" in text
    assert "Models: one, two." in text
    jobs = json.loads((kit / PLAN).read_text())["jobs"]
    assert [job["id"] for job in jobs[:3]] == ["compile-000", "compile-001", "plan-000-one_fp16_1_coreml_CPU_ONLY"]
    assert len(jobs) == 2 + 4 + 2 * 4
    assert {path.name for path in (kit / "swift").iterdir()} == {path.name for path in NATIVE_RUNNER.source_files()}


@pytest.mark.tensorflow
def test_misbehaviour_is_a_cells_own_and_a_cell_is_given_up(native_program: Path, tmp_path: Path) -> None:
    kit = pack(tmp_path, replace(OPTIONS, rounds=3), "one")
    environment = prepare_home(kit, tmp_path / "home", native_program)
    ended = run(kit, environment, **{BEHAVIOUR: "crash", ONLY: "_ALL"})
    assert ended.returncode == 0, ended.stderr
    assert "crashed with signal 6" in ended.stdout
    assert "left out: two rounds of it failed" in ended.stdout
    (archive,) = kit.glob("results-*.tar.gz")
    record, _ = collected(archive, tmp_path / "records")
    assert record.outcome == Timed(cells=1, failed=1)
    failure = next(row.failure for row in record.measurements if row.unit == "ALL")
    assert failure is not None
    assert (failure.kind, failure.evidence.signal) == ("aborted", "SIGABRT")


@pytest.mark.tensorflow
def test_a_hang_is_ended_and_the_next_cell_goes_on(native_program: Path, tmp_path: Path) -> None:
    kit = pack(tmp_path, replace(OPTIONS, rounds=1, silence=2.0), "one")
    environment = prepare_home(kit, tmp_path / "home", native_program)
    ended = run(kit, environment, **{BEHAVIOUR: "hang", ONLY: "_ALL"})
    assert "stopped after 2 s without progress" in ended.stdout
    (archive,) = kit.glob("results-*.tar.gz")
    record, _ = collected(archive, tmp_path / "records")
    failure = next(row.failure for row in record.measurements if row.unit == "ALL")
    assert failure is not None
    assert failure.kind == "hang"


@pytest.mark.tensorflow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
def test_an_interrupted_kit_goes_on(how: signal.Signals, native_program: Path, tmp_path: Path) -> None:
    kit = pack(tmp_path, replace(OPTIONS, seconds=0.3), "one")
    environment = prepare_home(kit, tmp_path / "home", native_program)
    process = subprocess.Popen(
        [shutil.which("dash") or "sh", "run.sh"],
        cwd=kit,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    results = tmp_path / "home" / "coremlbench-native-results"
    while not list(results.glob("*/time-0-*/job.json")):
        time.sleep(0.02)
    os.killpg(process.pid, how)
    printed, _ = process.communicate()
    assert process.returncode == (130 if how is signal.SIGINT else -9)
    assert ("Interrupted; what was measured is kept." in printed) == (how is signal.SIGINT)
    (folder,) = results.iterdir()
    before = {
        path: path.stat().st_mtime_ns for path in folder.glob("*/samples.u64") if (path.parent / "job.json").exists()
    }
    record, _ = collected(folder, tmp_path / "records")
    assert any("The run on that machine ended after" in note for note in record.notes)
    ended = run(kit, environment)
    assert ended.returncode == 0, ended.stderr
    assert all(path.stat().st_mtime_ns == moment for path, moment in before.items()), "no round is measured twice"
    record, _ = collected(folder, tmp_path / "records")
    assert record.outcome == Timed(cells=2, failed=0)
    assert not any("ended after" in note for note in record.notes)


def edit(name: str, change: Callable[[Any], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = next(folder.glob(name))
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return apply


def cut(name: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = next(folder.glob(name))
        path.write_bytes(path.read_bytes()[:-5])

    return apply


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: next(folder.glob(name)).unlink()


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (remove("manifest.json"), "There are no results in"),
        (cut("manifest.json"), "is not that of the kit that was run|is damaged"),
        (edit("manifest.json", lambda content: content.update(seed=1)), "is not that of the kit that was run"),
        (edit("manifest.json", lambda content: content.update(format="coremlbench-kit")), "--from-kit"),
        (remove("kit.json"), "holds nothing that was measured yet"),
        (remove("machine.txt"), "machine.txt of the results is damaged"),
        (cut("time-0-*/job.json"), "job.json of the results is damaged"),
        (cut("time-0-*/result.json"), "result.json of the results is damaged"),
        (cut("expected/*.npz"), "is not the file that was packed"),
    ],
)
def test_damaged_results_are_one_sentence(
    spoil: Callable[[Path], None], message: str, measured: tuple[Path, Path, str], tmp_path: Path
) -> None:
    shutil.copytree(measured[1], tmp_path / "results")
    spoil(tmp_path / "results")
    with pytest.raises(InputError, match=message):
        collected(tmp_path / "results", tmp_path / "records")
    records, _ = store.load_all(tmp_path / "records") if (tmp_path / "records").is_dir() else ([], [])
    assert not records


@pytest.mark.tensorflow
def test_samples_that_are_not_those_of_the_result_fail_their_round(
    measured: tuple[Path, Path, str], tmp_path: Path
) -> None:
    shutil.copytree(measured[1], tmp_path / "results")
    for path in (tmp_path / "results").glob("time-0-000-*/samples.u64"):
        path.write_bytes(path.read_bytes()[:-8])
    record, _ = collected(tmp_path / "results", tmp_path / "records")
    failure = record.measurements[0].rounds[0].failure
    assert failure is not None
    assert "its result cannot be used" in failure.reason


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04"], ids=["empty", "text", "zip"])
def test_a_foreign_file_is_one_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "results.tar.gz").write_bytes(content)
    with pytest.raises(InputError, match=r"results\.tar\.gz (cannot be unpacked|is not an archive of results)"):
        collected(tmp_path / "results.tar.gz", tmp_path / "records")


@pytest.mark.parametrize("name", ["../evil", "/evil", "link"])
def test_an_archive_cannot_write_elsewhere(name: str, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "results.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo(name)
        if name == "link":
            member.type, member.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(member)
    with pytest.raises(InputError, match="which is no file of results"):
        collected(tmp_path / "results.tar.gz", tmp_path / "records")


def test_nothing_at_all_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^There are no results at .*nothing; give the results-"):
        collected(tmp_path / "nothing", tmp_path / "records")


@pytest.mark.tensorflow
def test_run_sh_says_what_is_missing(tmp_path: Path) -> None:
    kit = pack(tmp_path, OPTIONS, "one")
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    ended = run(kit, environment)
    assert ended.returncode == 2
    assert ended.stderr == "This kit runs on a Mac, as Core ML is part of macOS, and this is Linux.\n"
    ended = run(kit, environment, **{COMPILER_VARIABLE: "/nothing"})
    assert ended.stderr == "There is no Swift compiler /nothing; name another in COREMLBENCH_NATIVE_SWIFTC.\n"
    (kit / PLAN).unlink()
    assert run(kit, environment).stderr == "This kit is not whole: it has no plan.json; copy its folder again.\n"


def test_the_script_is_posix(tmp_path: Path) -> None:
    """It is for macOS's sh, which is a bash of 2007, and is tried under dash, which knows POSIX only."""
    del tmp_path
    shell = shutil.which("dash") or "sh"
    assert subprocess.run([shell, "-n", str(TEMPLATES / TEMPLATE)], check=False).returncode == 0


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_run_sh_compiles_the_program(native_compiler: Path, tmp_path: Path) -> None:
    """Slow: the whole program is compiled once more, from the sources in the kit."""
    kit = pack(tmp_path, replace(OPTIONS, rounds=1), "one")
    environment = {"HOME": str(tmp_path / "home"), "PATH": os.environ["PATH"], COMPILER_VARIABLE: str(native_compiler)}
    (tmp_path / "home").mkdir()
    ended = run(kit, environment)
    assert ended.returncode == 0, ended.stderr
    assert "Step 1 of 3: compiling the program" in ended.stdout
    assert "the program is in" in run(kit, environment).stdout
