"""The names of phases as all commands and reports show them; records have the short ones."""

from __future__ import annotations

PHASE_LABELS = {
    "setup": "set up",
    "data": "data",
    "link": "link the images",
    "start": "start Create ML",
    "augment": "augment",
    "extract": "augment and extract",
    "train": "train",
    "evaluate": "evaluate",
    "verify": "verify",
    "export": "save the model",
    "kit": "pack the kit",
    "compile": "compile for Core ML",
    "plan": "ask for the plan",
    "time": "time",
    "sustain": "time without a pause",
}


def phase_label(phase: str) -> str:
    """Return the name that is shown of a phase; a phase without one is shown by its name in records."""
    return PHASE_LABELS.get(phase, phase)
