"""The data types of coremlbench: the inputs of runs, and their saved records.

A run starts one or more supervised child processes, each of which ends as an ``Exit``. Its outcome is a result, such as
``Trained``, or a ``Failure``; either way it leaves one record, such as a ``TrainingRecord``, as ``run.json``.

Units are SI: seconds, bytes, joules, and shares from 0 to 1. Values are rounded only when they are formatted as text.
These modules import nothing but the standard library and each other.
"""
