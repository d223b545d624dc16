"""Whole Create ML runs with Apple's extractor, on a Mac whose Core ML is the stand-in, and what is made of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coremlbench.cli.terminal.conversion import print_conversions
from coremlbench.cli.terminal.createml import print_createml_run
from coremlbench.conversion.job import convert_models
from coremlbench.conversion.options import ConvertOptions
from coremlbench.conversion.sources import named_sources
from coremlbench.createml.head_samples import HEAD_SAMPLES
from coremlbench.createml.job import resume_createml, run_createml
from coremlbench.createml.options import CreateMLOptions
from coremlbench.report.warnings import warning_rows
from coremlbench.runs import store
from coremlbench.system.files import hash_file
from coremlbench.timing.convert_and_time import convert_and_time
from coremlbench.timing.kit import MANIFEST, read_kit
from coremlbench.timing.matrix import time_models
from coremlbench.types.conversion import ConversionRecord
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Failure
from coremlbench.types.timing import Timed
from coremlbench.types.training_records import Trained, TrainingRecord
from tests.coreml_stand_in import Behaviour, Failing, worker, write
from tests.timed_packages import TINY, UNITS, quiet, stand_in

pytestmark = [pytest.mark.tensorflow, pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("own_cache")]

COMMAND = ["coremlbench", "createml"]
TRAIN, TEST, COPIES = 24, 12, 3
ROWS = COPIES * TRAIN + TEST
OTHER_UNITS = ("CPU_AND_GPU", "CPU_AND_NE", "ALL")


def options_for(pictures: Path, **settings: Any) -> CreateMLOptions:
    """Return the settings of a run on a few pictures, three flipped copies of each for training."""
    few: dict[str, Any] = {"train": TRAIN, "test": TEST, "augment": ("flip",), "engine": "builtin"}
    return CreateMLOptions(dataset=str(pictures), **(few | settings))


def run(folder: Path, options: CreateMLOptions, behaviour: Behaviour) -> tuple[TrainingRecord, Path]:
    """Run on a Mac with this behaviour; the results are in ``folder/results``."""
    command = worker(write(folder / "behaviour.json", behaviour))
    return run_createml(options, results=folder / "results", command=COMMAND, on_progress=quiet, worker=command)


@pytest.fixture(scope="module")
def trained(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingRecord, Path]:
    """A run on the CPU, on a Mac where every other unit fails to load."""
    folder = tmp_path_factory.mktemp("mac")
    behaviour = Behaviour(failing=tuple(Failing("load", "raise", unit=unit) for unit in OTHER_UNITS))
    options = options_for(pictures, extractor="VisionFeaturePrint_Scene", units="CPU_ONLY")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COREMLBENCH_CACHE", str(folder / "cache"))
        return run(folder, options, behaviour)


def test_the_run_trains_and_core_ml_predicts_the_same_with_the_saved_model(
    trained: tuple[TrainingRecord, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    record, folder = trained
    assert isinstance(record.outcome, Trained), record.outcome
    assert record.outcome.test_accuracy > 0.8
    assert (record.engine, record.options["extractor"]) == ("builtin", "VisionFeaturePrint_Scene")
    assert (record.options["extraction"], record.options["units"]) == ("pipelined", "CPU_ONLY")
    assert record.options["extractions"] == ROWS
    assert not any(deviation.startswith(("extractor", "extraction")) for deviation in record.deviations)
    assert "units CPU_ONLY" in record.deviations
    assert [phase.name for phase in record.phases] == ["setup", "data", "extract", "train", "evaluate", "export"]
    assert record.weights is not None
    assert record.weights.version == "macOS 15.1, revision 1"
    assert record.model is not None
    assert (record.model.path, record.model.agreement is not None) == ("model.mlmodel", True)
    assert record.model.sha256 == hash_file(folder / "model.mlmodel")
    assert record.model.agreement is not None
    assert (record.model.agreement.equal, record.model.agreement.images) == (TEST, TEST)
    with np.load(folder / HEAD_SAMPLES) as samples:
        assert samples["features"].shape == (TEST, 2048)
    assert store.load(folder).outcome == record.outcome
    print_createml_run(record, folder)
    shown = " ".join(capsys.readouterr().out.split())
    assert "trained by the tests' stand-in, not by Core ML" in shown
    assert f"predicts what was trained for {TEST} of {TEST} test images, run on: stand-in for Core ML" in shown
    assert f"{ROWS} extractions, pipelined by stand-in for Core ML of the tests, as macOS 15.1" in shown
    assert "on CPU_ONLY" in shown


def test_a_run_with_the_stand_in_is_marked(trained: tuple[TrainingRecord, Path]) -> None:
    record, _ = trained
    assert record.stand_in
    assert "stand-in" in record.versions["core ml"]
    assert record.model is not None
    assert record.model.agreement is not None
    assert record.model.agreement.runtime.startswith("stand-in for Core ML")
    assert any("none of its features and figures is Apple's" in str(row) for row in warning_rows([record]))


@pytest.fixture(scope="module")
def killed_and_resumed(
    pictures: Path, trained: tuple[TrainingRecord, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrainingRecord, TrainingRecord]:
    """A run that chose its extractor, killed in the fourth image's copies, and the run that resumed it."""
    folder = tmp_path_factory.mktemp("killed")
    options = options_for(pictures, extractor="auto", units="CPU_ONLY")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COREMLBENCH_CACHE", str(folder / "cache"))
        failed, _ = run(folder, options, Behaviour(failing=(Failing("predict", "SIGKILL", call=3 * COPIES + 2),)))
        command = worker(write(folder / "behaviour.json", Behaviour()))
        arguments: dict[str, Any] = {"results": folder / "results", "command": COMMAND, "on_progress": quiet}
        resumed, _ = resume_createml("", {}, {"units": "CPU_ONLY"}, worker=command, **arguments)
    return failed, resumed


