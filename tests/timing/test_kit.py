from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coremlbench.system.files import hash_file, hash_path
from coremlbench.timing.kit import MANIFEST, README, Kit, read_kit, write_kit
from coremlbench.timing.matrix import time_models
from coremlbench.timing.plan import FULL, QUICK, TimingInput, TimingOptions
from coremlbench.types.errors import InputError
from coremlbench.types.timing import Timed
from tests.coreml_stand_in import Behaviour
from tests.timed_packages import (
    TINY,
    behave,
    make_package,
    plain_package,
    quick_machine,
    quiet,
    stand_in,
    timing_input_of,
)

COMMAND = ["coremlbench", "convert-and-time"]
OPTIONS = TimingOptions(rounds=7, seed=11, units=("ALL",), quick=True)


def packed(folder: Path, options: TimingOptions = OPTIONS) -> Path:
    """Return a kit of two placeholder packages."""
    timing_input = timing_input_of([plain_package(folder / "made", name) for name in ("one", "two")])
    packages = []
    for package in timing_input.packages:
        inputs, expected = folder / f"{package.model}-in.npz", folder / f"{package.model}-out.npz"
        np.savez(inputs, x=np.zeros((2, 3)))
        np.savez(expected, y=np.ones((2, 3)))
        packages.append(replace(package, inputs=inputs, expected=expected))
    write_kit(TimingInput(timing_input.models, tuple(packages)), options, folder / "kit")
    return folder / "kit"


def changed(kit: Path, change: Callable[[dict[str, Any]], None]) -> None:
    manifest = json.loads((kit / MANIFEST).read_text())
    change(manifest)
    (kit / MANIFEST).write_text(json.dumps(manifest))


def test_a_kit_comes_back_as_it_was_packed(tmp_path: Path) -> None:
    kit = packed(tmp_path)
    shutil.move(kit, tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "made")
    kit_read = read_kit(tmp_path / "elsewhere")
    assert isinstance(kit_read, Kit)
    assert kit_read.sha256 == kit_read.timing_input.kit == hash_file(tmp_path / "elsewhere" / MANIFEST)
    assert (kit_read.options.rounds, kit_read.options.seed) == (7, 11)
    assert (kit_read.options.units, kit_read.options.quick) == ((), False), (
        "what to run there is not for the kit to say"
    )
    for package in kit_read.timing_input.packages:
        assert (package.path / "model").read_text() == package.model
        assert package.inputs is not None
        assert package.inputs.is_file()
        assert package.original is None
    assert [model.name for model in kit_read.timing_input.models] == ["one", "two"]
    text = (tmp_path / "elsewhere" / README).read_text()
    assert str(tmp_path) not in text + (tmp_path / "elsewhere" / MANIFEST).read_text()


LIMITED: dict[str, Any] = {
    "timeout": 60.0,
    "silence": 5.0,
    "memory_limit": 1 << 30,
    "allow_code": True,
    "runtimes": ("reference",),
}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (replace(QUICK, seed=3, **LIMITED), replace(FULL, seed=3)),
        (replace(QUICK, rounds=7, sustain=600.0), replace(FULL, rounds=7, sustain=600.0)),
        (replace(FULL, rounds=2, calls=50, **LIMITED), replace(FULL, rounds=2, calls=50)),
    ],
)
def test_a_kit_is_timed_by_the_full_method_whatever_the_packing_run_took_less_of(
    tmp_path: Path, given: TimingOptions, expected: TimingOptions
) -> None:
    kit = packed(tmp_path, given)
    assert json.loads((kit / MANIFEST).read_text())["options"]["allow_code"] is False
    assert read_kit(kit).options == expected


def test_a_kit_cannot_allow_its_own_code_or_lift_a_limit(tmp_path: Path) -> None:
    kit = packed(tmp_path)
    changed(kit, lambda m: m["options"].update(allow_code=True, memory_limit=1 << 50, timeout=1e9, silence=1e9))
    assert read_kit(kit).options == replace(OPTIONS, units=(), quick=False)


def put(name: str, text: str) -> Callable[[Path], None]:
    def write(kit: Path) -> None:
        (kit / name).write_text(text)

    return write


