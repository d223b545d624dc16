import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coremlbench.report.build import build_report
from coremlbench.report.files import read_report, save_report
from coremlbench.report.labels import fallback_note, unit_phrase
from coremlbench.report.types import Report, Source
from coremlbench.runs import store
from coremlbench.timing.compute_plan import ran_on
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Failure
from coremlbench.types.records import Record
from coremlbench.types.timing import ComputePlan, Round, TimingRecord, UnitName
from coremlbench.types.training_records import Trained, TrainingRecord
from tests import record_samples as samples

MADE = "2026-11-23T20:00:00+00:00"


def report_of(*records: Record) -> Report:
    return build_report([Source(record, f"{record.id}/run.json") for record in records], made=MADE)


def save(folder: Path, *records: Record) -> None:
    for record in records:
        (folder / record.id).mkdir(parents=True)
        store.save(record, folder / record.id)


def scaled(record: TimingRecord, unit: str, factor: float) -> TimingRecord:
    """The record with the medians of one unit's rounds a factor away."""

    def of(timed: Round) -> Round:
        return replace(timed, p50=(timed.p50 or 0) * factor)

    cells = tuple(
        replace(cell, rounds=tuple(of(timed) for timed in cell.rounds)) if cell.unit == unit else cell
        for cell in record.measurements
    )
    return replace(record, measurements=cells)


# --- the answers --------------------------------------------------------------------------------------------


def test_the_answer_is_a_sentence_with_ratio_interval_and_accuracy() -> None:
    (answer,) = report_of(samples.timing(70)).answers
    assert answer.kind == "stand-in"
    assert answer.variant == "fp16"  # int8 is no faster and less accurate
    assert answer.different
    assert answer.low is not None
    assert answer.high is not None
    assert answer.low < 0.9 / 1.9 < answer.high
    assert answer.text.startswith("fp16 on the Neural Engine: 2.")
    assert " times as fast as on the GPU, 96% interval 2." in answer.text
    assert answer.text.endswith("accuracy −0.1 points.")


def test_a_faster_gpu_is_said_to_be_the_faster_one() -> None:
    (answer,) = report_of(scaled(samples.timing(70), "CPU_AND_NE", 4.0)).answers
    assert answer.ratio is not None
    assert answer.ratio > 1
    assert answer.text.startswith("fp16 on the GPU: 1.")
    assert "times as fast as on the Neural Engine" in answer.text


def test_an_interval_that_holds_one_shows_no_difference() -> None:
    (answer,) = report_of(scaled(samples.timing(70), "CPU_AND_NE", 1.9 / 0.9)).answers
    assert "no difference shown between the Neural Engine and the GPU (Neural Engine / GPU 0.99, " in answer.text
    assert not answer.different


def test_what_was_planned_elsewhere_is_not_said_to_have_run_on_the_neural_engine() -> None:
    record = samples.timing(70)
    only_fp32 = replace(record, measurements=tuple(cell for cell in record.measurements if cell.variant == "fp32"))
    (answer,) = report_of(only_fp32).answers
    assert "asked for the Neural Engine, planned on CPU" in answer.text
    assert "on the Neural Engine:" not in answer.text


def test_the_answer_knows_the_package_that_was_timed_and_no_other_of_its_name() -> None:
    """Two machines converted models of their own under one name: each answer has the accuracy of its own."""
    other = samples.timing(71, samples.PRO)
    mine = tuple(
        replace(
            each,
            sha256=f"pro-{each.sha256}",
            proof=replace(each.proof, accuracy_after=0.5, verdict="degraded" if each.name == "fp16" else "proven"),
        )
        for each in other.models[0].variants
        if each.proof
    )
    cells = tuple(replace(cell, package_sha256=f"pro-{cell.package_sha256}") for cell in other.measurements)
    other = replace(other, models=(replace(other.models[0], variants=mine),), measurements=cells)
    air, pro = report_of(samples.conversion(60), samples.timing(70), other).answers
    assert (air.machine, air.variant) == (samples.AIR.id, "fp16")
    assert air.text.endswith(", accuracy −0.1 points.")
    assert (pro.machine, pro.variant) == (samples.PRO.id, "int8")
    assert pro.text.endswith(", accuracy −31.1 points.")


