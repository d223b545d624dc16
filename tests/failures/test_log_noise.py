"""What TensorFlow logs at every start is no cause and no evidence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coremlbench.failures.classify import classify
from coremlbench.failures.log_noise import is_noise, without_noise
from tests.failure_exits import FINE

NOISE = (
    "I tensorflow/core/util/port.cc:153] oneDNN custom operations are on. You may see slightly different results.",
    ("I external/xla/tsl/cuda/cudart_stub.cc:32] Could not find cuda drivers on your machine, GPU will not be used."),
    (
        "E external/xla/stream_executor/cuda_fft.cc:477] Unable to register cuFFT factory: Attempting to "
        "register factory for plugin cuFFT when one has already been registered"
    ),
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "E0000 00:00:17 cuda_dnn.cc:8310] Unable to register cuDNN factory: Attempting to register factory",
    (
        "I tensorflow/core/platform/cpu_feature_guard.cc:210] This TensorFlow binary is optimized to use available CPU "
        "instructions in performance-critical operations."
    ),
    "To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow.",
    "E external/xla/stream_executor/cuda/cuda_driver.cc:152] failed call to cuInit: INTERNAL: UNKNOWN (303)",
    "I external/xla/stream_executor/cuda/cuda_diagnostics.cc:160] env: CUDA_VISIBLE_DEVICES='-1'",
    "W tensorflow/compiler/tf2tensorrt/utils/py_utils.cc:38] TF-TRT Warning: Could not find TensorRT",
    "W tensorflow/core/common_runtime/gpu/gpu_device.cc:2342] Cannot dlopen some GPU libraries.",
    "Skipping registering GPU devices...",
    "W tensorflow/stream_executor: Could not load dynamic library 'libcudart.so.11.0'; dlerror: cannot open it",
)


@pytest.mark.parametrize("line", NOISE)
def test_lines_of_every_start_are_noise(line: str) -> None:
    assert is_noise(line)


@pytest.mark.parametrize(
    "line",
    [
        "ImportError: libcudart.so.12: cannot open shared object file: No such file or directory",
        "E cuda_dnn.cc:522] Loaded runtime CuDNN library: 9.1.0 but source was compiled with: 9.3.0.",
        "CUDA_ERROR_OUT_OF_MEMORY: out of memory",
        "ValueError: the shapes do not match",
    ],
)
def test_lines_of_faults_are_not(line: str) -> None:
    assert not is_noise(line)


def test_a_failure_has_none_of_it_as_evidence() -> None:
    ended = replace(FINE, returncode=1, result=None, log_tail=(*NOISE, "ValueError: no", *NOISE))
    failure = classify(ended)
    assert failure is not None
    assert failure.evidence.log_tail == ("ValueError: no",)
    assert not set(failure.evidence.matched) & set(NOISE)
    assert without_noise(NOISE) == ()
