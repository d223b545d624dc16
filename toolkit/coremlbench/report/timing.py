"""The report's rows on converted models: the cells of every matrix, and the variants with their proofs."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from coremlbench.report.types import CellRow, FigureKind, VariantRow
from coremlbench.timing.statistics import Estimate, estimate
from coremlbench.types.conversion import ConversionRecord, Variant
from coremlbench.types.timing import Measurement, Round, TimingRecord

CellKey = tuple[str, str, str, str, int, str, str]
_UNITS = ("CPU_AND_NE", "CPU_AND_GPU", "CPU_ONLY", "ALL", "host-gpu", "host-cpu")
_VARIANTS = ("fp32", "fp16", "int8", "palettized-6", "palettized-4", "int8-activations", "as-is")
_KINDS = ("core-ml", "host", "stand-in")
MAX_ELSEWHERE = 5


def figure_kind(cell: Measurement) -> FigureKind:
    """Return what the figures of a cell are: Core ML's own only when Core ML itself executed."""
    if cell.stand_in:
        return "stand-in"
    return "core-ml" if cell.runtime == "coreml" else "host"


def cell_rows(records: Sequence[TimingRecord]) -> tuple[CellRow, ...]:
    """Return every cell once a machine, from the newest record with a figure of it; ``records`` are oldest first."""
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
            )
            groups.setdefault(key, []).append((record, cell))
    return tuple(sorted((_row(group) for group in groups.values()), key=_order))


def _order(row: CellRow) -> tuple[object, ...]:
    return (
        _KINDS.index(row.kind),
        row.machine,
        row.model,
        row.batch,
        _place(_VARIANTS, row.variant),
        row.variant,
        row.runtime,
        _place(_UNITS, row.unit),
        row.unit,
    )


def _place(order: Sequence[str], name: str) -> int:
    return order.index(name) if name in order else len(order)


def finished(cell: Measurement) -> tuple[Round, ...]:
    """Return the rounds of a cell that have a figure."""
    return tuple(each for each in cell.rounds if each.failure is None and each.p50)


def _row(group: Sequence[tuple[TimingRecord, Measurement]]) -> CellRow:
    """Return the row of one cell as measured by one or more records, oldest first.

    The newest one with a figure stands; a quick look never stands in for a measurement with all rounds.
    """
    timed = [pair for pair in group if pair[1].failure is None and finished(pair[1])]
    timed.sort(key=lambda pair: not pair[0].quick)
    record, cell = timed[-1] if timed else group[-1]
    earlier = [
        before.seconds
        for each_record, each_cell in timed
        if (each_record.started, each_record.id) < (record.started, record.id)
        and each_cell.package_sha256 == cell.package_sha256
        and (before := _estimate(each_cell)) is not None
    ]
    return replace(
        cell_row(record, cell),
        earlier=len(earlier),
        earlier_low=min(earlier, default=None),
        earlier_high=max(earlier, default=None),
    )


def cell_row(record: TimingRecord, cell: Measurement) -> CellRow:
    """Return the figures of a cell as one record has them."""
    rounds = finished(cell)
    figure = _estimate(cell)
    p50 = figure.seconds if figure else None
    failures = [each.failure for each in cell.rounds if each.failure is not None]
    failure = cell.failure or (failures[-1] if failures and not rounds else None)
    plan = cell.plan
    return CellRow(
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
        p50=p50,
        low=figure.low if figure else None,
        high=figure.high if figure else None,
        p90=_median(rounds, lambda each: each.p90),
        p95=_median(rounds, lambda each: each.p95),
        p99=_median(rounds, lambda each: each.p99),
        own_p50=_median(rounds, lambda each: each.own_p50),
        rounds=len(rounds),
        failed_rounds=len(failures),
        calls=sum(each.calls for each in rounds),
        outliers=sum(each.outliers for each in rounds),
        drift=_median(rounds, lambda each: each.drift),
        floor_seconds=cell.floor.seconds if cell.floor else None,
        floor_share=cell.floor.seconds / p50 if cell.floor and p50 else None,
        floor_bound=cell.floor.bound if cell.floor else "",
        energy_joules=_median(rounds, _energy_of_a_call),
        compile_seconds=_median(rounds, lambda each: each.compile_seconds),
        first_load_seconds=next((each.first_load_seconds for each in cell.rounds if each.first_load_seconds), None),
        cached_load_seconds=_median(rounds, lambda each: each.second_load_seconds),
        first_predict_seconds=_median(rounds, lambda each: each.first_predict_seconds),
        ran_on=cell.ran_on,
        plan_ops=plan.ops if plan else {},
        plan_cost=plan.cost if plan else {},
        elsewhere=tuple(
            f"{each.op} ({each.kind}) on {each.device}, {each.cost:.1%} of the cost"
            for each in (plan.elsewhere if plan else ())[:MAX_ELSEWHERE]
        ),
        plan_failure=plan.failure if plan else "",
        output_error=cell.output_error,
        distribution=_distribution(rounds),
        sustained=cell.sustained,
        medians=tuple(each.p50 for each in rounds if each.p50),
        failure=f"{failure.kind}: {failure.reason}" if failure else "",
        notes=cell.notes,
    )


