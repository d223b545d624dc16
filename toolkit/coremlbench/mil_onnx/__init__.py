"""Convert ML Programs to ONNX models: ``to_onnx(load_program(path))``."""

from coremlbench.mil_onnx.graph import UnknownOpError, UnsupportedProgramError
from coremlbench.mil_onnx.program import Program, load_program, read_description
from coremlbench.mil_onnx.translate import to_onnx

__all__ = ["Program", "UnknownOpError", "UnsupportedProgramError", "load_program", "read_description", "to_onnx"]
