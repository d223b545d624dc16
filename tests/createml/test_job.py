"""``coremlbench createml`` as a person runs it: whole runs on small pictures, and runs that are made to fail."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from coremlbench.cli.terminal.createml import print_createml_run
from coremlbench.createml.classifier import Head
from coremlbench.createml.feature_extraction import prepare_image
from coremlbench.runs import store
from coremlbench.supervision.fork_client import SERVER_VARIABLE
from tests.standing_worker import COMMAND_LINE, point, python_that_stands

pytestmark = [pytest.mark.usefixtures("turicreate", "squeezenet"), pytest.mark.timeout(240)]

OPTIONS = ("--extractor", "squeezenet_v1.1")


FEW = ("--augment", "none")  # where it does not matter how much is trained


def command(pictures: Path, results: Path, *options: str) -> list[str]:
    base = [sys.executable, "-m", "coremlbench", "createml", "--dataset", str(pictures), "--results", str(results)]
    return [*base, "--train", "60", "--test", "30", *OPTIONS, *options]


def run(pictures: Path, results: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(pictures, results, *options), capture_output=True, text=True, check=False)


def the_record(results: Path) -> dict[str, Any]:
    (path,) = results.glob("*/run.json")
    return dict(json.loads(path.read_text()))


def tree(root: Path) -> set[str]:
    """The files of a run, without what is inside the model, and without what a broken run keeps for --resume."""
    return {
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_file() and ".mlpackage/" not in str(path) and path.parent.name != "kept"
    }


@pytest.fixture(scope="module")
def trained(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    results, temporary = tmp_path_factory.mktemp("trained"), tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(temporary))
        ended = run(pictures, results)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert list(temporary.iterdir()) == []
    record = the_record(results)
    return results / record["id"], record, ended.stdout


def test_the_record_says_what_was_done(trained: tuple[Path, dict[str, Any], str], pictures: Path) -> None:
    folder, record, _ = trained
    assert record["schema"] == 1
    assert record["kind"] == "training"
    assert record["experiment"] == "createml"
    assert record["engine"] == "turicreate"
    assert record["options"]["extractions"] == 54 * 12 + 6 + 30
    assert record["options"]["extraction"] == "pipelined"
    assert record["options"]["seed"] == 0
    assert record["dataset"]["classes"] == ["grüne Punkte", "red stripes", "青い"]
    assert (record["dataset"]["train"], record["dataset"]["validation"], record["dataset"]["test"]) == (54, 6, 30)
    assert record["weights"]["sha256"] == "9771edee57f1cddfb0d4ce9ed6dcac776fe67a0c4389dd734fb561a26157ec39"
    assert f"dataset {pictures}" in record["deviations"]
    assert {"60 training images", "30 test images", "extractor squeezenet_v1.1"} <= set(record["deviations"])
    assert [phase["name"] for phase in record["phases"]] == ["setup", "data", "extract", "train", "evaluate", "export"]
    assert all(phase["seconds"] > 0 for phase in record["phases"])
    assert record["seconds"] >= 0.95 * sum(phase["seconds"] for phase in record["phases"])
    assert record["peak_bytes"] > 50 * 2**20
    assert record["versions"]["turicreate"] == "6.4.1"
    assert record["versions"]["turicreate architecture"] == "x86_64"
    assert record["machine"]["chip"]
    assert folder.joinpath("logs").is_dir()
    assert not folder.joinpath("work").exists()


def test_the_outcome_adds_up(trained: tuple[Path, dict[str, Any], str]) -> None:
    _, record, _ = trained
    outcome = record["outcome"]
    assert outcome["status"] == "trained"
    confusion = np.array(outcome["confusion"])
    assert confusion.sum() == 30
    assert outcome["test_accuracy"] == pytest.approx(np.trace(confusion) / 30)
    assert outcome["test_accuracy"] > 0.8  # the classes differ in colour
    for index, row in enumerate(outcome["per_class"]):
        assert row["name"] == record["dataset"]["classes"][index]
        assert row["images"] == 10
        assert row["recall"] == pytest.approx(confusion[index, index] / 10)
    solver = outcome["solver"]
    assert solver["iterations"] <= solver["max_iterations"] == 25
    assert solver["status"]
    assert 1 <= len(record["iterations"]) <= 25
    assert record["iterations"][-1]["training_accuracy"] == pytest.approx(outcome["training_accuracy"])


@pytest.mark.tensorflow
def test_the_saved_model_is_the_trained_one(trained: tuple[Path, dict[str, Any], str], pictures: Path) -> None:
    import coremltools

    from coremlbench.runtimes.reference import ReferenceRuntime
    from coremlbench.system.files import hash_folder

    folder, record, _ = trained
    model = record["model"]
    assert model["agreement"]["equal"] == model["agreement"]["images"] == 30
    assert hash_folder(folder / model["path"]) == (model["sha256"], model["bytes"])
    description = coremltools.utils.load_spec(str(folder / model["path"])).description
    assert description.input[0].type.WhichOneof("Type") == "imageType"
    assert description.metadata.author == "coremlbench"
    accuracy = record["outcome"]["test_accuracy"]
    assert f"{accuracy:.1%}" in description.metadata.shortDescription
    assert dict(description.metadata.userDefined)["test accuracy"] == f"{accuracy:.4f}"

    runtime = ReferenceRuntime.load(folder / model["path"])
    with np.load(folder / "head.npz") as saved:
        head = Head(tuple(saved["classes"]), saved["weights"], saved["bias"])
    assert list(head.classes) == record["dataset"]["classes"]
    for name in head.classes:
        (pixels,) = prepare_image(pictures / "test" / name / "0.jpg", (227, 227), (), ())
        answer = runtime.predict({"image": pixels})
        assert set(answer["classLabel_probs"]) == set(head.classes)
        assert sum(answer["classLabel_probs"].values()) == pytest.approx(1, abs=1e-4)


def test_the_terminal_shows_the_result(trained: tuple[Path, dict[str, Any], str]) -> None:
    folder, _, shown = trained
    assert "Create ML run: trained" in shown
    assert "青い" in shown
    assert "not the protocol:" in shown
    assert str(folder / "run.json") in shown


@pytest.mark.slow  # a whole run once more
def test_the_same_seed_gives_the_same_features_accuracies_and_head(
    trained: tuple[Path, dict[str, Any], str], pictures: Path, tmp_path: Path
) -> None:
    folder, first, _ = trained
    assert run(pictures, tmp_path).returncode == 0
    second = the_record(tmp_path)
    assert len(first["options"]["features sha256"]) == 64
    assert first["options"]["features sha256"] == second["options"]["features sha256"]
    for key in ("test_accuracy", "training_accuracy", "validation_accuracy", "confusion"):
        assert first["outcome"][key] == second["outcome"][key]
    with np.load(folder / "head.npz") as one, np.load(tmp_path / second["id"] / "head.npz") as two:
        assert np.allclose(one["weights"], two["weights"], rtol=1e-6, atol=1e-9)


@pytest.mark.slow  # a whole run with the slowest extractor; its features are compared with ours in test_run.py
def test_turi_create_s_own_extraction_comes_to_the_same(
    trained: tuple[Path, dict[str, Any], str], pictures: Path, tmp_path: Path
) -> None:
    folder, ours, _ = trained
    ended = run(pictures, tmp_path, "--extraction", "turicreate")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    theirs = the_record(tmp_path)
    assert theirs["options"]["extraction"] == "turicreate"
    assert [phase["name"] for phase in theirs["phases"]][2:4] == ["augment", "extract"]
    assert theirs["outcome"]["test_accuracy"] == ours["outcome"]["test_accuracy"]
    with np.load(folder / "head.npz") as one, np.load(tmp_path / theirs["id"] / "head.npz") as two:
        difference = np.linalg.norm(one["weights"] - two["weights"]) / np.linalg.norm(one["weights"])
    assert difference < 1e-2


def test_a_folder_gives_all_it_has(pictures: Path, tmp_path: Path) -> None:
    options = ["--dataset", str(pictures), "--results", str(tmp_path), "--augment", "none", *OPTIONS]
    ended = subprocess.run(
        [sys.executable, "-m", "coremlbench", "createml", *options], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    record = the_record(tmp_path)
    assert (record["dataset"]["train"], record["dataset"]["validation"], record["dataset"]["test"]) == (108, 12, 30)
    assert {"120 training images", "30 test images", "3 classes"} <= set(record["deviations"])


def test_a_folder_with_too_much_that_is_broken_is_a_failure_that_says_so(pictures: Path, tmp_path: Path) -> None:
    shutil.copytree(pictures, tmp_path / "mine")
    for index in range(12):
        (tmp_path / "mine" / "train" / "red stripes" / f"{index}.jpg").write_bytes(b"not a picture")
    ended = run(tmp_path / "mine", tmp_path / "results")
    assert ended.returncode == 3
    record = the_record(tmp_path / "results")
    assert record["outcome"]["kind"] == "unusable-data"
    assert "12 of 150 files" in record["outcome"]["reason"]


@pytest.fixture(scope="module")
def small(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A run without augmentation and with one iteration, on a folder with a picture that is cut short."""
    folder = tmp_path_factory.mktemp("small")
    shutil.copytree(pictures, folder / "mine")
    broken = folder / "mine" / "train" / "青い" / "3.jpg"
    broken.write_bytes(broken.read_bytes()[:700])
    ended = run(folder / "mine", folder / "results", "--augment", "none", "--iterations", "1", "--json")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder / "results", ended


