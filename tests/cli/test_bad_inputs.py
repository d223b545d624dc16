"""Every bad input of the table gives one clear message, the right exit code and no traceback."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from coremlbench.cli.main import cli
from tests.bad_inputs import DOC, ROWS, Row, document

ALL = [
    pytest.param(
        row,
        id=row.what,
        marks=[pytest.mark.linux("namespaces and /proc")] if row.wrap or "/proc/" in row.arguments else [],
    )
    for rows in ROWS.values()
    for row in rows
]


def answer(row: Row, folder: Path) -> tuple[int, str, str]:
    """Return the exit code, standard output and standard error: in this process where that shows the same."""
    arguments = [part.replace("{}", str(folder)) for part in shlex.split(row.arguments)]
    variables = {name: value.replace("{}", str(folder)) for name, value in row.variables.items()}
    variables = {"COLUMNS": "120", "COREMLBENCH_RESULTS": str(folder / "results"), **variables}
    if not row.wrap:
        ended = CliRunner().invoke(cli, arguments, prog_name="coremlbench", env=variables)
        if ended.exception is not None and not isinstance(ended.exception, SystemExit):
            raise ended.exception
        return ended.exit_code, ended.stdout, ended.stderr
    command = shlex.join([sys.executable, "-m", "coremlbench", *arguments])
    (before,) = row.wrap
    user = ["--user", "--map-root-user"] if os.geteuid() else []
    flags = ["--net"] if before == "unshare --net" else []
    script = command if flags else f"{before.replace('{}', shlex.quote(str(folder)))} && {command}"
    done = subprocess.run(
        ["unshare", *user, "--mount", "--propagation", "private", *flags, "sh", "-c", script],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.usefixtures("squeezenet")
@pytest.mark.parametrize("row", ALL)
def test_a_bad_input_gives_one_clear_message(row: Row, tmp_path: Path) -> None:
    row.make(tmp_path)
    code, out, err = answer(row, tmp_path)
    said = " ".join((out + err).split())
    assert code == row.code, said
    assert "Traceback" not in said
    assert row.says in said
    if code == 2:
        errors = [line for line in err.splitlines() if line.startswith("Error: ")]
        assert len(errors) == 1, err
        assert errors[0][-1] in ".?)", errors  # a sentence, whole
        assert out == ""
        assert not list((tmp_path / "results").glob("*/run.json"))
    elif code == 3:
        assert said.count("what to do: ") == 1


def test_the_page_is_up_to_date() -> None:
    assert sum(map(len, ROWS.values())) >= 60
    assert DOC.read_text(encoding="utf-8") == document(), "python -m tests.bad_inputs writes it"