def test_a_run_that_core_ml_killed_goes_on_from_its_features(
    trained: tuple[TrainingRecord, Path], killed_and_resumed: tuple[TrainingRecord, TrainingRecord]
) -> None:
    failed, resumed = killed_and_resumed
    assert isinstance(failed.outcome, Failure)
    assert (failed.outcome.kind, failed.outcome.evidence.phase) == ("killed", "extract")
    assert any(note.startswith("Kept of this run: the features of 3 images") for note in failed.notes)
    assert isinstance(resumed.outcome, Trained), resumed.outcome
    assert resumed.options["extractor"] == "VisionFeaturePrint_Scene"
    (note,) = [note for note in resumed.notes if "feature vectors are those of the run" in note]
    assert note.startswith(f"{3 * COPIES} of {ROWS} feature vectors are those of the run {failed.id}")
    assert resumed.options["features sha256"] == trained[0].options["features sha256"]
    assert resumed.outcome.confusion == trained[0].outcome.confusion  # type: ignore[union-attr]


def test_units_that_fail_are_a_failure_in_core_mls_words(pictures: Path, tmp_path: Path) -> None:
    behaviour = Behaviour(failing=(Failing("load", "raise", unit="CPU_AND_GPU"),))
    options = options_for(pictures, extractor="VisionFeaturePrint_Scene", units="CPU_AND_GPU")
    record, _ = run(tmp_path, options, behaviour)
    assert isinstance(record.outcome, Failure)
    assert record.outcome.evidence.phase == "extract"
    assert "Core ML could not load 'extractor.mlmodel' for CPU_AND_GPU" in record.outcome.evidence.exception


def test_version_2_trains_from_macos_14_on(pictures: Path, tmp_path: Path) -> None:
    options = options_for(pictures, extractor="VisionFeaturePrint_Scene-2", augment=(), train=12, test=6)
    record, folder = run(tmp_path, options, Behaviour(macos=(14, 0)))
    assert isinstance(record.outcome, Trained), record.outcome
    assert "extractor VisionFeaturePrint_Scene-2" in record.deviations
    assert record.options["units"] == "ALL"
    assert not any(deviation.startswith("units") for deviation in record.deviations)
    with np.load(folder / HEAD_SAMPLES) as samples:
        assert samples["features"].shape == (6, 768)


