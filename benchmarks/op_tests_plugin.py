"""The plugin of pytest with which ``op_tests.py`` runs Apple's op tests against the reference runtime.

It runs in a child, loaded with ``-p op_tests_plugin``. Apple's tests compare a prediction of Core ML with the expected
values where Core ML runs. Here coremltools finds a Mac when it asks for the system, and its ``MLModel.predict`` is the
reference runtime's. For each test that ran, the file that ``OP_TESTS_CASES`` names gains a line of JSON.
"""

from __future__ import annotations

import json
import os
import random
import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PER_FUNCTION = int(os.environ["OP_TESTS_PER_FUNCTION"])
LIMIT = int(os.environ["OP_TESTS_LIMIT"])
SEED = os.environ["OP_TESTS_SEED"]
CASES = Path(os.environ["OP_TESTS_CASES"])
LEFT_OUT = re.compile(r"TORCHEXPORT|EXECUTORCH|neuralnetwork")
"""Parameters that name other exporters of PyTorch, which make the same ops, and another kind of model."""
RANDOM = re.compile(r"^random_")
COMPARISONS = ("compare_backend", "compare_shapes", "convert_and_compare", "assert_allclose", "assert_array_equal")
REASON = 400


class Case:
    """What the predictions of one test did."""

    def __init__(self) -> None:
        self.predictions = 0
        self.ops: set[str] = set()
        self.forms: set[str] = set()
        self.refusal: str | None = None
        self.refused_op: str | None = None
        self.foreign = False


_case = Case()


def pytest_configure() -> None:
    """Have coremltools believe that it runs on a Mac, before any of its test modules is imported."""
    import coremltools
    from coremltools import _deps
    from coremltools.models import utils

    _deps._IS_MACOS = True  # noqa: SLF001 - what Apple's tests ask for
    utils._macos_version = lambda: (15, 6)  # noqa: SLF001 - the same
    coremltools.models.MLModel.predict = _predict
    coremltools.models.MLModel.make_state = lambda model: State(_runtime(model).make_state())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep a few cases of each test function: always the same ones for a seed."""
    groups: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if not LEFT_OUT.search(item.nodeid):
            groups[item.nodeid.split("[")[0]].append(item)
    chosen = set()
    for name, group in groups.items():
        generator = random.Random(f"{SEED}:{name}")
        chosen.update(generator.sample(group, min(PER_FUNCTION, len(group))) if PER_FUNCTION else group)
    if LIMIT:
        generator = random.Random(SEED)
        ordered = [item for item in items if item in chosen]
        chosen = set(generator.sample(ordered, min(LIMIT, len(ordered))))
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = [item for item in items if item in chosen]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Draw the same random values for a test in every run."""
    global _case  # noqa: PLW0603 - pytest has one test at a time, and its hooks share nothing else
    _case = Case()
    seed = zlib.crc32(item.nodeid.encode())
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - Apple's tests draw from it
    try:
        import torch
    except ImportError:
        return
    torch.manual_seed(seed)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Record the outcome of the test itself."""
    report = yield
    if call.when == "call":
        outcome, reason = _outcome(call)
        line = {
            "test": item.nodeid,
            "outcome": outcome,
            "reason": reason,
            "ops": sorted(_case.ops),
            "forms": sorted(_case.forms),
            "refused": _case.refused_op,
        }
        with CASES.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    return report


def _outcome(call: pytest.CallInfo[None]) -> tuple[str, str]:
    """Return what became of a case, and why."""
    error = call.excinfo
    text = "" if error is None else f"{error.typename}: {error.value}"[:REASON]
    if any(RANDOM.match(op) for op in _case.ops):
        return "random", ""
    if _case.refusal is not None:
        return "not supported", _case.refusal
    if _case.foreign or (error is not None and not _case.predictions):
        return "not converted", text
    if error is None:
        return ("equal", "") if _case.predictions else ("nothing compared", "")
    names = {entry.name for entry in error.traceback}
    return ("differ" if names.intersection(COMPARISONS) or "AssertionError" in text else "test failed"), text


class State(dict[str, Any]):
    """The state of a model as Apple's tests read and write it."""

    def read_state(self, name: str) -> Any:
        """Return the present value of a state."""
        return self[name]

    def write_state(self, name: str, value: Any) -> None:
        """Set the present value of a state."""
        self[name] = np.asarray(value, self[name].dtype).reshape(self[name].shape)


def _runtime(model: Any) -> Any:
    """Return the reference runtime of an ``MLModel``."""
    from coremlbench.mil_onnx import load_program
    from coremlbench.runtimes.reference import ReferenceRuntime

    spec = model.get_spec()
    if spec.WhichOneof("Type") != "mlProgram":
        _case.foreign = True
        pytest.skip("not an ML Program")
    if getattr(model, "function_name", None):
        spec.description.defaultFunctionName = model.function_name
    program = load_program(spec, model.weights_dir)
    for op in _operations(program.function.operations):
        _case.ops.add(op.op_type)
        _case.forms.add(_form(op))
    return ReferenceRuntime(program, threads=1)


def _predict(model: Any, data: Any, state: State | None = None) -> Any:
    """Predict with the reference runtime in the place of Core ML."""
    from coremlbench.mil_onnx import UnsupportedProgramError

    try:
        runtime = _runtime(model)
        if isinstance(data, list):
            return [runtime.predict(values, state) for values in data]
        result = runtime.predict(data, state)
    except UnsupportedProgramError as error:
        _case.refusal = str(error)[:REASON]
        named = re.search(r"op '(\w+)'", _case.refusal)
        _case.refused_op = named.group(1) if named else None
        raise
    finally:
        _case.predictions += 1
    return result


def _operations(operations: Iterable[Any]) -> Iterator[Any]:
    """Yield the ops of a block that are no constants, those of inner blocks included."""
    for op in operations:
        if op.op_type != "const":
            yield op
        for block in op.blocks:
            yield from _operations(block.operations)


def _form(op: Any) -> str:
    """Return an op with the type and rank of each input that is no constant."""
    from coremltools.converters.mil.mil import types

    parts = []
    for name, var in sorted(op.inputs.items()):
        if var is None or isinstance(var, (list, tuple)) or var.val is not None or not types.is_tensor(var.sym_type):
            continue
        parts.append(f"{name}:{types.builtin_to_string(var.dtype)}/{var.rank}")
    return f"{op.op_type}({','.join(parts)})"
