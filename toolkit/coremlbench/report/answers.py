"""The report's answers: where each model should run, in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from coremlbench.report.labels import (
    LEVEL_LABEL,
    NO_VERDICT,
    RATIO_LABEL,
    UNIT_LABELS,
    failed_after,
    output_error_phrase,
    outputs_are_wrong,
    unit_phrase,
    verdict_with_caveats,
)
from coremlbench.report.timing import figure_kind, proofs_by_package
from coremlbench.report.types import Answer, CellRow, VariantRow
from coremlbench.timing.statistics import Ratio, ratio_of_rounds
from coremlbench.types.conversion import PROVEN, ConversionRecord
from coremlbench.types.timing import Measurement, TimingRecord

Measurements = dict[tuple[str, str, str, str, int, str], Measurement]
"""Measurements by record, kind, model, variant, batch and unit."""
Proofs = dict[str, VariantRow]
"""Packages with a proof, by their SHA-256."""
GPU, ENGINE = "CPU_AND_GPU", "CPU_AND_NE"
VERDICTS = ("proven", "proven with caveats", "not judged", NO_VERDICT, "degraded", "wrong")
"""Verdicts, and ``NO_VERDICT`` of a package without one, from the best to the worst."""


@dataclass(frozen=True)
class _Candidates:
    """The cells of one model, machine and kind that can be the answer, best first, and the first of them.

    ``by_unit`` has the cells of the best variant in that batch, also those that failed.
    """

    ranked: Sequence[CellRow]
    best: CellRow
    by_unit: dict[str, CellRow]

    @property
    def correct(self) -> list[CellRow]:
        """Return the cells whose outputs are within the allowed error or were not compared."""
        return [cell for cell in self.ranked if not outputs_are_wrong(cell.output_error)]


def build_answers(
    timings: Sequence[TimingRecord],
    conversions: Sequence[ConversionRecord],
    cells: Sequence[CellRow],
    variants: Sequence[VariantRow],
) -> tuple[Answer, ...]:
    """Return an answer for each model, machine and runner: of Core ML, then of the stand-in, then of the others.

    A model without a timing on a Core ML unit has one answer of kind ``none``, which says why.
    """
    proofs = proofs_by_package(conversions, timings)
    measurements: Measurements = {
        (record.id, figure_kind(cell), cell.model, cell.variant, cell.batch, cell.unit): cell
        for record in timings
        for cell in record.measurements
        if cell.runtime == "coreml"
    }
    groups: dict[tuple[str, str, str, str], list[CellRow]] = {}
    for cell in cells:
        groups.setdefault((cell.machine, cell.kind, cell.model, cell.runner), []).append(cell)
    answers = []
    for (_, kind, model, _), group in groups.items():
        coreml_cells = [cell for cell in group if cell.runtime == "coreml"]
        if kind != "host" and any(_has_figure(cell) for cell in coreml_cells):
            answers.append(_answer(model, coreml_cells, measurements, proofs))
    answered = {answer.model for answer in answers}
    models = dict.fromkeys([*(row.model for row in variants), *(cell.model for cell in cells)])
    answers += [_no_answer(model, timings, conversions, cells, variants) for model in models if model not in answered]
    order = {"core-ml": 0, "stand-in": 1, "none": 2}
    return tuple(sorted(answers, key=lambda answer: (order[answer.kind], answer.model, answer.machine)))


def _has_figure(cell: CellRow) -> bool:
    return cell.p50 is not None and not cell.failure


def _answer(model: str, cells: Sequence[CellRow], measurements: Measurements, proofs: Proofs) -> Answer:
    """Return the answer for the best variant of a model: its units compared, or the best unit alone."""
    candidates = _candidates(cells, proofs)
    best, correct = candidates.best, candidates.correct
    answer = Answer(
        model=model,
        machine=best.machine,
        kind="stand-in" if best.kind == "stand-in" else "core-ml",
        text="",
        variant=best.variant,
        record=best.record,
        runner=best.runner,
    )
    proof = proofs.get(best.package_sha256)
    accuracy = _accuracy_phrase(proof)
    engine, gpu = candidates.by_unit.get(ENGINE), candidates.by_unit.get(GPU)
    if engine in correct and gpu in correct:
        answer = _compare_units(answer, engine, gpu, measurements)
        text = answer.text + accuracy
    else:
        text = _single_unit_text(candidates, accuracy)
    batches = f"; batches of {best.batch}" if best.batch != 1 else ""
    remarks = f"{batches}{'; random weights' if best.random_weights else ''}"
    remarks += f"{'; native runner' if best.runner == 'native' else ''}{'; a quick look' if best.quick else ''}"
    return replace(answer, text=f"{text}{_verdict_phrase(proof)}{remarks}.")


def _candidates(cells: Sequence[CellRow], proofs: Proofs) -> _Candidates:
    """Return the cells of the smallest batch that have a figure and did not fail, by verdict and then by time.

    The best is the most accurate of those whose verdict is the first one's and whose interval overlaps with its own.
    """
    timed = [cell for cell in cells if _has_figure(cell)]
    batch = min(cell.batch for cell in timed)
    ranked = sorted(
        (cell for cell in timed if cell.batch == batch),
        key=lambda cell: (_verdict_rank(cell, proofs), cell.p50 or 0.0),
    )
    best = _most_accurate(ranked, proofs)
    by_unit = {cell.unit: cell for cell in cells if (cell.variant, cell.batch) == (best.variant, batch)}
    return _Candidates(ranked, best, by_unit)


def _single_unit_text(candidates: _Candidates, accuracy: str) -> str:
    """Return the time on the best unit, and why the Neural Engine, the GPU or both are not compared with it."""
    best, correct = candidates.best, candidates.correct
    missing = " and ".join(
        f"the {UNIT_LABELS[unit]} {_why_missing(candidates.by_unit.get(unit))}"
        for unit in (ENGINE, GPU)
        if unit != best.unit and candidates.by_unit.get(unit) not in correct
    )
    outputs = accuracy if best in correct else f", but with {output_error_phrase(best.output_error)}"
    return f"{best.variant} on {_unit_phrase(best)}: {_milliseconds(best)} a call{outputs}; {missing}"


def _why_missing(cell: CellRow | None) -> str:
    if cell is None:
        return "was not measured"
    return failed_after(cell.rounds) if cell.failure else f"gave {output_error_phrase(cell.output_error)}"


def _most_accurate(ranked: Sequence[CellRow], proofs: Proofs) -> CellRow:
    """Return the most accurate cell among those with the first one's verdict and an interval that overlaps its own."""
    first = ranked[0]
    rank = _verdict_rank(first, proofs)
    equal = [
        cell for cell in ranked if _verdict_rank(cell, proofs) == rank and (cell is first or _overlap(cell, first))
    ]
    return max(equal, key=lambda cell: _accuracy(proofs.get(cell.package_sha256)))


