import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from coremlbench.cli.commands.report import save_run_report
from tests import record_samples as samples
from tests.conftest import Run
from tests.report.test_build import save


@pytest.mark.long
def test_the_report_is_saved_and_its_path_told(coremlbench: Run, tmp_path: Path) -> None:
    save(tmp_path / "results", samples.training(1))
    ended = coremlbench("report", "--format", "html,md")
    assert ended.returncode == 0, ended.stderr
    saved, beside, counted = ended.stdout.splitlines()
    page = Path(saved.removeprefix("saved: "))
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert page.parent.parent == tmp_path / "results" / "reports"
    assert (beside, counted) == ("beside it: report.md", "1 record of 1 machine")


@pytest.mark.long
def test_json_goes_to_standard_output_and_nothing_is_saved(coremlbench: Run, tmp_path: Path) -> None:
    save(tmp_path / "air", samples.timing(70))
    save(tmp_path / "pro", samples.timing(71, samples.PRO))
    ended = coremlbench("report", "air", "pro", "--json")
    report = json.loads(ended.stdout)
    assert [row["model"] for row in report["machines"]] == ["MacBook Air", "MacBook Pro"]
    assert report["records"][0]["path"] == f"air/{samples.timing(70).id}/run.json"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["air", "pro"]


@pytest.mark.long
def test_plots_alone_go_where_they_are_asked(coremlbench: Run, tmp_path: Path) -> None:
    save(tmp_path / "results", samples.training(1))
    ended = coremlbench("report", "--format", "plots", "--output", "out")
    assert ended.returncode == 0, ended.stderr
    assert sorted(each.name for each in (tmp_path / "out" / "plots").iterdir()) == [
        "training-tinyvgg.png",
        "training-tinyvgg.svg",
    ]


def test_wrong_options_are_told_in_a_sentence(coremlbench: Run, tmp_path: Path) -> None:
    wrong = coremlbench("report", "--format", "pdf")
    assert (wrong.returncode, "'pdf' is not a form of the report" in wrong.stderr) == (2, True)
    nowhere = coremlbench("report", "nowhere")
    assert (nowhere.returncode, "There is no folder and no run nowhere" in nowhere.stderr) == (2, True)
    save(tmp_path / "results", samples.training(1))
    (tmp_path / "file").write_text("")
    full = coremlbench("report", "--output", "file/below", "--format", "json")
    assert (full.returncode, "cannot be saved in file/below" in full.stderr) == (3, True)


@pytest.mark.long
def test_a_run_ends_with_a_page_of_all_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path, samples.training(1), samples.training(2))
    save_run_report(tmp_path, tmp_path / samples.training(2).id, quiet=False)
    page = tmp_path / "reports" / samples.training(2).id / "report.html"
    assert capsys.readouterr() == (f"report: {page}\n", "")
    assert samples.training(1).id in page.read_text()
    assert {each.name for each in page.parent.iterdir()} == {"report.html", "report.md", "report.json", "plots"}
    save_run_report(tmp_path, tmp_path / "b", quiet=True)
    assert capsys.readouterr() == ("", "")


@pytest.mark.long
def test_a_fault_in_drawing_the_page_leaves_the_run_its_result(tmp_path: Path) -> None:
    """Matplotlib refuses to be imported under a backend that it does not know: no error of ours."""
    save(tmp_path / "results", samples.training(1), samples.training(2, machine=samples.AIR))
    code = (
        "from pathlib import Path; from coremlbench.cli.commands.report import save_run_report; "
        "save_run_report(Path('results'), Path('results/x'), quiet=False); print('went on')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": "nonsense"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "went on\n")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("The report of this run could not be made (ValueError: ")
    assert line.endswith("; the run itself is saved, and `coremlbench report` tries again.")


def test_a_page_that_cannot_be_saved_is_told_and_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path, samples.training(1))
    (tmp_path / "reports").write_text("in the way")
    save_run_report(tmp_path, tmp_path / samples.training(1).id, quiet=True)
    assert "cannot be saved in" in capsys.readouterr().err
