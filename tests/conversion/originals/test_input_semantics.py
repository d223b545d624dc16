from dataclasses import replace

import pytest

from coremlbench.conversion.originals.input_semantics import class_names, pixel_scaling
from coremlbench.types.conversion import Caveat, ModelSource
from coremlbench.types.errors import InputError

MINE = ModelSource(name="mine", kind="file", format="keras", path="mine.keras", sha256="")
DATA = {"data": {"name": "pets", "classes": ["cat", "dog"]}}


@pytest.mark.parametrize(
    ("shape", "settings", "wanted", "expected"),
    [
        ((8, 8, 3), {}, None, (False, 1 / 255, False, "is not known, so it takes an array")),
        ((8, 8, 1), {}, 255, (True, 1.0, True, "so it takes images")),
        ((8, 8, 3), {}, 1, (True, 1 / 255, True, "want pixels from 0 to 1, so it takes images, scaled by 1/255.")),
        ((8, 8, 3), {"scale": 0.5}, 255, (True, 0.5, True, "multiplied with 0.5, as requested")),
        ((8, 8), DATA, None, (False, 1 / 255, False, "those of the data are multiplied with 1/255")),
        ((8, 8), DATA, 255, (False, 1.0, True, "rescales pixels itself.")),
        ((8, 8), DATA, 1, (False, 1 / 255, True, "want pixels from 0 to 1, so those of the data are scaled by 1/255.")),
        ((8, 8), {**DATA, "scale": 0.5}, None, (False, 0.5, True, "as requested")),
        ((8, 8), {"scale": 0.5}, None, (False, 1.0, False, "left out: inputs of the shape (8, 8) are no pictures.")),
        ((8, 8, 2), {**DATA, "scale": 0.5}, None, (False, 1.0, False, "--scale was left out")),
        ((4,), DATA, None, (False, 1.0, False, "")),
    ],
)
def test_what_pixels_are_multiplied_with(
    shape: tuple[int, ...],
    settings: dict[str, object],
    wanted: float | None,
    expected: tuple[bool, float, bool, str],
) -> None:
    scaling = pixel_scaling(shape, settings, wanted_maximum=wanted)
    assert (scaling.pixels, scaling.scale, scaling.known) == expected[:3]
    assert expected[3] in scaling.note
    assert bool(expected[3]) == bool(scaling.note)
    maybe_pixels = len(shape) > 1 and "are no pictures" not in scaling.note
    assert scaling.other_scales == ((1.0,) if maybe_pixels and not scaling.known else ())


def test_classes_are_those_that_were_named_or_those_of_the_data_when_as_many() -> None:
    named = replace(MINE, classes=("cat", "dog", "cow"))
    assert class_names(named, DATA, [(None, 3)]) == (("cat", "dog", "cow"), "", ())
    assert class_names(MINE, {}, [(None, 2)]) == ((), "", ())
    names, note, caveats = class_names(MINE, DATA, [(None, 2)])
    assert (names, note) == (("cat", "dog"), "")
    text = "The class names were assumed to be those of pets, in their order; --classes sets them."
    assert caveats == (Caveat("class-order", text),)
    for outputs in ([(None, 3)], [(None, None)], [(None, 2), (None, 2)], [(None, 4, 2)], [()], []):
        assert class_names(MINE, DATA, outputs) == (
            (),
            "The model does not give one value for each of the 2 classes of pets, so no accuracy is given.",
            (),
        )
    for outputs, sentence in (
        ([(None, 4)], "3 classes were named, and mine gives 4 values for each input; .*--classes"),
        ([(None, 3), (None, 3)], r"gives outputs of the shapes \[\(3,\), \(3,\)\]"),
    ):
        with pytest.raises(InputError, match=sentence):
            class_names(named, DATA, outputs)


def test_names_of_a_labels_file_are_taken_when_they_are_as_many_as_the_outputs() -> None:
    beside = replace(MINE, classes=("cat", "dog", "cow"), classes_from="labels.txt")
    note = "The names of the classes are those of the labels.txt beside the model."
    assert class_names(beside, DATA, [(None, 3)]) == (("cat", "dog", "cow"), note, ())
    dropped = "The 3 names in the labels.txt beside the model were left out: its outputs are not as many."
    assert class_names(beside, {}, [(None, 2)]) == ((), dropped, ())
    assert class_names(beside, {}, [(None, 3), (None, 3)]) == ((), dropped, ())
    names, note, caveats = class_names(beside, DATA, [(None, 2)])
    assert (names, note) == (("cat", "dog"), dropped)
    assert [caveat.code for caveat in caveats] == ["class-order"]