@pytest.mark.parametrize(
    ("settings", "macos", "message"),
    [
        (
            {"extractor": "VisionFeaturePrint_Scene-2"},
            (13, 6),
            "Scene-2 needs macOS 14 or later, and this is 13.6; use --extractor VisionFeaturePrint_Scene here.",
        ),
        (
            {"extractor": "VisionFeaturePrint_Scene"},
            (),
            "VisionFeaturePrint_Scene is part of macOS; use --extractor squeezenet_v1.1 or resnet-50 here.",
        ),
        (
            {"extractor": "VisionFeaturePrint_Scene", "units": "CPU_AND_NE"},
            (12, 5),
            "CPU_AND_NE needs macOS 13 or later, and this is 12.5; choose other --units.",
        ),
        ({"units": "ALL"}, (), "Core ML runs on macOS only, and --units choose where it runs; leave --units out here."),
        ({"extractor": "squeezenet_v1.1", "units": "ALL"}, (15, 1), "ONNX Runtime runs squeezenet_v1.1"),
        ({"units": "ALL", "engine": "turicreate"}, (15, 1), "--engine turicreate does not use Core ML"),
        (
            {"extractor": "VisionFeaturePrint_Scene-2", "engine": "turicreate"},
            (15, 1),
            "Turi Create does not know VisionFeaturePrint_Scene-2; use --engine builtin",
        ),
    ],
)
def test_what_a_system_or_an_engine_does_not_have_is_refused_in_one_sentence(
    pictures: Path, tmp_path: Path, settings: dict[str, Any], macos: tuple[int, ...], message: str
) -> None:
    with pytest.raises(InputError) as raised:
        run(tmp_path, options_for(pictures, **settings), Behaviour(macos=macos))
    assert message in str(raised.value)
    assert str(raised.value).count(". ") == 0
    assert not (tmp_path / "results").exists() or not list((tmp_path / "results").glob("*/run.json"))


def test_auto_takes_the_builtin_engine_where_units_are_given(pictures: Path) -> None:
    from coremlbench.createml.engines.choice import choose_engine

    assert choose_engine(options_for(pictures, engine="auto", units="ALL")).engine.name == "builtin"
    second = options_for(pictures, engine="auto", extractor="VisionFeaturePrint_Scene-2")
    assert choose_engine(second).engine.name == "builtin"


# --- conversion, kits and checks elsewhere ------------------------------------------------------------------


def converted(trained: tuple[TrainingRecord, Path], results: Path, **settings: Any) -> ConversionRecord:
    """Convert the run, or check a package against it, on this machine."""
    record, folder = trained
    options = ConvertOptions(**settings)
    check = Path(options.check) if options.check else None
    sources = named_sources([record.id], results=folder.parent, options=options, check=check)
    ((conversion, _),) = convert_models(sources, options, results=results, command=COMMAND, on_progress=quiet)
    return conversion