def test_a_few_broken_pictures_are_counted_and_named(
    small: tuple[Path, subprocess.CompletedProcess[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    results, _ = small
    data = the_record(results)["dataset"]
    assert (data["skipped_count"], data["examined"]) == (1, 150)
    assert data["skipped"][0]["path"].endswith("青い/3.jpg")
    ((record,), _) = store.load_trainings(results)
    print_createml_run(record, results / record.id)
    assert "1 of 150 left out" in capsys.readouterr().out


def test_a_small_run_without_augmentation_and_one_iteration(
    small: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    results, ended = small
    record = json.loads(ended.stdout)
    assert record == the_record(results)
    assert record["options"]["extractions"] == 54 + 6 + 30
    assert record["outcome"]["solver"]["iterations"] == 1


# --- runs that are made to fail -----------------------------------------------------------------------------


def reap(process: subprocess.Popen[str]) -> None:
    """Wait for the end of a process whose output nobody wants any more."""
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


@contextmanager
def started(pictures: Path, results: Path, *options: str, stand: str = "") -> Iterator[subprocess.Popen[str]]:
    """Start a run; the worker ``stand`` does not go on from its first line of progress, unless it is Turi Create's.

    Its workers are programs, so that they are found below the run and by their commands.
    """
    beside = results.with_name(f"{results.name}-beside")
    beside.mkdir()
    words = command(pictures, results, *options)
    if stand:
        assert words[1:3] == ["-m", "coremlbench"]
        words[1:3] = ["-c", COMMAND_LINE, str(python_that_stands(beside, point(stand, "")))]
    environment = {name: value for name, value in os.environ.items() if name != SERVER_VARIABLE}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    try:
        yield process
    finally:
        process.kill()
        reap(process)


def wait_for(condition: Callable[[], Any]) -> Any:
    """Wait until the condition is true, and return its value; only the test's own time limit ends the wait."""
    while not (result := condition()):
        time.sleep(0.005)
    return result


def worker(process: subprocess.Popen[str], results: Path, stage: str) -> psutil.Process:
    """The worker of a stage, at work: below the guardian, and past its first line of progress."""

    def find() -> psutil.Process | None:
        if process.poll() is not None:
            raise AssertionError(process.communicate()[0])
        if not any(path.stat().st_size for path in results.glob(f"*/work/{stage}/progress.jsonl")):
            return None
        below = psutil.Process(process.pid).children(recursive=True)
        return next(
            (
                child
                for child in below
                if f"/work/{stage}" in " ".join(child.cmdline()[-2:]) and "guardian.py" not in " ".join(child.cmdline())
            ),
            None,
        )

    child = wait_for(find)
    assert isinstance(child, psutil.Process)
    return child


def nobody_left(before: set[int], marker: str) -> bool:
    for process in psutil.process_iter(["pid", "cmdline"]):
        if process.info["pid"] not in before and marker in " ".join(process.info["cmdline"] or ()):
            return False
    return True


ALL_LOGS = [
    f"{stage}-{name}"
    for stage in ("setup", "data", "extract", "train", "export")
    for name in ("log.txt", "progress.jsonl")
]


def assert_clean_failure(results: Path, kind: str, phase: str) -> dict[str, Any]:
    record = the_record(results)
    outcome = record["outcome"]
    assert outcome["status"] == "failed"
    assert outcome["kind"] == kind, outcome
    assert outcome["reason"]
    assert outcome["hint"]
    assert outcome["evidence"]["phase"] == phase
    files = {path for path in tree(results / record["id"]) if not path.startswith("samples/")}
    assert files <= {"run.json", *(f"logs/{name}" for name in ALL_LOGS)}
    assert wait_for(lambda: nobody_left(set(), str(results)))
    return record


STAGES = {"data": "examine", "extract": "extract", "train": "train", "export": "export"}
KILLS = {signal.SIGKILL: "killed", signal.SIGSEGV: "segmentation-fault", signal.SIGILL: "illegal-instruction"}
ALWAYS = {("extract", "SIGKILL"), ("train", "SIGSEGV")}
"""One worker of our own and Turi Create's; the others take the same way through the code, and are slow."""


@pytest.mark.parametrize(
    ("stage", "number"),
    [
        pytest.param(
            stage,
            number,
            id=f"{stage}-{number.name}",
            marks=[] if (stage, number.name) in ALWAYS else [pytest.mark.slow],
        )
        for stage in STAGES
        for number in KILLS
    ],
)
def test_a_killed_worker_is_a_recorded_failure(
    stage: str, number: signal.Signals, pictures: Path, tmp_path: Path
) -> None:
    with started(pictures, tmp_path, *FEW, stand=stage) as process:
        victim = worker(process, tmp_path, stage)
        victim.suspend()  # so that it cannot end before the signal comes
        victim.send_signal(number)
        victim.resume() if number != signal.SIGKILL else None
        process.communicate()
        assert process.returncode == 3
    record = assert_clean_failure(tmp_path, KILLS[number], STAGES[stage])
    assert record["outcome"]["evidence"]["signal"] == number.name
    done = [phase["name"] for phase in record["phases"]]
    assert done == ["setup", "data", "extract", "train", "evaluate", "export"][: len(done)]
    assert (stage in done) is False


@pytest.mark.usefixtures("ordinary_workers")  # a fork counts what it shares too
def test_a_run_past_its_memory_limit_is_stopped(pictures: Path, tmp_path: Path) -> None:
    ended = run(pictures, tmp_path, "--memory-limit", "120MiB")
    assert ended.returncode == 3
    record = the_record(tmp_path)
    assert record["outcome"]["kind"] == "memory-limit"
    assert record["outcome"]["evidence"]["peak_bytes"] > 120 * 2**20
    assert "120" in record["outcome"]["reason"]


def test_a_hang_is_stopped_and_told(pictures: Path, tmp_path: Path) -> None:
    with started(pictures, tmp_path, *FEW, "--silence", "6s") as process:
        worker(process, tmp_path, "train").suspend()
        process.communicate()
        assert process.returncode == 3
    assert_clean_failure(tmp_path, "hang", "train")


def test_a_run_past_its_time_is_stopped(pictures: Path, tmp_path: Path) -> None:
    ended = run(pictures, tmp_path, "--timeout", "3s", "--train", "120")
    assert ended.returncode == 3
    assert the_record(tmp_path)["outcome"]["kind"] == "deadline"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_ctrl_c_ends_everything_and_keeps_what_is_known(number: signal.Signals, pictures: Path, tmp_path: Path) -> None:
    with started(pictures, tmp_path, stand="extract") as process:
        worker(process, tmp_path, "extract")
        process.send_signal(number)
        process.communicate()
        assert process.returncode == 130
    record = assert_clean_failure(tmp_path, "interrupted", "extract")
    assert [phase["name"] for phase in record["phases"]] == ["setup", "data"]


def test_the_next_run_after_a_killed_one_works_and_tidies_up(pictures: Path, tmp_path: Path) -> None:
    with started(pictures, tmp_path, stand="extract") as process:
        victim = worker(process, tmp_path, "extract")
        process.kill()
        process.wait()
        wait_for(lambda: not victim.is_running() or victim.status() == psutil.STATUS_ZOMBIE)
        assert wait_for(lambda: nobody_left(set(), str(tmp_path)))
    killed = the_record(tmp_path)
    assert killed["outcome"]["kind"] == "unfinished"
    assert run(pictures, tmp_path, *FEW).returncode == 0
    outcomes = {
        path.parent.name: json.loads(path.read_text())["outcome"]["status"] for path in tmp_path.glob("*/run.json")
    }
    assert sorted(outcomes.values()) == ["failed", "trained"]
    assert not list(tmp_path.rglob("work"))
    assert not list(tmp_path.rglob("*.lock"))


@pytest.mark.linux("mount namespaces")
def test_a_full_disk_is_told_and_the_record_saved_all_the_same(pictures: Path, tmp_path: Path) -> None:
    """A file system of its own, in a mount namespace: the results' 230 MB fill up while the data is examined."""
    disk, copy = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    createml = subprocess.list2cmdline(command(pictures, disk / "results"))
    script = f"mount -t tmpfs -o size=230m none {disk} && {createml}; code=$?; cp -r {disk}/results {copy}; exit $code"
    user = ["--user", "--map-root-user"] if os.geteuid() else []
    process = subprocess.Popen(
        ["unshare", *user, "--mount", "--propagation", "private", "sh", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    inside = Path(f"/proc/{process.pid}/root{disk}")
    try:
        wait_for(lambda: process.poll() is not None or list(inside.glob("results/*/work/data/progress.jsonl")))
        with (inside / "filler").open("wb", buffering=0) as filler, suppress(OSError):  # until there is no space left
            while True:
                filler.write(bytes(1 << 20))
        shown, _ = process.communicate()
    finally:
        process.kill()
        reap(process)
    assert process.returncode == 3, shown
    record = the_record(copy)
    assert record["outcome"]["kind"] == "disk-full", shown
    assert tree(copy / record["id"]) <= {"run.json", *(f"logs/{name}" for name in ALL_LOGS)}
