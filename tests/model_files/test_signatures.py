"""Which signature of a SavedModel is converted, and what is said where none can be chosen."""

from __future__ import annotations

import pytest

from coremlbench.model_files.signatures import choose_signature
from coremlbench.types.errors import InputError


@pytest.mark.parametrize(
    ("names", "requested", "chosen", "note"),
    [
        (("other", "serving_default"), None, "serving_default", ""),
        (("other", "serving_default"), "other", "other", "The signature other is converted, as requested."),
        (("serve",), None, "serve", "The signature serve is converted: the SavedModel has no other."),
        (("serve",), "serve", "serve", "The signature serve is converted, as requested."),
    ],
)
def test_the_signature_that_is_converted(names: tuple[str, ...], requested: str | None, chosen: str, note: str) -> None:
    assert choose_signature("m", names, requested) == (chosen, note)


@pytest.mark.parametrize(
    ("names", "requested", "sentence"),
    [
        (("b", "a"), None, "several signatures, and none is named serving_default; choose one with --signature: a, b."),
        (("b", "a"), "c", "The SavedModel m has no signature c; choose one with --signature: a, b."),
        ((), None, "The SavedModel m has no signature, so it names no function to convert; save it again with one"),
        ((), "c", "has no signature, so it names no function"),
    ],
)
def test_signatures_that_cannot_be_chosen_are_listed(
    names: tuple[str, ...], requested: str | None, sentence: str
) -> None:
    with pytest.raises(InputError) as raised:
        choose_signature("m", names, requested)
    assert sentence in str(raised.value)
