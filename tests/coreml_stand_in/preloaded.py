"""Puts the stand-in in Core ML's place and imports what workers need with it, for forks that set its behaviour."""

import importlib

from tests import coreml_stand_in

coreml_stand_in.install(coreml_stand_in.Behaviour())
for name in ("coremltools", "coremltools.models.compute_plan", "onnx", "onnxruntime", "PIL.Image"):
    importlib.import_module(name)
