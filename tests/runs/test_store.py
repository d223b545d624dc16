"""Records: round trips, broken ones, racing writers, killed runs, full and vanished folders."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coremlbench.runs import store
from coremlbench.types.conversion import UNFINISHED_NOTE, ConversionRecord, Variant
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Failure
from coremlbench.types.machine import Machine
from coremlbench.types.training_records import SCHEMA, EpochRow, Phase, Placement, Trained, TrainingRecord
from tests import record_samples as samples
from tests.failing_records import CONVERSION

NOW = datetime(2026, 11, 23, 18, 55, 1, tzinfo=timezone.utc)
UNFINISHED = Failure(kind="unfinished", reason="It has not ended.", hint="Wait.")
RECORD = TrainingRecord(
    id="20261123-185501-createml-3f2a",
    experiment="createml",
    started="2026-11-23T18:55:01+00:00",
    command=("coremlbench", "createml"),
    coremlbench="0.1.0",
    machine=Machine("0123456789ab", "Chip", "x86_64", 2, 2, 1 << 34, "Linux", "12"),
    engine="turicreate",
    options={"iterations": 25, "dataset": Path("/data/пицца")},
    outcome=Trained(test_accuracy=0.875),
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.builds(
    TrainingRecord,
    schema=st.just(SCHEMA),
    options=st.dictionaries(st.text(), JSON, max_size=4),
    placement=st.none() | st.from_type(Placement),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(RECORDS)
def test_every_record_comes_back_as_it_was(record: TrainingRecord) -> None:
    data = store.to_bytes(record)
    again = store.from_bytes(data)
    assert store.to_bytes(again) == data
    assert type(again.outcome) is type(record.outcome)
    assert again.id == record.id
    json.loads(data, parse_constant=pytest.fail)  # NaN and Infinity are not JSON


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_what_is_no_record_is_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(store.UnreadableRecordError) as problem:
        store.from_bytes(data)
    assert str(problem.value)


def test_a_loss_that_is_not_a_number_survives() -> None:
    record = replace(
        RECORD,
        outcome=Trained(test_accuracy=math.nan),
        epochs=(EpochRow(1, 2.0, 10, 0.5), EpochRow(2, 2.0, 10, math.nan, accuracy=math.inf)),
    )
    again = store.from_bytes(store.to_bytes(record))
    assert isinstance(again.outcome, Trained)
    assert math.isnan(again.outcome.test_accuracy)
    assert [math.isnan(row.loss) for row in again.epochs] == [False, True]
    assert again.epochs[1].accuracy is None


def test_a_file_name_that_is_not_utf_8_survives() -> None:
    record = replace(RECORD, notes=(os.fsdecode(b"caf\xe9.jpg is not an image"),))
    assert store.from_bytes(store.to_bytes(record)).notes == record.notes


def test_unknown_keys_are_left_out_and_missing_ones_take_their_default() -> None:
    content = json.loads(store.to_bytes(RECORD))
    content["from_the_future"] = {"x": 1}
    content["machine"]["colour"] = "grey"
    del content["notes"]
    assert store.from_bytes(json.dumps(content).encode()) == replace(RECORD, options=content["options"])


OLD_VARIANTS: dict[str, tuple[Variant, str]] = {
    "failed": (Variant("int8", 1, failure=UNFINISHED), "failed"),
    "no original": (Variant("as-is", 1, notes=("There is no original to compare it with.",)), "not compared"),
    "ended before": (Variant("fp16", 1, notes=("The ranges were taken.", UNFINISHED_NOTE)), "unfinished"),
}


@pytest.mark.parametrize("case", OLD_VARIANTS)
def test_packages_of_older_records_get_their_status(case: str) -> None:
    variant, status = OLD_VARIANTS[case]
    content = json.loads(store.to_bytes(replace(CONVERSION, variants=(variant,))))
    assert content["variants"][0].pop("status") == status
    old = store.from_bytes(json.dumps(content).encode())
    assert isinstance(old, ConversionRecord)
    assert [variant.status for variant in old.variants] == [status]


def test_the_status_of_a_package_follows_its_failure_and_its_proof() -> None:
    unfinished = Variant("fp16", 1, status="unfinished")
    assert unfinished.status == "unfinished"
    assert replace(unfinished, path="fp16.mlpackage").status == "unfinished"
    compared = replace(unfinished, proof=samples.variant("fp16").proof)
    assert compared.status == "compared"
    assert replace(compared, failure=UNFINISHED).status == "failed"


def test_json_schema_describes_every_kind_of_record() -> None:
    import jsonschema

    schema = store.json_schema()
    for kind in ("training", "conversion", "timing"):
        definition = schema["$defs"][schema["discriminator"]["mapping"][kind].rpartition("/")[2]]
        assert {"schema", "kind", "id", "machine", "outcome"} <= definition["properties"].keys()
    jsonschema.validate(json.loads(store.to_bytes(RECORD)), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(store.to_bytes(RECORD)) | {"kind": "guess"}, schema)


# --- folders ------------------------------------------------------------------------------------------------


def test_the_folder_is_named_by_time_experiment_and_chance(tmp_path: Path) -> None:
    local = NOW.astimezone(timezone(timedelta(hours=5)))
    folder = store.new_run_folder(tmp_path / "results", "createml", local)
    assert folder.is_dir()
    assert folder.name[:-4] == "20261123-185501-createml-"
    assert int(folder.name[-4:], 16) >= 0


MAKE_FOLDERS = """
import sys
from datetime import datetime, timezone
from pathlib import Path
from coremlbench.runs import store
for _ in range(100):
    print(store.new_run_folder(Path(sys.argv[1]), "createml", datetime(2026, 11, 23, tzinfo=timezone.utc)).name)
