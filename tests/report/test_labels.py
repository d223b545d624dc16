"""Words for the outcomes of runs."""

from dataclasses import replace
from pathlib import Path

import pytest

from coremlbench.cli.terminal.listings import print_results
from coremlbench.report.labels import outcome_label, signal_to_noise_label
from coremlbench.types.conversion import MIN_SNR_DB, Converted, Variant
from tests import record_samples as samples

NOTHING = Converted(proven=0, degraded=0, wrong=0, failed=0)
NOT_COMPARED = Variant(name="as-is", batch=1)
UNFINISHED = Variant(name="fp16", batch=1, status="unfinished")


@pytest.mark.parametrize(
    ("variants", "label"),
    [
        ((), "no variant"),
        ((NOT_COMPARED,), "1 not compared"),
        ((NOT_COMPARED, UNFINISHED, UNFINISHED), "1 not compared, 2 unfinished"),
    ],
)
def test_packages_without_a_verdict_are_counted_by_status(
    variants: tuple[Variant, ...],
    label: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    record = replace(samples.conversion(1), outcome=NOTHING, variants=variants)
    assert outcome_label(record) == label
    print_results([record], tmp_path)
    assert label in " ".join(capsys.readouterr().out.split())


def test_packages_with_a_verdict_are_counted_once() -> None:
    record = samples.conversion(1)
    assert outcome_label(record) == "2 proven, 1 proven with caveats, 1 degraded"
    mixed = replace(record, variants=(*record.variants, NOT_COMPARED))
    assert outcome_label(mixed) == "2 proven, 1 proven with caveats, 1 degraded, 1 not compared"


@pytest.mark.parametrize(
    ("ratio", "images", "label"),
    [(35.4, 500, "35 dB"), (None, 500, "∞ dB"), (None, 0, "–"), (MIN_SNR_DB, 500, "none"), (-199.0, 1, "-199 dB")],
)
def test_ratios_that_are_no_number_are_told_in_a_word(ratio: float | None, images: int, label: str) -> None:
    assert signal_to_noise_label(ratio, images) == label
