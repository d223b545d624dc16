"""The worst of several ranges of input values is told, and what was compared."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coremlbench.conversion.proof import judge
from coremlbench.conversion.sample_ranges import SampleRange, compared_ranges, ranges_to_json, split, worst_range
from coremlbench.system import serialization
from coremlbench.types.conversion import Proof

RANGES = [SampleRange(500, 0, 1, pixels=True), SampleRange(100, 0, 255, pixels=True)]


def proof(images: int, decibels: float, between: float = 1.0, error: float = 1.0) -> Proof:
    """Return a judged proof in float16 with a signal-to-noise ratio."""
    figures: dict[str, Any] = {"max_error": error, "mean_error": 0.1, "range": 100.0, "between_images": between}
    return judge(
        Proof(
            verdict="wrong",
            reason="",
            runtime="",
            original="",
            images=images,
            data="random inputs",
            signal_to_noise=decibels,
            **figures,
        ),
        "fp16",
    )


def codes(told: Proof) -> list[str]:
    return [caveat.code for caveat in told.caveats]


def test_two_proven_ranges_are_one_caveat() -> None:
    told, first = worst_range([proof(500, 60), proof(100, 50)], RANGES)
    assert (told.verdict, told.images, first, codes(told)) == ("proven with caveats", 500, 0, ["pixel-range"])
    assert told.caveats[0].text == (
        "Which pixel values the model takes is not known: compared on those from 0 to 1 and from 0 to 255; give "
        "--scale 0.00392157 (1/255) if it takes pixels from 0 to 1, and --scale 1 if from 0 to 255."
    )
    assert told.reason.startswith("for values from 0 to 1, the signal stands 60.0 dB above the error")


@pytest.mark.parametrize(("decibels", "verdict"), [(-10, "wrong"), (30, "degraded")])
@pytest.mark.parametrize("worst", [0, 1])
def test_the_worst_range_is_told(decibels: float, verdict: str, worst: int) -> None:
    proofs: list[Proof | None] = [proof(500, 60), proof(100, 60)]
    proofs[worst] = proof(RANGES[worst].rows, decibels)
    told, first = worst_range(proofs, RANGES)
    assert (told.verdict, first) == (verdict, (0, 500)[worst])
    assert told.reason.startswith(f"for values from {RANGES[worst].text}, the signal stands {decibels:.1f} dB")
    assert told.data == f"random inputs, values from {RANGES[worst].text}"
    assert codes(told) == ["pixel-range"]


@pytest.mark.parametrize("silent", [proof(100, 20, between=1e-5), proof(100, -200, between=0.0), None])
def test_a_range_that_the_original_saturates_in_does_not_count(silent: Proof | None) -> None:
    told, _ = worst_range([proof(500, 60), silent], RANGES)
    assert (told.verdict, codes(told)) == ("proven with caveats", ["pixel-range"])
    assert "from 0 to 1; for those from 0 to 255 the original's outputs say nothing; give" in told.caveats[0].text


def test_a_range_that_the_original_saturates_in_counts_where_the_package_is_far_off() -> None:
    wrong = proof(100, -190, between=1e-5, error=math.inf)
    assert wrong.verdict == "wrong"
    assert worst_range([proof(500, 60), wrong], RANGES)[0].verdict == "wrong"


def test_where_no_range_tells_anything_the_first_is_told() -> None:
    told, first = worst_range([proof(500, 20, between=1e-5), proof(100, 20, between=1e-5)], RANGES)
    assert (told.verdict, first, codes(told)) == ("degraded", 0, ["low-variance", "pixel-range"])


def test_few_images_in_all_stay_a_caveat() -> None:
    told, _ = worst_range([proof(20, 60), proof(4, 50)], [SampleRange(20, 0, 1, pixels=True), RANGES[1]])
    assert codes(told) == ["few-images", "pixel-range"]
    assert told.images == 20


def test_the_range_of_measurements_is_told() -> None:
    told, _ = worst_range([proof(500, 60)], [SampleRange(500, -3.5512, 3.75)])
    assert (told.verdict, codes(told)) == ("proven with caveats", ["value-range"])
    assert told.caveats[0].text == "Compared on values from -3.55 to 3.75 only; nothing is known about larger ones."
    assert serialization.from_json(Proof, serialization.to_json(told)) == told


def test_samples_of_a_known_range_are_one_part(tmp_path: Path) -> None:
    (only,) = compared_ranges(tmp_path, 600, one_only=False)
    told, first = worst_range([proof(600, 60)], [only])
    assert (only.rows, told.verdict, told.caveats, first) == (600, "proven", (), 0)
    (tmp_path / "samples.json").write_text(json.dumps({"ranges": ranges_to_json(RANGES)}))
    assert compared_ranges(tmp_path, 600, one_only=False) == RANGES
    assert compared_ranges(tmp_path, 600, one_only=True) == RANGES[:1]
    parts = split({"output": np.arange(600)}, RANGES)
    assert [part["output"].tolist() for part in parts] == [list(range(500)), list(range(500, 600))]
