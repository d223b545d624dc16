"""Resumed runs: their results equal those of uninterrupted runs, and their records say that they were resumed."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coremlbench.createml.feature_journal import JournalEntry, open_journal, read_finished_rows
from coremlbench.experiments.catalogue import select
from coremlbench.experiments.comparison import compared_seconds, comparison_rows
from coremlbench.runs import resume_data, store
from coremlbench.system.advised_commands import advised_command
from coremlbench.system.files import allocate
from coremlbench.training.job import Overrides, resolve_options, resume_training, train_once
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Failure
from coremlbench.types.process import Progress
from coremlbench.types.training_records import Trained, TrainingRecord
from tests.runs.test_store import RECORD, UNFINISHED
from tests.small_datasets import fashion_folder
from tests.standing_worker import COMMAND_LINE, point, python_that_stands, stand_at

EPOCHS = 4


def quiet(progress: Progress) -> None:
    pass


# --- resume data -------------------------------------------------------------------------------------------


def broken_run(results: Path, name: str, *, outcome: Any = UNFINISHED, images: int = 2) -> Path:
    folder = results / name
    (folder / resume_data.RESUME_DIR).mkdir(parents=True)
    lines = ['{"plan": "p"}', *('{"row": 0, "rows": 1, "sha256": ""}' for _ in range(images))]
    (folder / resume_data.RESUME_DIR / resume_data.JOURNAL_FILE).write_text("".join(line + "\n" for line in lines))
    (folder / resume_data.RESUME_DIR / resume_data.FEATURES_FILE).write_bytes(bytes(100))
    store.save(replace(RECORD, id=name, started=name, outcome=outcome), folder)
    return folder


def test_the_newest_three_broken_runs_keep_what_they_did(tmp_path: Path) -> None:
    for name in "abcde":
        broken_run(tmp_path, name)
    broken_run(tmp_path, "f", outcome=Trained(test_accuracy=1.0))
    broken_run(tmp_path, "g", images=0)
    (tmp_path / "e" / resume_data.RESUME_DIR / ".writing-half").touch()
    with store.lock_run(tmp_path / "a"):
        resume_data.prune(tmp_path)
    assert [path.parent.name for path in sorted(tmp_path.glob(f"*/{resume_data.RESUME_DIR}"))] == ["a", "c", "d", "e"]
    assert not (tmp_path / "e" / resume_data.RESUME_DIR / ".writing-half").exists()


def test_the_record_tells_what_is_kept(tmp_path: Path) -> None:
    failure = Failure("killed", "It was killed.", "Run it again.")
    folder = broken_run(tmp_path, "a")
    record = resume_data.note_resume_data(replace(RECORD, id="a", outcome=failure), folder)
    assert record.notes[0].startswith("Kept of this run: the features of 2 images, ")
    assert f"`{advised_command('createml', '--resume', 'a', results=tmp_path)}`" in record.notes[0]
    loaded = store.load(folder).outcome
    assert isinstance(loaded, Failure)
    assert "--resume a" in loaded.hint
    for outcome in (Trained(test_accuracy=1.0), replace(failure, kind="disk-full"), replace(failure, kind="gpu-fault")):
        folder = broken_run(tmp_path, type(outcome).__name__ + getattr(outcome, "kind", ""))
        assert resume_data.note_resume_data(replace(RECORD, outcome=outcome), folder).notes == ()
        assert not (folder / resume_data.RESUME_DIR).exists()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere", "There is no run nowhere in"),
        ("trained", "it has finished"),
        ("empty", "it has no resume data"),
        ("running", "still running, or is being resumed already"),
        ("other", "it is a run of lenet"),
    ],
)
def test_a_run_that_cannot_be_gone_on_with_is_told(name: str, says: str, tmp_path: Path) -> None:
    broken_run(tmp_path, "trained", outcome=Trained(test_accuracy=1.0))
    broken_run(tmp_path, "empty", images=0)
    folder = broken_run(tmp_path, "other")
    store.save(replace(RECORD, id="other", experiment="lenet", outcome=UNFINISHED), folder)
    with store.lock_run(broken_run(tmp_path, "running")):
        with pytest.raises(InputError, match=says):
            resume_data.find_resumable_run(tmp_path, ["createml"], name)
        with pytest.raises(InputError, match="can be resumed; run it without --resume"):
            resume_data.find_resumable_run(tmp_path, ["createml"], "")
    broken_run(tmp_path, "y")
    assert resume_data.find_resumable_run(tmp_path, ["createml"], "")[0].id == "y"


def test_settings_must_be_those_of_the_broken_run() -> None:
    record = replace(RECORD, options={"iterations": 25, "augment": ["flip"]})
    resume_data.check_same_settings(record, {"iterations": 25, "augment": ("flip",)})
    with pytest.raises(InputError, match=r"had iterations 25, not 5; leave the option out to resume the run"):
        resume_data.check_same_settings(record, {"iterations": 5})


def test_only_rows_whose_hash_is_right_count(tmp_path: Path) -> None:
    journal, features = tmp_path / "journal", tmp_path / "features"
    data = bytes(range(60))
    features.write_bytes(data)
    with open_journal(journal, "plan") as note:
        for row, rows in ((0, 2), (4, 1), (2, 2)):
            note(JournalEntry(row, rows, hashlib.sha256(data[row * 10 : (row + rows) * 10]).hexdigest()))
    with journal.open("ab") as lines:
        lines.write(b'{"row": 5, "ro')  # cut short
    features.write_bytes(data[:25] + b"x" + data[26:])
    expected = {"fingerprint": "plan", "row_bytes": 10, "size": 60}
    assert read_finished_rows(journal, features, **expected) == {0: 2, 4: 1}  # type: ignore[arg-type]  # a dict of mixed types
    with open_journal(journal, "plan") as note:
        note(JournalEntry(5, 1, hashlib.sha256(data[50:]).hexdigest()))
    with pytest.raises(InputError, match="differ from those of the failed run"):
        read_finished_rows(journal, features, fingerprint="another", row_bytes=10, size=60)
    with pytest.raises(InputError, match="differ from those of the failed run"):
        read_finished_rows(journal, features, fingerprint="another", row_bytes=10, size=61)
    assert read_finished_rows(journal, features, fingerprint="plan", row_bytes=10, size=60) == {0: 2, 4: 1, 5: 1}, (
        "the cut line is one"
    )
    assert read_finished_rows(journal, features, fingerprint="plan", row_bytes=10, size=61) == {}
    assert read_finished_rows(tmp_path / "none", features, fingerprint="plan", row_bytes=10, size=60) == {}


@pytest.mark.parametrize(
    "damage",
    [
        bytes(40),
        b'"text"',
        b"[1]",
        b"\xff\xfe",
        b'{"row": "x", "rows": 1}',
        b'{"row": -1, "rows": 1, "sha256": ""}',
        b"[" * 9999,
    ],
)
def test_what_a_crash_of_the_machine_left_in_the_journal_is_passed_over(damage: bytes, tmp_path: Path) -> None:
    journal, features = tmp_path / "journal", tmp_path / "features"
    features.write_bytes(bytes(30))
    whole = JournalEntry(0, 1, hashlib.sha256(bytes(10)).hexdigest())
    with open_journal(journal, "plan") as note:
        note(whole)
        with journal.open("ab") as lines:
            lines.write(damage + b"\n")
        note(replace(whole, row=2))
    assert read_finished_rows(journal, features, fingerprint="plan", row_bytes=10, size=30) == {0: 1, 2: 1}
    journal.write_bytes(damage + b"\n")
    assert read_finished_rows(journal, features, fingerprint="plan", row_bytes=10, size=30) == {}


def test_what_was_taken_from_a_broken_run_is_left_whole_for_another(tmp_path: Path) -> None:
    broken, folder = broken_run(tmp_path, "a"), tmp_path / "b"
    folder.mkdir()
    (broken / resume_data.RESUME_DIR / ".writing-half").touch()
    resume_data.link_resume_data(broken, folder)
    assert sorted(path.name for path in (folder / resume_data.RESUME_DIR).iterdir()) == [
        resume_data.FEATURES_FILE,
        resume_data.JOURNAL_FILE,
    ]
    allocate(folder / resume_data.RESUME_DIR / resume_data.FEATURES_FILE, 10)
    assert (broken / resume_data.RESUME_DIR / resume_data.FEATURES_FILE).read_bytes() == bytes(100)


# --- train --------------------------------------------------------------------------------------------------


@pytest.fixture
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COREMLBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Any:
    source = fashion_folder(tmp_path_factory.mktemp("source") / "fashion", 1200, 200)
    (row,) = select(["fashion-mnist"])
    return resolve_options(
        row, Overrides(sources={"fashion-mnist": str(source)}, train=600, test=100, epochs=EPOCHS, device="cpu")
    )


def train(options: Any, results: Path, on_progress: Callable[[Progress], None] = quiet) -> tuple[TrainingRecord, Path]:
    return train_once(options, results=results, command=["coremlbench", "train"], on_progress=on_progress)


def kill_in(phase: str) -> Callable[[Progress], None]:
    pids: list[int] = []

    def on_progress(progress: Progress) -> None:
        if "pid" in progress.figures:
            pids.append(progress.figures["pid"])
        if progress.phase.startswith(phase) and pids:
            os.kill(pids.pop(), signal.SIGKILL)

    return on_progress


def resume(results: Path, run_id: str = "", requested: Mapping[str, Any] | None = None) -> tuple[TrainingRecord, Path]:
    return resume_training(
        run_id,
        ["fashion-mnist", "lenet"],
        {},
        lambda _: requested or {},
        results=results,
        command=["coremlbench", "train", "--resume"],
        on_progress=quiet,
    )


def weights_of(folder: Path) -> list[Any]:
    import keras

    return list(keras.models.load_model(folder / "model.keras").get_weights())


@pytest.mark.parametrize("old", [False, True])
def test_the_offer_to_resume_goes_and_other_notes_stay(tmp_path: Path, old: bool) -> None:
    failure = Failure("killed", "It was killed.", "Run it again.")
    folder = broken_run(tmp_path, "a")
    record = resume_data.note_resume_data(replace(RECORD, id="a", notes=("Another.",), outcome=failure), folder)
    content = json.loads(store.to_bytes(record))
    assert content["resume_note"] == content["notes"][-1]
    if old:  # records of older releases have the note, and no field that says which it is
        del content["resume_note"]
    read = store.from_bytes(json.dumps(content).encode())
    assert isinstance(read, TrainingRecord)
    superseded = resume_data.discard_superseded(read, folder, by="b")
    note = "Nothing is kept of this run any more, as b trained in its place."
    assert (superseded.notes, superseded.resume_note) == (("Another.", note), "")
    assert store.load(folder) == superseded


@pytest.mark.tensorflow
@pytest.mark.usefixtures("own_cache")
def test_a_training_goes_on_from_its_last_epoch_and_comes_to_the_same(
    options: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, whole_folder = train(options, tmp_path / "whole")
    stand_at(monkeypatch, tmp_path / "standing", point("tensorflow", "epoch 3 "))
    broken, _ = train(options, tmp_path / "results", kill_in("epoch 3 "))
    assert isinstance(broken.outcome, Failure)
    assert "the network after epoch 2" in broken.notes[-1]
    assert [row.epoch for row in broken.epochs] == [1, 2]

    resumed, folder = resume(tmp_path / "results")
    assert isinstance(resumed.outcome, Trained), resumed.outcome
    assert resumed.resumed_from == broken.id
    assert resumed.epochs[:2] == broken.epochs
    assert [row.epoch for row in resumed.epochs] == [1, 2, 3, 4]
    assert resumed.options["batch"] == broken.options["batch"]
    assert resumed.options["epochs"] == EPOCHS
    assert not list((tmp_path / "results").glob("*/kept"))
    before = store.load(tmp_path / "results" / broken.id)
    assert before.notes == (f"Nothing is kept of this run any more, as {resumed.id} trained in its place.",)

    # Bit for bit the same whenever it was looked at (TensorFlow 2.21, 2 cores); TensorFlow promises less than that.
    for one, two in zip(weights_of(whole_folder), weights_of(folder), strict=True):
        assert np.allclose(one, two, rtol=1e-4, atol=1e-6)
    assert [row.loss for row in resumed.epochs] == pytest.approx([row.loss for row in whole.epochs], rel=1e-4)

    (experiment,) = select(["fashion-mnist"])
    assert compared_seconds(whole, experiment) is not None
    assert compared_seconds(resumed, experiment) is None
    rows = {row.source: row for row in comparison_rows([experiment], [whole, resumed], whole.machine.id)}
    assert rows[resumed.id].figure == f"trained, resumed from {broken.id}: not compared"
    assert rows[resumed.id].ratio is None
    assert rows[whole.id].reference


@pytest.mark.tensorflow
@pytest.mark.slow  # two more trainings; one that breaks and goes on is in every suite
@pytest.mark.usefixtures("own_cache")
def test_a_training_that_broke_twice_goes_on_and_other_settings_do_not(
    options: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_at(monkeypatch, tmp_path / "standing", point("tensorflow", "epoch 2 "), point("tensorflow", "evaluate"))
    results = tmp_path / "results"
    broken, folder = train(options, results, kill_in("epoch 2 "))
    with pytest.raises(InputError, match="had batch 32, not 64"):
        resume(results, broken.id, {"batch": 64})
    again, _ = resume_training(
        broken.id,
        ["fashion-mnist"],
        {},
        lambda _: {},
        results=results,
        command=["coremlbench"],
        on_progress=kill_in("evaluate"),
    )
    assert isinstance(again.outcome, Failure)
    assert again.resumed_from == broken.id
    assert [row.epoch for row in again.epochs] == [1, 2, 3, 4]
    last, _ = resume(results)
    assert last.resumed_from == again.id
    assert isinstance(last.outcome, Trained)
    assert last.epochs == again.epochs
    with pytest.raises(InputError, match="it has no resume data"):
        resume(results, again.id)
    assert (folder / "run.json").is_file()


# --- createml -----------------------------------------------------------------------------------------------


def createml(pictures: Path, results: Path, *options: str) -> list[str]:
    base = [sys.executable, "-m", "coremlbench", "createml", "--dataset", str(pictures), "--results", str(results)]
    return [*base, "--train", "60", "--test", "30", "--extractor", "squeezenet_v1.1", *options]


def records(results: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(results.glob("*/run.json"))]


@pytest.mark.slow  # three whole runs; what they resume from is tested by its parts in every suite
@pytest.mark.usefixtures("turicreate", "squeezenet")
@pytest.mark.parametrize("victim", ["worker", "parent"])
def test_a_create_ml_run_goes_on_from_its_features_and_comes_to_the_same(
    victim: str, pictures: Path, tmp_path: Path
) -> None:
    import psutil

    from tests.createml.test_job import nobody_left, wait_for

    words = createml(pictures, tmp_path)
    beside = tmp_path.with_name(f"{tmp_path.name}-beside")
    beside.mkdir()
    words[1:3] = [
        "-c",
        COMMAND_LINE,
        str(python_that_stands(beside, point("export", ""))),
    ]  # it does not come to its end
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def some_features() -> Any:
        return [path for path in tmp_path.glob("*/kept/features.jsonl") if path.read_bytes().count(b"\n") > 10]

    wait_for(some_features)
    if victim == "parent":
        process.kill()
    else:
        for process_below in psutil.Process(process.pid).children(recursive=True):
            if "workers.extract" in " ".join(process_below.cmdline()) and "guardian.py" not in " ".join(
                process_below.cmdline()
            ):
                process_below.kill()
    process.wait()
    assert wait_for(lambda: nobody_left(set(), str(tmp_path)))
    (broken,) = records(tmp_path)
    assert broken["outcome"]["kind"] == ("unfinished" if victim == "parent" else "killed")
    base = [sys.executable, "-m", "coremlbench", "createml", "--results", str(tmp_path), "--resume"]
    other = subprocess.run([*base, "--iterations", "5"], capture_output=True, text=True, check=False)
    assert other.returncode == 2
    assert f"Run {broken['id']} had iterations 25, not 5" in other.stderr
    ended = subprocess.run(base, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert f"trained, resumed from {broken['id']}" in ended.stdout
    (resumed,) = [record for record in records(tmp_path) if record["id"] != broken["id"]]
    taken = int(next(note for note in resumed["notes"] if "feature vectors" in note).split(" of ")[0].replace(",", ""))
    extractions = resumed["options"]["extractions"]
    assert 10 * 12 <= taken <= extractions
    assert resumed["phases"][2]["items"] == extractions - taken
    assert resumed["resumed_from"] == broken["id"]
    assert not list(tmp_path.glob("*/kept"))
    if victim == "worker":
        return  # one whole run to compare with is enough
    whole = subprocess.run(createml(pictures, tmp_path / "whole"), capture_output=True, text=True, check=False)
    assert whole.returncode == 0, whole.stderr
    (unbroken,) = records(tmp_path / "whole")
    assert unbroken["options"]["features sha256"] == resumed["options"]["features sha256"]
    assert unbroken["outcome"]["confusion"] == resumed["outcome"]["confusion"]
    head, whole_head = (
        np.load(folder / "head.npz")["weights"]
        for folder in (tmp_path / resumed["id"], tmp_path / "whole" / unbroken["id"])
    )
    assert np.allclose(head, whole_head, rtol=1e-6, atol=1e-9)
