"""The table of failures, in the order in which it is asked; ``docs/failures.md`` is made from it.

The first rule that matches decides. What is certain stands before what is likely, what names a cause before what
names a symptom: what coremlbench did itself, faults of graphics processors, what the worker said in a sentence of its
own, what libraries say in the log, what the system refused, and only then how the process ended.
"""

from __future__ import annotations

from coremlbench.failures.rules.coreml import COREML
from coremlbench.failures.rules.ends import ENDS, REST
from coremlbench.failures.rules.gpu import GPU
from coremlbench.failures.rules.rule import Rule
from coremlbench.failures.rules.software import SOFTWARE
from coremlbench.failures.rules.supervision import SUPERVISION
from coremlbench.failures.rules.system import SYSTEM
from coremlbench.failures.rules.worker import WORKER

SECTIONS: tuple[tuple[str, tuple[Rule, ...]], ...] = (
    ("What coremlbench stopped itself", SUPERVISION),
    ("Graphics processors", GPU),
    ("What the worker said of itself", WORKER),
    ("Libraries and their versions", SOFTWARE),
    ("Conversion and Core ML", COREML),
    ("What the system refused", SYSTEM),
    ("How the process ended", ENDS),
    ("The rest", REST),
)
"""The rules by what they are about, in their order."""

RULES: tuple[Rule, ...] = tuple(rule for _, rules in SECTIONS for rule in rules)

__all__ = ["RULES", "SECTIONS", "Rule"]
