import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coremlbench.createml.extractors import EXTRACTORS, ObtainedExtractor
from coremlbench.createml.feature_extraction import Part, Target, write_rows
from coremlbench.createml.network import read_network
from coremlbench.createml.network_onnx import write_onnx
from coremlbench.createml.options import CreateMLOptions, deviations_of
from coremlbench.createml.run_context import TURICREATE_WORKER
from coremlbench.createml.validation_split import split_validation, validation_size
from coremlbench.experiments.metrics import confusion_matrix, per_class
from coremlbench.failures.classify import classify
from coremlbench.supervision.supervisor import supervise
from coremlbench.system.files import hash_folder
from coremlbench.types.data import LabelledImage, Provenance
from coremlbench_datasets import DatasetRequest, find


@pytest.mark.parametrize(
    ("images", "held"), [(0, 0), (49, 0), (50, 5), (60, 6), (199, 19), (200, 10), (750, 37), (7500, 375)]
)
def test_create_ml_s_validation_rule(images: int, held: int) -> None:
    assert validation_size(images) == held


@given(st.lists(st.integers(0, 5), max_size=400), st.integers(0, 1000))
def test_the_validation_split_is_stratified_and_complete(labels: list[int], seed: int) -> None:
    images = tuple(LabelledImage(Path(f"{index}.jpg"), label) for index, label in enumerate(labels))
    training, validation = split_validation(images, seed)
    assert len(validation) == validation_size(len(images))
    assert sorted([*training, *validation], key=images.index) == list(images)
    assert list(training) == sorted(training, key=images.index)
    assert split_validation(images, seed) == (training, validation)
    held, all_of = Counter(image.label for image in validation), Counter(labels)
    for label, count in all_of.items():
        assert abs(held[label] - count * len(validation) / len(images)) < 1


def test_another_seed_holds_back_other_images() -> None:
    images = tuple(LabelledImage(Path(f"{index}.jpg"), index % 3) for index in range(300))
    assert split_validation(images, 0)[1] != split_validation(images, 1)[1]


def obtained(name: str) -> ObtainedExtractor:
    weights = None if name == "VisionFeaturePrint_Scene" else Path("weights.h5")
    return ObtainedExtractor(EXTRACTORS[name], weights, Provenance(name, "here"), "the best")


def test_what_extracts_is_no_small_thing_of_a_run() -> None:
    options = CreateMLOptions(dataset="food101-10")
    assert deviations_of(options) == ()  # auto has not chosen yet
    assert deviations_of(options, obtained=obtained("VisionFeaturePrint_Scene")) == ()
    assert deviations_of(options, obtained=obtained("resnet-50")) == ("extractor resnet-50",)
    requested = replace(options, extractor="squeezenet_v1.1", extraction="turicreate", processes=1)
    expected = ("extractor squeezenet_v1.1", "extraction turicreate", "processes 1")
    assert deviations_of(requested) == deviations_of(requested, obtained=obtained("squeezenet_v1.1")) == expected
    # Nothing but Turi Create can run the protocol's own extractor.
    apples = replace(options, extraction="turicreate")
    assert deviations_of(apples, obtained=obtained("VisionFeaturePrint_Scene")) == ()


def test_precision_and_recall_by_hand() -> None:
    confusion = confusion_matrix([0, 0, 0, 1, 1], [0, 0, 1, 1, 0], 3)
    assert confusion == ((2, 1, 0), (1, 1, 0), (0, 0, 0))
    first, second, third = per_class(["a", "b", "c"], confusion)
    assert first.images == 3
    assert (first.precision, first.recall) == pytest.approx((2 / 3, 2 / 3))
    assert (second.precision, second.recall) == (0.5, 0.5)
    assert (third.images, third.precision, third.recall) == (0, None, None)


def test_a_folder_s_hash_tells_names_from_contents(tmp_path: Path) -> None:
    for name, files in (("one", {"a": b"bc"}), ("two", {"ab": b"c"}), ("three", {"a": b"bc"})):
        (tmp_path / name).mkdir()
        for file, content in files.items():
            (tmp_path / name / file).write_bytes(content)
    one, two, three = (hash_folder(tmp_path / name) for name in ("one", "two", "three"))
    assert one == three != two
    assert one[1] == 2


# --- what Turi Create itself does ---------------------------------------------------------------------------

COMPARE = """
import json, sys
import numpy as np
import turicreate as tc
from array import array
folder, rows = sys.argv[1], int(sys.argv[2])
tc.config.set_runtime_config("TURI_CACHE_FILE_LOCATIONS", folder)
features = np.fromfile(folder + "/features.f32", np.float32).reshape(rows, 1000).astype("f8")
labels = [row % 3 for row in range(rows)]
frame = tc.SFrame({"features": tc.SArray(list(features), dtype=array), "label": labels})
answers = {}
settings = dict(target="label", max_iterations=5, validation_set=None, seed=1, verbose=False)
classifier = tc.image_classifier.create(frame, feature="features", model="squeezenet_v1.1", **settings)
answers["image_classifier"] = list(classifier.classifier.coefficients["value"])
answers["ours"] = list(
    tc.logistic_classifier.create(frame, features=["features"], l2_penalty=0.01, l1_penalty=0.0, solver="auto",
        feature_rescaling=True, convergence_threshold=0.01, step_size=1.0, lbfgs_memory_level=11, class_weights=None,
        **settings).coefficients["value"])
json.dump(answers, open(folder + "/answers.json", "w"))
"""


