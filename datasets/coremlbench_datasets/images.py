"""Decode image files to RGB. All images of coremlbench are decoded here."""

from __future__ import annotations

import errno
import stat
import warnings
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from coremlbench.types.errors import CoremlbenchError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""The formats that are read, recognised by content. Some other formats of Pillow start programs (EPS).

AVIF is read besides where Pillow has it, from version 11.3 on.
"""

_CONTAINER_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "HEIC"),
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
}
"""Brands of the first box of an ISO base media file (ISO/IEC 23008-12, annex B; AV1 Image File Format)."""

PIXEL_LIMIT = 89_478_485
"""The most pixels of an image that is decoded: Pillow's own limit, a quarter of a gibibyte as RGB."""

_SYSTEM_ERRORS = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EIO, errno.ESTALE}
"""Errors of the machine, its disk or its network, which do not mean that the image is unreadable."""

_PILLOW = r"PIL\."
"""The modules whose warnings are ignored."""

_ORIENTATION = 0x0112
"""EXIF's tag of the orientation (CIPA DC-008, 4.6.5)."""


class UnreadableImageError(CoremlbenchError):
    """A file that cannot be decoded as an image; the message says why."""


def decode(path: Path) -> NDArray[np.uint8]:
    """Return an image as uint8 RGB of shape (height, width, 3).

    EXIF orientation is applied, transparency is composed over white, 16 bits are scaled to 8, and an animation gives
    its first frame. A plain JPEG gives exactly libjpeg's pixels of full size, without colour management, so that all
    extractors get the same pixels.

    Raises:
        UnreadableImageError: it is truncated, damaged, too large, or not an image.
    """
    from PIL import Image, UnidentifiedImageError

    _silence_pillow()
    try:
        return _decode_file(path)
    except (UnreadableImageError, MemoryError):
        raise
    except Image.DecompressionBombError as bomb:
        raise UnreadableImageError(_too_large(None)) from bomb
    except UnidentifiedImageError as unknown:
        raise UnreadableImageError(_unknown_format_reason(path)) from unknown
    except Exception as broken:  # decoders raise many kinds of exceptions for damaged files
        if isinstance(broken, OSError) and broken.errno in _SYSTEM_ERRORS:
            raise
        raise UnreadableImageError(f"It cannot be decoded: {_reason(broken)}.") from broken


def _decode_file(path: Path) -> NDArray[np.uint8]:
    import numpy as np
    from PIL import Image

    if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would block
        raise UnreadableImageError("It is not a regular file.")
    with path.open("rb") as file, Image.open(file, formats=_readable_formats()) as image:
        width, height = image.size
        if width * height > PIXEL_LIMIT:
            raise UnreadableImageError(_too_large(width * height))
        return np.array(_upright(_rgb(image), _orientation(image)))


@lru_cache(maxsize=1)
def _readable_formats() -> tuple[str, ...]:
    return (*FORMATS, "AVIF") if find_spec("PIL.AvifImagePlugin") is not None else FORMATS


def _rgb(image: Image) -> Image:
    """Return the image as 8-bit RGB, transparency composed over white."""
    from PIL import Image

    if image.mode.startswith("I"):
        return _scaled_to_8_bits(image).convert("RGB")
    if image.mode == "F":
        raise UnreadableImageError("Its pixels are floating-point numbers, whose range nothing tells.")
    if image.has_transparency_data:
        colours = image.convert("RGBA")
        over_white = Image.new("RGB", image.size, "white")
        over_white.paste(colours, mask=colours.getchannel("A"))
        return over_white
    return image.convert("RGB")


def _scaled_to_8_bits(image: Image) -> Image:
    """Return a 16-bit grey image scaled to 8 bits; Pillow's own conversion clips values above 255."""
    import numpy as np
    from PIL import Image

    wide = np.asarray(image)
    if wide.min() < 0 or wide.max() > 65_535:
        raise UnreadableImageError("Its pixels have more than 16 bits.")
    return Image.fromarray(((wide.astype(np.uint32) + 128) // 257).astype(np.uint8))


def _orientation(image: Image) -> int:
    """Return EXIF's orientation from 1 to 8, 1 if it is missing or damaged."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - Pillow raises SyntaxError, struct.error, TypeError and others for a valid image
        return 1


def _upright(image: Image, orientation: int) -> Image:
    from PIL.Image import Transpose

    transposes = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(transposes[orientation]) if orientation in transposes else image


def _silence_pillow() -> None:
    """Ignore Pillow's warnings of unusual metadata; what matters raises an exception later.

    The filter is permanent, since ``warnings.catch_warnings`` is not thread-safe.
    """
    if not any(getattr(module, "pattern", "") == _PILLOW for _, _, _, module, _ in warnings.filters[:5]):
        warnings.filterwarnings("ignore", module=_PILLOW)


def _too_large(pixels: int | None) -> str:
    has = f"has {pixels:,} pixels" if pixels is not None else f"has over {2 * PIXEL_LIMIT:,} pixels"
    return f"It {has}; the limit is {PIXEL_LIMIT:,}."


def _unknown_format_reason(path: Path) -> str:
    if path.stat().st_size == 0:
        return "It is empty."
    container = _container(path)
    if container:
        return (
            f"It is a picture in {container}, which is not read here; save it as JPEG, on a Mac with "
            "`sips -s format jpeg FILE --out FOLDER`."
        )
    return "It is not a picture in JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF."


def _container(path: Path) -> str:
    """Return HEIC or AVIF for a file whose first box has one of their brands, else ""."""
    with path.open("rb") as file:
        head = file.read(64)
    if head[4:8] != b"ftyp":
        return ""
    brands = [head[8:12], *(head[start : start + 4] for start in range(16, len(head) - 3, 4))]
    names = [_CONTAINER_BRANDS[brand] for brand in brands if brand in _CONTAINER_BRANDS]
    return "AVIF" if "AVIF" in names else names[0] if names else ""


def _reason(broken: Exception) -> str:
    """Return an exception's message on one line, without path and full stop."""
    text = broken.strerror if isinstance(broken, OSError) and broken.strerror else str(broken)
    return " ".join((text or type(broken).__name__).split()).rstrip(".")
