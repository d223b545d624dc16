"""Inputs for timing: made for every package, also beside packages that the reference runtime cannot execute."""

from pathlib import Path

import pytest

from coremlbench.mil_onnx.ops import OPS
from coremlbench.workers.inputs import work
from tests.mil_programs import BROKEN, Builder, numbers, package_of

pytestmark = pytest.mark.tensorflow


def test_inputs_are_made_for_packages_whose_outputs_cannot_be_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for op, builder in BROKEN.items():
        monkeypatch.setitem(OPS, op, builder)
    programs = {
        "good": lambda x: Builder.relu(x=x),
        "unknown": lambda x: Builder.add(x=x, y=Builder.random_normal(shape=[1, 1, 6])),
        "refused": lambda x: Builder.exp(x=x),
        "failing": lambda x: Builder.sqrt(x=x),
    }
    entries = []
    for name, build in programs.items():
        package = tmp_path / f"{name}.mlpackage"
        package_of(package, build, {"x": numbers((1, 1, 6), 0)})
        files = {kind: str(tmp_path / f"{name}-{kind}.npz") for kind in ("inputs", "expected")}
        entries.append({"package": str(package), **files})

    notes = work({"packages": entries, "samples": 2, "seed": 0}, lambda *_, **__: None)["notes"]

    assert notes[0] == ""
    for name, note in zip(list(programs)[1:], notes[1:], strict=True):
        assert note.startswith(f"The expected outputs of {name}.mlpackage are not known: ")
    assert all(Path(entry["inputs"]).is_file() for entry in entries)
    assert [Path(entry["expected"]).is_file() for entry in entries] == [True, False, False, False]
