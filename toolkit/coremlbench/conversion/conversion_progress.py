"""Progress of coremltools' conversions, which can take many minutes for a large program."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

PASSES = ("coremltools.converters.mil.mil.passes.pass_pipeline", "tqdm")
TENSORFLOW_OPS = ("coremltools.converters.mil.frontend.tensorflow.convert_utils", "_tqdm")
"""Modules of coremltools 9.0 that loop over the passes and over a graph's ops, and their names for ``tqdm``."""


@contextmanager
def report_conversion(report: Callable[[str], object]) -> Iterator[None]:
    """Call ``report`` with what coremltools does, once for each op and for each pass, instead of drawing bars.

    coremltools has no other way to tell its progress.
    """

    def loop(values: Iterable[Any], *, desc: str, **_: Any) -> Iterator[Any]:
        items = list(values)
        for number, value in enumerate(items, start=1):
            report(f"{desc}: {number} of {len(items)}")
            yield value

    # A worker that needs no TensorFlow has ``None`` for it, so that coremltools does not import it.
    names = [PASSES, *([TENSORFLOW_OPS] if sys.modules.get("tensorflow") else [])]
    bars = [(importlib.import_module(module), name) for module, name in names]
    originals = [getattr(module, name) for module, name in bars]
    for module, name in bars:
        setattr(module, name, loop)
    try:
        yield
    finally:
        for (module, name), original in zip(bars, originals, strict=True):
            setattr(module, name, original)
