"""Whole conversions of files that Keras 2 saved, with real workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from coremlbench.conversion.sources import source_of_file
from coremlbench.types.conversion import Converted
from tests.keras2_files import save, sequential, teachable_machine
from tests.small_conversions import Made, convert

pytestmark = [
    pytest.mark.usefixtures("own_cache"),
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore"),  # Keras and coremltools warn about each other
]


@pytest.fixture(scope="module")
def teachable(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Made:
    folder = tmp_path_factory.mktemp("converted_keras")
    file = teachable_machine(folder, "0 青い\n1 red stripes\n2 grüne Punkte\n")  # in the order of its making
    (made,) = convert([source_of_file(file.path)], folder / "results", data=str(pictures), variants=("fp32",))
    return made


def test_the_record_of_teachable_machine_s_model(teachable: Made) -> None:
    record, _ = teachable
    source = record.source
    assert source is not None
    assert (source.format, source.classes_from) == ("keras-2", "labels.txt")
    assert source.classes == ("青い", "red stripes", "grüne Punkte")
    assert {"TensorFlow", "tf_keras"} <= record.versions.keys()
    assert any("Keras 2.7.0 saved the model" in note for note in record.notes)
    (variant,) = record.variants
    assert variant.failure is None
    assert variant.proof is not None
    assert variant.proof.signal_to_noise is not None
    assert variant.proof.signal_to_noise > 80
    assert variant.proof.accuracy_before == variant.proof.accuracy_after is not None
    assert "tf_keras" in variant.proof.original


def test_names_beside_a_model_that_are_not_its_outputs_leave_no_trace_in_the_source(tmp_path: Path) -> None:
    model = sequential((16,), lambda layers: [layers.Dense(8, activation="hard_sigmoid"), layers.Dense(3)])
    (tmp_path / "labels.txt").write_text("one\ntwo\n")
    file = save(model, tmp_path / "model.h5", version=None)
    (made,) = convert([source_of_file(file.path)], tmp_path / "results")
    record, _ = made
    assert isinstance(record.outcome, Converted)
    assert record.source is not None
    assert (record.source.classes, record.source.classes_from) == ((), "")
    (variant,) = record.variants
    assert variant.proof is not None
    assert "original" in {caveat.code for caveat in variant.proof.caveats}
    assert variant.proof.verdict == "proven with caveats"
