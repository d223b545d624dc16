"""The gate on records: times by their interval, sizes and accuracies exactly."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from coremlbench.runs import store
from coremlbench.timing.gate import compare_sides, split_models
from coremlbench.timing.gate_findings import Finding, GateLimits, GateResult
from coremlbench.timing.gate_sides import read_records, side_of_records
from coremlbench.types.conversion import Variant
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Evidence, Failure
from coremlbench.types.records import Record
from coremlbench.types.timing import Measurement, TimedModel, TimingRecord
from tests import record_samples as samples

SLOWER = GateLimits(slower=0.05)
CRASH = Failure("abort", "It called abort.", "Try the CPU.", Evidence())


def timing(number: int, scale: float = 1.0, models: tuple[str, ...] = ("lenet",)) -> TimingRecord:
    """A matrix whose calls take so many times as long; rounds differ by 2% at most."""
    return samples.timing(number, scale=scale, models=models)


def changed(record: TimingRecord, change: Callable[[Measurement], Measurement]) -> TimingRecord:
    return replace(record, measurements=tuple(change(cell) for cell in record.measurements))


def with_variants(record: TimingRecord, change: Callable[[Variant], Variant]) -> TimingRecord:
    models = tuple(replace(model, variants=tuple(map(change, model.variants))) for model in record.models)
    return replace(record, models=models)


def gate(before: Record | list[Record], after: Record | list[Record], limits: GateLimits = SLOWER) -> GateResult:
    sides = [
        side_of_records(name, records if isinstance(records, list) else [records])
        for name, records in (("before", before), ("after", after))
    ]
    return compare_sides(sides[0], sides[1], limits)


def decisions(result: GateResult) -> set[str]:
    return {finding.decision for finding in result.findings}


def finding_of(result: GateResult, subject: str) -> Finding:
    return next(finding for finding in result.findings if subject in finding.subject)


def test_equal_runs_pass_and_slower_ones_fail_in_every_cell() -> None:
    equal = gate(timing(1), timing(2))
    assert (equal.decision, decisions(equal), len(equal.findings)) == ("passed", {"passed"}, 12)
    slower = gate(timing(1), timing(2, 1.2))
    assert (slower.decision, decisions(slower)) == ("failed", {"failed"})
    for finding in slower.findings:
        assert finding.low is not None
        assert finding.high is not None
        assert finding.low < 0.2 < finding.high
        assert finding.before is not None
        assert finding.after is not None
        assert finding.change == pytest.approx(finding.after / finding.before - 1)


def test_what_is_next_to_the_limit_cannot_be_told_and_rounds_are_advised() -> None:
    result = gate(timing(1), timing(2, 1.05))
    assert result.decision == "cannot tell"
    unsure = [finding for finding in result.findings if finding.decision == "cannot tell"]
    assert all(finding.advised_rounds and finding.advised_rounds >= 10 and finding.rounds == 5 for finding in unsure)


def test_the_findings_that_failed_come_first_and_one_fails_the_whole() -> None:
    after = changed(timing(2), lambda cell: cell if cell.unit != "ALL" else samples_cell(cell, 1.5))
    result = gate(timing(1), after)
    assert result.decision == "failed"
    failed = [finding.subject for finding in result.findings if finding.decision == "failed"]
    assert [finding.subject for finding in result.findings][: len(failed)] == failed
    assert all("ALL" in subject for subject in failed)


def samples_cell(cell: Measurement, scale: float) -> Measurement:
    return replace(cell, rounds=tuple(replace(timed, p50=scale * (timed.p50 or 0)) for timed in cell.rounds))


def test_a_cell_that_ran_and_does_not_run_any_more_fails() -> None:
    broken = changed(timing(2), lambda cell: replace(cell, failure=CRASH) if cell.unit == "ALL" else cell)
    finding = finding_of(gate(timing(1), broken), "fp16, coreml ALL")
    assert (finding.decision, finding.reason) == ("failed", "It ran before and failed now, abort: It called abort.")
    mended = gate(broken, timing(2))
    assert mended.decision == "passed"
    assert sum("had failed in before" in note for note in mended.notes) == 3


def test_cells_that_one_side_lacks_are_named() -> None:
    fewer = timing(2)
    fewer = replace(fewer, measurements=tuple(cell for cell in fewer.measurements if cell.unit != "ALL"))
    assert sum("was not timed in after" in note for note in gate(timing(1), fewer).notes) == 3
    assert not gate(fewer, timing(1)).notes


def test_a_run_of_another_machine_is_no_measure() -> None:
    with pytest.raises(InputError, match="of different machines"):
        gate(timing(1), samples.timing(2, samples.PRO, models=("lenet",)))
    both: list[Record] = [timing(1), samples.timing(3, samples.PRO, models=("lenet",), scale=9)]
    assert gate(both, timing(2)).decision == "passed"


def test_core_mls_figures_are_not_compared_with_the_stand_ins() -> None:
    with pytest.raises(InputError, match="No cell has figures in both"):
        gate(timing(1), samples.timing(2, stand_in=False, models=("lenet",)))


def test_what_else_changed_is_told() -> None:
    newer = replace(timing(2), machine=replace(samples.AIR, system_version="26.4"))
    notes = gate(timing(1), newer).notes
    assert notes == ("The system changed from macOS 26.1 to macOS 26.4: the change may be its.",)
    quick = gate(replace(timing(1), quick=True), timing(2))
    assert any("--quick" in note for note in quick.notes)


def test_several_runs_of_the_same_package_are_one_baseline() -> None:
    levels = (0.8, 0.9, 1.0, 1.1, 1.2)
    before: list[Record] = [timing(number, level) for number, level in enumerate(levels)]
    result = gate(before, timing(9, 1.1))
    assert result.decision == "cannot tell"
    assert all("more runs of each" in finding.reason for finding in result.findings)
    other = changed(timing(8), lambda cell: replace(cell, package_sha256="another"))
    assert gate([*before, other], changed(timing(9), lambda cell: cell)).decision == "passed"


def test_the_tensorflow_original_is_no_package() -> None:
    original = replace(timing(1).measurements[0], runtime="tensorflow", variant="as-is", unit="host-cpu")
    before = replace(timing(1), measurements=(*timing(1).measurements, original))
    after = replace(timing(2), measurements=(*timing(2).measurements, samples_cell(original, 2.0)))
    assert gate(before, after).decision == "passed"


def test_sizes_are_compared_exactly() -> None:
    small = with_variants(timing(1), lambda variant: replace(variant, bytes=100))
    grown = with_variants(timing(2), lambda variant: replace(variant, bytes=105))
    assert gate(small, grown, GateLimits(larger=0.05)).decision == "passed"
    larger = with_variants(timing(2), lambda variant: replace(variant, bytes=round(variant.bytes * 1.06)))
    result = gate(timing(1), larger, GateLimits(larger=0.05))
    assert (result.decision, {finding.quantity for finding in result.findings}) == ("failed", {"size"})
    unknown = with_variants(timing(2), lambda variant: replace(variant, bytes=0))
    with pytest.raises(InputError, match="leave out --fail-if-larger"):
        gate(timing(1), unknown, GateLimits(larger=0.05))


def with_accuracy(record: TimingRecord, change: float, images: int = 250) -> TimingRecord:
    def of(variant: Variant) -> Variant:
        assert variant.proof is not None
        assert variant.proof.accuracy_after is not None
        accuracy = variant.proof.accuracy_after + change
        return replace(variant, proof=replace(variant.proof, accuracy_after=accuracy, images=images))

    return with_variants(record, of)


def test_accuracies_are_compared_in_points_on_the_same_images() -> None:
    limits = GateLimits(less_accurate=0.005)
    assert gate(timing(1), with_accuracy(timing(2), -0.005), limits).decision == "passed"
    worse = gate(timing(1), with_accuracy(timing(2), -0.006), limits)
    assert (worse.decision, worse.findings[0].limit) == ("failed", -0.005)
    assert worse.findings[0].change == pytest.approx(-0.006)
    assert gate(timing(1), with_accuracy(timing(2), 0.1), limits).decision == "passed"
    others = gate(timing(1), with_accuracy(timing(2), -0.1, images=100), limits)
    assert others.decision == "cannot tell"
    assert "Not the same images: 250 of drawn-food before, 100 of drawn-food after." in others.findings[0].reason
    without = with_variants(timing(2), lambda variant: replace(variant, proof=None))
    with pytest.raises(InputError, match="--fail-if-less-accurate has nothing to compare"):
        gate(timing(1), without, limits)


def test_conversions_alone_have_sizes_and_accuracies_and_no_times() -> None:
    limits = GateLimits(larger=0.05, less_accurate=0.005)
    assert gate(samples.conversion(1), samples.conversion(2), limits).decision == "passed"
    with pytest.raises(InputError, match="has no timed cell"):
        gate(samples.conversion(1), samples.conversion(2))


def test_one_package_with_another_name_is_still_the_one() -> None:
    def single(number: int, model: str) -> TimingRecord:
        record = timing(number, models=(model,))
        cells = tuple(cell for cell in record.measurements if cell.variant == "fp16")
        variants = tuple(variant for variant in record.models[0].variants if variant.name == "fp16")
        models: tuple[TimedModel, ...] = (replace(record.models[0], variants=variants),)
        return replace(record, measurements=cells, models=models)

    result = gate(single(1, "old"), single(2, "new"), GateLimits(slower=0.05, larger=0.05))
    assert (result.decision, len(result.findings)) == ("passed", 5)
    with pytest.raises(InputError, match="no package in common: there is old fp32"):
        gate(timing(1, models=("old",)), timing(2, models=("new",)))


def test_two_models_of_one_run_are_compared_in_pairs() -> None:
    """A round that is slow for both is no noise in pairs, and much in separate runs."""
    generator = random.Random(7)
    levels = [generator.uniform(0.5, 2) for _ in range(5)]

    def uneven(cell: Measurement) -> Measurement:
        rounds = tuple(
            replace(timed, p50=level * (timed.p50 or 0)) for timed, level in zip(cell.rounds, levels, strict=True)
        )
        return replace(cell, rounds=rounds)

    record = changed(timing(1, models=("old", "new")), uneven)
    old, new = split_models(side_of_records("both", [record]), ("old", "new"))
    assert compare_sides(old, new, SLOWER, one_run=True).decision == "passed"
    assert compare_sides(old, new, SLOWER).decision == "cannot tell"


def test_records_are_found_by_id_file_and_folder(tmp_path: Path) -> None:
    record = timing(1)
    (tmp_path / record.id).mkdir()
    store.save(record, tmp_path / record.id)
    names = (record.id, str(tmp_path), str(tmp_path / record.id), str(tmp_path / record.id / "run.json"))
    for name in names:
        assert read_records(name, tmp_path) == [record], name
    (tmp_path / "model.mlpackage").mkdir()
    assert read_records(str(tmp_path / "model.mlpackage"), tmp_path) is None
    assert read_records("nowhere", tmp_path) is None
    (tmp_path / record.id / "run.json").write_text("{")
    with pytest.raises(InputError, match="No run in"):
        read_records(str(tmp_path), tmp_path)


def test_what_holds_no_model_is_refused() -> None:
    with pytest.raises(InputError, match="before holds no converted or timed model"):
        gate(samples.training(1), timing(2))
