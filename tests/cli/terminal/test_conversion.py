from dataclasses import replace
from pathlib import Path

import pytest

from coremlbench.cli.terminal.conversion import print_conversions
from coremlbench.types.conversion import Caveat, ConversionRecord, Divergence, Variant
from coremlbench.types.failure import Failure
from tests.record_samples import conversion

RECORD = conversion(3)
FIRST = RECORD.variants[0]
assert FIRST.proof is not None
PROOF = FIRST.proof
ROUND = replace(PROOF, accuracy_before=1.0, accuracy_after=1.0, agreement=1.0)
LOST = replace(PROOF, verdict="wrong", max_error=1.234e10, range=1.0, signal_to_noise=-12.4, accuracy_after=0.0)
FIGURES = (
    replace(FIRST, name="fp32", bytes=1023 << 20, proof=replace(ROUND, signal_to_noise=None)),
    replace(FIRST, name="int8-activations", bytes=int(123.8 * (1 << 20)), proof=replace(ROUND, verdict="degraded")),
    replace(FIRST, name="palettized-4", bytes=5000, proof=LOST),
)


def shown(capsys: pytest.CaptureFixture[str], *variants: tuple[Variant, ...]) -> list[str]:
    records: list[tuple[ConversionRecord, Path]] = [
        (replace(RECORD, experiment=f"model {number}", variants=each), Path("results") / "it")
        for number, each in enumerate(variants)
    ]
    print_conversions(records)
    return capsys.readouterr().out.splitlines()


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_all_figures_of_all_models_fit_into_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, (*FIGURES, *(replace(each, batch=16) for each in FIGURES)), FIGURES)
    assert [line.split(" from ")[0] for line in lines if line.startswith("model")] == ["model 0", "model 1"]
    error, same = f"{PROOF.relative_error:.1e}", "100.0% 100.0→100.0%"
    for row in (
        f"fp32 1023.0 MiB {error} ∞ dB {same} proven",
        f"int8-activations 123.8 MiB {error} 61 dB {same} degraded",
        "palettized-4 5 KiB 1.2e+10 -12 dB 99.6% 81.1→0.0% wrong",
    ):
        assert [" ".join(line.split()) for line in lines].count(row) == 3
    names = ("variant", "─", *(each.name for each in FIGURES))
    rows = [line for line in lines if line.startswith(names) and ": " not in line]
    assert len(rows) == 3 * 5
    assert max(map(len, rows)) <= 80
    assert [line.strip() for line in lines if line.startswith("batch")] == ["batch 16"]


def test_notes_are_told_once_and_say_of_which_packages(capsys: pytest.CaptureFixture[str]) -> None:
    one = replace(FIRST, name="int8", notes=("The ranges were taken.",), reused=True)
    eight = replace(one, batch=8, proof=replace(PROOF, verdict="wrong", divergence=Divergence("x", "conv", 0.4, "c2")))
    crash = Failure("segmentation-fault", "It crashed.", "Do this.")
    failed = replace(FIRST, name="fp32", batch=8, bytes=0, proof=None, failure=crash)
    lines = shown(capsys, (one, eight, failed))
    assert lines.count("int8, int8 (batch 8): The ranges were taken.") == 1
    assert [line for line in lines if "ranges were taken" in line and "batch 8" not in line] == []
    assert "int8, int8 (batch 8): converted before from the same source and taken from the cache" in lines
    assert f"int8 (batch 8): wrong, as {PROOF.reason}" in lines
    assert any(
        line.startswith("int8 (batch 8): the first op that parts from the original is x (conv)") for line in lines
    )
    assert "fp32 (batch 8): failed (segmentation-fault): It crashed. Do this." in lines
    assert ["fp32", "–", "–", "–", "–", "–", "–"] in [line.split() for line in lines]


def test_a_file_is_told_by_its_path_also_one_that_could_not_be_opened(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert RECORD.source is not None
    file = replace(RECORD.source, kind="file", training_run="", experiment="", name="seq")
    for path in ("seq.keras", "old/seq.h5"):
        source = replace(file, path=str(tmp_path / path))
        print_conversions([(replace(RECORD, experiment="seq", source=source), tmp_path)])
        assert f"\nseq from {path}\n" in capsys.readouterr().out
    crash = Failure("input", "It is empty.", "Copy it again.")
    options = {"path": str(tmp_path / "bad.keras")}
    print_conversions(
        [(replace(RECORD, experiment="bad", source=None, options=options, variants=(), outcome=crash), tmp_path)]
    )
    assert "\nbad from bad.keras: failed – input\nIt is empty.\n" in capsys.readouterr().out


CAVEATS = (
    Caveat("low-variance", "The original gives nearly the same outputs for every sample."),
    Caveat("few-images", "A full proof takes 500 samples, and this one has 12."),
)


def test_caveats_are_named_below_a_verdict_of_two_lines(capsys: pytest.CaptureFixture[str]) -> None:
    few = replace(FIRST, name="fp32", proof=replace(ROUND, verdict="proven with caveats", caveats=CAVEATS))
    long = replace(few, name="int8-activations", bytes=int(123.8 * (1 << 20)))
    lines = shown(capsys, (few, long))
    rows = [
        number for number, line in enumerate(lines) if line.startswith(("fp32 ", "int8-activations ")) and "%" in line
    ]
    assert len(rows) == 2
    for number in rows:
        assert lines[number].endswith("proven with")
        assert lines[number + 1].strip() == "caveats"
        assert len(lines[number]) <= 80
    for caveat in CAVEATS:
        assert lines.count(f"fp32, int8-activations: caveat: {caveat.text}") == 1


def test_a_package_that_was_not_judged_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    proof = replace(ROUND, verdict="not judged", reason="Random inputs say nothing of compression: give --data.")
    lines = shown(capsys, (replace(FIRST, name="int8", proof=proof), replace(FIRST, name="fp16", proof=None)))
    assert "int8: not judged: Random inputs say nothing of compression: give --data." in lines
    assert [line.split()[-2:] for line in lines if line.startswith(("int8 ", "fp16 "))] == [
        ["not", "judged"],
        ["–", "–"],
    ]
    assert "fp16: status: not compared" in lines


def test_an_error_that_is_no_number_is_shown_as_infinite(capsys: pytest.CaptureFixture[str]) -> None:
    proof = replace(LOST, max_error=None, mean_error=None, non_finite_values=4)
    lines = shown(capsys, (replace(FIRST, name="fp16", proof=proof),))
    assert [line.split()[3] for line in lines if line.startswith("fp16 ")] == ["∞"]
