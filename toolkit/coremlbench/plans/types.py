"""The plan of a long command."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PlannedRun:
    """One run that a command would make.

    ``work`` says in words what it does. ``images`` are the images that it reads, ``cells`` the cells of a matrix.
    ``disk_bytes`` is what it would write, also for the time of the run. ``seconds`` is the estimated time, ``None``
    where nothing comparable was run on this machine, and ``time_basis`` the sentence on where it is from.
    """

    name: str
    work: str
    images: int = 0
    cells: int = 0
    disk_bytes: int = 0
    seconds: float | None = None
    time_basis: str = ""


@dataclass(frozen=True)
class Plan:
    """What a command would do. ``downloads`` and ``notes`` are sentences; ``free_bytes`` is what the disk has left."""

    command: str
    runs: tuple[PlannedRun, ...]
    results: str
    free_bytes: int
    downloads: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float | None:
        """Return the estimated time of all runs one after the other, ``None`` if that of one is unknown."""
        known = [run.seconds for run in self.runs if run.seconds is not None]
        return sum(known) if len(known) == len(self.runs) else None
