"""Failures of runs: rules that classify them, checks of trainings, a list of failures, and the documentation page."""
