"""Checks of a machine, and archives of failed runs for bug reports, without personal data."""
