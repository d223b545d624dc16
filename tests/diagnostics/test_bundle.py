"""The archive for whoever looks into a failure: whole, readable, and silent about whose machine it was."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from coremlbench.diagnostics.bundle import HEAD_BYTES, TAIL_BYTES, write_bundle
from coremlbench.diagnostics.doctor import SystemCheck
from coremlbench.diagnostics.redaction import Owner
from coremlbench.runs import store
from coremlbench.supervision.crash_reports import parse_report
from coremlbench.system.files import TEMPORARY_PREFIX, write_new
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Evidence, Failure
from coremlbench.types.process import CrashReport
from coremlbench.types.training_records import TrainingRecord
from tests.failing_records import CONVERSION, TIMING, failure, training
from tests.supervision.test_crash_reports import ips

CHECKS = (SystemCheck("room for results", "ok", "9 GiB free in /Users/jane doe/my results"),)
JANE = Owner(("jane doe", "train"), ("/Users/jane doe", "/home/train"), ("janes-imac.local", "janes-imac"))
TELLING = ("jane", "Jane", "/home/train", "imac", "bobby", "jane@", "s3cret", "7E1B4F5C", "Users")


def broken_run(results: Path) -> TrainingRecord:
    """Save a run that failed, with everything in it that could tell whose it was."""
    log = ("/Users/jane doe/venv/bin/python: crash", "jane doe@janes-imac", r"C:\Users\bobby\x", "train: done by bobby")
    report = CrashReport("Python.ips", "Python", 7, "now", frames=("libx /Users/jane doe/x + 1",))
    evidence = Evidence(phase="train", progress="train 3 of 9", log_tail=log, matched=log[:1], crash_report=report)
    record = replace(
        training(1, Failure("segmentation-fault", "It crashed in /Users/jane doe/x.", "Run it again.", evidence)),
        command=("coremlbench", "createml", "--dataset", "/Users/jane doe/pictures of jane doe"),
        options={
            "dataset": "/home/train/pictures",
            "/Users/jane doe/a.jpg": 1,
            "index": "https://u:s3cret@example.org/",
        },
        notes=("Ask jane@example.org.",),
        versions={"tensorflow": "2.21.0"},
    )
    folder = results / record.id
    (folder / "logs").mkdir(parents=True)
    store.save(record, folder)
    (folder / "logs" / "train-log.txt").write_text("\n".join(log), encoding="utf-8")
    (folder / "logs" / "train-progress.jsonl").write_text(
        json.dumps({"phase": "train", "message": "reading /home/train/x"}) + "\n" + '{"phase": "cut /home/train/y'
    )
    (folder / "logs" / "train-crash.ips").write_bytes(
        ips(7, procPath="/Users/jane doe/venv/bin/python3", userID=501, crashReporterKey="7E1B4F5C-1")
    )
    return record


def contents(out: Path) -> dict[str, str]:
    with zipfile.ZipFile(out) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_the_bundle_holds_what_is_needed_and_nothing_that_tells_the_owner(tmp_path: Path) -> None:
    record = broken_run(tmp_path / "results")
    out = tmp_path / "out.zip"
    names = write_bundle(out, [record], tmp_path / "results", checks=CHECKS, owner=JANE)
    files = contents(out)
    run = record.id
    assert (
        set(names)
        == set(files)
        == {
            "README.txt",
            "doctor.json",
            f"{run}/run.json",
            f"{run}/logs/train-log.txt",
            f"{run}/logs/train-progress.jsonl",
            f"{run}/logs/train-crash.ips",
        }
    )
    everything = "".join([*files, *files.values()])
    assert [word for word in TELLING if word in everything] == []
    assert files[f"{run}/logs/train-log.txt"].splitlines()[0] == "~/venv/bin/python: crash"
    assert files[f"{run}/logs/train-log.txt"].splitlines()[3] == "train: done by <user>"
    assert json.loads(files[f"{run}/logs/train-progress.jsonl"].splitlines()[0])["phase"] == "train"
    assert json.loads(files["doctor.json"])[0]["found"] == "9 GiB free in ~/my results"


def test_records_of_every_kind_stay_readable(tmp_path: Path) -> None:
    record = broken_run(tmp_path / "results")
    for each in (CONVERSION, TIMING):
        (tmp_path / "results" / each.id).mkdir()
        store.save(each, tmp_path / "results" / each.id)
    out = tmp_path / "out.zip"
    write_bundle(out, [record, CONVERSION, TIMING], tmp_path / "results", checks=CHECKS, owner=JANE)
    files = contents(out)
    read = [store.from_bytes(files[f"{each.id}/run.json"].encode()) for each in (record, CONVERSION, TIMING)]
    assert read[1:] == [CONVERSION, TIMING]
    back = read[0]
    assert isinstance(back, TrainingRecord)
    assert isinstance(back.outcome, Failure)
    assert (back.id, back.machine, back.versions) == (record.id, record.machine, record.versions)
    assert back.outcome.evidence.phase == "train"
    assert back.outcome.reason == "It crashed in ~/x."
    assert back.options == {"dataset": "~/pictures", "~/a.jpg": 1, "index": "https://<secret>@example.org/"}
    report = parse_report(files[f"{record.id}/logs/train-crash.ips"].encode(), "x")
    assert (report.pid, report.signal) == (7, "SIGSEGV")


def test_a_record_whose_name_tells_is_renamed(tmp_path: Path) -> None:
    record = replace(CONVERSION, id="20261123-110000-jane doe-0011", experiment="jane doe")
    (tmp_path / "results" / record.id).mkdir(parents=True)
    names = write_bundle(tmp_path / "out.zip", [record], tmp_path / "results", checks=(), owner=JANE)
    assert names[2] == "20261123-110000-<user>-0011/run.json"


def test_of_a_long_log_both_ends_are_taken(tmp_path: Path) -> None:
    record = training(1, failure("hang"))
    logs = tmp_path / record.id / "work" / "train"
    logs.mkdir(parents=True)  # a run that was killed: nobody has put its logs away
    lines = [f"step {number:08}" for number in range(200_000)]
    (logs / "log.txt").write_text("\n".join(lines))
    write_bundle(tmp_path / "out.zip", [record], tmp_path, checks=(), owner=Owner())
    text = contents(tmp_path / "out.zip")[f"{record.id}/logs/train-log.txt"]
    assert len(text) < HEAD_BYTES + TAIL_BYTES + 100
    assert text.startswith("step 00000000\n")
    assert text.endswith("step 00199999")
    assert "bytes are left out here ..." in text


def test_no_file_is_replaced_and_nothing_is_left_behind(tmp_path: Path) -> None:
    record = training(1, failure("hang"))
    (tmp_path / "out.zip").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        write_bundle(tmp_path / "out.zip", [record], tmp_path, checks=(), owner=Owner())
    assert (tmp_path / "out.zip").read_text() == "mine"
    with pytest.raises(InputError, match="cannot be written"):
        write_bundle(tmp_path / "absent" / "out.zip", [record], tmp_path, checks=(), owner=Owner())
    assert [each.name for each in tmp_path.iterdir()] == ["out.zip"]


def test_a_file_that_comes_meanwhile_is_not_replaced_either(tmp_path: Path) -> None:
    (tmp_path / "link.zip").symlink_to("nowhere")  # not seen by exists(), and yet a name that is taken
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "link.zip", b"x")
    write_new(tmp_path / "free.zip", b"x")
    assert (tmp_path / "free.zip").read_bytes() == b"x"
    assert not list(tmp_path.glob(f"{TEMPORARY_PREFIX}*"))


def test_the_same_runs_give_the_same_archive(tmp_path: Path) -> None:
    record = broken_run(tmp_path / "results")
    for name in ("a.zip", "b.zip"):
        write_bundle(tmp_path / name, [record], tmp_path / "results", checks=CHECKS, owner=JANE)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
