"""Samples of ends of Create ML's program for its rules in the failures' table, and near misses."""

import errno
import signal

from tests.failure_exits import Sample, ended, error, log, reported, stopped

SWIFT_FATAL = "createml_worker/Training.swift:71: Fatal error: Index out of range"

CREATEML: list[Sample] = [
    ("swift-compiler", [error("SwiftCompilerError", "It needs a Swift compiler.")], [error("CompileError")]),
    (
        "createml-cancelled",
        [error("MLCreateError.cancelled", "The training was cancelled.")],
        [stopped("interrupted", error={"type": "MLCreateError.cancelled", "message": "x"}), error("CancellationError")],
    ),
    (
        "createml-parameters",
        [error("MLCreateError.incompatibleParameters", "The parameter revision was 1.")],
        [error("MLCreateError.generic", "incompatible parameters")],
    ),
    (
        "createml-images",
        [error("MLCreateError.modifiedTrainingData", "The training images have changed.")],
        [error("MLCreateError.io", "The training data was modified.")],
    ),
    (
        "createml-feature-length",
        [
            error("MLCreateError.generic", "Must allow 2048-element vector as output"),
            error("MLCreateError.type", "Must allow 768-element vector as output."),
        ],
        [
            error("MLCreateError.generic", "Must allow a vector as output"),
            log("Must allow 2048-element vector as output"),
        ],
    ),
    (
        "createml-files",
        [error("MLCreateError.io", "The file 3.jpg could not be opened.")],
        [
            error("MLCreateError.io", "The file could not be saved.", errno.ENOSPC),
            error("MLCreateError.io", "You can't save the file because there isn't enough space."),
            error("OSError", "io"),
        ],
    ),
    (
        "createml-type",
        [error("MLCreateError.type", "The column holds another type.")],
        [error("TypeError", "The column holds another type.")],
    ),
    (
        "createml-error",
        [
            error("MLCreateError.generic", "Something went wrong."),
            error("MLCreateError", "unknown"),
            error("CreateMLError", "Create ML ended the training without a classifier."),
        ],
        [error("CreateMLErrors"), error("MLCreateError.other")],
    ),
    (
        "createml-crash",
        [
            ended(-signal.SIGILL, log_tail=(SWIFT_FATAL,)),
            ended(
                -signal.SIGTRAP, log_tail=("Swift/ContiguousArrayBuffer.swift:600: Fatal error: Index out of range",)
            ),
            ended(-signal.SIGSEGV, log_tail=('Thread 0 "createml_worker" crashed:',)),
            reported(-signal.SIGTRAP, frames=("CreateML MLJob.start() + 24",)),
        ],
        [
            ended(-signal.SIGILL, log_tail=("illegal hardware instruction",)),
            ended(1, log_tail=("fatal error: 'CreateML/CreateML.h' file not found",)),
            reported(-signal.SIGTRAP, frames=("libswiftCore.dylib _assertionFailure + 24",)),
        ],
    ),
]
