"""The options with which a model file is opened, for every command that opens one."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from coremlbench.cli.commands.parameters import Amount, CommaList, add_options, parse_numbers

MODEL_FILE_OPTIONS = ("allow_code", "scale", "classes", "input_shape", "signature", "custom_objects")
"""The names under which ``model_file_options`` passes its options."""


def parse_classes(value: str) -> tuple[str, ...]:
    """Return class names in their order, from "cat,dog" or from a UTF-8 file with one name a line.

    Raises:
        ValueError: the value is neither, or the file cannot be read or has a blank line.
    """
    path = Path(value).expanduser()
    if path.is_file():
        return _read_classes(path)
    if "," not in value:
        raise ValueError(f"{value!r} is no file; name the classes as cat,dog or give a file with one a line.")
    return tuple(name.strip() for name in value.split(","))


def _read_classes(path: Path) -> tuple[str, ...]:
    try:
        names = path.read_text(encoding="utf-8-sig").rstrip().splitlines()  # Windows editors write a byte order mark
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read as a list of classes: {error}.") from error
    blank = next((number for number, name in enumerate(names, 1) if not name.strip()), None)
    if blank:
        raise ValueError(f"Line {blank} of {path} is blank; name one class a line, in their order.")
    return tuple(name.strip() for name in names)


CLASSES = CommaList("names|file", parse_classes)
INPUT_SHAPE = CommaList(
    "numbers", partial(parse_numbers, separator="x", noun="no list of numbers", example="224x224x3")
)


def parse_shapes(value: str) -> tuple[tuple[int, ...], ...]:
    """Return the shapes in "224x224x3,320x320x3", each once.

    Raises:
        ValueError: a part is no shape, or several are single numbers: 224,224 is taken for a shape that is miswritten.
    """
    noun, example = "no list of shapes", "224x224x3, or several as 224x224x3,320x320x3"
    shapes = [parse_numbers(part, separator="x", noun=noun, example=example) for part in value.split(",")]
    if len(shapes) > 1 and any(len(shape) == 1 for shape in shapes):
        raise ValueError(f"{value!r} is {noun}; write it as {example}.")
    return tuple(dict.fromkeys(shapes))


INPUT_SHAPES = CommaList("shapes", parse_shapes)


class PythonFile(click.ParamType[str]):
    """A file with Python code."""

    name = "file.py"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the absolute path; a file that does not exist, or is not named as Python, is an error."""
        path = Path(str(value)).expanduser()
        if path.suffix != ".py" or not path.is_file():
            problem = "there is no such file" if not path.is_file() else "its name does not end in .py"
            self.fail(
                f"{value!r} is no Python file ({problem}); give one that defines the model's own classes.", param, ctx
            )
        return str(path.absolute())

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        """Let the shell complete files."""
        del ctx, param
        return [click.shell_completion.CompletionItem(incomplete, type="file")]


def _signature(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    del context
    if value is not None and not value.strip():
        raise click.BadParameter("name a signature of the SavedModel: --signature serving_default.", param=parameter)
    return value


def model_file_options(function: Any, *, input_shape: CommaList = INPUT_SHAPE) -> Any:
    """Add the options of opening a model file to a command; see ``MODEL_FILE_OPTIONS``.

    ``input_shape`` is the type of that option: ``INPUT_SHAPES`` where a command takes several.
    """
    several = ", several separated by commas" if input_shape is INPUT_SHAPES else ""
    return add_options(
        function,
        (
            click.option(
                "--scale",
                type=Amount(min=0, min_open=True),
                metavar="F",
                help="Factor that scales pixels from 0 to 255 for a model from a file (1/255 is 0.00392157); it then "
                "takes images.",
            ),
            click.option(
                "--classes",
                type=CLASSES,
                default=(),
                help="Class names of a model from a file, in order: cat,dog or a file with one a line; they become the "
                "labels of packages that end in a softmax.  [default: those of --data, if as many]",
            ),
            click.option(
                "--input-shape",
                type=input_shape,
                metavar="HxWxC",
                help="Input shape for a model that takes several, without the batch; of a ready package in its own "
                f"order, such as 3x64x64{several}.",
            ),
            click.option(
                "--signature",
                metavar="NAME",
                callback=_signature,
                help="The signature of a SavedModel to convert.  [default: serving_default, or the only one]",
            ),
            click.option(
                "--allow-code",
                is_flag=True,
                help="Open models that contain code, such as Lambda layers; only from sources you trust.",
            ),
            click.option(
                "--custom-objects",
                type=PythonFile(),
                metavar="FILE.py",
                help="Python file with the model's own classes and functions, such as layers; it is run, so this needs "
                "--allow-code.",
            ),
        ),
    )
