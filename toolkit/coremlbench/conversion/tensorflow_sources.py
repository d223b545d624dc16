"""Models whose originals only TensorFlow opens, where it is not installed."""

from __future__ import annotations

from collections.abc import Sequence

from coremlbench.model_files.formats import TENSORFLOW_FORMATS
from coremlbench.system.tensorflow_extra import has_tensorflow, missing_message
from coremlbench.types.conversion import ModelSource, UnopenedModel
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Evidence, Failure


def without_unopenable(sources: Sequence[ModelSource | UnopenedModel]) -> tuple[ModelSource | UnopenedModel, ...]:
    """Return the sources, with an ``UnopenedModel`` for each that needs TensorFlow where it is not installed.

    Raises:
        InputError: all of them need it.
    """
    missing = [] if has_tensorflow() else [source for source in sources if needs_tensorflow(source)]
    if missing and len(missing) == len(sources):
        names = ", ".join(source.name for source in missing)
        raise InputError(missing_message(f"Opening {names}"))
    return tuple(_unopened(source) if source in missing else source for source in sources)


def needs_tensorflow(source: ModelSource | UnopenedModel) -> bool:
    """Return whether a model is opened with TensorFlow."""
    return isinstance(source, ModelSource) and source.format in TENSORFLOW_FORMATS


def _unopened(source: ModelSource | UnopenedModel) -> UnopenedModel:
    message = missing_message(f"Opening {source.name}")
    hint = "Install TensorFlow and convert the model again."
    evidence = Evidence(phase="open", exception=f"InputError: {message}")
    return UnopenedModel(name=source.name, path=source.path, failure=Failure("input", message, hint, evidence))
