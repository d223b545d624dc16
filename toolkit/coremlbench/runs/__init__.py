"""Runs: records on disk, stages in child processes, retries and resuming."""
