"""How the process ended, if no message tells why: signals, silence, exceptions, unknown ends."""

from __future__ import annotations

import signal

from coremlbench.failures.matchers import (
    always,
    any_error,
    any_signal,
    either,
    killed_by,
    logged,
    no_result,
    nothing_known,
    stopped,
)
from coremlbench.failures.rules.rule import Retry, Rule
from coremlbench.failures.rules.system import SMALLER

RUN_AGAIN = "Run it again; if it happens again, report it with `{bundle}`."

PROCESS_ENDS: tuple[Rule, ...] = (
    Rule(
        "killed",
        either(killed_by(signal.SIGKILL), logged(r"\bKilled: 9\b")),
        "The worker was killed with SIGKILL{where}; {oom_note} (peak {peak}).",
        SMALLER + "; if somebody killed it, run it again.",
        "turicreate 1075; tensorflow 41457",
        retry=Retry.LESS_MEMORY,
    ),
    Rule(
        "illegal-instruction",
        either(killed_by(signal.SIGILL), logged(r"illegal hardware instruction")),
        "The worker met an instruction that this processor does not have{where}{avx_note}; software built for AVX "
        "under Rosetta or on an old processor, likely.",
        "Use a native arm64 Python on Apple silicon; on an old processor, a build without AVX.",
        "tensorflow_macos 81; tensorflow 58339",
        retry=Retry.NEVER,
    ),
    Rule(
        "segmentation-fault",
        either(killed_by(signal.SIGSEGV), logged(r"^Fatal Python error: Segmentation fault")),
        "Native code crashed with a segmentation fault{where}{crash_note}.",
        "Run it again; if it crashes again, try the CPU, or another machine (Turi Create 6.4.1 is known to crash on "
        "a 16-inch Intel MacBook Pro).",
        "tensorflow_macos 19; tensorflow_macos 35; tensorflow_macos 125; turicreate 3459; turicreate 1279",
    ),
    Rule(
        "bus-error",
        killed_by(signal.SIGBUS),
        "The worker crashed with SIGBUS{where}{crash_note}: a memory-mapped file was cut short, or its disk is full, "
        "likely{disk_note}.",
        "Check the free space of the results folder's disk, in a container also of /dev/shm, and run it again.",
        "signal(7); mmap(2)",
    ),
    Rule(
        "failed-check",
        logged(r"Check failed: (?!.*(memory|alloc))"),
        "A check inside of native code failed{where}, which is no lack of memory; a defect of TensorFlow or of its GPU "
        "plug-in, likely.",
        "The matched line names the check. Train with --device cpu, or with the versions of requirements.lock.",
        "tensorflow 49202",
        retry=Retry.ON_CPU,
    ),
    Rule(
        "aborted",
        killed_by(signal.SIGABRT),
        "Native code gave up with SIGABRT{where}{crash_note}; it ran out of memory or found itself in a state it does "
        "not expect, likely.",
        "The last log lines say which; a smaller batch helps in the first case.",
        "turicreate 267; coremltools 2757",
    ),
    Rule(
        "trap",
        killed_by(signal.SIGTRAP),
        "The worker stopped itself with SIGTRAP{where}{crash_note}: a check of Swift's or of an Apple library failed, "
        "likely.",
        RUN_AGAIN,
        "Apple, Understanding the exception types in a crash report",
    ),
    Rule(
        "arithmetic",
        killed_by(signal.SIGFPE),
        "Native code divided by zero or overflowed (SIGFPE){where}{crash_note}; an empty batch or image, likely.",
        RUN_AGAIN,
        "signal(7)",
    ),
    Rule(
        "cpu-time-limit",
        killed_by(signal.SIGXCPU),
        "The worker used more processor time than this session's limit allows{where}.",
        "Raise the limit with `ulimit -t unlimited`, or ask whoever set it.",
        "setrlimit(2), RLIMIT_CPU",
    ),
    Rule(
        "file-size-limit",
        killed_by(signal.SIGXFSZ),
        "The worker wrote a file larger than this session's limit allows{where}.",
        "Raise the limit with `ulimit -f unlimited`, or ask whoever set it.",
        "setrlimit(2), RLIMIT_FSIZE",
        retry=Retry.NEVER,
    ),
    Rule(
        "forbidden-call",
        killed_by(signal.SIGSYS),
        "The system ended the worker for a call that it forbids (SIGSYS){where}; a container's or sandbox's rules, "
        "likely.",
        "Run it outside the sandbox, or with other rules for system calls.",
        "seccomp(2)",
        retry=Retry.NEVER,
    ),
    Rule(
        "terminated",
        killed_by(signal.SIGTERM, signal.SIGHUP, signal.SIGINT),
        "Something outside ended the worker with {signal}{where}.",
        "Run it again.",
        "signal(7)",
    ),
    Rule("signal", any_signal, "The worker was ended by {signal}{where}.", "Run it again.", "signal(7)"),
)

REST: tuple[Rule, ...] = (
    Rule(
        "hang",
        stopped("silence"),
        "The worker said nothing for {limit_seconds} and was stopped{where}; it hung, likely.",
        "Run it again; the last log lines show where it stood. If the machine is slow, raise --silence.",
        "tensorflow_macos 7; tensorflow_macos 111; turicreate 519",
    ),
    Rule(
        "exception",
        any_error,
        "{who} raised {type}{where}: {message}",
        "The traceback stands in the log; if the message does not help, report it with `{bundle}`.",
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