@pytest.mark.slow  # image_classifier loads TensorFlow; the solver's golden cases are from the same Turi Create
def test_the_head_is_the_one_image_classifier_trains(turicreate: Path, squeezenet: Path, tmp_path: Path) -> None:
    """We call the logistic classifier directly: it must be what image_classifier.create would have called."""
    np.random.default_rng(0).uniform(0, 9, (60, 1000)).astype(np.float32).tofile(tmp_path / "features.f32")
    (tmp_path / "model_cache").mkdir()
    (tmp_path / "model_cache" / squeezenet.name).symlink_to(squeezenet)
    subprocess.run(
        [str(turicreate), "-I", "-c", COMPARE, str(tmp_path), "60"],
        check=True,
        capture_output=True,
        env={"TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    answers = json.loads((tmp_path / "answers.json").read_text())
    assert len(answers["ours"]) == 2 * 1001
    assert answers["ours"] == answers["image_classifier"]


def test_the_worker_is_python_3_8_and_imports_only_turicreate_beside_the_standard_library(turicreate: Path) -> None:
    code = (
        "import ast, json, sys; tree = ast.parse(open(sys.argv[1]).read()); print(json.dumps([alias.name for node in "
        "ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]))"
    )
    ended = subprocess.run(
        [str(turicreate), "-I", "-c", code, str(TURICREATE_WORKER)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert {name.partition(".")[0] for name in json.loads(ended.stdout)} - sys.stdlib_module_names == {"turicreate"}


CRASH_LATE = """
import atexit, os, runpy, sys
atexit.register(os.abort)
script, *sys.argv[1:] = sys.argv[1:]
runpy.run_path(script, run_name="__main__")
"""


def test_a_training_that_is_done_is_not_lost_to_a_crash_at_the_teardown(turicreate: Path, tmp_path: Path) -> None:
    parts = {"train": (0, 54), "validation": (54, 60), "test": (60, 90)}
    labels = [row % 3 for row in range(90)]
    (np.random.default_rng(0).random((90, 8)) + np.eye(8)[labels]).astype(np.float32).tofile(tmp_path / "rows.f32")
    request = {
        "task": "train",
        "features": str(tmp_path / "rows.f32"),
        "length": 8,
        "parts": parts,
        "labels": {name: labels[first:last] for name, (first, last) in parts.items()},
        "iterations": 2,
        "seed": 0,
        "scratch": str(tmp_path / "scratch"),
    }
    (tmp_path / "scratch").mkdir()
    ended = supervise(
        [str(turicreate), "-I", "-c", CRASH_LATE, str(TURICREATE_WORKER)], folder=tmp_path, request=request
    )
    assert classify(ended) is None, ended.log_tail
    assert ended.result is not None
    assert len(ended.result["predicted"]) == 30
    assert any("Logistic regression" in line for line in ended.log_tail)  # what it printed is all there


@pytest.mark.slow  # TensorFlow in Turi Create's own Python, which takes ten seconds to start
def test_our_features_are_those_of_turi_create_s_own_extractor(
    turicreate: Path, squeezenet: Path, tmp_path: Path
) -> None:
    """On real pictures, with and without copies: a relative difference under a thousandth for every image."""
    images = find("drawn-food").prepare(DatasetRequest(tmp_path / "cache", train=20, test=10), lambda *_, **__: None)
    parts = [
        Part("train", tuple(image.path for image in images.train), ("rotation", "flip"), seed=5),
        Part("test", tuple(image.path for image in images.test)),
    ]
    network = tmp_path / "network.onnx"
    write_onnx(read_network(squeezenet), network, bgr=True)
    rows = write_rows(parts, Target(tmp_path / "ours.f32", (227, 227), network), lambda done, total: None)
    assert write_rows(parts, Target(tmp_path / "pixels.u8", (227, 227)), lambda done, total: None) == rows == 250

    (tmp_path / "scratch" / "model_cache").mkdir(parents=True)
    (tmp_path / "scratch" / "model_cache" / squeezenet.name).symlink_to(squeezenet)
    request = {
        "task": "extract",
        "extractor": "squeezenet_v1.1",
        "size": [227, 227],
        "rows": rows,
        "pixels": str(tmp_path / "pixels.u8"),
        "features": str(tmp_path / "theirs.f32"),
        "scratch": str(tmp_path / "scratch"),
    }
    (tmp_path / "stage").mkdir()
    ended = supervise([str(turicreate), "-I", str(TURICREATE_WORKER)], folder=tmp_path / "stage", request=request)
    assert ended.result is not None, ended.log_tail
    assert (ended.result["rows"], ended.result["length"]) == (rows, 1000)

    ours, theirs = (np.fromfile(tmp_path / name, np.float32).reshape(rows, 1000) for name in ("ours.f32", "theirs.f32"))
    differences = np.linalg.norm(ours - theirs, axis=1) / np.linalg.norm(theirs, axis=1)
    assert differences.max() < 1e-3