def _overlap(slower: CellRow, faster: CellRow) -> bool:
    return slower.low is not None and faster.high is not None and slower.low <= faster.high


def _accuracy(proof: VariantRow | None) -> float:
    """Return the accuracy, else the agreement with the original, else 0."""
    if proof is None:
        return 0.0
    return proof.accuracy_after if proof.accuracy_after is not None else proof.agreement or 0.0


def _compare_units(answer: Answer, engine: CellRow, gpu: CellRow, measurements: Measurements) -> Answer:
    """Return the answer with the ratio of the Neural Engine's time to the GPU's, over the rounds that both finished."""
    if gpu.record != engine.record:
        text = f"{answer.variant}: the Neural Engine and the GPU were not measured in one run, so there is no ratio"
        return replace(answer, text=text)
    engine_rounds, gpu_rounds = (
        measurements[cell.record, cell.kind, cell.model, cell.variant, cell.batch, cell.unit].rounds
        for cell in (engine, gpu)
    )
    ratio = ratio_of_rounds(engine_rounds, gpu_rounds)
    if ratio is None:
        return replace(answer, text=f"{answer.variant}: no round measured both the Neural Engine and the GPU")
    return replace(
        answer,
        text=f"{answer.variant}{_ratio_text(ratio, engine, gpu)}",
        ratio=ratio.ratio,
        low=ratio.low,
        high=ratio.high,
        rounds=ratio.rounds,
        different=ratio.different,
        engine_medians=ratio.numerator,
        gpu_medians=ratio.denominator,
    )


