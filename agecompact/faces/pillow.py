"""Reads with Pillow the pictures that OpenCV reads wrong, or not at all.

OpenCV drops transparency, colour profiles, and how an AVIF picture is turned.
"""

from __future__ import annotations

from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from agecompact.contract import Image
from agecompact.faces import colours, headers
from agecompact.faces.headers import Format
from agecompact.imports import resolve

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

# Opened by their classes: `Image.open` loads the plugins of all formats.
_CLASSES: dict[Format, str] = {
    "JPEG": "PIL.JpegImagePlugin:JpegImageFile",
    "PNG": "PIL.PngImagePlugin:PngImageFile",
    "WebP": "PIL.WebPImagePlugin:WebPImageFile",
    "AVIF": "PIL.AvifImagePlugin:AvifImageFile",
    "HEIC": "pillow_heif:HeifImageFile",
    "GIF": "PIL.GifImagePlugin:GifImageFile",
    "TIFF": "PIL.TiffImagePlugin:TiffImageFile",
}
# Metadata of editors, in which Pillow looks for an orientation as well. Viewers do not: converters
# turn the picture and leave the text.
_XMP = ("xmp", "XML:com.adobe.xmp")
_ORIENTATION = 0x0112


def is_installed(format: Format) -> bool:
    """Whether the package that reads a format is installed; only HEIC's is optional."""
    return format != "HEIC" or find_spec("pillow_heif") is not None


def profile_of(content: bytes) -> bytes | None:
    """The ICC profile that a JPEG file embeds; None if it has none, or a damaged header."""
    try:
        with resolve(_CLASSES["JPEG"])(BytesIO(content)) as image:
            found: bytes | None = image.info.get("icc_profile")
            return found
    except Exception:  # As in `decode`.
        return None


def decode(content: bytes, format: Format) -> Image | None:
    """The image, uint8 HWC BGR; of an animation the first frame.

    It is turned as its metadata say, in sRGB, and on white where it is transparent.

    Args:
        content: The bytes of the file.
        format: What `headers.read` says that they are.

    Returns:
        None if they cannot be decoded, are not whole, or are too large.
    """
    import cv2

    try:
        with resolve(_CLASSES[format])(BytesIO(content)) as image:
            if headers.is_too_large(image.size):
                return None
            image.load()
            profile = image.info.get("icc_profile")
            rgb = colours.to_srgb(_opaque(_upright(image)), profile)
        return np.asarray(cv2.cvtColor(np.asarray(rgb), cv2.COLOR_RGB2BGR), np.uint8)
    except Exception:  # Pillow's plugins raise errors of any class on damaged files.
        return None


def _upright(image: PillowImage) -> PillowImage:
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
    for key in _XMP:
        image.info.pop(key, None)
    try:
        # A TIFF is upright once it is loaded; AVIF's own turns are here, HEIC's are done.
        turn = turns.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # The metadata may be damaged; the picture is not.
        turn = None
    return image if turn is None else image.transpose(turn)


def _opaque(image: PillowImage) -> PillowImage:
    """The picture in mode L, RGB or CMYK, with 8 bits."""
    from PIL import Image as Pillow

    if image.mode.startswith("I;16"):
        return Pillow.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"the range of {image.mode} is unknown")
    if not image.has_transparency_data:
        return image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")
    layers = image.convert("RGBA")
    white = Pillow.new("RGB", image.size, "white")
    white.paste(layers, mask=layers.getchannel("A"))
    return white
