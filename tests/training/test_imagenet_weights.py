from __future__ import annotations

import os
from pathlib import Path

import pytest

from coremlbench.training.imagenet_weights import FILE, copy_whole, obtain_weights
from coremlbench.types.errors import InputError


def quiet(phase: str, done: int, total: int, message: str = "", **figures: object) -> None:
    pass


@pytest.fixture(autouse=True)
def nothing_to_reach(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user without weights of their own, behind a proxy that is closed."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "the user's keras"))
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")


def test_a_network_without_published_weights_has_none(tmp_path: Path) -> None:
    assert obtain_weights(None, tmp_path, quiet) == (None, None)


def test_what_the_user_set_up_for_keras_does_not_reach_the_measurement(tmp_path: Path) -> None:
    obtain_weights(None, tmp_path, quiet)
    assert os.environ["KERAS_BACKEND"] == "tensorflow"
    assert os.environ["KERAS_HOME"] == str(tmp_path / "keras")


@pytest.mark.parametrize("damaged", [False, True])
def test_weights_that_cannot_be_had_become_random_and_say_so(tmp_path: Path, damaged: bool) -> None:
    if damaged:
        users_copy = Path(os.environ["KERAS_HOME"]) / "models" / FILE
        users_copy.parent.mkdir(parents=True)
        users_copy.write_bytes(b"cut short")
    weights, provenance = obtain_weights("imagenet", tmp_path, quiet)
    assert weights is None
    assert provenance is not None
    assert provenance.name == "random"
    assert "are not available" in provenance.note


def test_random_weights_can_be_asked_for(tmp_path: Path) -> None:
    weights, provenance = obtain_weights("random", tmp_path, quiet)
    assert weights is None
    assert provenance is not None
    assert "as requested" in provenance.note


def test_another_file_is_not_taken_for_the_weights(tmp_path: Path) -> None:
    (tmp_path / "mine.h5").write_bytes(b"something else")
    with pytest.raises(InputError, match=r"mine\.h5 is not Keras's efficientnetb0_notop\.h5: its md5 is"):
        obtain_weights(str(tmp_path / "mine.h5"), tmp_path, quiet)
    with pytest.raises(InputError, match=r"There is no weights file .*nowhere; --weights takes imagenet, random or"):
        obtain_weights(str(tmp_path / "nowhere"), tmp_path, quiet)
    assert not list(tmp_path.rglob(f"models/{FILE}"))


def test_a_copy_is_whole_and_what_a_killed_one_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"weights")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / ".writing-of-a-killed-run").write_bytes(b"wei")
    copy_whole(tmp_path / "source", tmp_path / "models" / FILE, quiet)
    assert (tmp_path / "models" / FILE).read_bytes() == b"weights"
    assert {path.name for path in (tmp_path / "models").iterdir()} <= {FILE, f"{FILE}.lock"}
