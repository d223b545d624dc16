"""Verdicts of whole conversions of untrained and broken networks, and of compression on random inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from coremlbench.conversion.job import conversion_exit_code
from coremlbench.conversion.sources import source_of_file
from coremlbench.report.build import build_report
from coremlbench.report.render import html, markdown
from coremlbench.report.types import Source
from coremlbench.types.conversion import Caveat, ConversionRecord, Proof
from tests.small_conversions import convert

pytestmark = [
    pytest.mark.usefixtures("own_cache"),
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore"),  # Keras and coremltools warn about each other
]


def converted(
    folder: Path, layers: list[Any], *, shape: tuple[int, ...] = (8, 8, 3), **settings: Any
) -> ConversionRecord:
    import keras

    keras.Sequential([keras.Input(shape), *layers]).save(folder / "it.keras")
    ((record, _),) = convert([source_of_file(folder / "it.keras")], folder / "results", **settings)
    return record


def proofs(record: ConversionRecord) -> dict[str, Proof]:
    assert all(variant.failure is None for variant in record.variants), record
    return {variant.name: variant.proof for variant in record.variants if variant.proof}


def small(scale: float) -> Any:
    import keras

    return keras.initializers.RandomNormal(stddev=scale, seed=1)


def test_an_untrained_network_whose_signal_float16_cannot_hold_is_not_judged(tmp_path: Path) -> None:
    import keras

    dense = keras.layers.Dense
    layers = [keras.layers.Flatten(), *(dense(16, "relu", kernel_initializer=small(2e-3)) for _ in range(5))]
    layers.append(dense(4, "softmax", kernel_initializer=small(2e-3)))
    record = converted(tmp_path, layers, variants=("fp32", "fp16"))
    found = proofs(record)
    assert found["fp32"].verdict == "proven with caveats"
    assert found["fp16"].verdict == "not judged"
    assert "`--variants fp32`" in found["fp16"].reason
    assert found["fp16"].divergence is None
    assert conversion_exit_code([record]) == 0


def test_a_network_that_always_gives_the_same_is_not_judged(tmp_path: Path) -> None:
    import keras

    # TensorFlow 2.16 folds a multiplication by zeros into a constant without a batch; beside 1, this adds nothing.
    nothing = keras.initializers.Constant(1e-30)
    layers = [keras.layers.Flatten(), keras.layers.Dense(4, kernel_initializer=nothing, bias_initializer="ones")]
    record = converted(tmp_path, layers, variants=("fp16",))
    assert proofs(record)["fp16"].verdict == "not judged"
    assert "the same outputs for every sample" in proofs(record)["fp16"].reason


def test_a_network_without_a_finite_output_is_not_judged(tmp_path: Path) -> None:
    import keras

    broken = keras.initializers.Constant(float("nan"))
    layers = [keras.layers.Flatten(), keras.layers.Dense(4, bias_initializer=broken)]
    record = converted(tmp_path, layers, variants=("fp16",))
    assert proofs(record)["fp16"].verdict == "not judged"
    assert conversion_exit_code([record]) == 0


def test_random_inputs_judge_no_compression_and_the_report_names_all_caveats(tmp_path: Path) -> None:
    import keras

    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Conv2D(24, 3, activation="relu"),
        keras.layers.Conv2D(24, 3, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(4, "softmax"),
    ]
    wide = converted(tmp_path, layers, variants=("fp16", "int8", "palettized-4"))
    assert {name: proof.verdict for name, proof in proofs(wide).items()} == {
        "fp16": "proven with caveats",
        "int8": "not judged",
        "palettized-4": "not judged",
    }
    assert "`--data drawn-food`" in proofs(wide)["int8"].reason
    (tmp_path / "narrow").mkdir()
    narrow = converted(tmp_path / "narrow", [keras.layers.Flatten(), keras.layers.Dense(4)], variants=("fp16", "int8"))
    found = proofs(narrow)
    assert [caveat.code for caveat in found["int8"].caveats] == [
        "few-images",
        "random-inputs",
        "pixel-range",
        "not-compressed",
    ]
    assert found["int8"].verdict == "proven with caveats"
    assert found["int8"].reason == found["fp16"].reason
    _check_report([wide, narrow])


def _check_report(records: list[ConversionRecord]) -> None:
    """Check that each caveat and each reason of a package that was not judged stands in all forms."""
    report = build_report([Source(record, f"{record.id}/run.json") for record in records], made="2026-01-01T00:00:00")
    shown = [proof for record in records for proof in proofs(record).values()]
    texts: set[str] = {caveat.text for proof in shown for caveat in proof.caveats}
    texts |= {proof.reason for proof in shown if proof.verdict == "not judged"}
    assert len(texts) == 7
    page, text = html.render(report).decode(), markdown.render(report).decode().replace("\\", "")
    for sentence in texts:
        assert sentence[:150].replace("'", "&#39;") in page
        assert sentence[:150] in text
    assert all(isinstance(caveat, Caveat) for proof in shown for caveat in proof.caveats)
