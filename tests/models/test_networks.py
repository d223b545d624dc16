from __future__ import annotations

import sys
from pathlib import Path
from subprocess import run

import pytest

from coremlbench_models import NETWORKS


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_are_those_of_the_published_network(name: str) -> None:
    network = NETWORKS[name]
    model = network.build()
    assert model.count_params() == network.parameters
    assert model.input_shape == (None, *network.input_shape)
    assert model.output_shape == (None, 10)


@pytest.mark.tensorflow
def test_tinyvgg_at_the_size_of_its_paper() -> None:
    assert NETWORKS["tinyvgg"].build((64, 64, 3)).count_params() == 19_920


@pytest.mark.tensorflow
def test_only_the_last_layer_of_efficientnetb0_learns() -> None:
    model = NETWORKS["efficientnetb0"].build((32, 32, 3), classes=7)
    assert [tuple(weight.shape) for weight in model.trainable_weights] == [(1280, 7), (7,)]


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", NETWORKS)
def test_unknown_weights_are_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match="no-such-weights"):
        NETWORKS[name].build((32, 32, 3), weights="no-such-weights")


def test_importing_the_registry_imports_no_framework() -> None:
    script = "import sys, coremlbench_models; print({'keras', 'tensorflow', 'numpy'} & set(sys.modules))"
    done = run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "set()"


def test_every_file_of_the_folder_is_in_the_table_and_in_the_readme() -> None:
    import coremlbench_models

    folder = Path(str(coremlbench_models.__file__)).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert files == {network.module for network in NETWORKS.values()}
    readme = (folder.parent / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in readme for name in NETWORKS)
