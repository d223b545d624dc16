"""Defaults of options from files and variables: what counts, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from coremlbench.cli.commands.settings import apply_folders, default_map, read_settings
from coremlbench.cli.main import COMMANDS, cli
from coremlbench.cli.verbosity import verbosity
from coremlbench.system.paths import cache_folder, results_folder


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder, with a user's settings file elsewhere."""
    for name in ("CACHE", "RESULTS"):  # set, so that they are set again at the end
        monkeypatch.setenv(f"COREMLBENCH_{name}", "before")
        monkeypatch.delenv(f"COREMLBENCH_{name}")
    monkeypatch.setenv("COREMLBENCH_CONFIG", str(tmp_path / "user.toml"))
    (tmp_path / "user.toml").touch()
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def command(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


def defaults(name: str, *arguments: str) -> dict[str, Any]:
    return default_map(command(name), name, arguments, read_settings(COMMANDS, Path.cwd()))[0]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def test_what_is_nearer_counts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder.parent / "user.toml").write_text("seed = 1\n[convert]\nimages = 1\nbatch = [1, 8]\n")
    assert defaults("convert") == {"seed": "1", "images": "1", "batches": "1,8"}
    (folder / "coremlbench.toml").write_text("images = 2\nscale = 0.5\n[train]\nscale = 0.1\n")
    assert defaults("convert")["images"] == "2"
    assert defaults("train") == {"seed": "1", "scale": "0.1"}
    monkeypatch.setenv("COREMLBENCH_IMAGES", "3")
    monkeypatch.setenv("COREMLBENCH_CONVERT_AND_TIME_IMAGES", "4")
    assert defaults("convert")["images"] == "3"
    assert defaults("convert-and-time")["images"] == "4"
    monkeypatch.setenv("COREMLBENCH_CONVERT_IMAGES", "5")
    assert defaults("convert")["images"] == "5"
    assert "images" not in defaults("convert", "--images", "6")


def test_a_setting_reaches_the_command_and_is_not_explicit(folder: Path) -> None:
    (folder / "coremlbench.toml").write_text('[convert]\nvariants = ["fp16", "int8"]\n')
    ended = run("convert", "m.keras", "--check", "p.mlpackage")
    assert "There is no package at" in ended.output  # and not that --variants would mean nothing
    (folder / "coremlbench.toml").write_text("json = true\n")
    assert "--json is no setting; give it on the command line." in run("results").output


def test_a_resumed_run_and_an_excluded_option_have_no_settings(folder: Path) -> None:
    (folder / "coremlbench.toml").write_text("seed = 1\nretries = 2\nrounds = 3\nquiet = true\n")
    assert defaults("convert-and-time", "--resume") == {"quiet": True}
    assert defaults("convert-and-time", "--from-kit=kit") == {"quiet": True}
    assert defaults("train") == {"seed": "1", "retries": "2", "quiet": True}
    assert defaults("train", "--batch-ladder", "8,4", "--verbose") == {"seed": "1"}


def test_folders_are_set_once_for_everything(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "coremlbench.toml").write_text('results = "runs"\ncache = "~/its cache"\n')
    apply_folders(read_settings(COMMANDS, folder))
    assert results_folder() == folder / "runs"
    assert cache_folder() == Path.home() / "its cache"
    monkeypatch.setenv("COREMLBENCH_RESULTS", str(folder / "others"))
    apply_folders(read_settings(COMMANDS, folder))
    assert results_folder() == folder / "others"


def test_a_project_s_file_is_found_from_its_folders_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "coremlbench.toml").write_text("seed = 7\n")
    (folder / "inner").mkdir()
    monkeypatch.chdir(folder / "inner")
    assert defaults("convert") == {}
    (folder / ".git").mkdir()
    assert defaults("convert") == {"seed": "7"}


