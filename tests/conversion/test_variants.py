from typing import get_args

import pytest

from coremlbench.conversion.proof import THRESHOLDS
from coremlbench.conversion.variants import SYSTEMS, TARGETS, VARIANTS, find_variants, note_of, target_of
from coremlbench.types.conversion import VariantName
from coremlbench.types.errors import InputError


def test_every_variant_has_a_row_thresholds_and_a_note() -> None:
    names = {plan.name for plan in VARIANTS}
    assert names == set(get_args(VariantName)) - {"as-is"} == set(THRESHOLDS)
    assert all(note_of(name) for name in get_args(VariantName))
    assert "bars the Neural Engine" in note_of("fp32")
    for plan in VARIANTS:
        assert ("bars the Neural Engine" in note_of(plan.name, "float32")) == (plan.name != "fp16")
        assert ("bars the Neural Engine" in note_of(plan.name)) == (plan.name == "fp32")


@pytest.mark.tensorflow
def test_the_systems_are_those_of_coremltools() -> None:
    import coremltools

    assert {name: int(getattr(coremltools.target, name)) for name in SYSTEMS.values()} == {
        name: version for version, name in SYSTEMS.items()
    }
    assert set(TARGETS) <= set(SYSTEMS.values())


def test_all_are_all_in_the_order_of_the_table() -> None:
    assert find_variants(["all"]) == VARIANTS
    assert [plan.name for plan in find_variants(["int8", "fp32", "int8"])] == ["fp32", "int8"]
    with pytest.raises(InputError, match=r"no variant 'palettised-6' \(did you mean palettized-6\?\)"):
        find_variants(["fp16", "palettised-6"])


@pytest.mark.parametrize("asked", TARGETS)
def test_a_target_is_raised_to_what_the_variant_needs(asked: str) -> None:
    for plan in VARIANTS:
        target = target_of(plan, asked)
        assert TARGETS.index(target) >= max(TARGETS.index(asked), TARGETS.index(plan.least_target))
        assert target in {asked, plan.least_target}