def test_only_the_classifier_of_a_run_is_compared_elsewhere(
    trained: tuple[TrainingRecord, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conversion = converted(trained, tmp_path)
    (variant,) = conversion.variants
    assert variant.proof is not None
    assert (variant.name, variant.only_core_ml, variant.proof.verdict) == ("as-is", True, "not judged")
    assert variant.proof.reason.startswith(
        "An extractor that is part of macOS is in model.mlmodel, and only Core ML runs it; its classifier alone gives "
        f"the class that was predicted after the training for {TEST} of {TEST} recorded feature vectors"
    )
    assert variant.proof.reason.count(". ") == 0
    assert conversion.outcome.counts == {"not judged": 1}  # type: ignore[union-attr]
    assert (tmp_path / conversion.id / variant.path).read_bytes() == (trained[1] / "model.mlmodel").read_bytes()
    print_conversions([(conversion, tmp_path / conversion.id)])
    shown = " ".join(capsys.readouterr().out.split())
    assert "not judged: An extractor that is part of macOS" in shown
    assert f"it predicted what was trained for {TEST} of {TEST} test images, run by stand-in for Core ML" in shown
    assert f"compared: {TEST} recorded feature vectors; with the trained classifier" in shown


def test_a_package_with_another_classifier_is_wrong(trained: tuple[TrainingRecord, Path], tmp_path: Path) -> None:
    from coremltools.proto import Model_pb2

    checked = converted(trained, tmp_path / "same", check=str(trained[1] / "model.mlmodel"))
    assert checked.variants[0].proof is not None
    assert checked.variants[0].proof.verdict == "not judged"

    pipeline = Model_pb2.Model.FromString((trained[1] / "model.mlmodel").read_bytes())
    linear = pipeline.pipelineClassifier.pipeline.models[1].glmClassifier
    linear.offset[0] += 1
    other = tmp_path / "other.mlmodel"
    other.write_bytes(pipeline.SerializeToString())
    proof = converted(trained, tmp_path / "other", check=str(other)).variants[0].proof
    assert proof is not None
    assert proof.verdict == "wrong"
    linear.stringClassLabels.vector[0] = "someone else's"
    other.write_bytes(pipeline.SerializeToString())
    proof = converted(trained, tmp_path / "labels", check=str(other)).variants[0].proof
    assert proof is not None
    assert proof.verdict == "wrong"
    assert "the names of classes differ" in proof.reason
    linear.classEncoding = 1  # one against the rest, which only Core ML reads
    other.write_bytes(pipeline.SerializeToString())
    proof = converted(trained, tmp_path / "form", check=str(other)).variants[0].proof
    assert proof is not None
    assert (proof.verdict, proof.images) == ("not judged", 0)


def test_a_file_without_its_run_is_not_judged(
    trained: tuple[TrainingRecord, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "food.mlmodel").write_bytes((trained[1] / "model.mlmodel").read_bytes())
    sources = named_sources([str(tmp_path / "food.mlmodel")], results=tmp_path)
    runs = convert_models(sources, ConvertOptions(), results=tmp_path, command=COMMAND, on_progress=quiet)
    proof = runs[0][0].variants[0].proof
    assert proof is not None
    assert (proof.verdict, proof.images) == ("not judged", 0)
    assert proof.reason == (
        "An extractor that is part of macOS is in food.mlmodel, and only Core ML runs it, so that there is nothing to "
        "compare."
    )
    print_conversions(runs)
    assert "compared:" not in capsys.readouterr().out
    with pytest.raises(
        InputError, match=r"Only Core ML executes food, so that it is not judged and not timed here; add `--kit kit`"
    ):
        convert_and_time(
            [str(tmp_path / "food.mlmodel")],
            ConvertOptions(),
            replace(TINY, runtimes=("reference",)),
            results=tmp_path / "results",
            command=COMMAND,
            on_progress=quiet,
        )


def test_a_kit_with_the_pipeline_is_timed_on_a_mac(trained: tuple[TrainingRecord, Path], tmp_path: Path) -> None:
    record, folder = trained
    results = tmp_path / "results"
    results.mkdir()
    (results / record.id).symlink_to(folder)
    arguments: dict[str, Any] = {"results": results, "command": COMMAND, "on_progress": quiet}
    kit = tmp_path / "kit"
    done = convert_and_time([record.id], ConvertOptions(), replace(TINY, rounds=1), kit=kit, **arguments)
    assert done.timing is not None
    assert any("not judged: An extractor that is part of macOS" in note for note in done.timing[0].notes)
    manifest = json.loads((kit / MANIFEST).read_text())
    assert manifest["packages"][0]["expected"] is None
    assert manifest["models"][0]["variants"][0]["proof"]["verdict"] == "not judged"
    mac = stand_in(tmp_path, units={"coreml": UNITS["coreml"][:1]})
    timed, _ = time_models(read_kit(kit).timing_input, replace(TINY, rounds=1), capabilities=mac, **arguments)
    assert timed.outcome == Timed(cells=1, failed=0)
    (row,) = timed.measurements
    assert (row.runtime, row.unit, row.stand_in, row.failure) == ("coreml", "CPU_ONLY", True, None)