"""
SAVE_OFTEN = """
import sys
from dataclasses import replace
from pathlib import Path
from coremlbench.runs import store
record = store.load(Path(sys.argv[1]))
while not Path(sys.argv[3]).exists():
    store.save(replace(record, notes=(sys.argv[2] * 20_000,)), Path(sys.argv[1]))
"""


def start(code: str, *arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True)


def test_racing_processes_get_different_folders(tmp_path: Path) -> None:
    racers = [start(MAKE_FOLDERS, tmp_path) for _ in range(4)]
    names = [name for racer in racers for name in racer.communicate()[0].split()]
    assert len(set(names)) == len(names) == 400


def test_racing_writers_leave_whole_records(tmp_path: Path) -> None:
    store.save(RECORD, tmp_path)
    enough = tmp_path.with_name(f"{tmp_path.name} enough")
    writers = [start(SAVE_OFTEN, tmp_path, number, enough) for number in range(3)]
    seen: set[str] = set()
    changes, before = 0, RECORD.notes
    try:
        while (len(seen) < 3 or changes < 30) and all(writer.poll() is None for writer in writers):
            notes = store.load(tmp_path).notes
            changes, before = changes + (notes != before), notes
            assert not notes or (len(notes[0]) == 20_000 and len(set(notes[0])) == 1)
            seen.update(notes)
    finally:
        enough.touch()
        for writer in writers:
            writer.communicate()
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert seen == {str(number) * 20_000 for number in range(3)}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.json"]


def test_records_are_loaded_in_order_and_broken_ones_named(tmp_path: Path) -> None:
    for name, started in (("b", "2026-01-02"), ("a", "2026-01-03"), ("c", "2026-01-01")):
        (tmp_path / name).mkdir()
        store.save(replace(RECORD, id=name, started=started), tmp_path / name)
    broken = {"cut": store.to_bytes(RECORD)[:200], "newer": b'{"schema": 99}', "other": b'{"schema": 1}', "list": b"[]"}
    for name, data in broken.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_bytes(data)
    (tmp_path / "empty").mkdir()
    (tmp_path / "a file").touch()
    (tmp_path / "folder" / "run.json").mkdir(parents=True)
    records, problems = store.load_all(tmp_path)
    assert [record.id for record in records] == ["c", "b", "a"]
    assert len(problems) == 5
    for name, problem in zip(["cut", "folder", "list", "newer", "other"], problems, strict=True):
        assert str(tmp_path / name / "run.json") in problem
        assert problem.endswith(".")
    assert "newer coremlbench" in problems[3]


def test_no_results_folder_holds_no_records(tmp_path: Path) -> None:
    assert store.load_all(tmp_path / "none") == ([], [])
    assert not (tmp_path / "none").exists()
    (tmp_path / "file").touch()
    records, problems = store.load_all(tmp_path / "file")
    assert records == []
    assert "file cannot be read: it is not valid JSON" in problems[0]


# --- runs that go on, and runs that were killed ---------------------------------------------------------------

HOLDER = """
import sys, time
from pathlib import Path
from coremlbench.runs import store
with store.lock_run(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def held(folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Another process that runs the run of ``folder`` until it is killed."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = store.new_run_folder(tmp_path / "results", "createml", NOW)
    store.save(replace(RECORD, id=folder.name, outcome=UNFINISHED, phases=(Phase("data", 1.0, 10),)), folder)
    stage = folder / "work" / "extract"
    stage.mkdir(parents=True)
    (stage / "log.txt").write_text("last words")
    (stage / "progress.jsonl").touch()
    (stage / "features.npy").write_bytes(b"0" * 1000)
    (folder / ".writing-abc").touch()
    return folder


def kinds(results: Path) -> list[str]:
    return [record.outcome.kind for record in store.load_all(results)[0] if isinstance(record.outcome, Failure)]


def test_a_run_is_running_until_its_process_is_gone(run: Path) -> None:
    before = sorted(run.rglob("*"))
    assert kinds(run.parent) == ["unfinished"]
    assert sorted(run.rglob("*")) == before, "asking made files"
    with held(run) as process:
        assert kinds(run.parent) == ["running"]
        store.remove_stale(run.parent)
        assert (run / "work" / "extract" / "features.npy").exists()
        process.kill()
        process.wait()
        assert kinds(run.parent) == ["unfinished"]
    (record,), problems = store.load_all(run.parent)
    assert isinstance(record.outcome, Failure)
    assert record.outcome.reason == "The run was killed from outside after the phase data: nothing was left to say how."
    assert problems == []


@pytest.mark.parametrize("orders", [(), ((0, 1),)])
def test_a_killed_matrix_is_resumed_once_its_rounds_are_planned(tmp_path: Path, orders: Any) -> None:
    store.save(replace(samples.timing(1), id="x", outcome=UNFINISHED, orders=orders), tmp_path)
    outcome = store.load(tmp_path).outcome
    assert isinstance(outcome, Failure)
    assert ("convert-and-time --resume x" in outcome.hint) == bool(orders)
    assert outcome.hint.endswith("run it again." if orders else "Run it again.")


def test_sweeping_leaves_the_record_and_the_logs_of_a_killed_run(run: Path) -> None:
    with held(run):
        pass
    store.remove_stale(run.parent)
    left = sorted(str(path.relative_to(run)) for path in run.rglob("*"))
    assert left == ["logs", "logs/extract-log.txt", "run.json"]
    assert (run / "logs" / "extract-log.txt").read_text() == "last words"
    store.remove_stale(run.parent)
    store.remove_stale(run.parent / "none")
    assert sorted(str(path.relative_to(run)) for path in run.rglob("*")) == left


def test_sweeping_touches_nothing_that_is_not_a_run(tmp_path: Path) -> None:
    (tmp_path / "mine" / "work").mkdir(parents=True)
    (tmp_path / "mine" / "work" / "file").touch()
    (tmp_path / ".writing-notes").touch()
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    (fresh / store.LOCK_FILE).touch()
    old = tmp_path / "old"
    old.mkdir()
    ids = [tmp_path / f"20261123-185501-createml-00{number}" for number in ("00", "01")]
    for folder in (*ids, tmp_path / "empty"):
        folder.mkdir()
    for folder in (ids[0], tmp_path / "empty"):  # killed before the lock; and somebody's own
        os.utime(folder, (0, 0))
    (old / store.LOCK_FILE).touch()
    os.utime(old / store.LOCK_FILE, (0, 0))
    store.remove_stale(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".writing-notes", ids[1].name, "empty", "fresh", "mine"]
    assert (tmp_path / "mine" / "work" / "file").exists()


TAKEN_UP = """
import sys, time
from pathlib import Path
from coremlbench.runs import store
folder = Path(sys.argv[1])
for number in range(400):
    with store.lock_run(folder):
        ours = [folder / f".writing-{number}", folder / "work" / f"{number}", folder / store.LOCK_FILE]
        ours[1].parent.mkdir(exist_ok=True)
        for path in ours[:2]:
            path.touch()
        time.sleep(0.002)
        gone = [path.name for path in ours if not path.exists()]
        if gone:
            sys.exit(f"{gone} went in round {number}")
"""


@pytest.mark.long
def test_sweeping_takes_nothing_from_a_run_that_is_taken_up_in_the_midst_of_it(run: Path) -> None:
    with start(TAKEN_UP, run) as process:
        while process.poll() is None:
            store.remove_stale(run.parent)
    assert process.returncode == 0


def test_holding_leaves_nothing_behind(tmp_path: Path) -> None:
    with store.lock_run(tmp_path):
        assert store.is_running(tmp_path)
    assert not store.is_running(tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- folders that cannot be written ---------------------------------------------------------------------------


def test_a_results_folder_is_made_and_checked_without_a_trace(tmp_path: Path) -> None:
    store.check_results_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_results_folder_that_is_a_file_or_below_one_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match=r"cannot be written .*; name another with --results\.$"):
            store.check_results_folder(path)


FULL = """
import resource, sys
sys.dont_write_bytecode = True  # a module imported below the limit would leave a cut-off .pyc file
from dataclasses import replace
from pathlib import Path
from coremlbench.runs import store
from tests.runs.test_store import RECORD, UNFINISHED
sys.dont_write_bytecode = True  # the limit would cut it short
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
folder = Path(sys.argv[1])
print(store.save(replace(RECORD, outcome=UNFINISHED), folder))
try:
    store.save(RECORD, folder)
except store.RecordNotSavedError as problem:
    print(problem)
"""


def in_a_child(code: str, folder: Path, home: Path) -> list[str]:
    """Run a script that imports this module, with a user's data folder of its own."""
    variables = {
        **os.environ,
        "HOME": str(home),
        "XDG_DATA_HOME": str(home),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], env=variables, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_a_disk_that_takes_no_more_keeps_the_record_before(tmp_path: Path) -> None:
    folder, home = tmp_path / "run", tmp_path / "home"
    folder.mkdir()
    store.save(replace(RECORD, outcome=UNFINISHED), folder)
    before = (folder / "run.json").read_bytes()
    first, second = in_a_child(FULL, folder, home)
    assert first == str(folder / "run.json")
    assert second.startswith(f"The record could be saved neither in {folder} (File too large) nor in {home}")
    assert (folder / "run.json").read_bytes() == before
    assert not list(tmp_path.rglob(".writing-*"))


RESCUE = """
import sys
from pathlib import Path
from coremlbench.runs import store
from tests.runs.test_store import RECORD
print(store.save(RECORD, Path(sys.argv[1])))
"""


def test_a_record_whose_folder_vanished_is_saved_elsewhere(tmp_path: Path) -> None:
    (path,) = in_a_child(RESCUE, tmp_path / "gone" / "20261123-185501-createml-3f2a", tmp_path / "home")
    assert Path(path).is_relative_to(tmp_path / "home")
    assert Path(path).parent.name == "20261123-185501-createml-3f2a"
    assert store.load(Path(path)).outcome == RECORD.outcome
    assert not (tmp_path / "gone").exists()


def test_what_json_does_not_know_becomes_text() -> None:
    odd: Any = {"path": Path("x/y"), "set": {1}, "bytes": b"z", "tuple": (1, math.inf), 3: "three"}
    options = store.from_bytes(store.to_bytes(replace(RECORD, options=odd))).options
    assert options == {"path": "x/y", "set": "{1}", "bytes": "b'z'", "tuple": [1, None], "3": "three"}
