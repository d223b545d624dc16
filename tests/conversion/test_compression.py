from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coremlbench.conversion.compression import ConversionError, _merge_overlapping, activation_ranges, compress
from coremlbench.conversion.op_statistics import count_ops, matching_variant
from coremlbench.conversion.package_runner import PackageRunner
from coremlbench.conversion.variants import VARIANTS
from coremlbench.mil_onnx import load_program
from coremlbench.types.conversion import OUTPUT
from tests.mil_programs import Builder, numbers

pytestmark = [  # coremltools leaves its temporary folders to the garbage collector
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

WEIGHTS = [numbers((64, 48, 1, 1), 1, low=-0.3, high=0.3), numbers((64, 64, 3, 3), 2, low=-0.1, high=0.1)]
SAMPLES = numbers((12, 48, 6, 6), 3)


def quiet(phase: str, done: int, total: int, message: str = "", **figures: Any) -> None:
    pass


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small float16 package with two convolutions whose outputs are concatenated."""

    @Builder.program(input_specs=[Builder.TensorSpec(shape=(1, 48, 6, 6))])
    def program(image: Any) -> Any:
        x = Builder.relu(x=Builder.conv(x=image, weight=WEIGHTS[0], name="first"), name="bent")
        y = Builder.conv(x=x, weight=WEIGHTS[1], pad_type="same", name="second")
        return Builder.concat(values=[x, y], axis=1, name="joined")

    path = tmp_path_factory.mktemp("base") / "base.mlpackage"
    ct.convert(program, convert_to="mlprogram", minimum_deployment_target=ct.target.macOS13, skip_model_load=True).save(
        str(path)
    )
    return path


def test_ranges_are_those_of_all_samples(base: Path) -> None:
    ranges = activation_ranges(base, SAMPLES, 1.0, quiet)
    program = load_program(base)
    first = next(op for op in program.function.operations if op.op_type == "conv").outputs[0].name
    values = np.einsum("oihw,nixy->noxy", WEIGHTS[0].astype(np.float16).astype(np.float32), SAMPLES)
    assert ranges[first]["rmin"] == pytest.approx(values.min(), rel=2e-3)
    assert ranges[first]["rmax"] == pytest.approx(values.max(), rel=2e-3)
    assert ranges["image"] == {"rmin": SAMPLES.min(), "rmax": SAMPLES.max()}
    joined = next(op for op in program.function.operations if op.op_type == "concat")
    shared = [ranges[var.name] for var in joined.values] + [ranges[joined.outputs[0].name]]
    assert shared[0] == shared[1] == shared[2]


@pytest.mark.parametrize(
    "variant", [variant for variant in VARIANTS if variant.compression], ids=lambda variant: variant.name
)
def test_each_compression_is_what_it_says_and_near_the_original(tmp_path: Path, base: Path, variant: Any) -> None:
    package = tmp_path / "compressed.mlpackage"
    compress(variant, base, SAMPLES, 1.0, quiet).save(str(package))
    program = load_program(package)
    assert matching_variant(program) == variant.name
    kinds = count_ops(program)
    assert kinds["conv"] == 2
    assert sum(count for kind, count in kinds.items() if kind.startswith("constexpr_")) == 2
    expected, actual = (
        PackageRunner.load(base).predict(SAMPLES)[OUTPUT],
        PackageRunner.from_program(program).predict(SAMPLES)[OUTPUT],
    )
    noise = float(np.mean((actual - expected) ** 2) / expected.var())
    assert 0 < noise < {"int8": 1e-3, "palettized-6": 1e-2, "palettized-4": 0.1, "int8-activations": 1e-2}[variant.name]


def test_activations_in_a_loop_are_not_quantised(tmp_path: Path) -> None:
    @Builder.program(input_specs=[Builder.TensorSpec(shape=(1, 4))], opset_version=ct.target.macOS14)
    def program(x: Any) -> Any:
        def is_small(value: Any) -> Any:
            return Builder.less(x=Builder.reduce_sum(x=value, keep_dims=False), y=10.0)

        return Builder.while_loop(_cond=is_small, _body=lambda value: Builder.add(x=value, y=1.0), loop_vars=(x,))

    model = ct.convert(program, convert_to="mlprogram", minimum_deployment_target=ct.target.macOS14)
    model.save(str(tmp_path / "loop.mlpackage"))
    variant = next(variant for variant in VARIANTS if variant.name == "int8-activations")
    with pytest.raises(ConversionError, match=r"without loops and conditions.*is the result of a loop"):
        compress(variant, tmp_path / "loop.mlpackage", np.ones((2, 4), np.float32), 1.0, quiet)


def test_an_op_that_stays_in_float32_keeps_its_numbers(tmp_path: Path) -> None:
    """As in the classifier of createml; coremltools cannot quantise between the two types."""

    @Builder.program(input_specs=[Builder.TensorSpec(shape=(1, 48, 6, 6))])
    def program(image: Any) -> Any:
        x = Builder.relu(x=Builder.conv(x=image, weight=WEIGHTS[0], name="first"), name="bent")
        x = Builder.reshape(x=Builder.reduce_mean(x=x, axes=[2, 3]), shape=[1, 64])
        return Builder.linear(x=x, weight=numbers((40, 64), 5), name="head")

    wide = ct.transform.FP16ComputePrecision(op_selector=lambda op: op.name != "head")
    ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.macOS13,
        compute_precision=wide,
        skip_model_load=True,
    ).save(str(tmp_path / "base.mlpackage"))
    (variant,) = [variant for variant in VARIANTS if variant.name == "int8-activations"]
    compress(variant, tmp_path / "base.mlpackage", SAMPLES, 1.0, quiet).save(str(tmp_path / "small.mlpackage"))
    expected, actual = (
        PackageRunner.load(tmp_path / f"{name}.mlpackage").predict(SAMPLES)[OUTPUT] for name in ("base", "small")
    )
    assert 0 < float(np.mean((actual - expected) ** 2) / expected.var()) < 1e-2


@given(st.lists(st.sets(st.integers(0, 9), min_size=1), max_size=8))
def test_groups_that_share_a_member_become_one(groups: list[set[int]]) -> None:
    joined = _merge_overlapping([[str(member) for member in group] for group in groups])
    members = [member for group in joined for member in group]
    assert len(members) == len(set(members)) == len(set().union(*groups))
    for group in groups:
        assert sum(bool(other & set(map(str, group))) for other in joined) == 1
