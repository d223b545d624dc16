"""The packages of a conversion: which ones there are, and what decides their entries in the cache."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from coremlbench.conversion.job import drop_inapplicable, file_options_of
from coremlbench.conversion.options import ConvertOptions
from coremlbench.conversion.requested_packages import package_metadata, packages_to_make
from coremlbench.types.conversion import ModelFileOptions, ModelSource


def entry(folder: Path, source: ModelSource, **settings: Any) -> Path:
    """Return the cache entry of the package that is made with these options."""
    source, options, _ = drop_inapplicable(source, ConvertOptions(**settings))
    (package,) = packages_to_make(source, options, {"kind": "random"}, folder / "cache", folder / "work")
    assert package.cache_entry is not None
    return package.cache_entry


def test_every_option_of_opening_a_file_has_an_entry_of_its_own(tmp_path: Path) -> None:
    saved = ModelSource("m", "file", "saved-model", "/of/m", "0123")
    keras = replace(saved, format="keras")
    mine = tmp_path / "mine.py"
    mine.write_text("class Mine: ...")
    code = {"allow_code": True, "custom_objects": str(mine)}
    entries = [
        entry(tmp_path, saved),
        entry(tmp_path, saved, signature="one"),
        entry(tmp_path, saved, signature="two"),
        entry(tmp_path, saved, input_shape=(8, 8, 3)),
        entry(tmp_path, saved, scale=0.5),
        entry(tmp_path, saved, classes=("cat", "dog")),
        entry(tmp_path, keras, **code),
    ]
    assert len(set(entries)) == len(entries)
    assert entry(tmp_path, keras, **code) == entries[-1]
    assert entry(tmp_path, saved, allow_code=True) == entries[0], "a permission changes no package"
    mine.write_text("class Mine: pass")
    assert entry(tmp_path, keras, **code) not in entries, "the content of the file counts"


def test_a_record_and_a_package_tell_how_the_file_was_opened(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text("class Mine: ...")
    settings: dict[str, Any] = {"scale": 0.5, "input_shape": (8, 8, 3), "allow_code": True}
    source, _, notes = drop_inapplicable(
        ModelSource("m", "file", "saved-model", "/of/m", "0123"),
        ConvertOptions(signature="serve", custom_objects=str(mine), **settings),
    )
    assert source.file_options == ModelFileOptions(0.5, (8, 8, 3), "serve")
    assert package_metadata(source)["signature"] == "serve"
    assert notes == ("--custom-objects was left out for m: only Keras files need classes of their own.",)
    source, _, notes = drop_inapplicable(
        ModelSource("m", "file", "h5", "/of/m.h5", "0123"),
        ConvertOptions(signature="serve", custom_objects=str(mine), **settings),
    )
    assert source.file_options == file_options_of(ConvertOptions(custom_objects=str(mine), **settings))
    assert source.file_options.custom_objects_sha256
    assert "signature" not in package_metadata(source)
    assert notes == ("--signature was left out for m.h5: only a SavedModel has signatures.",)
