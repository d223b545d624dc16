"""The gate: is a model slower, larger or less accurate than before, by more than a limit and more than noise?"""

from __future__ import annotations

from collections.abc import Sequence

from coremlbench.system.advised_commands import advised_command
from coremlbench.timing.gate_findings import Finding, GateLimits, GateResult, gate_result
from coremlbench.timing.gate_sides import CellName, PackageName, Side, TimedCell, check_sides, rename_single_package
from coremlbench.timing.run_comparison import (
    MAX_ADVISED_ROUNDS,
    Comparison,
    Decision,
    advised_rounds,
    compare_paired,
    compare_runs,
    decide,
)
from coremlbench.types.conversion import Proof, Variant
from coremlbench.types.errors import InputError

ROUNDING = 1e-9
"""What rounding can do to a ratio of bytes and to a share of images; one byte or one image more is more."""


def compare_sides(before: Side, after: Side, limits: GateLimits, *, one_run: bool = False) -> GateResult:
    """Return what changed from one side to the other, for each limit that is set.

    ``one_run`` tells that both sides were timed in the same rounds of one run, so that these are compared in pairs.

    Raises:
        InputError: for one of the limits nothing can be compared.
    """
    after = rename_single_package(before, after)
    check_sides(before, after)
    findings: list[Finding] = []
    notes: list[str] = []
    if limits.slower is not None:
        findings += _time_findings(before, after, limits.slower, notes, one_run=one_run)
    packages = [name for name in before.packages if name in after.packages]
    if limits.larger is not None:
        findings += _size_findings(before, after, packages, limits.larger)
    if limits.less_accurate is not None:
        findings += _accuracy_findings(before, after, packages, limits.less_accurate, notes)
    missing = [name for name in before.packages if name not in after.packages]
    notes += [f"{package} is not in {after.name}, so that it was not compared." for package in missing]
    return gate_result(before.name, after.name, findings, notes)


# --- times --------------------------------------------------------------------------------------------------


def _time_findings(before: Side, after: Side, limit: float, notes: list[str], *, one_run: bool) -> list[Finding]:
    machines = _common_machines(before, after)
    findings = []
    for name, cells in before.cells.items():
        if name.machine not in machines:
            continue
        subject = f"{name.package}, {name.runtime} {name.unit}"
        earlier = [timed for timed in cells if not timed.failed]
        if name not in after.cells:
            notes.append(f"{subject} was not timed in {after.name}, so that it was not compared.")
        elif not earlier:
            reason = cells[-1].failure_text
            notes.append(f"{subject} had failed in {before.name}, so that there is nothing to compare with: {reason}")
        else:
            findings.append(_time_finding(subject, earlier, after.cells[name], limit, one_run=one_run))
            notes += _condition_notes(subject, earlier[-1], after.cells[name][-1])
    if not findings:
        raise InputError(f"No cell has figures in both {before.name} and {after.name}. {' '.join(notes)}".strip())
    return findings


def _common_machines(before: Side, after: Side) -> set[str]:
    """Return the machines, by id, that timed cells of both sides.

    Raises:
        InputError: there is none, and the message says what to do.
    """
    for side in (before, after):
        if not side.cells:
            command = advised_command("convert-and-time", "lenet")
            raise InputError(f"{side.name} has no timed cell; `{command}` times one, or leave out --fail-if-slower.")
    machines = {name.machine for name in before.cells} & {name.machine for name in after.cells}
    if not machines:
        command = advised_command("compare", "--gate", "before.mlpackage", "after.mlpackage", "--fail-if-slower", "5%")
        raise InputError(
            f"{before.name} and {after.name} are of different machines, whose times say nothing of a change; time both "
            f"packages on one machine: `{command}`."
        )
    return machines


def _time_finding(
    subject: str, before: Sequence[TimedCell], after: Sequence[TimedCell], limit: float, *, one_run: bool
) -> Finding:
    """Return the finding of one cell from the runs before that have a figure and all runs after, oldest first."""
    newest = after[-1]
    if newest.failed:
        reason = f"It ran before and failed now, {newest.failure_text}"
        return Finding("time", subject, "failed", limit, reason=reason)
    comparison = _compare_one_run(before[-1], newest) if one_run else _compare_runs(before, after)
    if comparison is None:
        return Finding("time", subject, "cannot tell", limit, reason="No round timed both.")
    decision = decide(comparison, limit)
    advice = advised_rounds(comparison, limit) if decision == "cannot tell" else None
    after_seconds = _seconds(newest)
    return Finding(
        quantity="time",
        subject=subject,
        decision=decision,
        limit=limit,
        before=after_seconds / comparison.ratio,
        after=after_seconds,
        change=comparison.ratio - 1,
        low=None if comparison.low is None else comparison.low - 1,
        high=None if comparison.high is None else comparison.high - 1,
        rounds=comparison.rounds,
        advised_rounds=advice,
        reason=_without_advice(comparison) if decision == "cannot tell" and advice is None else "",
    )


