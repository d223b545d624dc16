"""What several tests need: the user's cache for what is slow to make, and small real datasets."""

import gc
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

from coremlbench.supervision.fork_client import GROUPS, SERVER_VARIABLE
from coremlbench.system.paths import cache_folder
from tests.simulated_mac import SimulatedMac, forget

# No example is too slow: machines are shared, and no test asserts an absolute time. The examples are those of the run
# before, so that nothing but a change makes a test fail; `pytest --hypothesis-profile=search` looks for new ones.
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same examples", settings.get_profile("search"), derandomize=True, database=None)
settings.load_profile("same examples")

for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:  # by nohup or a shell's &, and every child would inherit it
        signal.signal(number, handler)


if sys.dont_write_bytecode:
    # Each of xdist's processes would compile all files of tests again, which takes it ten seconds, and each command
    # line our modules. Workers write bytecode anyway, as they ignore the variable.
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


MEMORY_FILES = Path("/dev/shm")
MEMORY_FILES_BYTES = 6 << 30
"""Free there and in memory, before temporary files are put there: the whole suite has needed a tenth of it."""


def pytest_configure(config: pytest.Config) -> None:
    """On Linux, keep temporary files in memory and start the server that forks workers, once for all of xdist's.

    Tests save, copy and remove thousands of small packages, which takes a disk several times as long.
    """
    if not sys.platform.startswith("linux") or hasattr(config, "workerinput"):
        return
    if MEMORY_FILES.is_dir() and os.access(MEMORY_FILES, os.W_OK):
        free = min(shutil.disk_usage(MEMORY_FILES).free, psutil.virtual_memory().available)
        if free >= MEMORY_FILES_BYTES:
            os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY_FILES))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # as conversions set it, before and behind a fork
    if SERVER_VARIABLE not in os.environ:
        _start_fork_server(config)


def _start_fork_server(config: pytest.Config) -> None:
    folder = tempfile.mkdtemp(prefix="fork-server-")
    tests = Path(__file__).parent
    programs = {
        str(tests / "coreml_stand_in" / "run.py"): "stand-in",
        str(tests / "matrix_worker.py"): "small",
        "coremlbench.workers.data": "small",
        "coremlbench.workers.extract": "packages",
        "coremlbench.workers.setup": "small",
    }
    (Path(folder) / "scripts.json").write_text(json.dumps(programs))
    libraries = {**GROUPS, "small": ("numpy", "numpy.random", "pydantic", "PIL.Image")}
    groups = {
        "path": [str(tests.parent)],
        "stand-in": ["tests.coreml_stand_in.preloaded", "tests.preloaded_modules"],
        **{
            name: [*modules, "tests.preloaded_modules", "tests.standing_worker_hook"]
            for name, modules in libraries.items()
        },
    }
    server = subprocess.Popen(
        [sys.executable, "-I", "-m", "coremlbench.supervision.fork_server", folder, json.dumps(groups)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert server.stdout is not None
    assert server.stdout.readline() == b"listening\n"
    os.environ[SERVER_VARIABLE] = folder

    def stop() -> None:
        del os.environ[SERVER_VARIABLE]
        server.communicate()
        shutil.rmtree(folder)

    config.add_cleanup(stop)


@pytest.fixture(scope="module", autouse=True)
def _few_objects_to_collect() -> None:
    """Leave what is imported by now out of garbage collections: conversions and timings collect again and again."""
    gc.freeze()


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The tests of a module have a cache of their own."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("COREMLBENCH_CACHE", str(folder))
        yield folder


@pytest.fixture
def simulated_mac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., SimulatedMac]]:
    """Makes coremlbench, in this process, ask the tools of a simulated Mac about the system."""

    def install(**changes: Any) -> SimulatedMac:
        mac = SimulatedMac(tmp_path / "tools of a mac", monkeypatch, **changes)
        mac.install()
        return mac

    yield install
    forget()