def test_a_package_that_was_proven_on_another_machine_keeps_its_proof() -> None:
    timed = samples.timing(70)
    unproven = tuple(replace(variant, proof=None) for variant in timed.models[0].variants)
    kit = replace(timed, models=(replace(timed.models[0], variants=unproven),))
    (known,) = report_of(samples.conversion(60, samples.BOX), kit).answers
    assert known.text.endswith(", accuracy −0.1 points.")
    (unknown,) = report_of(kit).answers
    assert "accuracy" not in unknown.text


def crashed(record: TimingRecord, unit: str, after: int) -> TimingRecord:
    """The record with one unit given up after so many good rounds."""
    cells = tuple(
        replace(
            cell,
            rounds=(
                *cell.rounds[:after],
                *(replace(timed, failure=samples.OUT_OF_MEMORY) for timed in cell.rounds[after:]),
            ),
            failure=samples.OUT_OF_MEMORY,
        )
        if cell.unit == unit
        else cell
        for cell in record.measurements
    )
    return replace(record, measurements=cells)


def test_a_cell_that_failed_is_no_answer_whatever_its_first_rounds_gave() -> None:
    (answer,) = report_of(crashed(crashed(samples.timing(70), "CPU_AND_NE", 3), "ALL", 3)).answers
    assert (
        answer.text == "fp16 on the GPU: 1.92 ms a call, accuracy −0.1 points; the Neural Engine failed after 3 rounds."
    )
    (answer,) = report_of(crashed(crashed(samples.timing(70), "CPU_AND_GPU", 0), "ALL", 0)).answers
    assert answer.text == "fp16 on the Neural Engine: 0.899 ms a call, accuracy −0.1 points; the GPU failed."
    both = crashed(crashed(samples.timing(70), "CPU_AND_GPU", 0), "CPU_AND_NE", 1)
    (answer,) = report_of(both).answers
    assert answer.text.endswith("; the Neural Engine failed after 1 round and the GPU failed.")
    none = both
    for unit in ("ALL", "CPU_ONLY"):
        none = crashed(none, unit, 3)
    (answer,) = report_of(none).answers
    assert answer.kind == "none"
    assert answer.text.startswith("not measured: memory-limit: ")


def spoilt(record: TimingRecord, *units: str, by: float = 0.6) -> TimingRecord:
    """The record with units whose outputs are not the expected ones."""
    cells = tuple(replace(cell, output_error=by) if cell.unit in units else cell for cell in record.measurements)
    return replace(record, measurements=cells)


def test_a_cell_with_wrong_outputs_wins_nothing_and_is_warned_of() -> None:
    report = report_of(spoilt(samples.timing(70, stand_in=False), "CPU_AND_NE", "ALL"))
    (answer,) = report.answers
    wrong = "outputs up to 60% of their range from the expected ones"
    assert answer.text == f"fp16 on the GPU: 1.92 ms a call, accuracy −0.1 points; the Neural Engine gave {wrong}."
    assert answer.ratio is None
    warned = [row.text for row in report.warnings]
    message = f"efficientnetb0 fp16 on the Neural Engine gave {wrong}, more than the 5% allowed: "
    assert f"{message}its times are not those of this model." in warned
    assert len(warned) == 6  # three variants on two units


@pytest.mark.parametrize(
    ("by", "message"), [(0.6, "up to 60% of"), (1e9, "up to "), (float("nan"), "that are not numbers")]
)
def test_where_all_outputs_are_wrong_the_answer_says_so_and_tells_no_accuracy(by: float, message: str) -> None:
    (answer,) = report_of(spoilt(samples.timing(70), *samples.UNITS, by=by)).answers
    assert f" a call, but with outputs {message}" in answer.text
    assert "accuracy" not in answer.text
    assert "times as fast" not in answer.text


def test_small_errors_of_outputs_are_no_matter() -> None:
    report = report_of(spoilt(samples.timing(70, stand_in=False), *samples.UNITS, by=0.05))
    assert report.warnings == ()
    assert report.answers[0].different


def unplanned(record: TimingRecord) -> TimingRecord:
    """The record as a Mac makes it that tells no plan."""
    why = ComputePlan(failure="Core ML tells its plan from macOS 14.4 on; this is 14.2.")
    return replace(
        record,
        measurements=tuple(
            replace(cell, plan=why, ran_on=ran_on(why, cell.unit)) if cell.runtime == "coreml" else cell
            for cell in record.measurements
        ),
    )


