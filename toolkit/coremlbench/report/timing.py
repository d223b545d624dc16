"""The report's rows on converted models: the cells of all timing matrices, and the variants with their proofs."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from coremlbench.report.labels import NO_VERDICT
from coremlbench.report.types import CellRow, FigureKind, VariantRow
from coremlbench.timing.statistics import Estimate, estimate
from coremlbench.types.conversion import ConversionRecord, ModelSource, Proof, Variant
from coremlbench.types.timing import ComputePlan, Measurement, Round, TimingRecord

CellKey = tuple[str, str, str, str, int, str, str, str]
"""Machine, kind, model, variant, batch, runtime, unit and runner of a cell."""
_UNITS = ("CPU_AND_NE", "CPU_AND_GPU", "CPU_ONLY", "ALL", "host-gpu", "host-cpu")
_VARIANTS = ("fp32", "fp16", "int8", "palettized-6", "palettized-4", "int8-activations", "as-is")
_KINDS = ("core-ml", "host", "stand-in")
MAX_ELSEWHERE = 5
"""Ops planned off the requested unit that a row lists."""


def figure_kind(cell: Measurement) -> FigureKind:
    """Return who executed a cell: ``core-ml`` only if it was Apple's Core ML itself."""
    if cell.stand_in:
        return "stand-in"
    return "core-ml" if cell.runtime == "coreml" else "host"


def cell_rows(records: Sequence[TimingRecord]) -> tuple[CellRow, ...]:
    """Return one row for each cell and machine, from the newest record with a figure of it, in the report's order.

    ``records`` are oldest first.
    """
    groups: dict[CellKey, list[tuple[TimingRecord, Measurement]]] = {}
    for record in records:
        for cell in record.measurements:
            key = (
                record.machine.id,
                figure_kind(cell),
                cell.model,
                cell.variant,
                cell.batch,
                cell.runtime,
                cell.unit,
                cell.runner,
            )
            groups.setdefault(key, []).append((record, cell))
    return tuple(sorted((_newest_row(group) for group in groups.values()), key=_sort_key))


def _sort_key(row: CellRow) -> tuple[object, ...]:
    return (
        _KINDS.index(row.kind),
        row.machine,
        row.model,
        row.batch,
        _rank(_VARIANTS, row.variant),
        row.variant,
        row.runtime,
        _rank(_UNITS, row.unit),
        row.unit,
        row.runner != "python",
    )


def _rank(order: Sequence[str], name: str) -> int:
    """Return the name's index, or the length of ``order`` for a name that is not in it."""
    return order.index(name) if name in order else len(order)


def finished_rounds(cell: Measurement) -> tuple[Round, ...]:
    """Return the rounds of a cell that did not fail and have a median."""
    return tuple(timed for timed in cell.rounds if timed.failure is None and timed.p50)


def _newest_row(group: Sequence[tuple[TimingRecord, Measurement]]) -> CellRow:
    """Return the row of one cell from the records that measured it, oldest first.

    The newest measurement with a figure is taken; a quick one only if there is no other.
    """
    timed = [(record, cell) for record, cell in group if cell.failure is None and finished_rounds(cell)]
    timed.sort(key=lambda pair: not pair[0].quick)
    newest, newest_cell = timed[-1] if timed else group[-1]
    earlier = [
        figure.seconds
        for record, cell in timed
        if (record.started, record.id) < (newest.started, newest.id)
        and cell.package_sha256 == newest_cell.package_sha256
        and (figure := _estimate(cell)) is not None
    ]
    return replace(
        cell_row(newest, newest_cell),
        earlier=len(earlier),
        earlier_low=min(earlier, default=None),
        earlier_high=max(earlier, default=None),
    )