def _estimate(cell: Measurement) -> Estimate | None:
    medians = [each.p50 for each in finished(cell) if each.p50]
    return estimate(medians) if medians else None


def _median(rounds: Iterable[Round], figure: Callable[[Round], float | None]) -> float | None:
    values = [value for each in rounds if (value := figure(each)) is not None]
    return statistics.median(values) if values else None


def _energy_of_a_call(each: Round) -> float | None:
    """Return the joules of a call; a counter that did not move in the whole stretch was too coarse to tell them."""
    return each.energy_joules / each.calls if each.energy_joules and each.calls else None


def _distribution(rounds: Sequence[Round]) -> tuple[float, ...]:
    """Return each quantile's median over the rounds that have as many as the newest one."""
    if not rounds:
        return ()
    same = [each.quantiles for each in rounds if len(each.quantiles) == len(rounds[-1].quantiles)]
    return tuple(statistics.median(values) for values in zip(*same, strict=True))


# --- variants -----------------------------------------------------------------------------------------------


def variant_rows(conversions: Sequence[ConversionRecord], timings: Sequence[TimingRecord]) -> tuple[VariantRow, ...]:
    """Return every package once a machine and model, from the newest record that has it.

    A matrix names its packages too: one that came from elsewhere (a kit) stands only there.
    """
    rows: dict[tuple[str, str, str, int], VariantRow] = {}
    known: set[tuple[str, str, str]] = set()
    for conversion in conversions:
        name = conversion.source.name if conversion.source else conversion.experiment
        for variant in conversion.variants:
            if variant.path and variant.failure is None:
                known.add((name, variant.name, variant.sha256))
                rows[conversion.machine.id, name, variant.name, variant.batch] = _variant(conversion, name, variant)
    for timing in timings:
        for model in timing.models:
            for variant in model.variants:
                if variant.failure is None and (model.name, variant.name, variant.sha256) not in known:
                    rows[timing.machine.id, model.name, variant.name, variant.batch] = _variant(
                        timing, model.name, variant
                    )
    order = sorted(
        rows.values(),
        key=lambda row: (row.model, row.machine, row.batch, _place(_VARIANTS, row.variant), row.variant),
    )
    return tuple(order)


def proofs_by_package(conversions: Sequence[ConversionRecord], timings: Sequence[TimingRecord]) -> dict[str, VariantRow]:
    """Return the proven, degraded and wrong packages by their content: the hash that a timed cell names too.

    A name would not do. Two machines have packages of one name that differ, and one package is proven on a machine
    and timed on another. ``conversions`` and ``timings`` are oldest first, and the newest proof of a package stands.
    """
    rows = {}
    for timing in timings:
        for model in timing.models:
            for variant in model.variants:
                if variant.sha256 and variant.proof is not None:
                    rows[variant.sha256] = _variant(timing, model.name, variant)
    for conversion in conversions:
        name = conversion.source.name if conversion.source else conversion.experiment
        for variant in conversion.variants:
            if variant.sha256 and variant.proof is not None:
                rows[variant.sha256] = _variant(conversion, name, variant)
    return rows


def _variant(record: ConversionRecord | TimingRecord, model: str, variant: Variant) -> VariantRow:
    proof = variant.proof
    divergence = proof.divergence if proof else None
    return VariantRow(
        record=record.id,
        machine=record.machine.id,
        model=model,
        variant=variant.name,
        batch=variant.batch,
        bytes=variant.bytes,
        weight_bytes=variant.weight_bytes,
        verdict=proof.verdict if proof else "not proven",
        reason=proof.reason if proof else "",
        sha256=variant.sha256,
        target=variant.target,
        arithmetic=variant.arithmetic,
        runtime=proof.runtime if proof else "",
        images=proof.images if proof else 0,
        agreement=proof.agreement if proof else None,
        accuracy_before=proof.accuracy_before if proof else None,
        accuracy_after=proof.accuracy_after if proof else None,
        max_error=proof.max_error if proof else None,
        relative_error=proof.relative_error if proof else None,
        signal_to_noise=proof.signal_to_noise if proof else None,
        divergence=f"{divergence.op} ({divergence.kind}) leaves the original's value by {divergence.error:.1%} of its "
        f"range"
        if divergence
        else "",
        precision_note=variant.precision_note,
    )
