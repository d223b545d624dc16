from typing import get_args

import pytest

from coremlbench.conversion.proof import THRESHOLDS
from coremlbench.conversion.variants import (
    OLDEST_SYSTEMS,
    TARGETS,
    VARIANTS,
    deployment_target,
    find_variants,
    neural_engine_note,
)
from coremlbench.types.conversion import VariantName
from coremlbench.types.errors import InputError


def test_every_variant_has_a_row_thresholds_and_a_note() -> None:
    names = {variant.name for variant in VARIANTS}
    assert names == set(get_args(VariantName)) - {"as-is"} == set(THRESHOLDS)
    assert all(neural_engine_note(name) for name in get_args(VariantName))
    assert "bars the Neural Engine" in neural_engine_note("fp32")
    for variant in VARIANTS:
        assert ("bars the Neural Engine" in neural_engine_note(variant.name, "float32")) == (variant.name != "fp16")
        assert ("bars the Neural Engine" in neural_engine_note(variant.name)) == (variant.name == "fp32")


@pytest.mark.tensorflow
def test_the_systems_are_those_of_coremltools() -> None:
    import coremltools

    assert {name: int(getattr(coremltools.target, name)) for name in OLDEST_SYSTEMS.values()} == {
        name: version for version, name in OLDEST_SYSTEMS.items()
    }
    assert set(TARGETS) <= set(OLDEST_SYSTEMS.values())


def test_all_are_all_in_the_order_of_the_table() -> None:
    assert find_variants(["all"]) == VARIANTS
    assert [variant.name for variant in find_variants(["int8", "fp32", "int8"])] == ["fp32", "int8"]
    with pytest.raises(InputError, match=r"no variant 'palettised-6' \(did you mean palettized-6\?\)"):
        find_variants(["fp16", "palettised-6"])


@pytest.mark.parametrize("requested", TARGETS)
def test_a_target_is_raised_to_what_the_variant_needs(requested: str) -> None:
    for variant in VARIANTS:
        target = deployment_target(variant, requested)
        assert TARGETS.index(target) >= max(TARGETS.index(requested), TARGETS.index(variant.min_target))
        assert target in {requested, variant.min_target}
