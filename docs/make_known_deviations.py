"""Write ``docs/known-deviations.md`` from the table: ``python docs/make_known_deviations.py``."""

from pathlib import Path

from coremlbench.conversion.deviation_documentation import document
from coremlbench.system.files import atomic_write

PAGE = Path(__file__).with_name("known-deviations.md")

if __name__ == "__main__":
    atomic_write(PAGE, document().encode())
