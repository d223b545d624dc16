"""Runs a module as ``python -I -m`` would, with the stand-in in Core ML's place.

The command line is: run.py <behaviour's JSON file> <module> <the module's arguments>.
"""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests import coreml_stand_in

    behaviour, module = Path(sys.argv[1]), sys.argv[2]
    coreml_stand_in.install(coreml_stand_in.read(behaviour))
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
