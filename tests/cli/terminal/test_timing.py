from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coremlbench.cli.terminal.timing import print_no_package, print_timing, round_line
from coremlbench.report.build import build_report
from coremlbench.report.render import markdown
from coremlbench.report.types import Source
from coremlbench.system.machine import describe_machine
from coremlbench.types.conversion import Caveat, ModelSource, Proof, Variant
from coremlbench.types.failure import Failure
from coremlbench.types.timing import Measurement, RooflineBound, Round, SustainedPoint, Timed, TimedModel, TimingRecord

PROOF = Proof(
    "proven",
    "",
    "reference",
    "Keras",
    500,
    "mnist",
    0.001,
    0.0,
    1.0,
    60.0,
    agreement=0.998,
    accuracy_before=0.99,
    accuracy_after=0.988,
)
MODEL = TimedModel(
    "lenet",
    ModelSource("lenet", "training-run", "keras", "model.keras", ""),
    (Variant("fp16", 1, bytes=1_200_000, proof=PROOF),),
)
FLOOR = RooflineBound(0.0005, "memory", "Apple M9", 1e13, 1e11, "a page")


def rounds(p50: float, *spread: float) -> tuple[Round, ...]:
    return tuple(
        Round(number, 0, "", 1.0, calls=1234, p50=p50 * factor, p95=p50 * 1.5, first_load_seconds=0.25)
        for number, factor in enumerate(spread or (1.0, 1.01, 0.99, 1.0, 1.0))
    )


def cell(runtime: Any, unit: Any, **known: Any) -> Measurement:
    return Measurement("lenet", "as-is" if runtime == "tensorflow" else "fp16", 1, runtime, unit, **known)


def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *rows: Measurement, **known: Any) -> str:
    monkeypatch.setenv("COLUMNS", "140")
    failed = sum(row.failure is not None for row in rows)
    outcome = Timed(len(rows) - failed, failed, known.pop("not_here", ()))
    record = TimingRecord(
        id="id",
        experiment="convert-and-time",
        started="",
        command=(),
        coremlbench="",
        machine=describe_machine(),
        engine="coreml",
        options={},
        outcome=known.pop("outcome", outcome),
    )
    known.setdefault("models", (MODEL,))
    print_timing(replace(record, measurements=rows, **known), Path("results/id"))
    return capsys.readouterr().out


def lines_with(text: str, *words: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if all(word in line for word in words)]


