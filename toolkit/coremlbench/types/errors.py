"""The errors whose text is for the person at the keyboard."""

from __future__ import annotations


class CoremlbenchError(Exception):
    """Something the person at the keyboard can mend; its text is one sentence: what, which, next step."""


class InputError(CoremlbenchError):
    """A wrong option, a missing file, a dataset that cannot be used: exit code 2."""


class UnusableDataError(CoremlbenchError):
    """Data so broken that a figure measured on it would mean nothing: the run is a failure, exit code 3."""


class DownloadError(CoremlbenchError):
    """Something could not be fetched, or was not what it should be."""
