from pathlib import Path

import pytest

from coremlbench.model_files.label_files import labels_beside


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0 cat\n1 dog\n", ("cat", "dog")),
        ("0 big cat\r\n1 Class 2\r\n\r\n", ("big cat", "Class 2")),
        ("1 dog\n0 cat", ("cat", "dog")),  # the number decides
        ("\ufeff0 Katze\n1 grüner Hund", ("Katze", "grüner Hund")),
        ("cat\ndog\ncow", ("cat", "dog", "cow")),
        ("1 cat\n2 dog", ("1 cat", "2 dog")),  # numbered in another way: the lines are the names
        ("0 cat\ndog", ("0 cat", "dog")),
        ("7 seas\n12 monkeys", ("7 seas", "12 monkeys")),
        ("cat\n\ndog", ()),
        ("cat\ncat", ()),
        ("0 cat\n1 cat", ()),
        ("", ()),
        ("\n\n", ()),
    ],
)
def test_names_in_the_order_of_the_outputs(tmp_path: Path, text: str, names: tuple[str, ...]) -> None:
    (tmp_path / "labels.txt").write_bytes(text.encode())
    assert labels_beside(tmp_path / "model.h5") == names


def test_files_that_hold_no_labels(tmp_path: Path) -> None:
    assert labels_beside(tmp_path / "model.h5") == ()
    (tmp_path / "labels.txt").write_bytes(b"\xff\xfe\x00")
    assert labels_beside(tmp_path / "model.h5") == ()
    (tmp_path / "labels.txt").write_bytes(b"name\n" * 300_000)
    assert labels_beside(tmp_path / "model.h5") == ()
    (tmp_path / "labels.txt").unlink()
    (tmp_path / "labels.txt").mkdir()
    assert labels_beside(tmp_path / "model.h5") == ()
