"""Judge how a child ended: an ordered table of rules turns an ``Exit`` into a ``Failure``, or into nothing.

The first rule that matches decides, so that what is certain stands before what is likely, and what names a cause
before what names a symptom. Rules say "likely" where they infer; what no rule knows is called unknown.
"""

from __future__ import annotations

import errno
import signal
from collections.abc import Callable
from dataclasses import dataclass

from coremlbench.failure_matchers import (
    Match,
    always,
    any_error,
    any_signal,
    either,
    killed_by,
    logged,
    loss_is_nan,
    no_result,
    not_started,
    nothing_known,
    oom_killed,
    raised,
    stopped,
    system_error,
)
from coremlbench.failure_texts import describe_where, name_of_signal, values_for
from coremlbench.types import Evidence, Exit, Failure

TAIL_LINES = 20
MATCHED_LINES = 5
MATCHED_CHARACTERS = 300


@dataclass(frozen=True)
class Rule:
    """One row: what it is called, how it is recognised, what is said of it, and where that is known from.

    ``reason`` and ``hint`` are sentences with the fields of ``failure_texts.values_for``. ``also_success`` marks what
    spoils a run even when the worker says that all went well.
    """

    kind: str
    matches: Callable[[Exit], Match]
    reason: str
    hint: str
    source: str
    also_success: bool = False


def classify(ended: Exit) -> Failure | None:
    """Return why the child failed, ``None`` when it ended by itself, well, and with a valid result."""
    succeeded = ended.stopped is None and ended.returncode == 0 and ended.result is not None and ended.error is None
    for rule in RULES:
        if succeeded and not rule.also_success:
            continue
        matched = rule.matches(ended)
        if matched is not None:
            values = values_for(ended)
            return Failure(
                kind=rule.kind,
                reason=rule.reason.format(**values),
                hint=rule.hint.format(**values),
                evidence=_evidence(ended, matched),
            )
    return None


def _evidence(ended: Exit, matched: tuple[str, ...]) -> Evidence:
    """Return what the judgement rests on, small enough to stand in a record."""
    error = ended.error or {}
    return Evidence(
        phase=ended.phase,
        progress=describe_where(ended),
        returncode=ended.returncode,
        signal=name_of_signal(ended),
        exception=f"{error.get('type')}: {error.get('message')}"[:1000] if error else "",
        matched=tuple(line[:MATCHED_CHARACTERS] for line in matched[:MATCHED_LINES]),
        log_tail=ended.log_tail[-TAIL_LINES:],
        peak_bytes=ended.peak_bytes,
        memory=ended.memory,
    )


SMALLER = "Use a smaller batch, fewer or smaller images, or a machine with more memory"