def _ratio_text(ratio: Ratio, engine: CellRow, gpu: CellRow) -> str:
    """Return how many times as fast the faster unit is, or that no difference is shown, with the interval."""
    if not ratio.different or ratio.low is None or ratio.high is None:
        span = "a single round" if ratio.low is None else f"{LEVEL_LABEL} {ratio.low:.2f} to {ratio.high:.2f}"
        return (
            f": no difference shown between {_unit_phrase(engine)} and {_unit_phrase(gpu)} "
            f"({RATIO_LABEL} {ratio.ratio:.2f}, {span})"
        )
    if ratio.ratio < 1:
        fast, slow, speedup, low, high = engine, gpu, 1 / ratio.ratio, 1 / ratio.high, 1 / ratio.low
    else:
        fast, slow, speedup, low, high = gpu, engine, ratio.ratio, ratio.low, ratio.high
    speedup_text, low_text, high_text = _format_ratios(speedup, low, high)
    return (
        f" on {_unit_phrase(fast)}: {speedup_text} times as fast as on {_unit_phrase(slow)}, "
        f"{LEVEL_LABEL} {low_text} to {high_text}"
    )


def _no_answer(
    model: str,
    timings: Sequence[TimingRecord],
    conversions: Sequence[ConversionRecord],
    cells: Sequence[CellRow],
    variants: Sequence[VariantRow],
) -> Answer:
    """Return why a model has no Core ML figure, and how many of its packages are proven."""
    proven = [row for row in variants if row.model == model and row.verdict in PROVEN]
    model_cells = [cell for cell in cells if cell.model == model]
    failed = [cell for cell in model_cells if cell.runtime == "coreml" and cell.failure]
    rows: list[VariantRow | CellRow] = [*proven, *failed, *model_cells]
    records: list[TimingRecord | ConversionRecord] = [*timings, *conversions]
    systems = {record.machine.id: record.machine.system for record in records}
    if failed:
        reason = f"not measured: {failed[0].failure.rstrip('.')}"
    elif any(systems[row.machine] == "macOS" for row in rows):
        reason = "not measured yet"
    else:
        reason = "not measured: Core ML runs on macOS only"
    packages = "package" if len(proven) == 1 else "packages"
    with_caveats = sum(row.verdict == "proven with caveats" for row in proven)
    caveats = f" ({with_caveats} with caveats)" if with_caveats else ""
    return Answer(
        model=model,
        machine=rows[0].machine if rows else "",
        kind="none",
        text=f"{reason}; {len(proven)} {packages} proven{caveats} here and ready to time." if proven else f"{reason}.",
        record=rows[0].record if rows else "",
    )


def _verdict_rank(cell: CellRow, proofs: Proofs) -> int:
    """Return the place of the package's verdict in ``VERDICTS``.

    It is the last where the timed outputs were wrong, whatever proof the package has from another machine.
    """
    if outputs_are_wrong(cell.output_error):
        return len(VERDICTS)
    proof = proofs.get(cell.package_sha256)
    return VERDICTS.index(proof.verdict if proof is not None and proof.verdict in VERDICTS else NO_VERDICT)


def _unit_phrase(cell: CellRow) -> str:
    return unit_phrase(cell.unit, cell.ran_on)


def _format_ratios(*ratios: float) -> list[str]:
    """Return ratios with one decimal, or with two where one would make different ratios look equal."""
    decimals = 1 if min(ratios) >= 1.95 and len({f"{ratio:.1f}" for ratio in ratios}) == len(ratios) else 2
    return [f"{ratio:.{decimals}f}" for ratio in ratios]


def _milliseconds(cell: CellRow) -> str:
    return f"{(cell.p50 or 0.0) * 1000:.3g} ms"


def _verdict_phrase(proof: VariantRow | None) -> str:
    """Return "; the package is degraded", for instance, and "" for a proven one and without a proof."""
    if proof is None or proof.verdict == "proven":
        return ""
    return f"; the package is {verdict_with_caveats(proof.verdict, proof.caveat_codes)}"


def _accuracy_phrase(proof: VariantRow | None) -> str:
    """Return ", accuracy −0.1 points", or the agreement with the original, or "" where neither is known."""
    if proof is None:
        return ""
    if proof.accuracy_before is not None and proof.accuracy_after is not None:
        points = round((proof.accuracy_after - proof.accuracy_before) * 100, 1) + 0.0
        sign = "−" if points < 0 else "+" if points > 0 else "±"
        return f", accuracy {sign}{abs(points):.1f} points"
    if proof.agreement is not None:
        return f", same class as the original for {proof.agreement:.1%} of the samples"
    return ""
