"""Imported by the fork server's groups: what most workers import beside their libraries.

Compiling pydantic's schemas and importing a hundred small modules would take each fork a tenth of a second. The
modules of the workers are not among them: each fork runs one of those.
"""

import importlib
from typing import Any

from pydantic import TypeAdapter

from coremlbench.conversion.options import ConvertOptions
from coremlbench.system import serialization
from coremlbench.types.conversion import Divergence, ModelSource, Proof
from coremlbench.types.data import ArraySet, ImageSet

__all__ = ("TypeAdapter",)

MODULES = (
    *(
        "conversion.compression",
        "conversion.divergence",
        "conversion.conversion_progress",
        "conversion.known_deviations",
    ),
    *("conversion.originals", "conversion.originals.package", "conversion.package_files", "conversion.package_runner"),
    *("conversion.proof_hints", "conversion.sampling", "conversion.variants", "model_files.label_files", "runtimes"),
    *("runs.resume_data", "timing.compute_plan", "timing.measurement_loop", "training.random_weights"),
)
KINDS: tuple[Any, ...] = (ArraySet, ConvertOptions, Divergence, ImageSet, ModelSource, Proof)
"""What workers read and write as JSON."""

for name in MODULES:
    importlib.import_module(f"coremlbench.{name}")
for kind in KINDS:
    serialization._adapter(kind)
