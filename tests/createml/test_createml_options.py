"""The options of ``--engine createml``, and what refuses to run it."""

from __future__ import annotations

import platform
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from coremlbench.createml.engines.choice import choose_engine
from coremlbench.createml.engines.createml import check_macos
from coremlbench.createml.options import CreateMLOptions, deviations_of
from coremlbench.createml.swift_program import COMPILER_VARIABLE
from coremlbench.failures.retry import Retry
from coremlbench.types.errors import InputError
from tests.createml.create_ml_stand_in import cli

CREATEML = CreateMLOptions(dataset="food101-10", engine="createml")


@pytest.mark.skipif(sys.platform == "darwin", reason="Create ML is here")
@pytest.mark.parametrize("options", [(), ("--feature-revision", "2"), ("--reuse-features",)], ids=" ".join)
def test_without_macos_it_is_refused_in_one_sentence(
    options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(COMPILER_VARIABLE, raising=False)
    code, out, err = cli(["createml", "--engine", "createml", *options, "--results", str(tmp_path)])
    assert (code, out) == (2, "")
    (sentence,) = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert re.fullmatch(
        r"Error: Create ML is part of macOS, and this is Linux; use --engine builtin, which .* on any system\.",
        sentence,
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["--extractor", "--extraction"])
@pytest.mark.parametrize("here", [False, True])
def test_its_extractor_cannot_be_chosen_and_the_advice_works_where_it_is_given(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, here: bool
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin" if here else "Linux")
    monkeypatch.delenv(COMPILER_VARIABLE, raising=False)
    value = "squeezenet_v1.1" if option == "--extractor" else "pipelined"
    code, _, err = cli(["createml", "--engine", "createml", option, value, "--results", str(tmp_path)])
    advice = (
        f"leave {option} out, or choose the network's revision with --feature-revision."
        if here
        else f"leave {option} out on a Mac, and use --engine builtin here, as Create ML is part of macOS."
    )
    assert (code, err) == (2, f"Error: --engine createml extracts with Create ML's own network; {advice}\n")


def test_the_second_revision_needs_macos_14() -> None:
    for revision, system in ((1, "12.0 (21A344)"), (2, "14.0 (23A344)"), (2, "26.1 (25B78)"), (2, "16.0"), (2, "")):
        check_macos(revision, system)
    with pytest.raises(InputError, match=r"--feature-revision 2 needs macOS 14 or later, and this is macOS 13\.6"):
        check_macos(2, "13.6 (22G120)")


def test_the_engine_needs_macos_12() -> None:
    with pytest.raises(InputError, match=r"--engine createml needs macOS 12 or later, and this is macOS 11\.7"):
        check_macos(1, "11.7 (20G817)")


def test_other_engines_have_no_options_of_create_ml() -> None:
    for changes in ({"feature_revision": 2}, {"reuse_features": True}):
        with pytest.raises(InputError, match="are for --engine createml"):
            choose_engine(replace(CREATEML, engine="builtin", **changes))


def test_create_ml_at_the_review_s_settings_is_the_protocol() -> None:
    assert deviations_of(CREATEML) == ()


def test_less_memory_cannot_be_asked_of_create_ml() -> None:
    options, change = CREATEML.remedied(Retry.LESS_MEMORY)
    assert options == CREATEML
    assert "Create ML itself decides" in change
