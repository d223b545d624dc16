"""The engine ``createml``: Apple's Create ML itself, which is part of macOS."""

from __future__ import annotations

import platform
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

from coremlbench.createml.engines.protocol import Save, Setup
from coremlbench.createml.extractors import Extractor, ObtainedExtractor
from coremlbench.createml.options import CreateMLOptions
from coremlbench.createml.run_context import Parts, RunContext
from coremlbench.createml.session_stage import run_session
from coremlbench.createml.swift_program import why_unavailable
from coremlbench.runs.steps import result_of, with_phase
from coremlbench.system.machine import describe_machine
from coremlbench.types.data import ImageSet, Provenance
from coremlbench.types.errors import InputError
from coremlbench.types.training_records import TrainingRecord

REVISIONS = {
    1: Extractor("VisionFeaturePrint_Scene", (299, 299), 2048),
    2: Extractor("VisionFeaturePrint_Scene revision 2", (360, 360), 768),
}
"""Create ML's feature extractor by ``--feature-revision``; the second came with macOS 14."""
OLDEST_MACOS, REVISION_2_MACOS = 12, 14
"""The first macOS with all that the Swift program uses, and the first with the second revision."""


@dataclass(frozen=True)
class CreateMLEngine:
    """An ``ImageEngine``: Create ML extracts, trains, evaluates and saves the model by itself."""

    name: str = "createml"
    trains_on: Literal["images"] = "images"
    tools: tuple[str, ...] = ("createml",)
    extractors: tuple[str, ...] = ("VisionFeaturePrint_Scene",)
    core_ml: bool = False

    def check(self, options: CreateMLOptions) -> None:
        """Check that Create ML is here, with the requested extractor.

        Raises:
            InputError: it is not; the message says what to do.
        """
        reason = why_unavailable()
        if reason:
            raise InputError(f"{reason}; use --engine builtin, which trains such a classifier on any system.")
        check_no_extractor({"extractor"} if options.extractor != "auto" else set())
        check_no_extractor({"extraction"} if options.extraction != "pipelined" else set())
        machine = describe_machine()
        if machine.system == "macOS":
            check_macos(options.feature_revision, machine.system_version)

    def extractor(self, options: CreateMLOptions) -> ObtainedExtractor:
        """Return Create ML's own extractor; where there is no macOS, one that is named a stand-in's."""
        extractor = REVISIONS[options.feature_revision]
        machine = describe_machine()
        version = f"{machine.system} {machine.system_version}, revision {options.feature_revision}"
        provenance = Provenance(extractor.name, "macOS Vision framework", version=version)
        if is_stand_in():
            extractor = replace(extractor, name=f"stand-in for {extractor.name}")
            provenance = Provenance(extractor.name, "the tests' stand-in for Create ML")
        return ObtainedExtractor(extractor, None, provenance, "the one that Create ML has")

    def train(
        self, run: RunContext, record: TrainingRecord, setup: Setup, images: ImageSet, parts: Parts, save: Save
    ) -> TrainingRecord:
        """Link the images into folders, and run a session of Create ML on them; see ``ImageEngine``."""
        record = replace(record, stand_in=is_stand_in(), options={**record.options, "extraction": self.name})
        used = {name: part for name, part in parts.items() if name != "test"}  # Create ML gets these by their paths
        ended = run.run_worker(
            "link",
            {
                "cache": str(run.cache),
                "classes": images.classes,
                "parts": {name: [(str(image.path), image.label) for image in part] for name, part in used.items()},
            },
        )
        record = with_phase(record, ended, "link", sum(map(len, used.values())))
        save(record)
        return run_session(run, record, setup.tools[self.name], images, parts, result_of(ended))


def is_stand_in() -> bool:
    """Return whether what runs in Create ML's place can only be the tests' stand-in: this is no macOS."""
    return platform.system() != "Darwin"


def check_no_extractor(requested: Collection[str]) -> None:
    """Check that ``requested``, the names of options, has none that chooses an extractor.

    Raises:
        InputError: it has.
    """
    chosen = [f"--{name}" for name in ("extractor", "extraction") if name in requested]
    if chosen:
        otherwise = (
            " on a Mac, and use --engine builtin here, as Create ML is part of macOS"
            if why_unavailable()
            else ", or choose the network's revision with --feature-revision"
        )
        raise InputError(
            f"--engine createml extracts with Create ML's own network; leave {' and '.join(chosen)} out{otherwise}."
        )


def check_macos(revision: int, system_version: str) -> None:
    """Check that a macOS, by its version ("15.1 (24B83)"), has what the program uses and a revision of the extractor.

    Raises:
        InputError: it has not.
    """
    major = system_version.partition(".")[0]
    if not major.isdecimal():
        return
    if int(major) < OLDEST_MACOS:
        raise InputError(
            f"--engine createml needs macOS {OLDEST_MACOS} or later, and this is macOS {system_version}; use --engine "
            "builtin."
        )
    if revision == 2 and int(major) < REVISION_2_MACOS:
        raise InputError(
            f"--feature-revision 2 needs macOS {REVISION_2_MACOS} or later, and this is macOS {system_version}; "
            "leave it out."
        )
