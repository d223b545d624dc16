"""Every reader of untrusted files reads its first inputs, and those that once broke it, or refuses them in a sentence.

The fuzzer itself runs with ``make fuzz``. Here neither it nor its guard's system is needed.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coremlbench.types.errors import InputError
from tests.fuzz.guard import Guard
from tests.fuzz.json_mutation import mutate_json
from tests.fuzz.readers import READERS, SEEDS, read_one

LIGHT = ["keras", "h5", "kit", "record"]
HEAVY = ["mlpackage", "saved-model"]  # they import TensorFlow
MARKS = (pytest.mark.tensorflow, pytest.mark.long)


@pytest.mark.parametrize("name", [*LIGHT, *(pytest.param(name, marks=MARKS) for name in HEAVY)])
@pytest.mark.filterwarnings("ignore")  # TensorFlow and coremltools warn
def test_whole_damaged_and_once_broken_inputs_are_read_or_refused(tmp_path: Path, name: str) -> None:
    first, read = READERS[name].prepare(tmp_path)
    assert "" in {read_one(read, data) for data in first}, "at least one first input is whole"
    for data in READERS[name].known_inputs():
        read_one(read, data)
    for data in first:
        for cut in (0, 1, len(data) // 2):
            read_one(read, data[:cut])
    for data in first if READERS[name].is_json else []:
        for seed in range(4):
            changed = mutate_json(data[READERS[name].prefix :], seed)
            read_one(read, data if changed is None else data[: READERS[name].prefix] + changed)


def test_seeds_belong_to_readers() -> None:
    assert {path.name for path in SEEDS.iterdir()} <= set(READERS)


@pytest.mark.parametrize(
    ("seed", "sentence"),
    [("package-name-is-a-list.json", "is damaged"), ("size-is-infinite.json", "is damaged")],
)
def test_a_manifest_of_a_kit_with_values_of_other_types_is_said_to_be_damaged(
    tmp_path: Path, seed: str, sentence: str
) -> None:
    _, read = READERS["kit"].prepare(tmp_path)
    with pytest.raises(InputError, match=sentence):
        read((SEEDS / "kit" / seed).read_bytes())


def test_a_change_of_json_is_json_and_the_same_for_a_seed() -> None:
    text = json.dumps({"a": [1, {"b": "c"}], "d": 2.5}).encode()
    changed = [mutate_json(text, seed) for seed in range(200)]
    assert changed == [mutate_json(text, seed) for seed in range(200)]
    assert len(set(changed)) > 50
    assert mutate_json(b"{", 0) is None


def test_the_guard_sees_what_is_done_outside_of_its_folder(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    guard = Guard(inside)
    with guard:
        (inside / "file").write_text("x")
        (inside / "file").read_text()
        (inside / "file").unlink()
    assert not guard.seen
    with guard:
        outside.write_text("x")
        outside.unlink()
    assert [event.split()[0] for event in guard.seen] == ["opens", "os.remove"]
    outside.write_text("not looked at")
    assert len(guard.seen) == 2
