"""Reasons and hints of failed variants."""

from pathlib import Path

import pytest

from coremlbench.conversion.options import RequestedPackage
from coremlbench.conversion.variant_failures import variant_failure

CONVERTED = RequestedPackage("fp16-b1", "fp16", 1, "macOS13", "macOS13", Path("work/it-fp16-b1.mlpackage"), None)
READY = RequestedPackage("as-is", "as-is", 0, "", "", Path("work/it-as-is.mlpackage"), None, "/home/me/mine.mlpackage")


@pytest.mark.parametrize(
    ("kind", "message", "hint"),
    [
        ("InputError", "The model takes batches of 4 only, and one of 1 was requested.", "Convert it with --batch 4."),
        ("InputError", "it.mlpackage takes batches of 4; give --batch 4.", "Leave the other batches out."),
        ("InputError", "coremltools has no conversion for X; build it without.", "Another variant or target does not"),
        ("ConversionError", "activations of 8 bits are put into others.", "Leave this variant out."),
        ("InputError", "An op needs a newer system; give --target macOS15.", "Convert it with --target macOS15."),
        ("ValueError", "ValueError: bad scale", "No remedy is known"),
    ],
)
def test_what_could_not_be_made(kind: str, message: str, hint: str) -> None:
    failure = variant_failure(CONVERTED, {"error": {"type": kind, "message": message}}, {})
    assert failure is not None
    assert failure.reason == f"It could not be made: {message.removesuffix('.')}."
    assert failure.hint.startswith(hint)


@pytest.mark.parametrize(
    ("kind", "message", "hint"),
    [
        ("UnknownOpError", "It does not know the op 'x'; run this model on a Mac.", "Core ML itself may execute it:"),
        ("RuntimeError", "RuntimeError: no kernel", "Run it on a Mac: "),
        ("InputError", "'it-fp16-b1.mlpackage' is damaged.", "Its outputs are not known."),
        (
            "CoremlbenchError",
            "The original gives no number for any image.",
            "Correct the model, or compare it on other",
        ),
        ("CoremlbenchError", "It gives 3 values: they are not the same model.", "Compare it with the model that it"),
    ],
)
def test_what_could_not_be_executed_or_compared(kind: str, message: str, hint: str) -> None:
    failure = variant_failure(CONVERTED, {}, {"error": {"type": kind, "message": message}})
    assert failure is not None
    done = "compared" if kind == "CoremlbenchError" else "executed here"
    assert failure.reason == f"It was saved, but could not be {done}: {message.removesuffix('.')}."
    assert failure.hint.startswith(hint)
    assert "save-onnx" not in failure.hint


def test_a_package_of_the_users_has_its_own_name_and_was_not_saved_here() -> None:
    failure = variant_failure(
        READY, {}, {"error": {"type": "UnknownOpError", "message": "No op of 'it-as-is.mlpackage'."}}
    )
    assert failure is not None
    assert failure.reason == "It could not be executed here: No op of 'mine.mlpackage'."


def test_what_went_well_has_no_failure() -> None:
    assert variant_failure(CONVERTED, {"notes": []}, {"proof": {}}) is None
