"""The readers of untrusted files under a coverage-guided fuzzer: ``python -m tests.fuzz`` (Linux).

``readers.py`` has the readers and their first inputs, ``seeds`` what an earlier run found: inputs that once broke a
reader. ``test_readers.py`` reads all of them without the fuzzer, on every machine.
"""
