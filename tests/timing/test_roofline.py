"""The roofline bound: arithmetic and bytes divided by peak rates, or a sentence that says why there is none."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coremlbench.timing.chips import CHIPS, Chip, accelerator_note, find_chip
from coremlbench.timing.roofline import roofline_bound
from coremlbench.types.conversion import Variant
from coremlbench.types.machine import Machine
from coremlbench.types.timing import RooflineBound, UnitName

M1 = Machine(
    id="0",
    chip="Apple M1 (4 performance and 4 efficiency cores)",
    architecture="arm64",
    physical_cores=8,
    logical_cores=8,
    memory_bytes=16 << 30,
    system="macOS",
    system_version="15.1 (24B83)",
    accelerators=("Apple M1 GPU (7 cores)", "Neural Engine"),
)
EFFICIENTNETB0 = Variant("fp16", 1, weight_bytes=10_600_000, arithmetic=390_000_000)
UNITS: tuple[UnitName, ...] = ("CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE", "ALL")


def seconds(machine: Machine, unit: UnitName, variant: Variant) -> float:
    bound = roofline_bound(machine, unit, variant)
    assert isinstance(bound, RooflineBound), bound
    return bound.seconds


def test_a_multiply_add_is_two_operations_of_the_neural_engines_eleven_trillion() -> None:
    bound = roofline_bound(M1, "CPU_AND_NE", EFFICIENTNETB0)
    assert isinstance(bound, RooflineBound)
    assert bound.seconds == pytest.approx(2 * 390e6 / 11e12)
    assert (bound.bound, bound.chip, bound.operations_per_second) == ("arithmetic", "M1", 11e12)
    assert "apple.com/newsroom" in bound.source


def test_the_gpus_own_cores_count_and_the_most_there_are_where_it_does_not_tell() -> None:
    silent = replace(M1, accelerators=("Neural Engine",))
    seven, eight = seconds(M1, "CPU_AND_GPU", EFFICIENTNETB0), seconds(silent, "CPU_AND_GPU", EFFICIENTNETB0)
    assert seven / eight == pytest.approx(8 / 7)


def test_all_units_together_are_never_slower_than_one_of_them() -> None:
    together = seconds(M1, "ALL", EFFICIENTNETB0)
    assert together < seconds(M1, "CPU_AND_NE", EFFICIENTNETB0)
    assert together < seconds(M1, "CPU_AND_GPU", EFFICIENTNETB0)


def test_weights_that_do_not_fit_on_the_chip_are_read_from_memory() -> None:
    large = replace(EFFICIENTNETB0, weight_bytes=(32 << 20) + 683_000_000)
    bound = roofline_bound(M1, "CPU_AND_NE", large)
    assert isinstance(bound, RooflineBound)
    assert bound.seconds == pytest.approx(0.01)
    assert (bound.bound, bound.bytes_per_second) == ("memory", 68.3e9)


def test_a_batch_scales_the_arithmetic_and_reads_the_weights_once() -> None:
    eight = replace(EFFICIENTNETB0, batch=8, arithmetic=8 * 390_000_000)  # told for the whole call
    assert seconds(M1, "ALL", eight) == pytest.approx(8 * seconds(M1, "ALL", EFFICIENTNETB0))
    large = replace(EFFICIENTNETB0, weight_bytes=1 << 30, arithmetic=1)
    assert seconds(M1, "ALL", replace(large, batch=8, arithmetic=8)) == seconds(M1, "ALL", large)


@pytest.mark.parametrize(
    ("chip", "unit", "says"),
    [
        ("Intel(R) Core(TM) i9-9980HK CPU @ 2.40GHz", "CPU_AND_GPU", "Intel(R) Core(TM) i9-9980HK CPU @ 2.40GHz"),
        ("Apple M99", "CPU_AND_NE", "Apple M99 are not in the table"),
        ("", "ALL", "this chip"),
        ("Apple M1", "CPU_ONLY", "no peak figure of the M1's CPU"),
        ("Apple M5", "CPU_AND_GPU", "no peak figure of the M5's GPU"),
        ("Apple M5 Pro", "CPU_AND_NE", "no peak figure of the M5 Pro's Neural Engine"),
        ("Apple M5 Max", "ALL", "M5 Max"),
        ("Apple M5 Ultra (12 super and 24 performance cores)", "CPU_AND_GPU", "no peak figure of the M5 Ultra's GPU"),
        ("Apple M6", "CPU_AND_NE", "no peak figure of the M6's Neural Engine"),
        ("Apple A18 Pro", "ALL", "no peak figure of the A18 Pro's GPU"),
        ("Apple M1", "host-cpu", "host-cpu"),
    ],
)
def test_where_nobody_gave_a_figure_there_is_a_sentence(chip: str, unit: UnitName, says: str) -> None:
    bound = roofline_bound(replace(M1, chip=chip, accelerators=()), unit, EFFICIENTNETB0)
    assert isinstance(bound, str)
    assert says in bound
    assert bound.endswith(".")


def test_float32_has_no_floor_on_the_neural_engine_and_that_of_the_gpu_elsewhere() -> None:
    wide = replace(EFFICIENTNETB0, name="fp32")
    assert "no float32" in str(roofline_bound(M1, "CPU_AND_NE", wide))
    assert seconds(M1, "ALL", wide) == seconds(M1, "CPU_AND_GPU", wide)


def test_unknown_arithmetic_gives_no_floor() -> None:
    assert "arithmetic" in str(roofline_bound(M1, "ALL", replace(EFFICIENTNETB0, arithmetic=None)))


@given(st.sampled_from(CHIPS), st.sampled_from(UNITS), st.integers(0, 10**13), st.integers(0, 10**11))
def test_a_floor_is_never_above_either_bound_computed_by_hand(
    chip: Chip, unit: UnitName, arithmetic: int, weights: int
) -> None:
    machine = replace(M1, chip=f"Apple {chip.name}", accelerators=())
    variant = Variant("int8", 1, weight_bytes=weights, arithmetic=arithmetic)
    bound = roofline_bound(machine, unit, variant)
    if isinstance(bound, RooflineBound):
        gpu, engine = (chip.gpu_core or 0) * (chip.gpu_cores or 0), chip.neural_engine or 0
        assert bound.seconds >= 2 * arithmetic / (gpu + engine)
        assert bound.seconds <= max(2 * arithmetic / min(gpu, engine), weights / chip.bandwidth) * (1 + 1e-12)


# --- the table ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("described", "name"),
    [
        ("Apple M1 (4 performance and 4 efficiency cores)", "M1"),
        ("Apple M1 Ultra (16 performance and 4 efficiency cores)", "M1 Ultra"),
        ("Apple M4 Pro", "M4 Pro"),
        ("VirtualApple @ 2.50GHz processor", None),
        ("Apple M1 Firestorm", "M1"),
        ("Apple M10", None),
        ("Apple M6 (2 super, 4 performance and 6 efficiency cores)", "M6"),
        ("Apple A18 Pro (2 performance and 4 efficiency cores)", "A18 Pro"),
    ],
)
def test_a_chip_is_found_by_what_the_machine_says_of_it(described: str, name: str | None) -> None:
    chip = find_chip(described)
    assert (chip.name if chip else None) == name


def test_every_row_has_a_source_and_its_family_grows_from_base_to_ultra() -> None:
    assert len({chip.name for chip in CHIPS}) == len(CHIPS)
    assert all(chip.source for chip in CHIPS)
    for family in ("M1", "M2", "M3", "M4", "M5"):
        rows = [chip for chip in CHIPS if chip.name.split()[0] == family]
        assert [chip.bandwidth for chip in rows] == sorted(chip.bandwidth for chip in rows)
        assert [chip.gpu_cores for chip in rows] == sorted(chip.gpu_cores for chip in rows)
        assert [chip.on_chip for chip in rows] == sorted(chip.on_chip for chip in rows)


@pytest.mark.parametrize(
    ("name", "teraflops"), [("M1", 2.6), ("M1 Pro", 5.2), ("M1 Max", 10.4), ("M1 Ultra", 21), ("M2", 3.6)]
)
def test_the_gpus_figures_are_apples_where_apple_gives_them(name: str, teraflops: float) -> None:
    chip = find_chip(f"Apple {name}")
    assert chip is not None
    assert chip.gpu_core is not None
    assert teraflops <= chip.gpu_core * chip.gpu_cores / 1e12 <= 1.03 * teraflops  # never the lower: a floor


def test_chips_whose_gpu_has_matrix_units_are_told() -> None:
    families = {chip.name.split()[0] for chip in CHIPS if chip.neural_accelerators}
    assert families == {"M5", "M6"}
    assert accelerator_note("Apple M5 Max (6 super and 12 performance cores)").startswith(
        "Each core of the M5 Max's GPU has a Neural Accelerator"
    )
    assert accelerator_note("Apple M4 Max") == accelerator_note("Apple A18 Pro") == accelerator_note("Xeon") == ""
