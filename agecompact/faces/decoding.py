"""Decodes the bytes of image files, and never raises an error for bad bytes."""

from __future__ import annotations

import cv2
import numpy as np

from agecompact.contract import Image

_JPEG, _JPEG_SCAN, _JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
_PNG, _PNG_END = b"\x89PNG", b"IEND"


def decode(content: bytes) -> Image | None:
    """The image, uint8 HWC BGR; None if the bytes are not an image, or end before it does."""
    return None if _is_truncated(content) else decode_partial(content)


def decode_partial(content: bytes) -> Image | None:
    """The image, uint8 HWC BGR, whole or not; None if the bytes are not an image."""
    if not content:
        return None
    try:
        # A grayscale file is decoded to three equal channels.
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        # OpenCV raises if a header claims more pixels than it allows.
        return None
    return None if image is None else np.asarray(image, np.uint8)


def _is_truncated(content: bytes) -> bool:
    # OpenCV decodes the beginning of a truncated file and fills the rest with grey.
    if content.startswith(_JPEG):
        return content.rfind(_JPEG_END) < content.rfind(_JPEG_SCAN)
    return content.startswith(_PNG) and _PNG_END not in content[-64:]
