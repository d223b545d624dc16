"""The table of failures, in the order in which its rules are tested; ``docs/failures.md`` is generated from it.

The first rule that matches decides. Certain causes come before likely ones, and causes before symptoms: what
coremlbench stopped itself, faults of graphics processors, errors that the worker reported itself, messages of
libraries, errors of the system, and last how the process ended.
"""

from __future__ import annotations

from coremlbench.failures.rules.coreml import COREML
from coremlbench.failures.rules.createml import CREATEML
from coremlbench.failures.rules.ends import PROCESS_ENDS, REST
from coremlbench.failures.rules.gpu import GPU
from coremlbench.failures.rules.rule import Rule
from coremlbench.failures.rules.software import SOFTWARE
from coremlbench.failures.rules.supervision import SUPERVISION
from coremlbench.failures.rules.system import SYSTEM
from coremlbench.failures.rules.worker import WORKER

SECTIONS: tuple[tuple[str, tuple[Rule, ...]], ...] = (
    ("What coremlbench stopped itself", SUPERVISION),
    ("Graphics processors", GPU),
    ("Errors that the worker reported", WORKER),
    ("Libraries and their versions", SOFTWARE),
    ("Conversion and Core ML", COREML),
    ("Errors of the system", SYSTEM),
    ("Create ML", CREATEML),
    ("How the process ended", PROCESS_ENDS),
    ("The rest", REST),
)
"""The rules by subject, in their order."""

RULES: tuple[Rule, ...] = tuple(rule for _, rules in SECTIONS for rule in rules)

__all__ = ["RULES", "SECTIONS", "Rule"]
