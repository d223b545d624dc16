"""Whole conversions with few images, and ready packages to convert: real children, and no TensorFlow in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from coremlbench.conversion.job import convert_models
from coremlbench.conversion.options import ConvertOptions
from coremlbench.conversion.sources import source_of_file
from coremlbench.types.conversion import ConversionRecord, ModelSource
from coremlbench.types.process import Progress

Made = tuple[ConversionRecord, Path]


def quiet(progress: Progress) -> None:
    pass


def convert(
    sources: Any, results: Path, on_progress: Callable[[Progress], None] = quiet, **settings: Any
) -> list[Made]:
    options = ConvertOptions(**{"jobs": 1, "images": 20, **settings})
    return convert_models(
        sources, options, results=results, command=["coremlbench", "convert"], on_progress=on_progress
    )


def ready_package(folder: Path, seed: int = 0, filters: int = 64) -> ModelSource:
    """Return a package of two products with weights that can be compressed, in float32 and for macOS 15."""
    from tests.mil_programs import Builder, ct, numbers

    @Builder.program(input_specs=[Builder.TensorSpec(shape=(1, 48, 6, 6))], opset_version=ct.target.macOS15)
    def program(image: Any) -> Any:
        x = Builder.conv(x=image, weight=numbers((filters, 48, 1, 1), seed), name="first")
        return Builder.linear(x=Builder.reduce_mean(x=x, axes=[2, 3]), weight=numbers((40, filters), 2), name="head")

    return _saved(program, folder / "wide.mlpackage", ct.precision.FLOAT32)


def package_of_pictures(folder: Path) -> ModelSource:
    """Return a package in float16 that takes pictures of 8 x 8 as an array."""
    from tests.mil_programs import Builder, ct, numbers

    @Builder.program(input_specs=[Builder.TensorSpec(shape=(1, 8, 8, 3))], opset_version=ct.target.macOS15)
    def program(image: Any) -> Any:
        x = Builder.transpose(x=image, perm=[0, 3, 1, 2])
        x = Builder.relu(x=Builder.conv(x=x, weight=numbers((64, 3, 4, 4), 1), name="first"))
        return Builder.linear(x=Builder.reduce_mean(x=x, axes=[2, 3]), weight=numbers((40, 64), 2), name="head")

    return _saved(program, folder / "sees.mlpackage", ct.precision.FLOAT16)


def _saved(program: Any, package: Path, precision: Any) -> ModelSource:
    from tests.mil_programs import ct

    ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.macOS15,
        compute_precision=precision,
        skip_model_load=True,
    ).save(str(package))
    return source_of_file(package)
