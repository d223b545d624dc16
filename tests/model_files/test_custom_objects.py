"""The Python file with a model's own classes: what is taken from it, and what is said when it cannot be run."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from coremlbench.model_files.custom_objects import custom_objects_message, load_custom_objects, missing_object
from coremlbench.types.errors import InputError

SOURCE = """
    import math
    from pathlib import Path

    SIZE = 3

    class Scale:
        pass

    def twice(x):
        return 2 * x

    thrice = lambda x: 3 * x
"""


def written(folder: Path, source: str) -> Path:
    path = folder / "mine.py"
    path.write_text(textwrap.dedent(source), encoding="utf-8")
    return path


def test_classes_and_functions_are_taken_under_the_names_that_are_wanted(tmp_path: Path) -> None:
    objects = load_custom_objects(written(tmp_path, SOURCE), ["Scale", "pack>twice"])
    assert {"Scale", "twice", "thrice", "pack>twice"} <= set(objects)
    assert not {"SIZE", "math"} & set(objects)
    assert objects["pack>twice"] is objects["twice"]
    assert objects["twice"](4) == 8


def test_what_is_wanted_may_come_from_an_installed_package(tmp_path: Path) -> None:
    objects = load_custom_objects(written(tmp_path, "from click import Group"), ["click>Group"])
    assert objects["click>Group"].__name__ == "Group"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (SOURCE, "mine.py does not define Gate, which the model needs; it defines Path, Scale, twice, thrice."),
        ("x = 1", "mine.py does not define Gate, which the model needs; it defines no class or function."),
        ("import click\nx = (", r"mine.py cannot be run (SyntaxError in line 2: '(' was never closed)"),
        ("\n\nimport not_there", "(ModuleNotFoundError in line 3: No module named 'not_there')"),
        ("def f():\n    raise ValueError('of\\nmine')\nf()", "(ValueError in line 2: of)"),
        ("import sys\nsys.exit(3)", "(SystemExit in line 2: 3)"),
        ("x = 'ä'.encode('ascii')", "(UnicodeEncodeError in line 1: "),
    ],
)
def test_a_file_that_is_of_no_use_is_told_in_a_sentence(tmp_path: Path, source: str, sentence: str) -> None:
    with pytest.raises(InputError) as raised:
        load_custom_objects(written(tmp_path, source), ["pack>Gate"])
    assert sentence in str(raised.value)
    assert str(raised.value).endswith(".")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Could not locate class 'Sub'. Make sure", ("class", "Sub")),
        (
            "x could not be deserialized. Exception encountered: Could not locate function 'my act'.",
            ("function", "my act"),
        ),
        ("Unknown layer: 'Scale'. Please ensure", ("class", "Scale")),
        ("Unknown layer: Custom>Scale. Please ensure", ("class", "Custom>Scale")),
        ("Unknown activation function: 'mine'. Please ensure", ("function", "mine")),
        ("Layer 'dense' expected 2 variables", None),
    ],
)
def test_what_keras_does_not_find_is_read_from_its_message(message: str, expected: tuple[str, str] | None) -> None:
    assert missing_object(message) == expected


def test_several_classes_are_named_together() -> None:
    message = custom_objects_message("m.keras", "class", ["A", "pack>B", "C"], allow_code=True)
    assert message == (
        "m.keras needs the classes A, B and C, which are no part of Keras; give a Python file that defines them: "
        "--custom-objects FILE.py."
    )
