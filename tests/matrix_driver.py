"""Times a matrix with the quick workers in a process of its own, so that the tests can kill it.

The command line is: matrix_driver.py <results> <behaviour's JSON file> <packages…>, or with ``--resume`` in place of
the packages.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from coremlbench.timing import exit_code, time_models
from coremlbench.timing_resume import resume
from timed_packages import TINY, quick_machine, quiet, subject_of

if __name__ == "__main__":
    results, behaviour = Path(sys.argv[1]), Path(sys.argv[2])
    machine, command = quick_machine(behaviour), ["coremlbench", "convert-and-time"]
    if sys.argv[3] == "--resume":
        record, _ = resume("", results=results, command=command, on_progress=quiet, here=machine)
    else:
        subject = subject_of([Path(package) for package in sys.argv[3:]])
        record, _ = time_models(subject, TINY, results=results, command=command, on_progress=quiet, here=machine)
    sys.exit(exit_code(record))
