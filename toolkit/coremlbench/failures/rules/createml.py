"""Create ML, and the Swift program that runs it: its own kinds of errors, and its crashes."""

from __future__ import annotations

import signal

from coremlbench.failures.matchers import both, crash_reported, either, killed_by, logged, raised
from coremlbench.failures.rules.rule import Retry, Rule

CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGTRAP)
MLCREATEERROR = "Apple's documentation of MLCreateError"
RESUME_OR_REPEAT = "Run it again; `{resume_createml}` goes on from Create ML's last checkpoint."
WITHOUT_RESUME = "Run it again without --resume."

CREATEML: tuple[Rule, ...] = (
    Rule(
        "swift-compiler",
        raised("SwiftCompilerError"),
        "{message}",
        "Install what the message names, and run it again.",
        "worker",
        retry=Retry.NEVER,
    ),
    Rule(
        "createml-cancelled",
        raised("MLCreateError.cancelled"),
        "The training of Create ML was cancelled{where}, and not by coremlbench: a signal from outside, likely.",
        RESUME_OR_REPEAT,
        MLCREATEERROR,
    ),
    Rule(
        "createml-parameters",
        raised("MLCreateError.incompatibleParameters"),
        "Create ML cannot go on with the session{where}: {message}",
        WITHOUT_RESUME,
        MLCREATEERROR,
    ),
    Rule(
        "createml-images",
        raised("MLCreateError.modifiedTrainingData"),
        "Create ML cannot go on with the session{where}: {message}",
        WITHOUT_RESUME,
        MLCREATEERROR,
    ),
    Rule(
        "createml-feature-length",
        both(
            raised("MLCreateError.generic", "MLCreateError.type"),
            logged(r"Must allow \d+-element vector as output"),
        ),
        "Create ML's extractor gave feature vectors of another length than its classifier takes{where}: {message}",
        "Run it again with the other --feature-revision; macOS 14 and later have 1 and 2.",
        "Create ML's own text, reported for `scenePrint(revision: nil)`",
        retry=Retry.NEVER,
    ),
    Rule(
        "createml-files",
        raised("MLCreateError.io"),
        "Create ML could not read or write a file{where}: {message}",
        "Check that the images and the results folder can be read and written. " + RESUME_OR_REPEAT,
        MLCREATEERROR,
    ),
    Rule(
        "createml-type",
        raised("MLCreateError.type"),
        "Create ML met data of a type that it does not take{where}: {message}",
        "Look at the images that the record names, or use another dataset.",
        MLCREATEERROR,
    ),
    Rule(
        "createml-error",
        raised("MLCreateError.generic", "MLCreateError", "CreateMLError"),
        "Create ML failed{where}: {message}",
        RESUME_OR_REPEAT,
        MLCREATEERROR,
    ),
    Rule(
        "createml-crash",
        either(
            logged(r"^\S*\.swift:\d+: Fatal error: |^Thread \d+ .*crashed:$"),
            both(
                killed_by(*CRASHES),
                crash_reported(
                    "Create ML's libraries in the faulting thread",
                    r"^(CreateML\w*|Vision|VisionCore|TuriCore\w*|createml_worker) ",
                ),
            ),
        ),
        "Create ML, or the Swift program that runs it, crashed{where}{crash_note}.",
        RESUME_OR_REPEAT,
        "the text of Swift's runtime; frames of a crash report",
    ),
)