@pytest.mark.parametrize(
    ("text", "arguments", "sentence"),
    [
        ("[convert]\nimagse = 3", "convert x", "has no option 'imagse'; did you mean images?"),
        ("imagse = 3", "results", "coremlbench has no option 'imagse'; did you mean images?"),
        ("[covnert]\n", "results", "there is no command 'covnert'; did you mean convert?"),
        ("[zzz]\n", "results", "there is no command 'zzz'; choose from "),
        ("images", "results", "is not TOML: "),
        ("[convert]\nimages = 'x'", "convert x", "convert.images: 'x' is not a valid"),
        ("[convert]\nimages = true", "convert x", "convert.images: it takes a value, not true."),
        ("[convert]\nimages = [1, 2]", "convert x", "convert.images: it takes one value, not a list."),
        ("seed = {a = 1}", "convert x", "there is no command 'seed'"),
        ("[convert]\nvariants = 'fp17'", "convert lenet", "There is no variant 'fp17'"),
        ("[convert]\nvariants = ['fp16', '']\nbatch = 'one'", "convert x", "convert.batch: 'one' is no list of batch"),
        ("quiet = 'loud'", "convert x", "quiet: 'loud' is not a valid boolean"),
        ("[convert]\nallow-code = true", "convert x", "--allow-code is no setting; give it on the command line."),
        ("[train]\nresults = 'x'", "train", "results is for all commands; set it above the tables or COREMLBENCH_RES"),
        ("results = 3", "results", "results must be the path of a folder, not 3."),
    ],
)
def test_a_wrong_file_is_one_sentence(text: str, arguments: str, sentence: str, folder: Path) -> None:
    path = folder / "coremlbench.toml"
    path.write_text(text)
    ended = run(*arguments.split())
    assert ended.exit_code == 2
    assert sentence in ended.output
    assert str(path) in ended.output
    assert len(ended.output.splitlines()) == 1
    assert run("convert", "--help").exit_code == 0


def test_a_wrong_variable_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COREMLBENCH_CONVERT_IMAGES", "many")
    assert run("convert", "x").output.startswith("Error: COREMLBENCH_CONVERT_IMAGES: 'many' is not a valid")
    monkeypatch.delenv("COREMLBENCH_CONVERT_IMAGES")
    monkeypatch.setenv("COREMLBENCH_CONVERT_IMAGSE", "3")
    assert "COREMLBENCH_CONVERT_IMAGSE: coremlbench convert has no option 'imagse'" in run("convert", "x").output
    monkeypatch.delenv("COREMLBENCH_CONVERT_IMAGSE")
    monkeypatch.setenv("COREMLBENCH_IMAGSE", "3")
    assert "COREMLBENCH_IMAGSE: coremlbench has no option 'imagse'; did you mean images?" in run("results").output
    monkeypatch.setenv("COREMLBENCH_CONFIG", "nowhere.toml")
    assert "COREMLBENCH_CONFIG names" in run("results").output


def test_quiet_and_verbose_exclude_each_other() -> None:
    assert "--quiet and --verbose exclude each other" in run("convert", "x", "--quiet", "--verbose").output
    assert verbosity() == "normal"


def check() -> tuple[str, str]:
    from coremlbench.cli.commands.settings_check import settings_check

    with cli.make_context("coremlbench", ["doctor"], resilient_parsing=True):
        result = settings_check()
    return result.state, result.found + result.advice


@pytest.mark.parametrize(
    ("write", "state", "text"),
    [
        (lambda folder: None, "ok", "none; read from coremlbench.toml here, "),
        (lambda folder: (folder / "coremlbench.toml").write_text("seed = 7\n"), "ok", "seed = 7 in "),
        (lambda folder: (folder / "coremlbench.toml").write_text("[train]\nsede = 7\n"), "no", "did you mean seed?"),
    ],
)
def test_the_doctor_shows_the_settings(write: Callable[[Path], object], state: str, text: str, folder: Path) -> None:
    write(folder)
    found, shown = check()
    assert found == state
    assert text in shown
