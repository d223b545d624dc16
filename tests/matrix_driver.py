"""Times a matrix with the quick workers in a process of its own, so that the tests can kill it.

The command line is: matrix_driver.py <results> <behaviour's JSON file> <packages…>, or with ``--resume`` in place of
the packages. Without a behaviour (``-``) the workers are the real ones, with the stand-in for Core ML.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from coremlbench.timing.matrix import matrix_exit_code, time_models
from coremlbench.timing.resume import resume
from tests.timed_packages import TINY, quick_machine, quiet, stand_in, timing_input_of

if __name__ == "__main__":
    results, command = Path(sys.argv[1]), ["coremlbench", "convert-and-time"]
    machine = stand_in(results.parent) if sys.argv[2] == "-" else quick_machine(Path(sys.argv[2]))
    if sys.argv[3] == "--resume":
        record, _ = resume("", results=results, command=command, on_progress=quiet, capabilities=machine)
    else:
        timing_input = timing_input_of([Path(package) for package in sys.argv[3:]])
        record, _ = time_models(
            timing_input, TINY, results=results, command=command, on_progress=quiet, capabilities=machine
        )
    sys.exit(matrix_exit_code(record))