def test_without_a_plan_nothing_is_said_to_have_run_on_a_unit() -> None:
    (answer,) = report_of(unplanned(samples.timing(70))).answers
    assert answer.text.startswith(
        "fp16 on what was asked for the Neural Engine (where it ran is not known): 2.13 times as fast as on what was "
        "asked for the GPU (where it ran is not known), "
    )
    (equal,) = report_of(unplanned(scaled(samples.timing(70), "CPU_AND_NE", 1.9 / 0.9))).answers
    assert "no difference shown between what was asked for the Neural Engine (where" in equal.text


@pytest.mark.parametrize(
    ("unit", "devices", "phrase", "note"),
    [
        ("CPU_AND_NE", "NE", "the Neural Engine", ""),
        ("CPU_AND_GPU", "GPU", "the GPU", ""),
        ("CPU_ONLY", "", "the CPU", ""),
        ("ALL", "NE", "all units", ""),
        ("host-cpu", "", "the host CPU", ""),
        ("host-gpu", "", "the host GPU", ""),
        *(
            (unit, device, f"what was asked for the {name}, planned on {planned}", f"asked for the {name}, planned on")
            for unit, name, device, planned in (
                ("CPU_AND_NE", "Neural Engine", "CPU", "CPU"),
                ("CPU_AND_GPU", "GPU", "CPU", "CPU"),
                ("CPU_AND_NE", "Neural Engine", "NE CPU", "Neural Engine (50%) and CPU (50%)"),
            )
        ),
        ("ALL", "NE CPU", "all units", "planned on Neural Engine (50%) and CPU (50%)"),
        ("ALL", "", "all units", "not known"),
        ("CPU_AND_GPU", "", "what was asked for the GPU (where it ran is not known)", "not known"),
    ],
)
def test_only_what_the_plan_puts_on_a_unit_bears_its_name(unit: UnitName, devices: str, phrase: str, note: str) -> None:
    each = devices.split()
    plan = ComputePlan(ops=dict.fromkeys(each, 1), cost={device: 1 / len(each) for device in each})
    assert unit_phrase(unit, ran_on(plan, unit)) == phrase
    assert fallback_note(unit, ran_on(plan, unit)).startswith(note)
    assert bool(fallback_note(unit, ran_on(plan, unit))) == bool(note)


def test_without_core_ml_the_answer_says_why_and_how_far_it_has_come() -> None:
    (answer,) = report_of(samples.conversion(60)).answers
    assert answer.kind == "none"
    assert answer.text == (
        "not measured: Core ML runs on macOS only; 3 packages proven (1 with caveats) here and ready to time."
    )


def test_host_figures_give_no_answer() -> None:
    (answer,) = report_of(samples.timing(73, samples.BOX)).answers
    assert (answer.kind, answer.ratio) == ("none", None)


def test_only_what_core_ml_ran_is_called_core_mls() -> None:
    kinds = {
        (cell.kind, cell.runtime)
        for record in (samples.timing(70), samples.timing(71, stand_in=False), samples.timing(73, samples.BOX))
        for cell in report_of(record).timing
    }
    assert kinds == {("stand-in", "coreml"), ("core-ml", "coreml"), ("host", "reference")}


# --- cells and machines -------------------------------------------------------------------------------------


def test_a_machine_measured_twice_is_one_and_its_newest_figures_stand() -> None:
    older, newer = samples.timing(70), samples.timing(72, scale=1.5)
    report = report_of(newer, older)
    (machine,) = report.machines
    assert (machine.records, machine.first, machine.last) == (2, older.started, newer.started)
    assert {cell.record for cell in report.timing} == {newer.id}
    assert {cell.earlier for cell in report.timing} == {1}
    cell = report.timing[0]
    assert cell.p50 is not None
    assert cell.earlier_low is not None
    assert cell.earlier_low < cell.p50


def test_a_quick_look_never_takes_the_place_of_a_measurement() -> None:
    first = samples.timing(70)
    quick = replace(samples.timing(72, scale=1.5), quick=True, deviations=("quick", "rounds 2"))
    assert {(cell.record, cell.quick, cell.earlier) for cell in report_of(first, quick).timing} == {
        (first.id, False, 0)
    }
    last = samples.timing(74)
    rows = report_of(first, quick, last).timing
    assert {(cell.record, cell.quick, cell.earlier) for cell in rows} == {(last.id, False, 2)}
    alone = replace(samples.timing(69), quick=True)
    assert {cell.record for cell in report_of(quick, alone).timing} == {quick.id}