RULES: tuple[Rule, ...] = (
    # --- what the supervisor did itself: certain
    Rule(
        "interrupted",
        stopped("interrupted"),
        "The run was interrupted{by_signal}{where}.",
        "Run it again.",
        "supervision",
    ),
    Rule(
        "memory-limit",
        stopped("memory-limit"),
        "The run took {peak} of memory, more than the limit of {limit_bytes}, and was stopped{where}.",
        "Raise --memory-limit, or use fewer images.",
        "supervision",
    ),
    Rule(
        "deadline",
        stopped("deadline"),
        "The run was not done after {limit_seconds} and was stopped{where}.",
        "Raise --timeout, or use fewer images or iterations.",
        "supervision",
    ),
    Rule(
        "not-started",
        not_started,
        "The worker could not be started: {message}.",
        "Run `coremlbench doctor`; it says what is missing and what to do.",
        "supervision",
    ),
    # --- graphics processors; after a fault a process lives on and its figures mean nothing
    Rule(
        "gpu-memory",
        logged(r"IOAF code -536870211|MPSCNNKernel\.mm.*failed assertion"),
        "The GPU ran out of memory{where}.",
        "Use a smaller batch, or the CPU.",
        "tensorflow_macos 36",
    ),
    Rule(
        "gpu-fault",
        logged(r"Ignored \(for causing prior/excessive GPU errors\)|IOAF code 4\b"),
        "The GPU had a fault{where} and ignored the work that came after it; results from then on are bogus.",
        "Discard this run, restart the machine, and use the CPU if it happens again.",
        "tensorflow_macos 202",
        also_success=True,
    ),
    Rule(
        "gpu-hang",
        logged(r"kIOGPUCommandBufferCallbackErrorHang"),
        "The system ended work on the GPU that took too long{where}.",
        "Use smaller images or a smaller batch.",
        "PyTorch forum 159689",
        also_success=True,
    ),
    Rule(
        "gpu-preempted",
        logged(r"kIOGPUCommandBufferCallbackErrorImpactingInteractivity"),
        "The system took the GPU away from the run{where}, to keep the screen responsive.",
        "Use a smaller batch, or leave the machine alone while it runs.",
        "omlx 1387",
        also_success=True,
    ),
    Rule(
        "gpu-memory",
        logged(r"OOM when allocating tensor|ResourceExhaustedError|MPS backend out of memory"),
        "The device ran out of memory{where}.",
        "Use a smaller batch.",
        "pytorch 130112",
    ),
    # --- TensorFlow and its plug-in
    Rule(
        "loss-nan",
        either(loss_is_nan, logged(r"\b(val_)?loss['\"]?\s*[:=]\s*(nan|inf)\b")),
        "The loss was no longer a number{where}; a bug of the GPU plug-in or of BatchNormalization is likely.",
        "Run it on the CPU, or with another optimizer.",
        "tensorflow_macos 231",
        also_success=True,
    ),
    Rule(
        "untrusted-device",
        raised("UntrustedDeviceError"),
        "{message}",
        "Train on the CPU with --device cpu, or install the pinned TensorFlow and plug-in together.",
        "tf-keras 140; tensorflow 92686",
    ),
    Rule(
        "optimizer-platform",
        logged(r"could not find registered platform with id"),
        "The optimizer needs XLA, which tensorflow-metal does not have.",
        "Use the legacy optimizer, or the CPU.",
        "tensorflow 58988",
    ),
    Rule(
        "metal-plugin",
        logged(r"libmetal_plugin\.dylib", r"Symbol not found|Library not loaded"),
        "tensorflow-metal and TensorFlow do not match.",
        "Install the versions of requirements.lock together: TensorFlow 2.18.1 and tensorflow-metal 1.2.0.",
        "tensorflow 84167",
    ),
    # --- Turi Create
    Rule(
        "turicreate-platform",
        logged(r"TURICREATE ERROR.*did not find an available binary package"),
        "Turi Create has no build for this Python or processor.",
        "It needs an x86-64 Python up to 3.8; `coremlbench doctor` says how to get one.",
        "turicreate 3462",
    ),
    Rule(
        "turicreate-environment",
        logged(r"module 'numpy' has no attribute 'bool'|Descriptors cannot(?: not)? be created directly"),
        "Turi Create's environment holds a NumPy or protobuf that is too new for it.",
        "Remove the environments folder under COREMLBENCH_CACHE; the next run makes it again from its lock.",
        "observed with numpy 1.24 and protobuf 4",
    ),
    # --- what the worker said of itself
    Rule(
        "unusable-data",
        raised("UnusableData"),
        "{message}",
        "Mend or remove the files that the record names, or use another dataset.",
        "worker",
    ),
    Rule(
        "missing-weights",
        raised("MissingWeightsError", "MissingWeights", "UnreadableNetworkError"),
        "{message}",
        "Run `coremlbench doctor`; it says which weights are here and how to get others.",
        "worker",
    ),
    Rule(
        "missing-data",
        raised("MissingData", "DownloadError", "UnavailableError"),
        "{message}",
        "Run `coremlbench datasets`; it says what is here, what to fetch and where to put it.",
        "worker",
    ),
    Rule(
        "environment",
        raised("EnvironmentBuildError"),
        "{message}",
        "Run `coremlbench doctor`, and then this again.",
        "worker",
    ),
    Rule("input", raised("InputError"), "{message}", "Correct the option or the input and run it again.", "worker"),
    Rule(
        "disk-full",
        either(system_error(errno.ENOSPC, errno.EDQUOT), logged(r"No space left on device|Disk quota exceeded")),
        "The disk is full{where}.",
        "Free some space, or let --results and COREMLBENCH_CACHE name folders on another disk.",
        "errno 28",
    ),
    Rule(
        "too-many-files",
        either(system_error(errno.EMFILE, errno.ENFILE), logged(r"\[Errno 24\]|Too many open files")),
        "The worker had more files open than the system allows{where}.",
        "Run `ulimit -n 4096` in this terminal and try again.",
        "mac-ml-speed-test README",
    ),
    Rule(
        "permission",
        either(system_error(errno.EACCES, errno.EPERM, errno.EROFS), raised("PermissionError")),
        "The worker was not allowed to use a file{where}: {message}.",
        "Give this user access to it, or use another folder.",
        "errno 13",
    ),
    # --- memory, inside the process
    Rule(
        "out-of-memory",
        either(raised("MemoryError"), system_error(errno.ENOMEM), logged(r"std::bad_alloc|^MemoryError\b")),
        "The worker could not get the memory it asked for{where}; it had taken {peak}.",
        SMALLER + ".",
        "turicreate 267",
    ),
    # --- the end that came from outside, or from the processor
    Rule(
        "out-of-memory",
        oom_killed,
        "The system killed the worker for memory{where} (oom_kill count +{oom_kills}, peak {peak}).",
        SMALLER + ".",
        "memory.events of the control group",
    ),
    Rule(
        "killed",
        either(killed_by(signal.SIGKILL), logged(r"\bKilled: 9\b")),
        "The worker was killed with SIGKILL{where}; for lack of memory, likely (peak {peak}{oom_note}).",
        SMALLER + "; if somebody killed it, run it again.",
        "turicreate 1075; tensorflow 41457",
    ),
    Rule(
        "illegal-instruction",
        either(killed_by(signal.SIGILL), logged(r"illegal hardware instruction")),
        "The worker met an instruction that this processor does not have{where}; software built for AVX under "
        "Rosetta or on an old processor, likely.",
        "Use a native arm64 Python on Apple silicon; on an old processor, a build without AVX.",
        "tensorflow_macos 81; tensorflow 58339",
    ),
    Rule(
        "segmentation-fault",
        either(killed_by(signal.SIGSEGV), logged(r"^Fatal Python error: Segmentation fault")),
        "Native code crashed with a segmentation fault{where}.",
        "Run it again; if it crashes again, try the CPU, or another machine (Turi Create 6.4.1 is known to crash on "
        "a 16-inch Intel MacBook Pro).",
        "tensorflow_macos 19, 35, 125; turicreate 3459",
    ),
    Rule(
        "bus-error",
        killed_by(signal.SIGBUS),
        "The worker crashed with SIGBUS{where}: a memory-mapped file was cut short, or its disk is full, likely.",
        "Check the free space of the results folder's disk, and run it again.",
        "signal(7)",
    ),
    Rule(
        "aborted",
        killed_by(signal.SIGABRT),
        "Native code gave up with SIGABRT{where}; it ran out of memory or found itself in a state it does not "
        "expect, likely.",
        "The last log lines say which; a smaller batch helps in the first case.",
        "turicreate 267; coremltools 2757",
    ),
    Rule(
        "terminated",
        killed_by(signal.SIGTERM, signal.SIGHUP, signal.SIGINT),
        "Something outside ended the worker with {signal}{where}.",
        "Run it again.",
        "signal(7)",
    ),
    Rule("signal", any_signal, "The worker was ended by {signal}{where}.", "Run it again.", "signal(7)"),
    # --- the rest
    Rule(
        "hang",
        stopped("silence"),
        "The worker said nothing for {limit_seconds} and was stopped{where}; it hung, likely.",
        "Run it again; the last log lines show where it stood. If the machine is slow, raise --silence.",
        "tensorflow_macos 7, 111",
    ),
    Rule(
        "exception",
        any_error,
        "The worker raised {type}{where}: {message}",
        "The traceback stands in the log; if the message does not help, report it with `coremlbench results --json`.",
        "worker",
    ),
    Rule(
        "no-result",
        no_result,
        "The worker ended with exit code 0 and left no valid result{where}.",
        "Run it again; the log says what it did last.",
        "supervision",
    ),
    Rule(
        "unknown",
        nothing_known,
        "The process that watches over the worker was killed{where}; how the worker itself ended is not known.",
        "Run it again.",
        "supervision",
    ),
    Rule(
        "unknown",
        always,
        "The worker ended with exit code {returncode}{where}, for a reason that is not known.",
        "The last log lines may say more.",
        "supervision",
    ),
)