def cell_row(record: TimingRecord, cell: Measurement) -> CellRow:
    """Return the row of a cell from one record, without comparison with earlier records."""
    rounds = finished_rounds(cell)
    failures = [timed.failure for timed in cell.rounds if timed.failure is not None]
    failure = cell.failure or (failures[-1] if failures and not rounds else None)
    row = CellRow(
        record=record.id,
        machine=record.machine.id,
        kind=figure_kind(cell),
        model=cell.model,
        variant=cell.variant,
        batch=cell.batch,
        runtime=cell.runtime,
        unit=cell.unit,
        package_sha256=cell.package_sha256,
        runtime_version=cell.runtime_version,
        quick=record.quick,
        failed_rounds=len(failures),
        first_load_seconds=next((timed.first_load_seconds for timed in cell.rounds if timed.first_load_seconds), None),
        ran_on=cell.ran_on,
        output_error=cell.output_error,
        sustained=cell.sustained,
        failure=f"{failure.kind}: {failure.reason}" if failure else "",
        notes=cell.notes,
        random_weights=any(
            model.name == cell.model and model.source.kind == "random-weights" for model in record.models
        ),
        runner=cell.runner,
    )
    figure = _estimate(cell)
    return replace(
        row, **_estimate_fields(cell, figure), **_round_fields(rounds), **(_plan_fields(cell.plan) if cell.plan else {})
    )


def _estimate(cell: Measurement) -> Estimate | None:
    medians = [timed.p50 for timed in finished_rounds(cell) if timed.p50]
    return estimate(medians) if medians else None


def _estimate_fields(cell: Measurement, figure: Estimate | None) -> dict[str, Any]:
    """Return the fields of a ``CellRow`` on the time of a call and its roofline bound."""
    fields: dict[str, Any] = {}
    if figure is not None:
        fields |= {"p50": figure.seconds, "low": figure.low, "high": figure.high}
    if cell.floor is not None:
        fields |= {"floor_seconds": cell.floor.seconds, "floor_bound": cell.floor.bound}
        if figure is not None and figure.seconds:
            fields["floor_share"] = cell.floor.seconds / figure.seconds
    return fields


def _round_fields(rounds: Sequence[Round]) -> dict[str, Any]:
    """Return the fields of a ``CellRow`` that summarise the finished rounds: medians over rounds, and sums."""
    return {
        "rounds": len(rounds),
        "calls": sum(timed.calls for timed in rounds),
        "outliers": sum(timed.outliers for timed in rounds),
        "p90": _median(rounds, lambda timed: timed.p90),
        "p95": _median(rounds, lambda timed: timed.p95),
        "p99": _median(rounds, lambda timed: timed.p99),
        "own_p50": _median(rounds, lambda timed: timed.own_p50),
        "drift": _median(rounds, lambda timed: timed.drift),
        "energy_joules": _median(rounds, _energy_per_call),
        "compile_seconds": _median(rounds, lambda timed: timed.compile_seconds),
        "cached_load_seconds": _median(rounds, lambda timed: timed.second_load_seconds),
        "first_predict_seconds": _median(rounds, lambda timed: timed.first_predict_seconds),
        "distribution": _distribution(rounds),
        "medians": tuple(timed.p50 for timed in rounds if timed.p50),
        "peak_bytes": max((timed.peak_bytes for timed in rounds), default=0),
        "footprint_bytes": max((timed.footprint_bytes for timed in rounds if timed.footprint_bytes), default=None),
    }


def _plan_fields(plan: ComputePlan) -> dict[str, Any]:
    """Return the fields of a ``CellRow`` on Core ML's compute plan."""
    return {
        "plan_ops": plan.ops,
        "plan_cost": plan.cost,
        "elsewhere": tuple(
            f"{planned.op} ({planned.kind}) on {planned.device}, {planned.cost:.1%} of the cost"
            for planned in plan.elsewhere[:MAX_ELSEWHERE]
        ),
        "plan_failure": plan.failure,
    }


def _median(rounds: Iterable[Round], figure: Callable[[Round], float | None]) -> float | None:
    """Return the median of a figure over the rounds that have it."""
    values = [value for timed in rounds if (value := figure(timed)) is not None]
    return statistics.median(values) if values else None


def _energy_per_call(timed: Round) -> float | None:
    """Return joules per call; ``None`` for 0 J, as the counter was then too coarse for the round."""
    return timed.energy_joules / timed.calls if timed.energy_joules and timed.calls else None


def _distribution(rounds: Sequence[Round]) -> tuple[float, ...]:
    """Return each quantile's median over the rounds that have as many quantiles as the newest round."""
    if not rounds:
        return ()
    quantiles = [timed.quantiles for timed in rounds if len(timed.quantiles) == len(rounds[-1].quantiles)]
    return tuple(statistics.median(values) for values in zip(*quantiles, strict=True))


# --- variants -----------------------------------------------------------------------------------------------