def test_the_energy_is_that_of_a_call_and_not_of_the_whole_stretch() -> None:
    cell = samples.timing(70).measurements[0]
    rounds = tuple(
        replace(timed, energy_joules=6.0, calls=calls)
        for timed, calls in zip(cell.rounds, (2, 3, 4, 5, 6), strict=True)
    )
    unknown = replace(cell, unit="CPU_ONLY", rounds=tuple(replace(timed, energy_joules=None) for timed in cell.rounds))
    none = replace(cell, unit="ALL", rounds=tuple(replace(timed, energy_joules=0.0) for timed in cell.rounds))
    rows = report_of(replace(samples.timing(70), measurements=(replace(cell, rounds=rounds), unknown, none))).timing
    assert {row.unit: row.energy_joules for row in rows} == {cell.unit: 1.5, "CPU_ONLY": None, "ALL": None}


def test_two_machines_of_one_name_are_told_apart() -> None:
    twin = replace(samples.AIR, id="ffffffffffff")
    names = [row.name for row in report_of(samples.timing(1), samples.timing(2, twin)).machines]
    assert names == ["MacBook Air (Apple M9, 16 GB) #a1a1a1", "MacBook Air (Apple M9, 16 GB) #ffffff"]


def test_a_record_that_was_copied_counts_once_and_the_one_that_ended_stands() -> None:
    whole = samples.training(1)
    begun = replace(whole, outcome=Failure(kind="unfinished", reason="?", hint="?"), ended="")
    report = build_report([Source(whole, "a/run.json"), Source(begun, "b/run.json")], made=MADE)
    assert [(row.path, row.outcome) for row in report.records] == [("a/run.json", "trained")]


def test_a_cell_whose_rounds_all_failed_stands_as_failed() -> None:
    record = samples.timing(70)
    cell = record.measurements[0]
    rounds = tuple(replace(timed, failure=samples.OUT_OF_MEMORY) for timed in cell.rounds)
    report = report_of(replace(record, measurements=(replace(cell, rounds=rounds),)))
    (row,) = report.timing
    assert (row.p50, row.failed_rounds, row.rounds) == (None, 5, 0)
    assert row.failure.startswith("memory-limit: ")
    (failure,) = report.failures
    assert (failure.count, failure.records) == (5, (record.id,))


@given(st.lists(st.integers(0, 3), max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_the_records_does_not_matter(which: list[int], rng: object) -> None:
    makers = (samples.training, samples.conversion, samples.timing, lambda number: samples.training(number, "createml"))
    records: list[Record] = [makers[kind](number) for number, kind in enumerate(which)]
    mixed = list(records)
    rng.shuffle(mixed)  # type: ignore[attr-defined]  # Hypothesis's Random
    assert report_of(*mixed) == report_of(*records)


# --- training -----------------------------------------------------------------------------------------------


def test_only_like_work_is_compared() -> None:
    few = replace(samples.training(3, machine=samples.PRO), deviations=("dataset drawn-food", "750 training images"))
    report = report_of(samples.training(1), samples.training(2, machine=samples.AIR), few)
    rows = {row.machine: row for row in report.training}
    assert rows[samples.PRO.id].ratio == 1.0
    assert rows[samples.PRO.id].work == "750 training images"
    ratios = sorted(rows[machine.id].ratio or 0 for machine in (samples.BOX, samples.AIR))
    assert ratios[0] == 1.0
    assert ratios[1] > 1.0


def test_the_newest_run_stands_with_the_range_of_all_and_failures_are_counted() -> None:
    runs = [samples.training(1), samples.training(2), samples.training(3, failure=samples.OUT_OF_MEMORY)]
    (row,) = report_of(*runs).training
    assert (row.record, row.runs, row.failed) == (runs[1].id, 3, 1)
    assert row.low is not None
    assert row.high is not None
    assert row.seconds is not None
    assert row.low <= row.seconds <= row.high
    assert row.records == (runs[2].id, runs[1].id, runs[0].id)
    assert row.first_epoch == runs[1].epochs[0].seconds


def test_a_resumed_run_is_not_compared_with_whole_ones() -> None:
    whole = samples.training(1, "createml")
    resumed = replace(samples.training(2, "createml"), resumed_from="2026-000000-createml")
    report = report_of(whole, resumed)
    assert len({row.work for row in report.training}) == 2
    assert any("not those of a whole run" in row.text for row in report.warnings)


def test_an_experiment_of_another_release_is_shown_by_its_whole_run() -> None:
    foreign = replace(samples.training(1), experiment="tomorrow's", id="x")
    (row,) = report_of(foreign).training
    assert (row.experiment, row.metric, row.seconds) == ("tomorrow's", "whole run", foreign.seconds)


def test_a_run_that_goes_on_is_neither_trained_nor_failed() -> None:
    running = samples.training(1, failure=Failure(kind="running", reason="It goes on.", hint="Wait."))
    report = report_of(running)
    assert (report.training, report.failures) == ((), ())
    assert report.records[0].outcome == "not ended yet"


def test_failures_that_are_alike_share_a_row() -> None:
    runs = [samples.training(number, failure=samples.OUT_OF_MEMORY) for number in range(5)]
    (row,) = report_of(*runs).failures
    assert (row.count, row.record, len(row.records)) == (5, runs[4].id, 5)
    assert (row.phase, row.signal, row.hint) == ("extract", "SIGKILL", samples.OUT_OF_MEMORY.hint)


# --- conditions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"thermal_state": "serious"}, "thermal state serious"),
        ({"power_source": "battery"}, "on battery"),
        ({"low_power_mode": True}, "Low power mode"),
        ({"load_average": 99.0}, "The load average was above the number of cores during the rounds: "),
    ],
)
def test_bad_conditions_are_told_once(conditions: dict[str, object], message: str) -> None:
    record = samples.timing(70, stand_in=False)

    def bad(timed: Round) -> Round:
        return replace(timed, after=replace(timed.after, **conditions))  # type: ignore[arg-type]  # one field each

    cells = tuple(replace(cell, rounds=tuple(bad(timed) for timed in cell.rounds)) for cell in record.measurements)
    (row,) = report_of(replace(record, measurements=cells)).warnings
    assert message in row.text
    assert row.records == (record.id,)