@pytest.fixture
def ordinary_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are started as programs of their own: for tests of their memory, limits or start."""
    monkeypatch.delenv(SERVER_VARIABLE, raising=False)


MARKED_BY_FIXTURE = {"turicreate": ("turicreate", "network"), "squeezenet": ("network",)}
"""Fixtures, and the markers of the tests that request them; downloads stay in the cache."""

LONGEST_FIRST = (
    *("createml/test_job", "conversion/test_job", "conversion/originals/test_originals", "timing/test_matrix"),
    *("report/render/test_render", "cli/commands/test_convert", "conversion/test_class_names"),
    *("conversion/originals/test_keras2", "conversion/originals/test_pixel_range", "runs/test_resume_data"),
)
"""Files of tests that take longest: begun first, they leave no process working alone at the end."""

ALL_TENSORFLOW = re.compile(r"^pytestmark = (\[\s*(#.*\s*)?)?pytest\.mark\.tensorflow\b", re.MULTILINE)


@pytest.hookimpl(tryfirst=True)  # before pytest's own leaves out what -m does not select
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    root = Path(__file__).parent
    ranks = {root / f"{name}.py": rank for rank, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))
    for item in items:
        for linux in item.iter_markers("linux"):
            if not sys.platform.startswith("linux"):
                item.add_marker(pytest.mark.skip(reason=f"It needs {linux.args[0]}, which only Linux has."))
        for fixture in getattr(item, "fixturenames", ()):
            for marker in MARKED_BY_FIXTURE.get(fixture, ()):
                item.add_marker(marker)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the files whose tests all import TensorFlow when none of them is selected.

    To look for tests in a file is to import it, and with it TensorFlow, which takes ten seconds.
    """
    if "not tensorflow" not in config.option.markexpr or collection_path.suffix != ".py":
        return None
    return bool(ALL_TENSORFLOW.search(collection_path.read_text(encoding="utf-8"))) or None


@pytest.fixture(autouse=True)
def _tensorflow_is_marked(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that imports TensorFlow into the tests' own process has its marker: `make test-fast` is to stay fast."""
    before = "tensorflow" in sys.modules
    yield
    if "tensorflow" in sys.modules and not before and request.node.get_closest_marker("tensorflow") is None:
        pytest.fail("It imports TensorFlow, perhaps through coremltools: mark it with @pytest.mark.tensorflow.")


@pytest.fixture(scope="session", autouse=True)
def temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the tests' own process and its children leave in the temporary folder: pytest's folder holds it.

    TensorFlow and coremltools remove their temporary files at an orderly end, and ends here are not always orderly.
    """
    folder = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setenv("TURI_LOG_PATH", str(folder))
        patch.setattr(tempfile, "tempdir", None)
        yield folder


@pytest.fixture(scope="session")
def cache() -> Path:
    """The user's own cache: Turi Create's environment takes half a minute to make and 2 GB to keep."""
    return cache_folder()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three classes, 40 training and 10 test images each, which differ in colour and texture."""
    root = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for split, count in (("train", 40), ("test", 10)):
        for label, name in enumerate(("red stripes", "grüne Punkte", "青い")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                height, width = random.integers(60, 120, 2)
                rows, columns = np.mgrid[0:height, 0:width]
                wave = np.sin(rows / (2 + 3 * label)) * np.cos(columns / (9 - 3 * label))
                pixels = random.normal(90, 40, (height, width, 3)) + wave[..., None] * 30
                pixels[..., label] += 60
                Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / f"{index}.jpg", quality=90)
    return root


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def coremlbench(tmp_path: Path) -> Run:
    """Runs the command line as a person would, in an empty folder."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "coremlbench", *arguments],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "120", **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium, from COREMLBENCH_CHROMIUM or by its usual names."""
    names = (os.environ.get("COREMLBENCH_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    assert found, "There is no Chromium: install it (apt-get install chromium) or name it in COREMLBENCH_CHROMIUM."
    return found


@pytest.fixture(scope="session")
def squeezenet(cache: Path) -> Path:
    """The file of SqueezeNet's ImageNet weights under Turi Create's name."""
    from coremlbench.createml.extractors import obtain_extractor

    weights = obtain_extractor("squeezenet_v1.1", cache, lambda message: None).weights
    assert weights is not None
    return weights


@pytest.fixture(scope="session")
def turicreate(cache: Path) -> Path:
    """Turi Create's Python."""
    from coremlbench.createml.turicreate_environment import TURICREATE, ensure_environment

    return ensure_environment(TURICREATE, cache, lambda message: None)
