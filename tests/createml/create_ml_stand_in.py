"""Create ML's program compiled for real against a stand-in for Create ML (``swift_stand_in``), and what drives it.

The stand-in classifies 24-bit BMP files by mean colours, and misbehaves as ``CREATEML_STAND_IN`` says (see
``swift_stand_in/CreateML/Misbehaviour.swift``). A record of such a run says ``stand_in``.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from coremlbench.createml.labelled_folders import link_images
from coremlbench.createml.swift_program import COMPILER_VARIABLE, ensure_program
from coremlbench.supervision.supervisor import supervise
from coremlbench.types.data import LabelledImage
from coremlbench.types.process import Exit, Limits, Progress

SOURCES = Path(__file__).with_name("swift_stand_in")
BEHAVIOUR = "CREATEML_STAND_IN"
CLASSES = ("grün", "red plates", "青い")
TRAIN, TEST = 20, 6
"""Images of each class."""


def colour_pictures(folder: Path) -> Path:
    """Write a folder of three classes of BMP files, which differ in their colour."""
    random = np.random.default_rng(0)
    for split, count in (("train", TRAIN), ("test", TEST)):
        for channel, name in enumerate(CLASSES):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = random.normal(90, 40, (12 + number % 5, 13, 3))
                pixels[..., channel] += 60
                image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
                image.save(folder / split / name / f"{number}.bmp")
    return folder


@dataclass(frozen=True)
class Driver:
    """Starts the compiled program under supervision, as the engine's stage does, in folders below ``folder``."""

    program: Path
    pictures: Path
    folder: Path

    def request(self, **changes: Any) -> dict[str, Any]:
        """Return a request with all images of the pictures: 54 to train, 6 to validate, 18 to test."""
        images = {
            split: [
                LabelledImage(path, label)
                for label, name in enumerate(CLASSES)
                for path in sorted((self.pictures / split / name).iterdir())
            ]
            for split in ("train", "test")
        }
        parts = {
            "train": [image for number, image in enumerate(images["train"]) if number % 10],
            "validation": images["train"][::10],
        }
        _, folders = link_images(parts, CLASSES, self.folder / "cache", lambda *_, **__: None)
        return {
            "classes": CLASSES,
            "training": {"path": str(folders["train"]), "images": len(parts["train"])},
            "validation": {"path": str(folders["validation"]), "images": len(parts["validation"])},
            "test": [{"path": str(image.path), "label": image.label} for image in images["test"]],
            "augmentation": ["flip", "rotation"],
            "feature_revision": 1,
            "iterations": 25,
            "session": str(self.folder / "session"),
            "session_state": str(self.folder / "session.json"),
            "reused_session": None,
            "model": str(self.folder / "model.mlmodel"),
            "description": "Classifies pictures.",
            "metadata": {"dataset": "pictures"},
            **changes,
        }

    def run(
        self,
        behaviour: str = "",
        limits: Limits = Limits(silence=60),  # noqa: B008 - frozen
        on_progress: Callable[[Progress], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        **changes: Any,
    ) -> Exit:
        """Return how the program ended with this behaviour of the stand-in and these changes of the request."""
        folder = self.folder / "stage"
        folder.mkdir(exist_ok=True)
        return supervise(
            [str(self.program)],
            folder=folder,
            request=self.request(**changes),
            limits=limits,
            on_progress=on_progress,
            environment={BEHAVIOUR: behaviour, "SWIFT_BACKTRACE": "enable=no"},
            clock=clock,
        )

    def progress(self) -> list[dict[str, Any]]:
        """Return the progress lines of all runs so far."""
        return [json.loads(line) for line in (self.folder / "stage" / "progress.jsonl").read_text().splitlines()]


def compile_program(compiler: Path, cache: Path) -> Path:
    """Return the program in a cache, compiled against the stand-in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(COMPILER_VARIABLE, str(compiler))
        return ensure_program(cache, lambda message: None)


def cli(arguments: Sequence[str], **variables: str) -> tuple[int, str, str]:
    """Return the exit code and both outputs of the command line, run in this process."""
    from click.testing import CliRunner

    from coremlbench.cli.main import cli as command

    ended = CliRunner().invoke(command, list(arguments), prog_name="coremlbench", env={"COLUMNS": "160", **variables})
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    return ended.exit_code, ended.stdout, ended.stderr


def the_record(results: Path, run_id: str = "*") -> Mapping[str, Any]:
    """Return the only record in a results folder, or that of a run."""
    (path,) = results.glob(f"{run_id}/run.json")
    return dict(json.loads(path.read_text()))


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
