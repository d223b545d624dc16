"""Sweeps over input shapes: how they are written, and what the models of each are called."""

import pytest

from coremlbench.cli.commands.model_file_options import INPUT_SHAPES, parse_shapes
from coremlbench.timing.sweep import check_shapes, name_by_shape, split_shape
from coremlbench.types.conversion import UnopenedModel
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Failure
from tests.record_samples import source


def test_shapes_are_separated_by_commas_and_each_is_taken_once() -> None:
    assert parse_shapes("224x224x3") == ((224, 224, 3),)
    assert INPUT_SHAPES.convert("224x224x3, 320x320x3,224x224x3", None, None) == ((224, 224, 3), (320, 320, 3))
    assert parse_shapes("128") == ((128,),)
    for wrong in ("224x224x3,", "224,224,x", "224,224", "224x224x3,128", "0x3", "square", "1.5x2"):
        with pytest.raises(ValueError, match="write it as 224x224x3"):
            parse_shapes(wrong)


def test_a_model_has_its_shape_in_its_name_only_in_a_sweep() -> None:
    unopened = UnopenedModel("broken", "broken.keras", Failure("unsafe", "It holds code.", "Look at it."))
    sources = (source("net"), unopened)
    assert name_by_shape(sources, None) == sources
    assert [model.name for model in name_by_shape(sources, (32, 48, 3))] == ["net-32x48x3", "broken-32x48x3"]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("net-32x48x3", ("net", "32x48x3")),
        ("my-net-2-32x48x3", ("my-net-2", "32x48x3")),
        ("net-2", ("net-2", "")),
        ("net", ("net", "")),
        ("32x48x3", ("32x48x3", "")),
    ],
)
def test_the_shape_is_read_from_the_name(name: str, parts: tuple[str, str]) -> None:
    assert split_shape(name) == parts


def test_experiments_have_one_shape() -> None:
    check_shapes((), ((224, 224, 3),))
    check_shapes(("net.keras",), ((224, 224, 3), (320, 320, 3)))
    with pytest.raises(InputError, match="--input-shape 224x224x3,320x320x3"):
        check_shapes((), ((224, 224, 3), (320, 320, 3)))
