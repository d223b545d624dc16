import zipfile
from pathlib import Path

import pytest

from conftest import Run


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "Nothing was trained yet under"),
        (("lenet",), "`coremlbench train --experiment lenet` makes one"),
        (("model.keras",), "There is no model at"),
        (
            ("lenet", "--random-weights", "--variants", "fp16,palettised-4"),
            "There is no variant 'palettised-4' (did you mean palettized-4?)",
        ),
        (("lenet", "--batch", "one"), "write it as 1,8"),
        (("lenet", "--input-shape", "224,224"), "write it as 224x224x3"),
        (("--check", "model.mlpackage"), "--check PACKAGE MODEL"),
        (("lenet", "--random-weights", "--check", "model.mlpackage"), "There is no model at"),
        (("lenet", "--check", "p.mlpackage", "--variants", "all", "--batch", "8"), "so --batch, --variants would mean"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(
    coremlbench: Run, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    ended = coremlbench("convert", *arguments)
    assert ended.returncode == 2
    assert sentence in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "results").exists()


def test_what_is_checked_is_a_package(coremlbench: Run, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    ended = coremlbench("convert", "--check", "m.keras", "lenet", "--random-weights")
    assert ended.returncode == 2
    assert "--check takes a ready .mlpackage or .mlmodel, and m.keras is another kind" in " ".join(ended.stderr.split())
