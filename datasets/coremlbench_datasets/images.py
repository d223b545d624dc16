"""Read a picture, whatever it is, as RGB: the one place where coremlbench decodes images."""

from __future__ import annotations

import errno
import stat
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from coremlbench.types.errors import CoremlbenchError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""The formats that are read, told by content; Pillow's others include some that start programs (EPS)."""

PIXEL_LIMIT = 89_478_485
"""Pixels past which a picture is not decoded: a quarter of a gibibyte as RGB, Pillow's own limit."""

_MACHINE_TROUBLE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EIO, errno.ESTALE}
"""Errors that say something of the machine, its disk or its network and nothing of the picture."""

_PILLOW = r"PIL\."
"""The modules whose warnings nobody needs to hear."""

_ORIENTATION = 0x0112
"""EXIF's tag for how the camera was held (CIPA DC-008, 4.6.5)."""


class UnreadableImageError(CoremlbenchError):
    """A file that cannot be read as a picture; the text says why."""


def decode(path: Path) -> NDArray[np.uint8]:
    """Return the picture as (height, width, 3) RGB bytes, upright.

    EXIF orientation is applied, transparency is laid over white, 16 bits are scaled to 8, and of an animation the
    first frame is taken. A plain JPEG gives exactly the pixels of libjpeg's full decoding: no scaled decoding, no
    colour management, since extractors are compared on the same pixels.

    Raises:
        UnreadableImageError: it is truncated, corrupt, too large, or no picture at all.
    """
    from PIL import Image, UnidentifiedImageError

    _silence_pillow()
    try:
        return _decoded(path)
    except (UnreadableImageError, MemoryError):
        raise
    except Image.DecompressionBombError as bomb:
        raise UnreadableImageError(_too_large(None)) from bomb
    except UnidentifiedImageError as unknown:
        raise UnreadableImageError(_what_it_is_not(path)) from unknown
    except Exception as broken:  # decoders meet anything in a hostile file and raise anything
        if isinstance(broken, OSError) and broken.errno in _MACHINE_TROUBLE:
            raise
        raise UnreadableImageError(f"It cannot be decoded: {_reason(broken)}.") from broken


def _decoded(path: Path) -> NDArray[np.uint8]:
    import numpy as np
    from PIL import Image

    if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
        raise UnreadableImageError("It is not a regular file.")
    with path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
        width, height = image.size
        if width * height > PIXEL_LIMIT:
            raise UnreadableImageError(_too_large(width * height))
        return np.array(_upright(_rgb(image), _orientation(image)))


def _rgb(image: Image) -> Image:
    """Return the picture as 8-bit RGB over white."""
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
    """Return a 16-bit grey picture with 65535 as 255; Pillow's own conversion cuts everything above 255."""
    import numpy as np
    from PIL import Image

    wide = np.asarray(image)
    if wide.min() < 0 or wide.max() > 65_535:
        raise UnreadableImageError("Its pixels have more than 16 bits.")
    return Image.fromarray(((wide.astype(np.uint32) + 128) // 257).astype(np.uint8))


def _orientation(image: Image) -> int:
    """Return EXIF's orientation from 1 to 8; broken EXIF is as good as none."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - Pillow raises SyntaxError, struct.error, TypeError... and the picture is fine
        return 1


def _upright(image: Image, orientation: int) -> Image:
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(turns[orientation]) if orientation in turns else image


def _silence_pillow() -> None:
    """Let Pillow's warnings on odd metadata pass unheard: what matters of them is an exception later.

    A filter that stays is safe among threads; ``warnings.catch_warnings`` is not.
    """
    if not any(getattr(module, "pattern", "") == _PILLOW for _, _, _, module, _ in warnings.filters[:5]):
        warnings.filterwarnings("ignore", module=_PILLOW)


def _too_large(pixels: int | None) -> str:
    has = f"has {pixels:,} pixels" if pixels is not None else f"has over {2 * PIXEL_LIMIT:,} pixels"
    return f"It {has}; the limit is {PIXEL_LIMIT:,}."


def _what_it_is_not(path: Path) -> str:
    if path.stat().st_size == 0:
        return "It is empty."
    return "It is not a picture in JPEG, PNG, WebP, GIF, BMP or TIFF."


def _reason(broken: Exception) -> str:
    """Return an exception's text without the path, as part of a sentence."""
    text = broken.strerror if isinstance(broken, OSError) and broken.strerror else str(broken)
    return " ".join((text or type(broken).__name__).split()).rstrip(".")
