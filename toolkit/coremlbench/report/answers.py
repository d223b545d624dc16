"""The report's first lines: where each model should run, in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from coremlbench.report.labels import RATIO, UNIT_WORDS, failed_after, outputs_are_wrong, where, output_error_phrase
from coremlbench.report.timing import figure_kind, proofs_by_package
from coremlbench.report.types import Answer, CellRow, VariantRow
from coremlbench.timing.statistics import ratio_of_rounds
from coremlbench.types.conversion import ConversionRecord
from coremlbench.types.timing import Measurement, TimingRecord

Measured = dict[tuple[str, str, str, str, int, str], Measurement]
"""Measurements by record, kind, model, variant, batch and unit."""
Proofs = dict[str, VariantRow]
"""What is known of a package's outputs, by its content."""
GPU, ENGINE = "CPU_AND_GPU", "CPU_AND_NE"


def build_answers(
    timings: Sequence[TimingRecord],
    conversions: Sequence[ConversionRecord],
    cells: Sequence[CellRow],
    variants: Sequence[VariantRow],
) -> tuple[Answer, ...]:
    """Return the answers by model: those of Core ML first, then of the stand-in, then why there is none."""
    proofs = proofs_by_package(conversions, timings)
    measured: Measured = {
        (record.id, figure_kind(cell), cell.model, cell.variant, cell.batch, cell.unit): cell
        for record in timings
        for cell in record.measurements
        if cell.runtime == "coreml"
    }
    answers = []
    for machine, kind, model in dict.fromkeys((cell.machine, cell.kind, cell.model) for cell in cells):
        mine = [each for each in cells if (each.machine, each.kind, each.model) == (machine, kind, model)]
        asked = [each for each in mine if each.runtime == "coreml"]
        if kind != "host" and any(each.p50 is not None and not each.failure for each in asked):
            answers.append(_answer(model, asked, measured, proofs))
    known = {answer.model for answer in answers}
    models = dict.fromkeys([*(row.model for row in variants), *(cell.model for cell in cells)])
    answers += [_unanswered(model, timings, conversions, cells, variants) for model in models if model not in known]
    order = {"core-ml": 0, "stand-in": 1, "none": 2}
    return tuple(sorted(answers, key=lambda each: (order[each.kind], each.model, each.machine)))


def _answer(
    model: str,
    cells: Sequence[CellRow],
    measured: Measured,
    proofs: Proofs,
) -> Answer:
    """Return the answer for the variant to use: the fastest that still predicts what the original does.

    Of several that are not shown to differ in speed it is the most accurate one. A cell that failed is none of them,
    whatever its first rounds gave, and one whose outputs were wrong only where there is no other.
    """
    timed = [cell for cell in cells if cell.p50 is not None and not cell.failure]
    batch = min(cell.batch for cell in timed)
    ranked = sorted(
        (cell for cell in timed if cell.batch == batch),
        key=lambda cell: (_doubtful(cell, proofs), cell.p50 or 0.0),
    )
    best = _most_accurate(ranked, proofs)
    by_unit = {cell.unit: cell for cell in cells if (cell.variant, cell.batch) == (best.variant, batch)}
    engine, gpu = by_unit.get(ENGINE), by_unit.get(GPU)
    answer = Answer(
        model=model,
        machine=best.machine,
        kind="stand-in" if best.kind == "stand-in" else "core-ml",
        text="",
        variant=best.variant,
        record=best.record,
    )
    right = [cell for cell in ranked if not outputs_are_wrong(cell.output_error)]
    if engine in right and gpu in right:
        answer = _compared(answer, engine, gpu, measured)
        text = answer.text + _accuracy(proofs.get(best.package_sha256))
    else:
        missing = " and ".join(
            f"the {UNIT_WORDS[unit]} {_why_missing(by_unit.get(unit))}"
            for unit in (ENGINE, GPU)
            if unit != best.unit and by_unit.get(unit) not in right
        )
        accuracy = _accuracy(proofs.get(best.package_sha256))
        outputs = accuracy if best in right else f", but with {wrong_outputs(best.output_error)}"
        text = f"{best.variant} on {_where(best)}: {_milliseconds(best)} a call{outputs}; {missing}"
    batches = f"; batches of {batch}" if batch != 1 else ""
    return replace(answer, text=f"{text}{batches}{'; a quick look' if best.quick else ''}.")


def _why_missing(cell: CellRow | None) -> str:
    if cell is None:
        return "was not measured"
    return failed_after(cell.rounds) if cell.failure else f"gave {wrong_outputs(cell.output_error)}"


def _most_accurate(ranked: Sequence[CellRow], proofs: Proofs) -> CellRow:
    """Return the most accurate of the cells that are as good as the first: proven as well, and maybe as fast."""
    first = ranked[0]
    doubt = _doubtful(first, proofs)
    equal = [cell for cell in ranked if _doubtful(cell, proofs) == doubt and (cell is first or _overlap(cell, first))]
    return max(equal, key=lambda cell: _accuracy_of(proofs.get(cell.package_sha256)))