def variant_rows(conversions: Sequence[ConversionRecord], timings: Sequence[TimingRecord]) -> tuple[VariantRow, ...]:
    """Return one row for each machine, model, variant and batch, from the newest record that has the package.

    Ready packages of one model, as ``--check`` compares them, are each a row of their own.

    Packages from a kit are in no conversion record of this report: their rows are from the timing records. Records
    are oldest first.
    """
    rows: dict[tuple[str, str, str, int, str], VariantRow] = {}
    converted: set[tuple[str, str, str]] = set()
    for conversion in conversions:
        model = _model_name(conversion)
        for variant in conversion.variants:
            if variant.path and variant.failure is None:
                converted.add((model, variant.name, variant.sha256))
                key = (conversion.machine.id, model, variant.name, variant.batch, _package_of(variant))
                rows[key] = _variant_row(conversion, model, variant, conversion.source)
    for timing in timings:
        for timed in timing.models:
            for variant in timed.variants:
                if variant.failure is None and (timed.name, variant.name, variant.sha256) not in converted:
                    key = (timing.machine.id, timed.name, variant.name, variant.batch, _package_of(variant))
                    rows[key] = _variant_row(timing, timed.name, variant, timed.source)
    order = sorted(
        rows.values(),
        key=lambda row: (row.model, row.machine, row.batch, _rank(_VARIANTS, row.variant), row.variant),
    )
    return tuple(order)


def _package_of(variant: Variant) -> str:
    """Return what tells a ready package from others of its model; a newer one replaces one that was converted."""
    return variant.sha256 if variant.name == "as-is" else ""


def proofs_by_package(
    conversions: Sequence[ConversionRecord], timings: Sequence[TimingRecord]
) -> dict[str, VariantRow]:
    """Return the packages with a proof by their SHA-256, which timed cells have too; the newest proof is taken.

    Names do not identify packages: two machines can have different packages with equal names, and a package can be
    proven on one machine and timed on another. Records are oldest first.
    """
    rows = {}
    for timing in timings:
        for timed in timing.models:
            for variant in timed.variants:
                if variant.sha256 and variant.proof is not None:
                    rows[variant.sha256] = _variant_row(timing, timed.name, variant, timed.source)
    for conversion in conversions:
        for variant in conversion.variants:
            if variant.sha256 and variant.proof is not None:
                rows[variant.sha256] = _variant_row(conversion, _model_name(conversion), variant, conversion.source)
    return rows


def _model_name(conversion: ConversionRecord) -> str:
    return conversion.source.name if conversion.source else conversion.experiment


def _variant_row(
    record: ConversionRecord | TimingRecord, model: str, variant: Variant, source: ModelSource | None
) -> VariantRow:
    row = VariantRow(
        record=record.id,
        machine=record.machine.id,
        model=model,
        variant=variant.name,
        batch=variant.batch,
        bytes=variant.bytes,
        weight_bytes=variant.weight_bytes,
        verdict=NO_VERDICT,
        reason="" if variant.proof is not None else " ".join(variant.notes),
        status=variant.status,
        sha256=variant.sha256,
        target=variant.target,
        arithmetic=variant.arithmetic,
        precision_note=variant.precision_note,
        random_weights=source is not None and source.kind == "random-weights",
    )
    return row if variant.proof is None else replace(row, **_proof_fields(variant.proof))


def _proof_fields(proof: Proof) -> dict[str, Any]:
    """Return the fields of a ``VariantRow`` on the comparison with the original."""
    divergence = proof.divergence
    return {
        "verdict": proof.verdict,
        "reason": proof.reason,
        "runtime": proof.runtime,
        "images": proof.images,
        "data": proof.data,
        "agreement": proof.agreement,
        "accuracy_before": proof.accuracy_before,
        "accuracy_after": proof.accuracy_after,
        "max_error": proof.max_error,
        "relative_error": proof.relative_error,
        "signal_to_noise": proof.signal_to_noise,
        "caveats": tuple(caveat.text for caveat in proof.caveats),
        "caveat_codes": tuple(caveat.code for caveat in proof.caveats),
        "non_finite_values": proof.non_finite_values,
        "divergence": f"{divergence.op} ({divergence.kind}) leaves the original's value by {divergence.distance}"
        if divergence
        else "",
    }