def test_core_ml_and_the_hosts_runtimes_stand_apart(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(
        capsys,
        monkeypatch,
        cell("coreml", "CPU_AND_GPU", rounds=rounds(0.002), ran_on="GPU", floor=FLOOR),
        cell("coreml", "CPU_AND_NE", rounds=rounds(0.001), ran_on="Neural Engine", output_error=0.002),
        cell("reference", "host-cpu", rounds=rounds(0.005)),
        cell("tensorflow", "host-cpu", rounds=rounds(0.000_04)),
    )
    assert lines_with(text, "25.0%") == ["lenet fp16 GPU 2.00 ms 3.00 ms 0.25 s 25.0% GPU"]
    assert lines_with(text, "times as fast") == ["lenet fp16 0.50 0.50 to 0.50 Neural Engine 2.00 times as fast"]
    assert lines_with(text, "lenet original") == ["lenet original TensorFlow host CPU 40.0 µs 60.0 µs"]
    assert text.index("\nCore ML\n".strip()) < text.index("Host runtimes (not Core ML)")
    assert lines_with(text, "proven") == ["lenet fp16 1.1 MiB 1.0e-03 99.8% 99.0% → 98.8% proven"]
    assert "outputs: at most 0.2% of their range from the expected ones" in text
    assert "stand-in" not in text


def test_the_table_of_packages_has_verdicts_and_caveats_below(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = Caveat("few-images", "A full proof takes 500 samples, and this one has 50.")
    proofs = (
        replace(PROOF, verdict="proven with caveats", caveats=(few,)),
        replace(PROOF, verdict="not judged", reason="Random inputs say nothing.", max_error=None, mean_error=None),
        None,
    )
    variants = tuple(
        Variant(name, 1, bytes=1_200_000, proof=proof, notes=() if proof else ("There is no original.",))  # type: ignore[arg-type]  # names of variants
        for name, proof in zip(("fp16", "int8", "palettized-4"), proofs, strict=True)
    )
    text = shown(
        capsys,
        monkeypatch,
        cell("reference", "host-cpu", rounds=rounds(0.005)),
        models=(replace(MODEL, variants=variants),),
    )
    assert lines_with(text, "lenet fp16", "MiB") == ["lenet fp16 1.1 MiB 1.0e-03 99.8% 99.0% → 98.8% proven with"]
    assert lines_with(text, "lenet int8", "MiB") == ["lenet int8 1.1 MiB ∞ 99.8% 99.0% → 98.8% not judged"]
    assert lines_with(text, "lenet palettized-4", "MiB") == ["lenet palettized-4 1.1 MiB – – – –"]
    assert f"lenet fp16: caveat: {few.text}" in text
    assert "lenet int8: not judged: Random inputs say nothing." in text
    assert "lenet palettized-4: status: not compared. There is no original." in text


def test_what_the_stand_in_ran_is_never_core_mls(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = cell("coreml", "ALL", rounds=rounds(0.001), stand_in=True)
    text = shown(capsys, monkeypatch, row)
    assert "The tests' stand-in for Core ML" in text
    assert "1.00 ms (stand-in)" in text
    assert "(stand-in)" in round_line(row, row.rounds[0])


def test_equal_units_show_no_difference(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(
        capsys,
        monkeypatch,
        cell("coreml", "CPU_AND_GPU", rounds=rounds(0.001, 1.0, 1.1, 0.9, 1.0, 1.05)),
        cell("coreml", "CPU_AND_NE", rounds=rounds(0.001, 1.1, 1.0, 1.0, 0.9, 1.0)),
    )
    assert len(lines_with(text, "no difference shown")) == 1


def test_what_ran_nobody_knows_where_bears_no_units_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(
        capsys,
        monkeypatch,
        cell("coreml", "CPU_AND_GPU", rounds=rounds(0.002), ran_on="GPU"),
        cell("coreml", "CPU_AND_NE", rounds=rounds(0.001), ran_on="not known: Core ML tells no plan"),
    )
    (line,) = lines_with(text, "times as fast")
    assert line.endswith("asked for the Neural Engine (where it ran is not known) 2.00 times as fast")


def test_terminal_and_page_tell_the_same_figures(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = cell("coreml", "CPU_AND_GPU", rounds=rounds(0.001, 1.0, 1.0, 2.0), ran_on="GPU")
    engine = cell("coreml", "CPU_AND_NE", rounds=rounds(0.0002, 1.0, 1.01, 1.99), ran_on="Neural Engine")
    text = shown(capsys, monkeypatch, gpu, engine)
    record = TimingRecord(
        id="id",
        experiment="convert-and-time",
        started="",
        command=(),
        coremlbench="",
        machine=describe_machine(),
        engine="coreml",
        options={},
        outcome=Timed(2, 0),
        models=(MODEL,),
        measurements=(gpu, engine),
    )
    report = build_report([Source(record, "id/run.json")], made="")
    page = markdown.render(report).decode()
    assert "**1.26 ms**" in page  # the geometric mean of the rounds, not the median
    assert lines_with(text, "GPU", "1.26 ms")
    (answer,) = report.answers
    assert answer.ratio is not None
    assert lines_with(text, f" {answer.ratio:.2f} ", "times as fast")
    assert f"{answer.ratio:.2f}" == "0.20"


def test_a_unit_that_failed_is_not_compared(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failure = Failure("killed", "It was killed.", "Run it again.")
    text = shown(
        capsys,
        monkeypatch,
        cell("coreml", "CPU_AND_GPU", rounds=rounds(0.002), ran_on="GPU"),
        cell("coreml", "CPU_AND_NE", rounds=rounds(0.001, 1.0, 1.0), ran_on="Neural Engine", failure=failure),
    )
    assert "times as fast" not in text
    assert "Neural Engine against GPU" not in text


def test_failures_give_one_line_of_their_reason(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failure = Failure("killed", "It was killed.\n  File nowhere, line 3", "Run it again.")
    row = cell("coreml", "ALL", rounds=(Round(0, 0, "", 1.0, failure=failure),), failure=failure)
    text = shown(capsys, monkeypatch, row, not_here=("TensorFlow has no GPU here.",), notes=("Noted.",))
    assert "convert-and-time: 0 cells timed, 1 failed" in text
    assert "lenet fp16, Core ML on all units: killed" in text
    assert "It was killed." in text
    assert "File nowhere" not in text
    assert "TensorFlow has no GPU here." in text
    assert "note: Noted." in text
    assert round_line(row, row.rounds[0]) == "  lenet fp16, Core ML on all units: failed (killed)"


def test_an_interrupted_matrix_says_how_to_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failure = Failure("interrupted", "The run was interrupted.", "`coremlbench convert-and-time --resume` goes on.")
    row = cell("reference", "host-cpu", rounds=rounds(0.001, 1.0))
    text = shown(capsys, monkeypatch, row, outcome=failure, orders=((0,), (0,)), quick=True)
    assert "convert-and-time: interrupted after 1 of 2 rounds of cells, a first look (--quick)" in text
    assert "--resume` goes on" in text
    print_no_package(["lenet fp16 was not timed."], interrupted=False)
    assert "lenet fp16 was not timed." in capsys.readouterr().out


def test_a_sustained_run_shows_how_much_slower_it_got(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    points = (SustainedPoint(10, 0.001, 0.002, 100, "nominal"), SustainedPoint(600, 0.0013, 0.002, 100, "serious"))
    text = shown(capsys, monkeypatch, cell("coreml", "ALL", rounds=rounds(0.001), sustained=points))
    assert lines_with(text, "serious") == ["lenet fp16 Core ML all units 1.00 ms 1.30 ms +30% serious"]