def test_a_load_before_the_first_round_is_not_that_of_the_timed_calls() -> None:
    record = samples.timing(70, stand_in=False)
    *others, last = record.measurements  # cells are not in the order they ran in
    busy = replace(last.rounds[0], place=-1, before=replace(last.rounds[0].before, load_average=99.0))
    record = replace(record, measurements=(*others, replace(last, rounds=(busy, *last.rounds[1:]))))
    (row,) = report_of(record).warnings
    assert row.text.startswith("The load average was above the number of cores before the first round: ")
    later = replace(busy, place=1)
    (row,) = report_of(replace(record, measurements=(*others, replace(last, rounds=(later,) * 5)))).warnings
    assert row.text.startswith("The load average was above the number of cores during the rounds: ")


def test_a_quick_look_and_every_deviation_are_told() -> None:
    less = ("quick", "rounds 2 of 5", "calls 50 of 200")
    record = replace(samples.timing(70, stand_in=False), quick=True, deviations=less)
    report = report_of(record)
    texts = [row.text for row in report.warnings]
    assert texts[0].startswith("A quick look: ")
    assert texts[1] == "Less than the method asks for: rounds 2 of 5, calls 50 of 200."
    assert report.answers[0].text.endswith("; a quick look.")
    few = replace(record, quick=False, deviations=("units CPU_ONLY",))
    assert [row.text for row in report_of(few).warnings] == ["Less than the method asks for: units CPU_ONLY."]


def test_few_rounds_and_calls_are_told() -> None:
    record = samples.timing(70, stand_in=False)
    cell = record.measurements[0]
    short = replace(cell, rounds=(replace(cell.rounds[0], calls=10),))
    texts = [row.text for row in report_of(replace(record, quick=True, measurements=(short,))).warnings]
    assert any("fewer than 3 rounds" in text for text in texts)
    assert any("fewer than 64 calls" in text for text in texts)
    assert any("quick look" in text for text in texts)


# --- files --------------------------------------------------------------------------------------------------


def test_a_report_is_saved_in_all_forms_and_a_broken_record_is_listed(tmp_path: Path) -> None:
    results = tmp_path / "results"
    save(results, samples.training(1), samples.timing(70))
    for name, content in (("broken", "{"), ("newer", json.dumps({"schema": 99, "kind": "training"}))):
        (results / name).mkdir()
        (results / name / "run.json").write_text(content)
    paths = save_report([results])
    assert [path.name for path in paths[:3]] == ["report.html", "report.md", "report.json"]
    assert {path.suffix for path in paths[3:]} == {".svg", ".png"}
    assert paths[0].parent.parent == results / "reports"
    report = json.loads(paths[2].read_text())
    assert [row["id"] for row in report["records"]] == [samples.training(1).id, samples.timing(70).id]
    for row in report["records"]:
        assert (paths[0].parent / row["path"]).exists()
    broken, newer = report["problems"]
    assert "it is not valid JSON" in broken
    assert "its schema is 99 and this release reads up to" in newer
    assert "newer" in paths[0].read_text()


