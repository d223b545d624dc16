"""What a matrix remembers of how model files were opened, and models that only Core ML executes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coremlbench.conversion.options import ConvertOptions
from coremlbench.runs import store
from coremlbench.system.files import hash_file
from coremlbench.timing.convert_and_time import convert_and_time
from coremlbench.timing.kit import MANIFEST, read_kit
from coremlbench.timing.matrix import time_models
from coremlbench.timing.resume import resume
from coremlbench.types.conversion import ConversionRecord, ModelFileOptions
from coremlbench.types.errors import InputError
from coremlbench.types.timing import Timed, TimingRecord
from tests.mil_programs import Builder, ct, get_new_symbol
from tests.timed_packages import TINY, UNITS, behave, plain_package, quick_machine, quiet, timing_input_of

COMMAND = ["coremlbench", "convert-and-time"]
ONE_ROUND = replace(TINY, rounds=1, runtimes=("reference",))

pytestmark = [pytest.mark.tensorflow, pytest.mark.filterwarnings("ignore")]  # coremltools imports TensorFlow, and warns


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COREMLBENCH_CACHE", str(tmp_path / "cache"))


def neural_network(folder: Path) -> Path:
    """Return a model of the form before ML Programs, of two inputs, which the reference runtime does not execute."""
    array = ct.models.datatypes.Array
    builder = ct.models.neural_network.NeuralNetworkBuilder(
        [("image", array(3, 4, 4)), ("more", array(3, 4, 4))], [("y", array(3, 4, 4))]
    )
    builder.add_elementwise("sum", ["image", "more"], "y", "ADD")
    ct.utils.save_spec(builder.spec, str(folder / "old.mlmodel"))
    return folder / "old.mlmodel"


def pipeline(folder: Path) -> Path:
    """Return a pipeline of one model."""
    array = ct.models.datatypes.Array
    made = ct.models.pipeline.Pipeline([("image", array(4))], ["y"])
    builder = ct.models.neural_network.NeuralNetworkBuilder([("image", array(4))], [("y", array(4))])
    builder.add_activation("relu", "RELU", "image", "y")
    made.add_model(builder.spec)
    ct.utils.save_spec(made.spec, str(folder / "old.mlmodel"))
    return folder / "old.mlmodel"


@pytest.mark.parametrize("make", [neural_network, pipeline])
def test_a_model_that_only_core_ml_executes_goes_to_a_mac_in_a_kit_marked_as_not_compared(
    tmp_path: Path, make: Any
) -> None:
    model, kit = make(tmp_path), tmp_path / "kit"
    arguments: dict[str, Any] = {"results": tmp_path / "results", "command": COMMAND, "on_progress": quiet}
    with pytest.raises(InputError, match=r"--kit kit --results .*` packs it for a Mac"):
        convert_and_time([str(model)], ConvertOptions(), ONE_ROUND, **arguments)
    done = convert_and_time([str(model)], ConvertOptions(), ONE_ROUND, kit=kit, **arguments)
    assert (done.exit_code, done.timing is not None) == (0, True)
    assert done.timing is not None
    record, _ = done.timing
    assert (record.outcome, record.measurements) == (Timed(cells=0, failed=0), ())
    (note,) = [note for note in record.notes if note.startswith("old: old.mlmodel ")]
    assert "Only Core ML executes old, so no other runtime was timed." in record.notes
    assert not any("expected outputs" in note for note in record.notes)
    (converted,) = [item for item in store.load_all(tmp_path / "results")[0] if isinstance(item, ConversionRecord)]
    (variant,) = converted.variants
    assert (variant.name, variant.only_core_ml, variant.proof, variant.failure) == ("as-is", True, None, None)

    manifest = json.loads((kit / MANIFEST).read_text())
    (packed,) = manifest["models"][0]["variants"]
    assert packed["only_core_ml"]
    assert note.removeprefix("old: ") in packed["notes"]
    assert manifest["packages"][0]["expected"] is None
    back = read_kit(kit)
    (package,) = back.timing_input.packages
    assert package.path.suffix == ".mlmodel"
    assert package.path.read_bytes() == model.read_bytes()
    assert package.inputs is not None
    with np.load(package.inputs) as inputs:
        assert "image" in inputs
    on_a_mac, _ = time_models(back.timing_input, TINY, capabilities=quick_machine(behave(tmp_path), UNITS), **arguments)
    assert {row.runtime for row in on_a_mac.measurements} == {"coreml"}
    assert on_a_mac.outcome == Timed(cells=4, failed=0)
    assert note in on_a_mac.notes


def test_the_requested_size_of_a_flexible_package_is_timed_and_goes_along_in_a_kit(tmp_path: Path) -> None:
    @Builder.program(
        input_specs=[Builder.TensorSpec(shape=(1, 3, get_new_symbol(), 8))], opset_version=ct.target.macOS13
    )
    def program(x: Any) -> Any:
        return Builder.reduce_mean(x=x, axes=[2, 3], name="y")

    inputs = [ct.ImageType(name="x", shape=(1, 3, ct.RangeDim(4, 16, default=8), 8))]
    settings = {"convert_to": "mlprogram", "minimum_deployment_target": ct.target.macOS13, "skip_model_load": True}
    ct.convert(program, inputs=inputs, **settings).save(str(tmp_path / "m.mlpackage"))
    arguments: dict[str, Any] = {"results": tmp_path / "results", "command": COMMAND, "on_progress": quiet}
    options = ConvertOptions(input_shape=(12, 8, 3), images=4)
    done = convert_and_time([str(tmp_path / "m.mlpackage")], options, ONE_ROUND, kit=tmp_path / "kit", **arguments)
    assert done.timing is not None
    record, _ = done.timing
    assert record.outcome == Timed(cells=1, failed=0)
    assert record.measurements[0].output_error == 0
    (package,) = read_kit(tmp_path / "kit").timing_input.packages
    assert package.file_options == record.models[0].source.file_options == ModelFileOptions(input_shape=(12, 8, 3))
    assert package.inputs is not None
    with np.load(package.inputs) as arrays:
        assert arrays["x"].shape == (TINY.samples, 12, 8, 3)

    shapes = ((8, 8, 3), (12, 8, 3))
    several = ConvertOptions(images=4)
    swept = convert_and_time([str(tmp_path / "m.mlpackage")], several, ONE_ROUND, shapes=shapes, **arguments)
    assert swept.timing is not None
    record, _ = swept.timing
    assert record.outcome == Timed(cells=2, failed=0)
    assert [row.model for row in record.measurements] == ["m-8x8x3", "m-12x8x3"]
    assert tuple(model.source.file_options.input_shape for model in record.models) == shapes
    assert all(row.output_error == 0 and row.rounds[0].peak_bytes > 0 for row in record.measurements)


def interrupted(folder: Path, custom_objects: Path) -> TimingRecord:
    """Return an interrupted matrix with a TensorFlow row, whose original has classes of its own."""
    original = folder / "one.keras"
    original.write_text("the network")
    options = ModelFileOptions(
        signature="s", custom_objects=str(custom_objects), custom_objects_sha256=hash_file(custom_objects)
    )
    given = timing_input_of([plain_package(folder, "one")])
    source = replace(given.models[0].source, sha256=hash_file(original), file_options=options)
    package = replace(given.packages[0], original=original, file_options=options)
    given = replace(given, models=(replace(given.models[0], source=source),), packages=(package,))
    machine = quick_machine(
        behave(folder, **{"one host-cpu": "interrupt"}), {"reference": ("host-cpu",), "tensorflow": ("host-cpu",)}
    )
    record, _ = time_models(
        given, TINY, results=folder / "results", command=COMMAND, on_progress=quiet, capabilities=machine
    )
    return record


def test_a_matrix_goes_on_only_with_the_same_classes_of_ones_own(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text("class Mine: ...")
    record = interrupted(tmp_path, mine)
    assert record.models[0].source.file_options.signature == "s"

    def go_on() -> TimingRecord:
        units: Any = {"reference": ("host-cpu",), "tensorflow": ("host-cpu",)}
        machine = quick_machine(behave(tmp_path), units)
        arguments: dict[str, Any] = {"command": COMMAND, "on_progress": quiet, "capabilities": machine}
        return resume("", results=tmp_path / "results", **arguments)[0]

    mine.write_text("class Mine: pass")
    with pytest.raises(InputError, match=r"mine.py is not the --custom-objects file that the matrix was begun with"):
        go_on()
    mine.unlink()
    with pytest.raises(InputError, match=r"mine.py is not the --custom-objects file"):
        go_on()
    mine.write_text("class Mine: ...")
    assert go_on().outcome == Timed(cells=2, failed=0)


def test_a_kit_holds_no_path_of_the_machine_that_made_it(tmp_path: Path) -> None:
    from coremlbench.timing.kit import write_kit

    (tmp_path / "secret").mkdir()
    options = ModelFileOptions(custom_objects=str(tmp_path / "secret" / "mine.py"), custom_objects_sha256="0123")
    given = timing_input_of([plain_package(tmp_path, "one")])
    np.savez(tmp_path / "in.npz", x=np.zeros((2, 3)))
    source = replace(given.models[0].source, file_options=options)
    given = replace(
        given,
        models=(replace(given.models[0], source=source),),
        packages=(replace(given.packages[0], inputs=tmp_path / "in.npz"),),
    )
    write_kit(given, TINY, tmp_path / "kit")
    assert "secret" not in (tmp_path / "kit" / MANIFEST).read_text()
    (package,) = read_kit(tmp_path / "kit").timing_input.packages
    assert package.file_options == replace(options, custom_objects="mine.py")
