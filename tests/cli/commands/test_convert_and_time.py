"""The command as a person uses it, on this machine: the host's runtimes, and a kit for a Mac."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from coremlbench.cli.main import cli
from coremlbench.timing.kit import MANIFEST

Run = Callable[..., subprocess.CompletedProcess[str]]
FEW = ("--rounds=1", "--calls=5", "--seconds=0.01", "--images=8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--units", "GPU"], "--units knows no 'GPU'; choose from CPU_ONLY, CPU_AND_GPU"),
        (["--runtimes", "mlx"], "--runtimes knows no 'mlx'; choose from coreml, reference, tensorflow."),
        (["--runtimes", "reference", "--units", "ALL"], "has a unit of that name"),
        (["--batch", "0"], "'0' is no list of batch sizes; write it as 1,8."),
        (["--batch", "1,x"], "'1,x' is no list of batch sizes"),
        (["--rounds", "0"], "0 is not in the range"),
        (["--sustain", "long"], "'long' is not a time"),
        (["--variants", "fp99"], "fp99"),
        (["lennet"], "lennet"),
        (["--resume"], "There is no unfinished matrix under"),
        (["--resume", "nonsense"], "There is no matrix 'nonsense' under"),
        (["--resume", "--rounds", "3"], "give --resume without other options"),
        (["--resume", "--seed", "0"], "give --resume without other options"),
        (["--from-kit", "nowhere"], "There is no kit in nowhere"),
        (["--from-kit", "nowhere", "lenet"], "leave out models, --kit and what is for conversions"),
        (["--from-kit", "nowhere", "--kit", "kit"], "leave out models, --kit and what is for conversions"),
        (["--from-kit", "nowhere", "--variants", "int8"], "for conversions: --variants"),
        (["--from-kit", "nowhere", "--batch", "8"], "--variants, --batch,"),
        (["--from-kit", "nowhere", "--images", "8"], "--variants, --batch, --images"),
        (["--from-kit", "nowhere", "--data", "mnist"], "--batch, --images, --data,"),
        (["--from-kit", "nowhere", "--signature", "x"], "--signature, --custom-objects."),
        (["--from-kit", "nowhere", "--classes", "cat,dog"], "--scale, --classes,"),
        (["--from-kit", "nowhere", "--allow-code"], "--source, --allow-code,"),
        (["--kit", "."], "is not empty; name a new one with --kit"),
    ],
)
def test_wrong_options_are_answered_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "something").touch()
    done = CliRunner().invoke(cli, ["convert-and-time", *arguments])
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())
    assert not list(tmp_path.glob("results/*"))


@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras saving a model
def test_a_network_of_ones_own_from_its_file_to_a_kit_and_back(coremlbench: Run, tmp_path: Path) -> None:
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    twice = layers.Lambda(lambda x: x * 2, output_shape=(6, 6, 4))
    stack = [layers.Conv2D(4, 3), twice, layers.Flatten(), layers.Dense(3, activation="softmax")]
    keras.Sequential([keras.Input((8, 8, 3)), *stack]).save(tmp_path / "mine.keras")
    refused = coremlbench("convert-and-time", "mine.keras", *FEW)
    assert refused.returncode == 2
    assert "--allow-code" in refused.stderr
    hosts = ("--runtimes=reference,tensorflow",) if sys.platform == "darwin" else ()  # what other systems have anyway
    done = coremlbench("convert-and-time", "mine.keras", "--allow-code", "--kit", "kit", *hosts, *FEW)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Core ML runs on macOS only") == (0 if hosts else 1)
    assert "mine fp16, ONNX Runtime on host CPU: " in done.stderr, "rows come while it runs"
    assert "Host runtimes (not Core ML)" in done.stdout
    assert "TensorFlow" in done.stdout
    assert "of the bound" not in done.stdout, "there is no table of Core ML where it did not run"
    assert re.search(r"kit: kit, [\d.]+ [KM]iB; on a Mac, in that folder: `sh run.sh`", done.stdout)

    (timed,) = [record for record in json.loads(coremlbench("results", "--json").stdout) if record["kind"] == "timing"]
    assert {(row["runtime"], row["unit"]) for row in timed["measurements"]} == {
        ("reference", "host-cpu"),
        ("tensorflow", "host-cpu"),
    }
    assert all(row["failure"] is None for row in timed["measurements"]), "the code is allowed in every process"
    proof = timed["models"][0]["variants"][0]["proof"]
    assert proof["verdict"] == "proven with caveats"
    for caveat in proof["caveats"]:
        assert f"mine fp16: caveat: {caveat['text']}" in done.stdout
    assert timed["deviations"] == ["1 round", "at least 5 calls", "at least 0.01 s a round"]

    back = coremlbench("convert-and-time", "--from-kit", "kit", "--runtimes", "reference", "--json", *FEW[:3])
    assert back.returncode == 0, back.stderr
    record = json.loads(back.stdout)
    assert (record["kit"], record["outcome"]["cells"]) == (timed["kit"], 1)
    assert record["measurements"][0]["output_error"] == 0
    assert record["measurements"][0]["package_sha256"] == timed["measurements"][0]["package_sha256"]

    (tmp_path / "kit" / MANIFEST).write_text("{}")
    refused = coremlbench("convert-and-time", "--from-kit", "kit")
    assert refused.returncode == 2
    assert "is not the manifest of a kit" in refused.stderr
