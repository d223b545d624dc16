"""Every rule of the failures' table with a sample that it matches and a near miss that it does not."""

import errno
import math
import signal
from dataclasses import replace
from typing import Any

import pytest

from coremlbench.failures import RULES, Rule, classify
from coremlbench.types import Exit, MemorySample, Progress

FINE = Exit(returncode=0, seconds=1.0, pid=1, result={"accuracy": 0.9})
BROKEN = Exit(returncode=1, seconds=1.0, pid=1)


def log(*lines: str, **fields: Any) -> Exit:
    return replace(BROKEN, log_tail=lines, **fields)


def error(kind: str, message: str = "no", number: int | None = None, **fields: Any) -> Exit:
    content = {"type": kind, "message": message, "errno": number, "traceback": f"{kind}: {message}"}
    return replace(BROKEN, error=content, **fields)


def ended(code: int | None, **fields: Any) -> Exit:
    return replace(BROKEN, returncode=code, **fields)


def stopped(reason: Any, **fields: Any) -> Exit:
    return replace(BROKEN, returncode=-15, stopped=reason, **fields)


def losing(loss: float) -> Exit:
    return replace(FINE, last_progress=Progress("fit", 2, 5, figures={"loss": loss}))


IOAF_MEMORY = "Error: command buffer exited with error status. (IOAF code -536870211)"
IOAF_FAULT = "Execution of the command buffer was aborted due to an error (IOAF code 4)"
METAL = "dlopen(/x/libmetal_plugin.dylib, 0x0006): "
MPS = "/AppleInternal/MPSCNNKernel.mm:752: failed assertion `[MPSCNNConvolution encode...] destination texture 2D'"

# One row a rule, in the order of the table: what it is called, what it matches, and what it all but matches.
SAMPLES: list[tuple[str, list[Exit], list[Exit]]] = [
    ("interrupted", [stopped("interrupted", stop_signal="SIGINT")], [ended(-signal.SIGINT)]),
    ("memory-limit", [stopped("memory-limit", limit=3e8, peak_bytes=400_000_000)], [ended(-9, peak_bytes=400_000_000)]),
    ("deadline", [stopped("deadline", limit=60)], [stopped("silence", limit=60)]),
    (
        "not-started",
        [error("FileNotFoundError", "[Errno 2] /x", errno.ENOENT, pid=None, returncode=None)],
        [error("FileNotFoundError", "[Errno 2] /x", errno.ENOENT)],
    ),
    ("gpu-memory", [log(IOAF_MEMORY), log(MPS)], [log(IOAF_FAULT), log("MPSCNNKernel.mm:1: ready")]),
    (
        "gpu-fault",
        [
            log(IOAF_FAULT),
            replace(FINE, log_tail=("Ignored (for causing prior/excessive GPU errors) (IOAF code 4)",)),
        ],
        [log("IOAF code 40"), log("Ignored (for causing noise)")],
    ),
    (
        "gpu-hang",
        [log("Caused GPU Hang Error (kIOGPUCommandBufferCallbackErrorHang)")],
        [log("kIOGPUCommandBufferCallbackErrorTimeout")],
    ),
    (
        "gpu-preempted",
        [log("Impacting Interactivity (kIOGPUCommandBufferCallbackErrorImpactingInteractivity)")],
        [log("kIOGPUCommandBufferCallbackErrorInnocentVictim")],
    ),
    (
        "gpu-memory",
        [
            log("OOM when allocating tensor with shape[32,224,224,3]"),
            error("ResourceExhaustedError", "Graph execution error"),
            log("RuntimeError: MPS backend out of memory (MPS allocated: 9.0 GB)"),
        ],
        [log("when allocating tensor with shape[32]"), log("MPS backend ready")],
    ),
    (
        "loss-nan",
        [losing(math.nan), losing(math.inf), log("Epoch 2/5 - loss: nan - accuracy: 0.10"), log("val_loss: nan")],
        [losing(0.3), log("loss: 0.31 - nanoseconds"), log("closs: nano")],
    ),
    (
        "untrusted-device",
        [error("UntrustedDeviceError", "GPU:0 is not to be trusted: its loss is nan in step 2.")],
        [error("DeviceError", "UntrustedDeviceError")],
    ),
    (
        "optimizer-platform",
        [log("INTERNAL: could not find registered platform with id: 0x1234")],
        [log("found registered platform with id: 0x1234")],
    ),
    (
        "metal-plugin",
        [log(METAL + "Symbol not found: _TF_foo"), log(METAL, "Library not loaded: @rpath/_pywrap_tensorflow")],
        [log(METAL + "loaded"), log("Symbol not found: _TF_foo")],
    ),
    (
        "turicreate-platform",
        [log("TURICREATE ERROR: setup.py did not find an available binary package")],
        [log("pip did not find an available binary package")],
    ),
    (
        "turicreate-environment",
        [
            error("AttributeError", "module 'numpy' has no attribute 'bool'."),
            log("TypeError: Descriptors cannot not be created directly."),
            log("TypeError: Descriptors cannot be created directly."),
        ],
        [error("AttributeError", "module 'numpy' has no attribute 'boom'"), log("Descriptors can be created directly")],
    ),
    ("unusable-data", [error("UnusableData", "Half is broken.")], [error("UnusableDataset")]),
    (
        "missing-weights",
        [error("MissingWeightsError"), error("UnreadableNetworkError")],
        [error("KeyError", "MissingWeightsError")],
    ),
    ("missing-data", [error("DownloadError"), error("UnavailableError")], [error("HTTPError", "DownloadError")]),
    ("environment", [error("EnvironmentBuildError")], [error("EnvironmentError")]),
    ("input", [error("InputError")], [error("ValueError", "InputError")]),
    (
        "disk-full",
        [
            error("OSError", "[Errno 28] x", errno.ENOSPC),
            error("OSError", "[Errno 122] x", errno.EDQUOT),
            log("cp: error writing 'x': No space left on device"),
            error("OSError", "x", errno.ENOSPC, pid=None, returncode=None),
        ],
        [error("OSError", "[Errno 27] File too large", errno.EFBIG), log("some space left on device")],
    ),
    (
        "too-many-files",
        [error("OSError", "[Errno 24] x", errno.EMFILE), log("OSError: [Errno 24] Too many open files: 'a.jpg'")],
        [log("OSError: [Errno 2] No such file"), log("Too many files")],
    ),
    (
        "permission",
        [error("PermissionError", "[Errno 13] '/x'", errno.EACCES), error("OSError", "[Errno 30] ro", errno.EROFS)],
        [error("OSError", "[Errno 5] io", errno.EIO)],
    ),
    (
        "out-of-memory",
        [
            error("MemoryError", ""),
            ended(-6, log_tail=("terminate called after throwing an instance of 'std::bad_alloc'",)),
            error("OSError", "[Errno 12] Cannot allocate memory", errno.ENOMEM),
        ],
        [error("ValueError", "MemoryErrors are caught"), ended(-6, log_tail=("std::bad_cast",))],
    ),
    (
        "out-of-memory",
        [ended(-9, oom_kills=1), ended(137, oom_kills=2)],
        [ended(-9, oom_kills=0), ended(1, oom_kills=1)],
    ),
    ("killed", [ended(-9), ended(137, oom_kills=0), log("zsh: Killed: 9   python x.py")], [ended(-15), ended(9)]),
    (
        "illegal-instruction",
        [ended(-4), ended(132), log("zsh: illegal hardware instruction  python")],
        [ended(4), log("illegal instruction set")],
    ),
    (
        "segmentation-fault",
        [ended(-11), ended(139), log("Fatal Python error: Segmentation fault")],
        [ended(11), log("no segmentation fault here")],
    ),
    ("bus-error", [ended(-signal.SIGBUS)], [ended(int(signal.SIGBUS))]),
    ("aborted", [ended(-6), ended(134)], [ended(6), ended(-9)]),
    ("terminated", [ended(-15), ended(143), ended(-2)], [stopped("silence", limit=5), ended(15)]),
    ("signal", [ended(-signal.SIGPIPE), ended(-signal.SIGXCPU)], [ended(13), ended(255)]),
    ("hang", [stopped("silence", limit=300)], [stopped("deadline", limit=300)]),
    ("exception", [error("ValueError", "eight is too many")], [ended(1, log_tail=("ValueError: eight",))]),
    ("no-result", [replace(FINE, result=None)], [FINE, ended(3)]),
    ("unknown", [ended(None)], [ended(None, error={"type": "X", "message": "y"})]),
    ("unknown", [ended(1), ended(3)], [FINE]),
]