def test_a_record_of_an_older_release_is_read(tmp_path: Path) -> None:
    save(tmp_path, samples.training(1))
    (path,) = tmp_path.glob("*/run.json")
    old = json.loads(path.read_text())
    for added in ("attempt", "retry_of", "resumed_from", "placement"):
        del old[added]
    path.write_text(json.dumps({**old, "schema": 0}))
    report = read_report([tmp_path], tmp_path)
    assert [(row.id, row.schema) for row in report.records] == [(samples.training(1).id, 0)]
    assert report.problems == ()


def test_results_may_be_folders_runs_or_records(tmp_path: Path) -> None:
    save(tmp_path / "air", samples.training(1))
    save(tmp_path / "pro", samples.training(2, machine=samples.PRO), samples.training(3))
    run = tmp_path / "pro" / samples.training(3).id
    whole = read_report([tmp_path / "air", run / "run.json"], tmp_path)
    assert [row.path for row in whole.records] == [
        f"air/{samples.training(1).id}/run.json",
        f"pro/{samples.training(3).id}/run.json",
    ]
    again = read_report([tmp_path / "air", run], tmp_path)
    assert replace(again, made=whole.made) == whole  # it may be a second later


def test_a_results_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no results folder .*nowhere; name one"):
        save_report([tmp_path / "nowhere"])


def test_no_records_still_make_a_report(tmp_path: Path) -> None:
    tmp_path.mkdir(exist_ok=True)
    paths = save_report([tmp_path], tmp_path / "out")
    assert [path.name for path in paths] == ["report.html", "report.md", "report.json"]
    page = paths[0].read_text()
    assert "Nothing has been trained" in page
    assert page.index("No figures yet") < page.index("What is not here")


def test_only_pictures_in_the_runs_own_folder_are_shown(tmp_path: Path) -> None:
    record = samples.training(1, "createml")
    assert isinstance(record.outcome, Trained)
    outside = replace(record.outcome.samples[0], path="../secret.jpg")
    text = replace(record.outcome.samples[0], path="samples/text.jpg")
    record = replace(record, outcome=replace(record.outcome, samples=(*record.outcome.samples, outside, text)))
    save(tmp_path, record)
    folder = tmp_path / record.id
    (folder / "samples").mkdir()
    (folder / "samples/00.jpg").write_bytes(b"\xff\xd8\xff small")
    (folder / "samples/text.jpg").write_text("no picture")
    (tmp_path / "secret.jpg").write_bytes(b"\xff\xd8\xff secret")
    (run,) = read_report([tmp_path], tmp_path).classifiers
    assert len(run.samples) == 1
    (hidden,) = read_report([tmp_path], tmp_path, pictures=False).classifiers
    assert hidden.samples == ()


def test_what_was_not_a_number_is_null(tmp_path: Path) -> None:
    record = samples.training(1)
    save(tmp_path, replace(record, epochs=(replace(record.epochs[1], loss=float("nan"), seconds=float("nan")),)))
    report = read_report([tmp_path], tmp_path)
    from coremlbench.report.render import json as as_json

    assert json.loads(as_json.render(report))["training"][0]["epochs"] == [None]


def test_the_sources_of_figures_are_counted() -> None:
    report = report_of(samples.training(1), samples.training(2), samples.conversion(3))
    assert [(row.role, row.name, row.records) for row in report.origins] == [
        ("data", "drawn-food", 3),
        ("model", "efficientnetb0", 1),
    ]


def test_every_figure_names_a_record_of_the_report() -> None:
    report = report_of(*samples.few())
    known = {row.id for row in report.records}
    rows: list[Any] = [*report.answers, *report.timing, *report.variants, *report.training, *report.classifiers]
    rows += report.failures
    assert len(rows) > 50
    assert {row.record for row in rows} <= known
    assert {identity for row in report.warnings for identity in row.records} <= known
    assert isinstance(report.records[0].command, tuple)
    assert all(
        isinstance(record, (TrainingRecord, TimingRecord)) or record.kind == "conversion" for record in samples.few()
    )
