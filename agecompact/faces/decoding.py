"""Decodes the bytes of image files, and never raises an error for bad bytes.

OpenCV reads what it reads right, which is nearly every photo; Pillow reads the rest.
"""

from __future__ import annotations

import cv2
import numpy as np

from agecompact.contract import Image
from agecompact.faces import colours, headers, pillow
from agecompact.faces.headers import Header

_JPEG, _JPEG_SCAN, _JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"


def decode(content: bytes) -> Image | None:
    """The image, uint8 HWC BGR; None if it is not whole, or as `decode_partial`."""
    return None if _is_truncated(content) else decode_partial(content)


def decode_partial(content: bytes) -> Image | None:
    """The image, uint8 HWC BGR; None if it cannot be decoded or is too large.

    A JPEG may be damaged or cut short, see `complaints`; others are whole.
    """
    header = headers.read(content)
    if header is None or headers.is_too_large(header.size):
        return None
    if _is_for_opencv(content, header):
        return _opencv(content)
    if header.format == "JPEG" and _opencv(content) is None:
        # Decoded for what libjpeg says about damage, which Pillow hides.
        return None
    return pillow.decode(content, header.format)


def _is_for_opencv(content: bytes, header: Header) -> bool:
    if not header.profiled:
        return header.plain
    return header.plain and colours.is_srgb(pillow.profile_of(content) or b"")


def _opencv(content: bytes) -> Image | None:
    try:
        # A grayscale file is decoded to three equal channels.
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if image is None else np.asarray(image, np.uint8)


def _is_truncated(content: bytes) -> bool:
    # OpenCV decodes the beginning of a truncated JPEG and fills the rest with grey.
    return content.startswith(_JPEG) and content.rfind(_JPEG_END) < content.rfind(_JPEG_SCAN)