def _compare_one_run(before: TimedCell, after: TimedCell) -> Comparison | None:
    first, second = ({timed.round: timed.p50 for timed in side.rounds} for side in (before, after))
    common = sorted(first.keys() & second.keys())
    pairs = [(first[number], second[number]) for number in common]
    known = [(above, below) for above, below in pairs if above and below]
    return compare_paired([pair[0] for pair in known], [pair[1] for pair in known]) if known else None


def _compare_runs(before: Sequence[TimedCell], after: Sequence[TimedCell]) -> Comparison:
    return compare_runs(
        [run.medians for run in _same_runs(before)],
        [run.medians for run in _same_runs(after)],
    )


def _same_runs(runs: Sequence[TimedCell]) -> list[TimedCell]:
    """Return the newest run, and those before that timed the same package with the same software as thoroughly."""
    newest = runs[-1]
    return [run for run in runs if not run.failed and _settings_of(run) == _settings_of(newest)]


def _settings_of(run: TimedCell) -> tuple[object, ...]:
    machine = run.record.machine
    return (
        run.cell.package_sha256,
        run.cell.runtime_version,
        machine.system,
        machine.system_version,
        run.record.quick,
    )


def _seconds(run: TimedCell) -> float:
    from coremlbench.timing.statistics import estimate

    return estimate(run.medians).seconds


def _without_advice(comparison: Comparison) -> str:
    if comparison.between_runs:
        return "The runs of one side differ so much that more rounds do not help; give more runs of each."
    return f"The rounds differ so much that {MAX_ADVISED_ROUNDS} of each would not do; let nothing else run beside."


def _condition_notes(subject: str, before: TimedCell, after: TimedCell) -> list[str]:
    """Return what differs between the two runs beside the package, and that a run was a quick one."""
    notes = []
    systems = [f"{run.record.machine.system} {run.record.machine.system_version}" for run in (before, after)]
    versions = [run.cell.runtime_version for run in (before, after)]
    if systems[0] != systems[1]:
        notes.append(f"The system changed from {systems[0]} to {systems[1]}: the change may be its.")
    elif versions[0] != versions[1]:
        notes.append(f"{subject}: the runtime changed from {versions[0]} to {versions[1]}: the change may be its.")
    if before.record.quick or after.record.quick:
        notes.append("A run was made with --quick, whose few rounds show large changes only.")
    return notes


# --- sizes and accuracies -----------------------------------------------------------------------------------


def _size_findings(before: Side, after: Side, packages: Sequence[PackageName], limit: float) -> list[Finding]:
    findings = []
    for name in packages:
        old, new = before.packages[name].bytes, after.packages[name].bytes
        if old and new:
            change = new / old - 1
            decision: Decision = "failed" if change > limit + ROUNDING else "passed"
            findings.append(Finding("size", str(name), decision, limit, old, new, change))
    if not findings:
        raise InputError(
            f"No package has a known size in both {before.name} and {after.name}; leave out --fail-if-larger."
        )
    return findings


def _accuracy_findings(
    before: Side, after: Side, packages: Sequence[PackageName], limit: float, notes: list[str]
) -> list[Finding]:
    findings = []
    for name in packages:
        proofs = _labelled_proofs(before.packages[name], after.packages[name])
        if proofs is None:
            notes.append(f"{name} has no accuracy in both, as that needs images with labels.")
            continue
        old, new = proofs
        assert old.accuracy_after is not None
        assert new.accuracy_after is not None
        change = new.accuracy_after - old.accuracy_after
        same = (old.data, old.images) == (new.data, new.images)
        reason = (
            f"The same {new.images:,} images of {new.data}."
            if same
            else f"Not the same images: {old.images:,} of {old.data} before, {new.images:,} of {new.data} after."
        )
        decision: Decision = "cannot tell" if not same else "failed" if change < -limit - ROUNDING else "passed"
        findings.append(
            Finding(
                "accuracy", str(name), decision, -limit, old.accuracy_after, new.accuracy_after, change, reason=reason
            )
        )
    if not findings:
        command = advised_command("convert-and-time", "lenet", "--data", "cifar10")
        raise InputError(
            f"No package has an accuracy in both {before.name} and {after.name}, so that --fail-if-less-accurate has "
            f"nothing to compare; it needs conversions on images with labels, as `{command}` makes them."
        )
    return findings


def _labelled_proofs(before: Variant, after: Variant) -> tuple[Proof, Proof] | None:
    proofs = (before.proof, after.proof)
    if any(proof is None or proof.accuracy_after is None for proof in proofs):
        return None
    assert proofs[0] is not None
    assert proofs[1] is not None
    return proofs[0], proofs[1]


def split_models(record_side: Side, names: tuple[str, str]) -> tuple[Side, Side]:
    """Return the sides of the two models of one run, with equal names of their packages.

    ``names`` are the names of the models in the record, before and after; the first is used for both.
    """

    def of_model(model: str) -> Side:
        def common(package: PackageName) -> PackageName:
            return package._replace(model=names[0])

        cells: dict[CellName, tuple[TimedCell, ...]] = {
            name._replace(package=common(name.package)): cells
            for name, cells in record_side.cells.items()
            if name.package.model == model
        }
        packages = {common(name): variant for name, variant in record_side.packages.items() if name.model == model}
        return Side(model, cells, packages)

    return of_model(names[0]), of_model(names[1])
