"""Every kind of file that a folder of pictures may hold."""

from __future__ import annotations

import os
import re
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from coremlbench_datasets.images import PIXEL_LIMIT, UnreadableImageError, decode

GRADIENT = np.dstack([*np.meshgrid(np.arange(0, 256, 4), np.arange(0, 256, 8)), np.full((32, 64), 90)]).astype(np.uint8)


def saved(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def test_a_plain_jpeg_gives_the_pixels_of_a_full_decoding(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", Image.fromarray(GRADIENT), quality=80)
    with Image.open(path) as image:
        expected = np.array(image)
    found = decode(path)
    assert found.dtype == np.uint8
    assert found.flags.writeable
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_formats_give_back_what_was_saved(tmp_path: Path, kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    path = saved(tmp_path / "wrong_extension.jpg", Image.fromarray(GRADIENT), format=kind, **options)
    assert np.array_equal(decode(path), GRADIENT)


def test_the_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue")]
    path = saved(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
    assert decode(path).shape == (6, 8, 3)
    assert decode(path)[0, 0].tolist() == [255, 0, 0]


# What the camera saw when the file holds a picture 2 wide and 3 high, by EXIF's orientation: the corner pixel's place.
CORNERS = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}


@pytest.mark.parametrize(("orientation", "corner"), CORNERS.items())
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, corner: tuple[int, int]) -> None:
    image = Image.new("RGB", (2, 3), "black")
    image.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = decode(saved(tmp_path / "a.png", image, exif=exif))
    assert found.shape == ((2, 3, 3) if orientation > 4 else (3, 2, 3))
    assert found[corner].tolist() == [255, 255, 255]
    assert found.sum() == 3 * 255


def test_broken_exif_is_as_good_as_none(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", Image.fromarray(GRADIENT), exif=b"Exif\0\0II*\0\xff\xff\xff\xffnonsense")
    assert decode(path).shape == GRADIENT.shape


def test_cmyk_is_read_as_colours(tmp_path: Path) -> None:
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    for path in (saved(tmp_path / "a.jpg", cmyk, quality=95), saved(tmp_path / "a.tif", cmyk)):
        assert np.abs(decode(path).astype(int) - [255, 0, 0]).max() < 8


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bits_are_scaled_not_cut(tmp_path: Path, name: str) -> None:
    levels = np.array([[0, 257, 128 * 257, 65_535]], np.uint16)
    found = decode(saved(tmp_path / name, Image.fromarray(levels)))
    assert found[0].tolist() == [[level] * 3 for level in (0, 1, 128, 255)]


def test_16_bit_colours_are_read(tmp_path: Path) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header, pixels = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0), b"\0" + struct.pack(">HHH", 65_535, 0, 128 * 257)
    path = tmp_path / "a.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    )
    assert decode(path).tolist() == [[[255, 0, 128]]]


def test_floating_point_pixels_have_no_range(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.tif", Image.fromarray(np.ones((4, 4), np.float32)))
    with pytest.raises(UnreadableImageError, match="floating-point"):
        decode(path)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1", "L"])
def test_transparency_is_laid_over_white(tmp_path: Path, mode: str) -> None:
    if mode == "P":
        image = Image.new("P", (4, 4), 1)
        image.putpalette([10, 10, 10, 0, 0, 0])
        path = saved(tmp_path / "a.png", image, transparency=1)
    elif mode in {"1", "L"}:
        path = saved(tmp_path / "a.png", Image.new(mode, (4, 4), 0), transparency=0)
    else:
        path = saved(tmp_path / "a.png", Image.new(mode, (4, 4)))
    assert decode(path).tolist() == [[[255] * 3] * 4] * 4


def test_half_transparency_is_mixed(tmp_path: Path) -> None:
    found = decode(saved(tmp_path / "a.png", Image.new("RGBA", (1, 1), (255, 0, 0, 128))))
    assert found[0, 0].tolist() == [255, 127, 127]


def test_two_levels_are_black_and_white(tmp_path: Path) -> None:
    found = decode(saved(tmp_path / "a.png", Image.new("1", (3, 2), 1)))
    assert found.tolist() == [[[255] * 3] * 3] * 2


def test_a_bomb_is_told_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    for side in (9_500, 60_000):  # past the limit, and past what Pillow itself opens
        header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
            + header
            + struct.pack(">I", zlib.crc32(b"IHDR" + header))
            + b"\0\0\0\0IDAT"
        )
        with pytest.raises(UnreadableImageError, match=f"the limit is {PIXEL_LIMIT:,}"):
            decode(path)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.7, 0.97])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_truncated_files_are_unreadable(tmp_path: Path, kind: str, share: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    path = saved(tmp_path / "a", noise, format=kind)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(UnreadableImageError):
        decode(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"dear diary", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 100, "It "),
    ],
)
def test_what_is_no_picture_says_so(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(UnreadableImageError, match=reason):
        decode(path)


def test_what_is_no_file_says_so(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(UnreadableImageError, match="not a regular file"):
        decode(tmp_path / "pipe.jpg")
    with pytest.raises(UnreadableImageError, match="No such file"):
        decode(tmp_path / "gone.jpg")


def test_no_broken_file_gets_past(tmp_path: Path) -> None:
    """Bytes of good files are overwritten: the picture is read or called unreadable, and nothing else happens."""
    random = np.random.default_rng(1)
    path = tmp_path / "a"
    outcomes = set()

    def outcome(path: Path) -> str:
        try:
            return "picture" if decode(path).shape[2] == 3 else "?"
        except UnreadableImageError as unreadable:
            return "sentence" if re.fullmatch(r"It .*\.", str(unreadable)) else str(unreadable)

    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"):
        good = bytearray(saved(path, Image.fromarray(GRADIENT), format=kind).read_bytes())
        for _ in range(40):
            bad = good.copy()
            for place in random.integers(0, min(len(bad), 400), 3):
                bad[place] = random.integers(0, 256)
            path.write_bytes(bad)
            outcomes.add(outcome(path))
    assert outcomes == {"picture", "sentence"}


def test_pillows_warnings_stay_silent(tmp_path: Path) -> None:
    """A palette with transparency in bytes is what Pillow warns of."""
    image = Image.new("P", (4, 4), 1)
    image.putpalette([10, 10, 10, 0, 0, 0])
    path = saved(tmp_path / "a.png", image, transparency=bytes([255, 0]))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        decode(path)
    assert caught == []


if Path("/proc/self/mem").exists():  # a regular file of Linux whose first byte cannot be read: EIO

    def test_a_disk_that_fails_is_no_broken_picture() -> None:
        with pytest.raises(OSError, match="Input/output error"):
            decode(Path("/proc/self/mem"))
