"""Whole conversions with real workers: packages and records, crashes, interruptions, wrong packages."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coremlbench.conversion.job import conversion_exit_code, drop_inapplicable
from coremlbench.conversion.options import ConvertOptions
from coremlbench.conversion.sources import random_weights_source, resolve_model, source_of_file, source_of_run
from coremlbench.runs import store
from coremlbench.system.files import hash_folder, slug
from coremlbench.types.conversion import Converted, ModelFileOptions, Variant
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Failure
from coremlbench.types.process import Progress
from coremlbench.types.training_records import TrainingRecord
from tests.small_conversions import Made, convert, ready_package
from tests.small_runs import CLASSES, createml_run, tinyvgg_run
from tests.spoilt import spoil
from tests.standing_worker import COMMAND_LINE, point, python_that_stands, stand_at

pytestmark = [
    pytest.mark.usefixtures("own_cache"),
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore"),  # Keras and coremltools warn about each other
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def trained(results: Path, pictures: Path) -> TrainingRecord:
    return tinyvgg_run(results, pictures)


@pytest.fixture(scope="module")
def converted(results: Path, trained: TrainingRecord) -> Made:
    source = resolve_model("tinyvgg", results=results)
    assert source.training_run == trained.id
    (made,) = convert([source], results, variants=("all",), batches=(1, 4), save_onnx=True)
    return made


def find_variant(made: Made, name: str, batch: int = 1) -> Variant:
    (match,) = [variant for variant in made[0].variants if (variant.name, variant.batch) == (name, batch)]
    return match


# --- packages and records -----------------------------------------------------------------------------------


def test_every_variant_is_proven_or_degraded_in_both_batches(converted: Made) -> None:
    record, folder = converted
    assert isinstance(record.outcome, Converted), record.outcome
    names = ["fp32", "fp16", "int8", "palettized-6", "palettized-4", "int8-activations"]
    assert [(variant.name, variant.batch) for variant in record.variants] == [
        (name, batch) for name in names for batch in (1, 4)
    ]
    assert [variant.failure for variant in record.variants] == [None] * 12
    verdicts = {(variant.name, variant.batch): variant.proof and variant.proof.verdict for variant in record.variants}
    assert {verdicts[name, batch] for name in ("fp32", "fp16") for batch in (1, 4)} == {"proven with caveats"}
    assert set(verdicts.values()) <= {"proven with caveats", "degraded"}, "real images judge every variant"
    for variant in record.variants:
        assert variant.proof is not None
        assert "few-images" in [caveat.code for caveat in variant.proof.caveats]
    assert (record.outcome.wrong, record.outcome.failed) == (0, 0)
    assert conversion_exit_code([record]) == 0
    assert store.load(folder) == record


def test_the_proof_tells_what_was_compared(converted: Made) -> None:
    proof = find_variant(converted, "fp32").proof
    assert proof is not None
    assert (proof.images, proof.data) == (20, "test images of pictures0")
    assert "TensorFlow 2." in proof.original
    assert proof.original.endswith("logits compared")
    assert proof.relative_error is not None
    assert proof.relative_error < 1e-4
    assert proof.accuracy_before == proof.accuracy_after
    assert proof.agreement == 1.0
    proofs: list[Any] = [find_variant(converted, name).proof for name in ("fp32", "fp16", "int8", "palettized-4")]
    errors = [proof.relative_error for proof in proofs]
    assert errors == sorted(errors)


def test_the_packages_are_classifiers_of_pictures_with_metadata(converted: Made, trained: TrainingRecord) -> None:
    import coremltools

    record, folder = converted
    for variant in record.variants:
        assert hash_folder(folder / variant.path) == (variant.sha256, variant.bytes)
        description = coremltools.utils.load_spec(str(folder / variant.path)).description
        assert description.metadata.author == "coremlbench"
        assert description.metadata.userDefined["training run"] == trained.id
        assert description.metadata.userDefined["variant"] == variant.name
        kind = description.input[0].type.WhichOneof("Type")
        if variant.batch == 1:
            assert kind == "imageType"
            assert description.predictedFeatureName == "classLabel"
            assert list(_labels(folder / variant.path)) == list(CLASSES)
        else:
            assert list(description.input[0].type.multiArrayType.shape) == [4, 32, 32, 3]


def _labels(package: Path) -> tuple[str | int, ...]:
    from coremlbench.runtimes.reference import ReferenceRuntime

    return ReferenceRuntime.load(package, threads=1).classes


def test_what_a_package_is_made_of(converted: Made) -> None:
    fp32, int8 = find_variant(converted, "fp32"), find_variant(converted, "int8")
    pixels = 30 * 30 * 10 * 27 + 28 * 28 * 10 * 90 + 12 * 12 * 10 * 90 + 10 * 10 * 10 * 90
    assert fp32.arithmetic == pixels + 3 * 250
    assert find_variant(converted, "fp32", 4).arithmetic == 4 * pixels + 4 * 3 * 250
    assert fp32.ops["conv"] == 4
    assert int8.notes == ()
    assert int8.proof is not None
    caveats = {caveat.code: caveat.text for caveat in int8.proof.caveats}
    assert caveats["not-compressed"].startswith("No weight was compressed: coremltools leaves those of up to 2,048")
    assert int8.proof.reason == find_variant(converted, "fp16").proof.reason, "it is judged as what it is"  # type: ignore[union-attr]
    assert {"quantize", "dequantize"} <= set(find_variant(converted, "int8-activations").ops)
    assert fp32.weight_bytes > 1.8 * find_variant(converted, "fp16").weight_bytes > 0
    assert (fp32.target, find_variant(converted, "int8-activations").target) == ("macOS13", "macOS14")
    assert "bars the Neural Engine" in fp32.precision_note
    (note,) = find_variant(converted, "int8-activations").notes
    assert "reference runtime, from 64 training images of pictures0" in note


def test_the_folder_holds_the_packages_and_their_graphs_and_nothing_else(
    converted: Made, results: Path, trained: TrainingRecord
) -> None:
    import keras

    from coremlbench_models import NETWORKS

    record, folder = converted
    expected = {
        "run.json",
        "logs",
        *(variant.path for variant in record.variants),
        *(variant.onnx for variant in record.variants),
    }
    assert {path.name for path in folder.iterdir()} == expected
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    onnx = _onnx_outputs(folder / find_variant(converted, "fp32").onnx, image)
    original = keras.models.load_model(results / trained.id / "model.keras")
    taken = image[np.newaxis].astype(np.float32) * NETWORKS["tinyvgg"].scale
    np.testing.assert_allclose(onnx, original(taken)[0], atol=1e-5)


def _onnx_outputs(model: Path, image: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    taken = {session.get_inputs()[0].name: image.transpose(2, 0, 1)[np.newaxis].astype(np.float32)}
    return np.asarray(session.run(["classLabel_probs"], taken)[0])


# --- several models -----------------------------------------------------------------------------------------


def test_models_side_by_side_reuse_what_is_there_and_survive_a_bad_one(
    converted: Made, results: Path, tmp_path: Path
) -> None:
    import keras

    two = [keras.Input((4,)), keras.Input((4,))]
    keras.Model(two, keras.layers.Add()(two)).save(tmp_path / "two.keras")
    seen: list[Progress] = []
    sources = [source_of_file(tmp_path / "two.keras"), resolve_model("tinyvgg", results=results)]
    bad, good = convert(sources, tmp_path / "side by side", seen.append, variants=("fp16", "int8"), jobs=2)
    assert isinstance(bad[0].outcome, Failure)
    assert bad[0].outcome.reason == "two takes 2 inputs, and only models with one can be converted."
    assert isinstance(good[0].outcome, Converted)
    assert [variant.reused for variant in good[0].variants] == [True, True]
    assert [variant.sha256 for variant in good[0].variants] == [
        find_variant(converted, name).sha256 for name in ("fp16", "int8")
    ]
    assert conversion_exit_code([bad[0], good[0]]) == 3
    assert seen[-1] == Progress("convert", 2, 2)
    with pytest.raises(InputError, match="takes 2 inputs"):
        convert([sources[0]], tmp_path / "alone")
    assert not list((tmp_path / "alone").iterdir())


def test_a_crash_in_one_variant_is_its_failure_and_the_rest_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_at(monkeypatch, tmp_path / "standing", point("convert", "convert", "fp32-b1"))
    pids: list[int] = []

    def on_progress(progress: Progress) -> None:
        pids.extend([progress.figures["pid"]] if "pid" in progress.figures else [])
        if progress.message == "fp32-b1" and len(pids) == 1:
            os.kill(pids[0], signal.SIGSEGV)

    source = random_weights_source("fashion-mnist", 1)
    ((record, folder),) = convert([source], tmp_path / "results", on_progress, variants=("fp32", "fp16"))
    assert len(pids) == 2
    fp32, fp16 = record.variants
    assert fp32.failure is not None
    assert (fp32.failure.kind, fp32.path) == ("segmentation-fault", "")
    assert fp16.proof is not None
    assert fp16.proof.verdict == "proven with caveats"
    assert [caveat.code for caveat in fp16.proof.caveats] == ["few-images", "random-inputs"]
    assert "random inputs" in fp16.proof.data
    assert record.outcome == Converted(proven=0, degraded=0, wrong=0, failed=1, proven_with_caveats=1)
    assert conversion_exit_code([record]) == 3
    assert record.source is not None
    assert Path(record.source.path) == folder / "original.keras"  # the timing of the original needs the file


def test_what_an_interrupted_conversion_finished_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_at(monkeypatch, tmp_path / "standing", point("convert", "convert", "palettized-4-b1"))

    def interrupt(progress: Progress) -> None:
        if progress.message == "palettized-4-b1":
            os.kill(os.getpid(), signal.SIGINT)

    source, variants = ready_package(tmp_path, seed=1), ("int8", "palettized-6", "palettized-4")
    ((record, _),) = convert([source], tmp_path / "results", interrupt, variants=variants)
    assert isinstance(record.outcome, Failure)
    assert record.outcome.kind == "interrupted"
    ((record, _),) = convert([source], tmp_path / "results", variants=variants)
    assert isinstance(record.outcome, Converted)
    assert [(variant.name, variant.reused) for variant in record.variants] == [
        ("as-is", False),
        ("int8", True),
        ("palettized-6", True),
        ("palettized-4", False),
    ]


def test_a_damaged_package_in_the_cache_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COREMLBENCH_CACHE", str(tmp_path / "cache"))
    source = ready_package(tmp_path)
    convert([source], tmp_path / "results", variants=("int8",))
    (weights,) = (tmp_path / "cache" / "conversions").rglob("weight.bin")
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    ((record, _),) = convert([source], tmp_path / "results", variants=("int8",))
    assert not record.variants[1].reused
    assert weights.read_bytes() == whole


# --- wrong packages -----------------------------------------------------------------------------------------


def test_a_spoilt_package_is_wrong_and_its_layer_is_named(
    converted: Made, results: Path, trained: TrainingRecord, tmp_path: Path
) -> None:
    whole = converted[1] / find_variant(converted, "fp16").path
    spoilt = tmp_path / "spoilt.mlpackage"
    shutil.copytree(whole, spoilt)
    spoil(spoilt, "conv 2")
    source = source_of_run(trained, results / trained.id)
    ((record, _),) = convert([source], tmp_path / "results", check=str(spoilt))
    (checked,) = record.variants
    assert checked.name == "as-is"
    assert checked.proof is not None
    assert checked.proof.verdict == "wrong"
    assert conversion_exit_code([record]) == 3
    divergence = checked.proof.divergence
    assert divergence is not None
    assert (divergence.kind, divergence.layer) == ("conv", _third_convolution(results / trained.id / "model.keras"))
    assert divergence.error is not None
    assert divergence.error > 0.1


def _third_convolution(model: Path) -> str:
    import zipfile

    with zipfile.ZipFile(model) as archive:
        layers = json.loads(archive.read("config.json"))["config"]["layers"]
    return str([layer["config"]["name"] for layer in layers if layer["class_name"] == "Conv2D"][2])


# --- other sources ------------------------------------------------------------------------------------------


def test_a_createml_run_is_rebuilt_and_a_ready_package_is_taken_as_it_is(
    tmp_path: Path, pictures: Path, squeezenet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COREMLBENCH_CACHE", str(squeezenet.parents[2]))  # contains the extractor's weights
    trained = createml_run(tmp_path, pictures, squeezenet)
    folder = tmp_path / trained.id
    ((record, made),) = convert([resolve_model("createml", results=tmp_path)], tmp_path, variants=("fp32", "fp16"))
    assert [variant.proof and variant.proof.verdict for variant in record.variants] == ["proven with caveats"] * 2
    assert record.input_shape == (227, 227, 3)
    fp32 = record.variants[0].proof
    assert fp32 is not None
    assert fp32.relative_error is not None
    assert fp32.relative_error < 1e-4
    assert fp32.accuracy_before is not None

    ready = source_of_file(made / record.variants[1].path)
    ((record, _),) = convert([ready], tmp_path, variants=("fp16", "int8"), images=5, data=str(pictures))
    as_is, int8 = record.variants
    assert (as_is.name, as_is.proof, as_is.failure) == ("as-is", None, None)
    assert "There is no original to compare it with. Its accuracy on the data is" in as_is.notes[0]
    assert as_is.sha256 == hash_folder(made / Path(ready.path).name)[0]
    assert int8.proof is not None
    assert int8.proof.verdict == "proven with caveats"
    assert int8.bytes < 0.6 * as_is.bytes
    assert int8.notes == ()
    assert any(kind.startswith("constexpr_") for kind in int8.ops)
    assert folder.is_dir()


def test_what_is_compressed_from_a_ready_package_keeps_its_target_and_precision(tmp_path: Path) -> None:
    ready = ready_package(tmp_path)
    ((record, _),) = convert([ready], tmp_path, variants=("fp32", "fp16", "int8", "int8-activations"))
    as_is, int8, activations = record.variants
    assert {as_is.target, int8.target} == {"macOS15"}
    assert int8.proof is not None
    assert int8.proof.verdict == "not judged"
    assert int8.proof.reason.startswith("Random inputs say nothing of compression")
    for variant in (as_is, int8):
        assert "bars the Neural Engine" in variant.precision_note
        assert "Neural Engine computes in" not in variant.precision_note
    assert activations.failure is not None
    assert activations.failure.reason == (
        "It could not be made: 8-bit activations need a program that computes in float16, and this one "
        "computes in float32; convert the model that it was made from."
    )
    assert "Not made: fp32 and fp16. A ready package keeps the precision that it has" in record.notes[-1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_models_at_once(tmp_path: Path, number: signal.Signals) -> None:
    results = tmp_path / "results"
    models = ["lenet", "fashion-mnist", "mnist-cnn", "--random-weights", "--jobs", "2", "--results", str(results)]
    program = python_that_stands(tmp_path, *[point("convert", "open")] * 2)  # the first two workers wait here
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND_LINE, str(program), "convert", *models],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stderr is not None
        assert running.stderr.readline().startswith(b"convert: 0 of 3")  # the first worker has started
        running.send_signal(number)
        running.stderr.read()
    assert running.returncode == 130
    records, problems = store.load_all(results)
    assert problems == []
    assert 1 <= len(records) <= 2  # the third model was not started
    assert {record.outcome.kind for record in records if isinstance(record.outcome, Failure)} == {"interrupted"}


def test_options_that_no_model_fits(tmp_path: Path) -> None:
    source = random_weights_source("lenet", 0)
    for settings, sentence in (
        ({"variants": ("fp8",)}, "There is no variant 'fp8'"),
        ({"target": "macOS9"}, "There is no target"),
        ({"batches": ()}, "one input at least"),
        ({"images": 0}, "one image at least"),
        ({"classes": ("cat", "")}, "a name of its own"),
        (
            {"custom_objects": "/of/mine.py"},
            "runs the code in mine.py on this machine; if you trust it, add --allow-code",
        ),
    ):
        with pytest.raises(InputError, match=sentence):
            convert([source], tmp_path / "results", **settings)
    assert not (tmp_path / "results").exists()


def test_options_that_mean_nothing_for_a_model_are_left_out_and_noted(tmp_path: Path) -> None:
    options = ConvertOptions(scale=0.5, classes=("cat", "dog"), input_shape=(8, 8, 3), allow_code=True, images=7)
    random = random_weights_source("lenet", 0)
    file = replace(random, kind="file", classes=(), name="mine", path="/of/mine")
    package, createml = replace(file, format="mlpackage"), replace(file, format="createml", kind="training-run")

    source, meant, notes = drop_inapplicable(file, options)
    assert (source.classes, meant, notes) == (("cat", "dog"), options, ())
    for ready, why in ((package, "a ready package is taken as it is"), (createml, "follows from how it was trained")):
        source, meant, notes = drop_inapplicable(ready, options)
        shape = options.input_shape if ready is package else None  # that of a package with a flexible input
        assert (replace(source, file_options=ModelFileOptions()), meant) == (
            ready,
            ConvertOptions(images=7, input_shape=shape),
        )
        assert [note.split(" was left out for mine: ")[0] for note in notes] == [
            "--scale",
            "--classes",
            *([] if shape else ["--input-shape"]),
            "--allow-code",
        ]
        assert all(why in note for note in notes)
    onnx, recorded = replace(file, format="onnx"), replace(file, format="npz")
    for model, names in (
        (onnx, ["--input-shape", "--allow-code"]),
        (recorded, ["--scale", "--input-shape", "--allow-code", "--data"]),
    ):
        source, meant, notes = drop_inapplicable(model, replace(options, data="mnist"))
        assert source.classes == ("cat", "dog")
        assert [note.split(" was left out for mine: ")[0] for note in notes] == names
        assert (meant.data, meant.scale) == (("mnist", 0.5) if model is onnx else (None, None))
    source, meant, notes = drop_inapplicable(random, options)
    assert (source, meant) == (random, replace(options, scale=None, classes=()))
    assert len(notes) == 2
    assert drop_inapplicable(random, ConvertOptions())[2] == ()


def test_an_option_that_was_left_out_is_noted_and_converts_nothing_anew(
    results: Path, converted: Made, tmp_path: Path
) -> None:
    assert not find_variant(converted, "fp16").reused
    ((record, _),) = convert([resolve_model("tinyvgg", results=results)], tmp_path, scale=0.5, classes=("cat", "dog"))
    assert [variant.reused for variant in record.variants] == [True]
    assert [note.split(" for tinyvgg")[0] for note in record.notes] == [
        "--scale was left out",
        "--classes was left out",
    ]


def test_names_become_files() -> None:
    assert [slug(name) for name in ("lenet", "my model (2)", "../é", "...")] == [
        "lenet",
        "my-model-2",
        "model",
        "model",
    ]