def _overlap(one: CellRow, other: CellRow) -> bool:
    return one.low is not None and other.high is not None and one.low <= other.high


def _accuracy_of(proof: VariantRow | None) -> float:
    if proof is None:
        return 0.0
    return proof.accuracy_after if proof.accuracy_after is not None else proof.agreement or 0.0


def _compared(
    answer: Answer,
    engine: CellRow,
    gpu: CellRow,
    measured: Measured,
) -> Answer:
    """Return the answer with the Neural Engine's time over the GPU's, over the rounds that both finished."""
    if gpu.record != engine.record:
        text = f"{answer.variant}: the Neural Engine and the GPU were not measured in one run, so there is no ratio"
        return replace(answer, text=text)
    above, below = (
        measured[each.record, each.kind, each.model, each.variant, each.batch, each.unit].rounds
        for each in (engine, gpu)
    )
    figure = ratio_of_rounds(above, below)
    if figure is None:
        return replace(answer, text=f"{answer.variant}: no round measured both the Neural Engine and the GPU")
    if not figure.different or figure.low is None or figure.high is None:
        span = "a single round" if figure.low is None else f"95% interval {figure.low:.2f} to {figure.high:.2f}"
        text = (
            f"{answer.variant}: no difference shown between {_where(engine)} and {_where(gpu)} "
            f"({RATIO} {figure.ratio:.2f}, {span})"
        )
    else:
        fast, slow = (engine, gpu) if figure.ratio < 1 else (gpu, engine)
        low, high = (1 / figure.high, 1 / figure.low) if figure.ratio < 1 else (figure.low, figure.high)
        times, low_text, high_text = _times(max(figure.ratio, 1 / figure.ratio), low, high)
        text = (
            f"{answer.variant} on {_where(fast)}: {times} times as fast as on {_where(slow)}, "
            f"95% interval {low_text} to {high_text}"
        )
    return replace(
        answer,
        text=text,
        ratio=figure.ratio,
        low=figure.low,
        high=figure.high,
        rounds=figure.rounds,
        different=figure.different,
    )


def _unanswered(
    model: str,
    timings: Sequence[TimingRecord],
    conversions: Sequence[ConversionRecord],
    cells: Sequence[CellRow],
    variants: Sequence[VariantRow],
) -> Answer:
    """Return why a model has no Core ML figure, and how far it has come."""
    ready = [row for row in variants if row.model == model and row.verdict == "proven"]
    records: list[TimingRecord | ConversionRecord] = [*timings, *conversions]
    machines = {record.machine.id: record.machine for record in records}
    failed = [cell for cell in cells if cell.model == model and cell.runtime == "coreml" and cell.failure]
    mine: list[VariantRow | CellRow] = [*ready, *failed, *(cell for cell in cells if cell.model == model)]
    if failed:
        why = f"not measured: {failed[0].failure.rstrip('.')}"
    elif any(machines[row.machine].system == "macOS" for row in mine):
        why = "not measured yet"
    else:
        why = "not measured: Core ML runs on macOS only"
    packages = "package" if len(ready) == 1 else "packages"
    return Answer(
        model=model,
        machine=mine[0].machine if mine else "",
        kind="none",
        text=f"{why}; {len(ready)} {packages} proven here and ready to time." if ready else f"{why}.",
        record=mine[0].record if mine else "",
    )


def _doubtful(cell: CellRow, proofs: Proofs) -> int:
    """Return 0 for a proven variant, 1 for one without a verdict, 2 and 3 for a degraded and a wrong one.

    Outputs that were wrong where it was timed outdo every proof that it has from elsewhere.
    """
    proof = proofs.get(cell.package_sha256)
    verdicts = ("proven", "not proven", "degraded", "wrong")
    if outputs_are_wrong(cell.output_error):
        return len(verdicts)
    return 1 if proof is None or proof.verdict not in verdicts else verdicts.index(proof.verdict)


def _where(cell: CellRow) -> str:
    return where(cell.unit, cell.ran_on)


def _times(*ratios: float) -> list[str]:
    """Return ratios with one digit after the point, or with two where one would hide how they differ."""
    digits = 1 if min(ratios) >= 1.95 and len({f"{each:.1f}" for each in ratios}) == len(ratios) else 2
    return [f"{each:.{digits}f}" for each in ratios]


def _milliseconds(cell: CellRow) -> str:
    return f"{(cell.p50 or 0.0) * 1000:.3g} ms"


def _accuracy(proof: VariantRow | None) -> str:
    if proof is None:
        return ""
    if proof.accuracy_before is not None and proof.accuracy_after is not None:
        points = round((proof.accuracy_after - proof.accuracy_before) * 100, 1) + 0.0
        sign = "−" if points < 0 else "+" if points > 0 else "±"
        return f", accuracy {sign}{abs(points):.1f} points"
    if proof.agreement is not None:
        return f", same class as the original for {proof.agreement:.1%} of the pictures"
    return ""
