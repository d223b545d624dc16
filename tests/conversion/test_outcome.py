"""Reuse of cached packages, and what the record of an interrupted or crashed conversion contains."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from coremlbench.conversion.job import conversion_exit_code
from coremlbench.conversion.options import RequestedPackage
from coremlbench.conversion.outcome import with_outcome, with_variants
from coremlbench.conversion.package_results import PROOF_SUFFIX, write_result
from coremlbench.conversion.sources import source_of_file
from coremlbench.runs import store
from coremlbench.system import serialization
from coremlbench.system.files import hash_folder
from coremlbench.timing.packages import select_packages
from coremlbench.types.conversion import (
    UNFINISHED_NOTE,
    Caveat,
    ConversionRecord,
    Converted,
    Variant,
    Verdict,
)
from coremlbench.types.failure import Failure
from coremlbench.types.process import Progress
from tests.record_samples import conversion
from tests.small_conversions import convert, package_of_pictures, ready_package
from tests.standing_worker import kill_standing, point, stand_at

pytestmark = [
    pytest.mark.usefixtures("own_cache"),
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore"),  # Keras and coremltools warn about each other
]


def when(phase: str, key: str, do: Callable[[], None]) -> Callable[[Progress], None]:
    """Return a progress callback that calls ``do`` once, when a phase reaches a package."""
    done: list[str] = []

    def on_progress(progress: Progress) -> None:
        if progress.phase == phase and progress.message.endswith(key) and not done:
            done.append(key)
            do()

    return on_progress


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def by_name(record: ConversionRecord) -> dict[str, Variant]:
    return {variant.name: variant for variant in record.variants}


# --- reuse from the cache -----------------------------------------------------------------------------------


def test_other_pictures_of_the_same_names_and_sizes_give_other_ranges(tmp_path: Path) -> None:
    source = package_of_pictures(tmp_path)
    settings: dict[str, Any] = {"variants": ("int8-activations",), "data": str(tmp_path / "data")}
    seen = []
    for shade in (40, 220, 220):
        random = np.random.default_rng(0)
        for number in range(8):
            path = tmp_path / "data" / ("train" if number < 4 else "test") / f"class {number % 2}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = random.integers(shade - 30, shade + 30, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path, compress_level=0)
        ((record, _),) = convert([source], tmp_path / "results", **settings)
        seen.append(by_name(record)["int8-activations"])
    assert [variant.failure for variant in seen] == [None] * 3
    assert [variant.reused for variant in seen] == [False, False, True]
    assert seen[0].sha256 != seen[1].sha256 == seen[2].sha256


def test_a_package_says_of_which_model_it_is_also_when_another_had_the_same_content(tmp_path: Path) -> None:
    import coremltools
    import keras

    keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)]).save(tmp_path / "seq.keras")
    shutil.copy(tmp_path / "seq.keras", tmp_path / "other.keras")
    for name in ("seq", "other"):
        ((record, folder),) = convert([source_of_file(tmp_path / f"{name}.keras")], tmp_path / "results")
        spec = coremltools.utils.load_spec(str(folder / record.variants[0].path))
        assert spec.description.metadata.shortDescription == f"{name}, converted by coremlbench."


def test_a_batch_that_is_named_twice_is_made_once(tmp_path: Path) -> None:
    source = ready_package(tmp_path)
    for reused in (False, True):
        ((record, folder),) = convert([source], tmp_path, variants=("int8",), batches=(1, 1))
        _, int8 = record.variants
        assert (int8.reused, int8.failure) == (reused, None)
        assert hash_folder(folder / int8.path)[0] == int8.sha256
        assert record.options["batches"] == [1]


def test_a_variant_with_neither_a_package_nor_a_failure_is_a_failure(tmp_path: Path) -> None:
    item = RequestedPackage("fp16-b1", "fp16", 1, "macOS13", "macOS13", tmp_path / "it.mlpackage", None)
    record = with_outcome(with_variants(conversion(1), [item], {}, {}, tmp_path))
    assert record.variants[0].failure is not None
    assert record.outcome == Converted(proven=0, degraded=0, wrong=0, failed=1)
    assert conversion_exit_code([record]) == 3


def _proven(verdict: Verdict) -> Variant:
    variant = conversion(1).variants[0]
    assert variant.proof is not None
    return replace(variant, proof=replace(variant.proof, verdict=verdict, caveats=()))


def test_each_verdict_is_counted_and_only_wrong_is_exit_code_3() -> None:
    verdicts: list[tuple[Verdict, int]] = [
        ("proven", 0),
        ("proven with caveats", 0),
        ("degraded", 0),
        ("not judged", 0),
        ("wrong", 3),
    ]
    for verdict, code in verdicts:
        record = with_outcome(replace(conversion(1), variants=(_proven(verdict), _proven("proven"))))
        assert isinstance(record.outcome, Converted)
        assert record.outcome.counts == ({"proven": 2} if verdict == "proven" else {"proven": 1, verdict: 1})
        assert conversion_exit_code([record]) == code


def test_the_models_caveats_reach_the_proof_of_every_variant(tmp_path: Path) -> None:
    items = []
    for name, verdict in (("fp16", "proven"), ("fp32", "wrong")):
        item = RequestedPackage(f"{name}-b1", name, 1, "macOS13", "macOS13", tmp_path / f"{name}.mlpackage", None)
        item.path.mkdir()
        proof = serialization.to_json(replace(_proven("proven").proof, verdict=verdict))  # type: ignore[type-var]
        write_result(item.path, PROOF_SUFFIX, {"proof": proof, "ops": {"conv": 1}})
        items.append(item)
    caveat = Caveat("pixel-range", "The range of the pixels is not known.")
    model = {"caveats": serialization.to_json([caveat])}
    (tmp_path / "run").mkdir()
    record = with_outcome(with_variants(conversion(1), items, model, {}, tmp_path / "run"))
    proofs = [variant.proof for variant in record.variants]
    assert [proof and (proof.verdict, proof.caveats) for proof in proofs] == [
        ("proven with caveats", (caveat,)),
        ("wrong", (caveat,)),
    ]


def test_a_record_of_an_older_release_is_shown_as_it_was(tmp_path: Path) -> None:
    record = conversion(1)
    old = replace(record, variants=(_proven("proven"), _proven("degraded")))
    content = json.loads(store.to_bytes(with_outcome(old)))
    for name in ("proven_with_caveats", "not_judged"):
        del content["outcome"][name]
    for variant in content["variants"]:
        del variant["proof"]["caveats"], variant["proof"]["non_finite_values"]
        variant["proof"]["images"] = 3  # few, which older releases said in the reason
    (tmp_path / "run.json").write_text(json.dumps(content))
    loaded = store.load(tmp_path)
    assert isinstance(loaded, ConversionRecord)
    assert [variant.proof and variant.proof.verdict for variant in loaded.variants] == ["proven", "degraded"]
    assert isinstance(loaded.outcome, Converted)
    assert loaded.outcome.counts == {"proven": 1, "degraded": 1}
    listed = serialization.to_json(loaded)
    for old_variant, new_variant in zip(content["variants"], listed["variants"], strict=True):
        assert old_variant["proof"].items() <= new_variant["proof"].items()


# --- interrupted and crashed conversions --------------------------------------------------------------------

VARIANTS = ("int8", "palettized-6", "palettized-4")


def test_what_was_made_and_proven_before_an_interruption_is_in_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_at(monkeypatch, tmp_path / "standing", point("proof", "prove", "palettized-6-b1"))
    on_progress = when("prove", "palettized-6-b1", interrupt)
    source = ready_package(tmp_path, seed=5)
    ((record, folder),) = convert([source], tmp_path / "results", on_progress, variants=VARIANTS)
    assert isinstance(record.outcome, Failure)
    assert record.outcome.kind == "interrupted"
    assert store.load(folder) == record
    assert not (folder / "work").exists()
    assert [variant.name for variant in record.variants] == ["as-is", *VARIANTS]
    for variant in record.variants:
        assert variant.failure is None
        assert hash_folder(folder / variant.path)[0] == variant.sha256
    variants = by_name(record)
    assert variants["int8"].proof is not None
    statuses = [variants[name].status for name in ("as-is", "int8", "palettized-4")]
    assert statuses == ["not compared", "compared", "unfinished"]  # the first has no original
    subject = select_packages([(record, folder)])
    assert [package.variant.name for package in subject.packages] == ["as-is", "int8"]  # the others are not timed
    assert [note.split(" was not timed")[0] for note in subject.notes] == ["wide palettized-6", "wide palettized-4"]


def test_what_was_made_before_a_conversion_is_interrupted_is_in_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_at(monkeypatch, tmp_path / "standing", point("convert", "convert", "palettized-4-b1"))
    interrupted = when("convert", "palettized-4-b1", interrupt)
    source = ready_package(tmp_path, seed=6)
    ((record, folder),) = convert([source], tmp_path / "results", interrupted, variants=VARIANTS)
    assert [(variant.name, variant.proof, variant.failure) for variant in record.variants][:3] == [
        (name, None, None) for name in ("as-is", "int8", "palettized-6")
    ]
    assert all((folder / variant.path).is_dir() for variant in record.variants)
    assert record.variants[1].status == "unfinished"
    assert UNFINISHED_NOTE in record.variants[1].notes
    assert conversion_exit_code([record]) == 130


def test_a_killed_proof_is_one_variants_failure_and_the_others_are_proven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_at(monkeypatch, tmp_path / "standing", point("proof", "prove", "palettized-6-b1"))
    killed = when("prove", "palettized-6-b1", lambda: kill_standing(tmp_path / "standing"))
    source = ready_package(tmp_path, seed=7)
    ((record, folder),) = convert([source], tmp_path / "results", killed, variants=VARIANTS)
    variants = by_name(record)
    failure = variants["palettized-6"].failure
    assert failure is not None
    assert failure.evidence.signal == "SIGKILL"
    assert (folder / variants["palettized-6"].path).is_dir()
    assert [variants[name].proof is None for name in ("int8", "palettized-4")] == [False, False]
    assert isinstance(record.outcome, Converted)
    assert (record.outcome.wrong, record.outcome.failed) == (0, 1)
    assert conversion_exit_code([record]) == 3


def test_the_seconds_of_a_killed_child_count_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first worker is killed, the second waits for a file: the phase is at least as long as both."""
    go = tmp_path / "go"
    stand_at(
        monkeypatch,
        tmp_path / "standing",
        point("convert", "convert", "palettized-4-b1", folder="/convert"),
        point("convert", "open", folder="/convert-2", until=go),
    )
    opened: list[float] = []
    lived: list[float] = []

    def on_progress(progress: Progress) -> None:
        if progress.phase == "open" and len(opened) == len(lived):
            opened.append(time.monotonic())
        if progress.message == "palettized-4-b1" and not lived:
            time.sleep(2 * (opened[0] - began))  # longer than the second worker takes to start
            lived.append(time.monotonic() - opened[0])
            kill_standing(tmp_path / "standing")
        elif progress.phase == "open" and len(opened) == 2 and not go.exists():
            lived.append(time.monotonic() - opened[1])
            go.touch()

    source, began = ready_package(tmp_path, seed=8), time.monotonic()
    ((record, _),) = convert([source], tmp_path / "results", on_progress, variants=VARIANTS)
    assert [variant.failure and variant.failure.kind for variant in record.variants].count(None) == 3
    (phase,) = [phase for phase in record.phases if phase.name == "convert"]
    assert len(lived) == 2
    assert phase.seconds > sum(lived)
    assert record.peak_bytes >= phase.peak_bytes > 0


def test_a_killed_child_of_one_model_leaves_the_model_beside_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_at(monkeypatch, tmp_path / "standing", point("convert", "convert", "as-is", folder="-wide-"))
    sources = [ready_package(tmp_path, seed=9), package_of_pictures(tmp_path)]
    done: list[str] = []

    def kill(progress: Progress) -> None:
        if progress.message.startswith("wide.mlpackage: convert") and not done:
            done.append(progress.message)
            kill_standing(tmp_path / "standing")

    (hit, _), (whole, _) = convert(sources, tmp_path / "results", kill, variants=VARIANTS, jobs=2)
    failed = [variant.failure for variant in hit.variants if variant.failure]
    assert [failure.evidence.signal for failure in failed] == ["SIGKILL"]
    assert isinstance(hit.outcome, Converted)
    assert (hit.outcome.wrong, hit.outcome.failed) == (0, 1)
    assert isinstance(whole.outcome, Converted)
    assert (whole.outcome.failed, len(whole.variants)) == (0, 4)