def test_every_rule_has_its_samples_in_order() -> None:
    assert [rule.kind for rule in RULES] == [kind for kind, _, _ in SAMPLES]


@pytest.mark.parametrize(
    ("rule", "sample"),
    [(rule, sample) for rule, (_, samples, _) in zip(RULES, SAMPLES, strict=True) for sample in samples],
    ids=lambda value: value.kind if isinstance(value, Rule) else "",
)
def test_a_rule_matches_its_sample_and_decides(rule: Rule, sample: Exit) -> None:
    assert rule.matches(sample) is not None
    failure = classify(sample)
    assert failure is not None
    assert failure.kind == rule.kind
    assert "{" not in failure.reason + failure.hint
    assert failure.hint.endswith(".")


@pytest.mark.parametrize(
    ("kind", "near_miss"),
    [(kind, near) for kind, _, misses in SAMPLES for near in misses],
)
def test_a_near_miss_is_something_else(kind: str, near_miss: Exit) -> None:
    failure = classify(near_miss)
    assert failure is None or failure.kind != kind


def test_success_is_no_failure_whatever_was_logged() -> None:
    assert classify(FINE) is None
    noise = ("Killed: 9", "Too many open files", "std::bad_alloc", IOAF_MEMORY, "MemoryError")
    assert classify(replace(FINE, log_tail=noise)) is None


def test_the_reason_holds_the_numbers_and_the_place() -> None:
    failure = classify(
        stopped(
            "memory-limit",
            limit=300 * 2**20,
            peak_bytes=350 * 2**20,
            phase="extract",
            last_progress=Progress("extract", 1234, 88375),
        )
    )
    assert failure is not None
    assert failure.reason == (
        "The run took 350.0 MiB of memory, more than the limit of 300.0 MiB, and was stopped at extract 1234 of 88375."
    )
    assert failure.evidence.progress == "extract 1234 of 88375"


def test_messages_with_braces_are_left_as_they_are() -> None:
    failure = classify(error("KeyError", "{where} {0} {"))
    assert failure is not None
    assert failure.reason == "The worker raised KeyError: {where} {0} {"


def test_evidence_is_bounded() -> None:
    lines = tuple(f"No space left on device {number}" + "x" * 1000 for number in range(200))
    curve = tuple(MemorySample(float(at), at) for at in range(400))
    failure = classify(log(*lines, memory=curve))
    assert failure is not None
    assert len(failure.evidence.log_tail) == 20
    assert failure.evidence.log_tail[-1] == lines[-1]
    assert len(failure.evidence.matched) == 5
    assert max(map(len, failure.evidence.matched)) == 300
    assert failure.evidence.memory == curve