def manifest(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    return lambda kit: changed(kit, change)


def link_out(kit: Path) -> None:
    """Replace a file of the kit by a link to the same content outside of the kit."""
    file = kit / "inputs" / "000-one_fp16_1.npz"
    shutil.move(file, kit.parent / "outside.npz")
    file.symlink_to(kit.parent / "outside.npz")


INPUTS = "inputs/000-one_fp16_1.npz"
MODEL = "packages/000-one_fp16_1.mlpackage/model"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (shutil.rmtree, "There is no kit in"),
        (put(MANIFEST, "{"), "cannot be read; copy the kit again"),
        (put(MANIFEST, "[]"), "is not the manifest of a kit"),
        (put(MANIFEST, '{"format": "another"}'), "is not the manifest of a kit"),
        (put(MANIFEST, "[" * 100_000), "cannot be read"),
        (manifest(lambda m: m.update(version=2)), "install a newer coremlbench"),
        (manifest(lambda m: m.update(version="1")), "has the version '1'"),
        (manifest(lambda m: m.pop("models")), "is damaged ('models')"),
        (manifest(lambda m: m.update(models=[{}])), "is damaged"),
        (manifest(lambda m: m.update(files=[])), "is damaged"),
        (manifest(lambda m: m["options"].update(rounds="many")), "is damaged"),
        (manifest(lambda m: m["packages"][0].update(surprise=1)), "is damaged"),
        (lambda kit: (kit / MODEL).unlink(), f"lacks {MODEL}"),
        (put(MODEL, "eno"), f"{MODEL} in the kit"),
        (put("packages/000-one_fp16_1.mlpackage/extra", "x"), "is not in its manifest"),
        (put("program/another-1.0-py3-none-any.whl", "x"), "is not in its manifest"),
        (put("program/requirements.lock", "x"), "program/requirements.lock in the kit"),
        (put("run.sh", "x"), "run.sh in the kit"),
        (link_out, f"lacks {INPUTS}"),
        (manifest(lambda m: m["files"].update({"../outside": {"sha256": "", "bytes": 0}})), "outside of it"),
        (manifest(lambda m: m["files"].update({"/etc/passwd": {"sha256": "", "bytes": 0}})), "outside of it"),
        (manifest(lambda m: m["packages"][0].update(package="../../etc")), "outside of it"),
        (manifest(lambda m: m["packages"][0].update(inputs="/dev/zero")), "outside of it"),
        (manifest(lambda m: m["packages"][0].update(package="..")), "outside of it"),
        (manifest(lambda m: m["packages"][0].update(package="nowhere")), "files for 'one' that it does not list"),
        (manifest(lambda m: m["packages"][0].update(expected="README.txt")), "that it does not list"),
        (manifest(lambda m: m["packages"][0].update(model="three")), "that its models do not list"),
    ],
)
def test_a_kit_that_is_not_as_it_was_packed_is_refused(
    tmp_path: Path, spoil: Callable[[Path], None], says: str
) -> None:
    kit = packed(tmp_path)
    read_kit(kit)
    spoil(kit)
    with pytest.raises(InputError) as refused:
        read_kit(kit)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


PACKAGE = "packages/000-one_fp16_1.mlpackage"


@pytest.mark.parametrize(
    "name",
    [
        *("inputs/._000-one_fp16_1.npz", "inputs/._a.npz", f"{PACKAGE}/._model", f"{PACKAGE}/.DS_Store", "._packages"),
        *("program/._requirements.lock", "packages/.Trashes/501/thrown away", "inputs/.fseventsd/0000000000d5e1a3"),
        *(".Spotlight-V100/Store-V2/x", "expected/Thumbs.db", "packages/System Volume Information/x"),
    ],
)
def test_what_systems_leave_on_a_disk_is_no_content_of_a_kit(tmp_path: Path, name: str) -> None:
    kit = packed(tmp_path)
    before = hash_path(kit / PACKAGE)
    (kit / name).parent.mkdir(parents=True, exist_ok=True)
    (kit / name).write_bytes(bytes.fromhex("0005160700020000"))
    assert len(read_kit(kit).timing_input.packages) == 2
    assert hash_path(kit / PACKAGE) == before, "a resumed matrix finds the same package"


def test_results_in_a_kit_do_no_harm(tmp_path: Path) -> None:
    kit = packed(tmp_path)
    (kit / "results").mkdir()
    (kit / "results" / "run.json").write_text("made here, later")
    assert len(read_kit(kit).timing_input.packages) == 2


def test_what_only_looks_like_a_file_of_the_system_is_refused(tmp_path: Path) -> None:
    kit = packed(tmp_path)
    (kit / PACKAGE / "._more").mkdir()
    (kit / PACKAGE / "._more" / "weight.bin").write_bytes(b"x")
    with pytest.raises(InputError, match=r"\._more/weight\.bin in the kit .* is not in its manifest"):
        read_kit(kit)


def test_a_kit_can_be_written_to_the_top_of_a_stick(tmp_path: Path) -> None:
    """There a system has its own folders, and a package that came from a stick has files of its own beside its."""
    stick = tmp_path / "STICK"
    (stick / ".Spotlight-V100" / "Store-V2").mkdir(parents=True)
    (stick / "._.Trashes").write_bytes(b"x")
    kit = read_kit(packed(tmp_path))
    (kit.timing_input.packages[0].path / "._model").write_bytes(b"x")
    write_kit(kit.timing_input, OPTIONS, stick)
    assert len(read_kit(stick).timing_input.packages) == 2
    assert not list((stick / "packages").rglob("._*"))


def test_the_size_of_a_kit_is_told_before_it_is_written(tmp_path: Path) -> None:
    kit = read_kit(packed(tmp_path))
    told: list[tuple[int, bool]] = []
    target = tmp_path / "second"
    write_kit(kit.timing_input, OPTIONS, target, lambda size: told.append((size, (target / "packages").exists())))
    sizes = [file["bytes"] for file in json.loads((target / MANIFEST).read_text())["files"].values()]
    assert told == [(sum(sizes), False)]


