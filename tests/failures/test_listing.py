"""The list of failures over records of every kind."""

from dataclasses import replace

from coremlbench.failures.listing import find_failures
from coremlbench.report.failures import failure_rows
from coremlbench.system.machine import format_machine
from coremlbench.types.records import Record
from coremlbench.types.training_records import Trained
from tests.failing_records import AIR, CONVERSION, TIMING, XEON, failure, training


def test_failures_are_listed_by_machine_and_experiment() -> None:
    records = [
        training(3, failure("hang"), machine=XEON),
        training(2, failure("killed"), experiment="tinyvgg"),
        training(1, failure("deadline"), attempt=2),
        training(4, Trained(test_accuracy=0.9)),
        training(0, failure("out-of-memory", "extract 5 of 9")),
    ]
    found = find_failures(records)
    assert [(each.machine_id, each.experiment, each.failure.kind) for each in found] == [
        ("a1r", "createml", "out-of-memory"),
        ("a1r", "createml", "deadline"),
        ("a1r", "tinyvgg", "killed"),
        ("x3on", "createml", "hang"),
    ]
    assert [each.attempt for each in found] == [1, 2, 1, 1]
    assert found[0].machine == "MacBookAir10,1 (Apple M1, 16.00 GiB)"


def test_a_run_that_goes_on_is_no_failure_and_one_that_was_killed_is() -> None:
    records = [training(1, failure("running")), training(2, failure("unfinished"))]
    assert [each.failure.kind for each in find_failures(records)] == ["unfinished"]


def test_variants_and_cells_are_failures_of_their_own() -> None:
    found = find_failures([CONVERSION, TIMING])
    assert [(each.record, each.part, each.failure.kind, each.times) for each in found] == [
        ("timing", "tinyvgg, fp16, batch 1, coreml CPU_AND_NE", "killed", 3),
        ("timing", "tinyvgg, fp16, batch 1, coreml ALL", "hang", 2),
        ("conversion", "int8, batch 1", "unsupported-operation", 1),
    ]


def test_the_report_counts_what_the_list_counts() -> None:
    records: list[Record] = [CONVERSION, TIMING, training(1, failure("killed"))]
    rows = {(row.subject, row.kind): row.count for row in failure_rows(records)}
    assert rows == {
        ("createml", "killed"): 1,
        ("tinyvgg, conversion: int8, batch 1", "unsupported-operation"): 1,
        ("convert-and-time, timing: tinyvgg, fp16, batch 1, coreml CPU_AND_NE", "killed"): 3,
        ("convert-and-time, timing: tinyvgg, fp16, batch 1, coreml ALL", "hang"): 2,
    }
    assert sum(rows.values()) == sum(each.times for each in find_failures(records))
    (twice,) = failure_rows([training(1, failure("killed")), training(2, failure("killed"))])
    assert (twice.count, len(twice.records)) == (2, 2)


def test_a_whole_run_that_failed_is_listed_before_its_parts() -> None:
    found = find_failures([replace(CONVERSION, outcome=failure("disk-full"))])
    assert [(each.part, each.failure.kind) for each in found] == [
        ("", "disk-full"),
        ("int8, batch 1", "unsupported-operation"),
    ]


def test_a_machine_without_a_model_is_named_by_its_chip() -> None:
    assert format_machine(XEON) == "Xeon (8.00 GiB)"
    assert format_machine(AIR).startswith("MacBookAir10,1 ")
