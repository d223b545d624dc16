"""Lines that TensorFlow writes at every start, which are the cause of no failure."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NOISE = re.compile(
    r"Could not find cuda drivers on your machine"
    r"|failed call to cuInit|cuda_diagnostics\.cc"
    r"|Unable to register cu(FFT|DNN|BLAS) factory|computation placer already registered"
    r"|TF-TRT Warning|Could not find TensorRT"
    r"|Cannot dlopen some GPU libraries|Skipping registering GPU devices"
    r"|Could not load dynamic library '(libcuda|libcudart|libcublas|libcufft|libcurand|libcusolver|libcusparse|libcudnn"
    r"|libnvinfer)"
    r"|Ignore above cudart dlerror"
    r"|oneDNN custom operations are on|TensorFlow binary is optimized to use available CPU instructions"
    r"|To enable the following instructions"
    r"|All log messages before absl::InitializeLog\(\) is called are written to STDERR"
)
"""What TensorFlow logs where it has no GPU to use, and about its own build.

tensorflow/tensorflow 62075, 79268 and 85604: none of these lines is an error.
"""


def is_noise(line: str) -> bool:
    """Return whether a line of a log is one of those that TensorFlow writes whatever happens."""
    return _NOISE.search(line) is not None


def without_noise(lines: Iterable[str]) -> tuple[str, ...]:
    """Return the lines of a log without TensorFlow's own."""
    return tuple(line for line in lines if not is_noise(line))