def test_a_disk_without_room_for_a_kit_is_refused(tmp_path: Path) -> None:
    kit = read_kit(packed(tmp_path))
    huge = kit.timing_input.packages[0].path / "weights.bin"
    with huge.open("wb") as file:
        file.truncate(1 << 43)  # sparse: 8 TiB
    target = tmp_path / "second"
    with pytest.raises(
        InputError, match=r"The kit has 8192\.00 GiB and the disk of .* of room; name a folder on another"
    ):
        write_kit(kit.timing_input, OPTIONS, target)
    assert list(target.iterdir()) == []


def test_a_kit_says_what_it_needs_and_holds_it(tmp_path: Path) -> None:
    """ONNX Runtime has no package for macOS 13 any more."""
    kit = packed(tmp_path)
    text = (kit / README).read_text(encoding="utf-8")
    assert "macOS 14 or later" in text
    assert "13 or later" not in text
    files = json.loads((kit / MANIFEST).read_text())["files"]
    assert {"run.sh", "program/requirements.lock"} <= set(files)
    assert [name for name in files if name.endswith(".whl")]
    install = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    folder = re.search(r"python3 -m venv (~/\S+)", text)
    assert folder is not None
    assert install == [
        "sh run.sh --quick",
        f"python3 -m venv {folder[1]}",
        f"{folder[1]}/bin/pip install --no-deps --no-compile -r program/requirements.lock",
        f"{folder[1]}/bin/coremlbench convert-and-time --from-kit . --quick",
        "coremlbench report results/",
    ]
    assert folder[1].removeprefix("~/") in (kit / "run.sh").read_text(encoding="utf-8")


def test_a_kit_is_not_written_over_something(tmp_path: Path) -> None:
    kit = packed(tmp_path)
    with pytest.raises(InputError, match="is not empty; name a new one with --kit"):
        write_kit(read_kit(kit).timing_input, OPTIONS, kit)
    with pytest.raises(InputError, match="cannot be written"):
        write_kit(read_kit(kit).timing_input, OPTIONS, kit / README / "below")


def test_a_kit_that_was_not_finished_is_none_and_is_written_over(tmp_path: Path) -> None:
    kit = packed(tmp_path)
    kit_read = read_kit(kit)
    shutil.copytree(kit, tmp_path / "broken")
    (tmp_path / "broken" / MANIFEST).unlink()
    (tmp_path / "broken" / "packages" / "left over").touch()
    (tmp_path / "broken" / README).write_text("of an older release")
    with pytest.raises(InputError, match="There is no kit in"):
        read_kit(tmp_path / "broken")
    write_kit(kit_read.timing_input, OPTIONS, tmp_path / "broken")
    assert len(read_kit(tmp_path / "broken").timing_input.packages) == 2


@pytest.mark.long
def test_a_kit_without_a_cell_that_runs_here(tmp_path: Path) -> None:
    """The packing machine can run nothing; another machine times the packages; both records have the same kit."""
    timing_input = timing_input_of([plain_package(tmp_path, "one")])
    packer = replace(
        quick_machine(behave(tmp_path)), unavailable_reason=lambda runtime, unit: "Core ML runs on macOS only."
    )
    kit, results = tmp_path / "kit", tmp_path / "results"
    arguments: dict[str, Any] = {"results": results, "command": COMMAND, "on_progress": quiet}
    record, _ = time_models(timing_input, TINY, capabilities=packer, kit=kit, **arguments)
    assert record.outcome == Timed(cells=0, failed=0, not_here=("Core ML runs on macOS only.",))
    receiver = quick_machine(behave(tmp_path))
    timed, _ = time_models(read_kit(kit).timing_input, TINY, capabilities=receiver, **arguments)
    assert timed.outcome == Timed(cells=5, failed=0)
    assert timed.kit == record.kit == hash_file(kit / MANIFEST)
    assert [row.package_sha256 for row in timed.measurements] == [timing_input.packages[0].variant.sha256] * 5


@pytest.mark.tensorflow
def test_a_kit_goes_there_and_back_through_core_ml(tmp_path: Path) -> None:
    """Real packages: the stand-in's outputs are compared with the reference runtime's expected outputs."""
    timing_input = timing_input_of([make_package(tmp_path, "small")])
    kit, results = tmp_path / "kit", tmp_path / "results"
    arguments: dict[str, Any] = {"results": results, "command": COMMAND, "on_progress": quiet}
    options = replace(TINY, rounds=1)
    packer = replace(stand_in(tmp_path), unavailable_reason=lambda runtime, unit: "Core ML runs on macOS only.")
    time_models(timing_input, options, capabilities=packer, kit=kit, **arguments)
    receiver = stand_in(tmp_path, Behaviour(wrong=0.5), {"coreml": ("CPU_AND_NE",), "reference": ("host-cpu",)})
    record, _ = time_models(read_kit(kit).timing_input, options, capabilities=receiver, **arguments)
    spoilt, right = record.measurements
    assert (spoilt.stand_in, right.stand_in) == (True, False)
    assert spoilt.output_error is not None
    assert spoilt.output_error > 0.1
    assert right.output_error == 0
