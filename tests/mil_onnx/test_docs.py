"""The page on the translator lists the ops that it knows, and those of coremltools that it does not."""

import re
from pathlib import Path

import pytest
from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

from coremlbench.mil_onnx.ops import OPS
from docs import make_ops

pytestmark = pytest.mark.tensorflow

PAGE = Path(__file__).parents[2] / "docs" / "ml-programs-to-onnx.md"


def listed(title: str) -> list[str]:
    """Return the names in the table of a section of the page."""
    (section,) = re.findall(
        rf"^## {title}$(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]


def test_the_page_lists_every_op_that_is_known() -> None:
    assert sorted(listed("Ops it knows")) == sorted(OPS)


def test_the_page_lists_every_op_that_is_not() -> None:
    constants = {name for name in SSAOpRegistry.core_ops if name.startswith(("const", "_const"))}
    assert sorted(listed("Ops it does not know")) == sorted(set(SSAOpRegistry.core_ops) - constants - set(OPS))


def test_the_page_of_tried_ops_is_what_its_script_makes() -> None:
    """`make docs` writes it."""
    assert make_ops.PAGE.read_text(encoding="utf-8") == make_ops.document()


def test_the_page_of_tried_ops_names_the_ops_that_are_not_known() -> None:
    constants = {name for name in SSAOpRegistry.core_ops if name.startswith(("const", "_const"))}
    assert set(make_ops.UNKNOWN) == set(SSAOpRegistry.core_ops) - constants - set(OPS)
