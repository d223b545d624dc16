"""Write ``docs/failures.md`` from the rules: ``python docs/make_failures.py``."""

from pathlib import Path

from coremlbench.failures.documentation import document
from coremlbench.system.files import atomic_write

PAGE = Path(__file__).with_name("failures.md")

if __name__ == "__main__":
    existing = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    atomic_write(PAGE, document(existing).encode())
