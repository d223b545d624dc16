"""Errors whose messages are shown to the user."""

from __future__ import annotations


class CoremlbenchError(Exception):
    """An error that the user can fix. Its message is one sentence: what is wrong, with which object, what to do."""


class InputError(CoremlbenchError):
    """A wrong option, a missing file or an unusable dataset: exit code 2."""


class UnusableDataError(CoremlbenchError):
    """Data too damaged for a meaningful measurement: the run is a failure, exit code 3."""


class DownloadError(CoremlbenchError):
    """A file could not be downloaded, or has another hash or size than expected."""
