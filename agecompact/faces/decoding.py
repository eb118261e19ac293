"""Bytes of a file as an image, or as none: never an exception, never half a picture."""

from __future__ import annotations

import cv2
import numpy as np

from agecompact.contract import Image

_JPEG, _JPEG_SCAN, _JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
_PNG, _PNG_END = b"\x89PNG", b"IEND"


def decode(content: bytes) -> Image | None:
    """The image, uint8 HWC BGR, or None if the bytes are none, or end before the picture does."""
    if not content or _is_cut_off(content):
        return None
    try:
        # A grayscale file comes as three equal channels.
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        # OpenCV raises on a header that claims more pixels than it allows.
        return None
    return None if image is None else np.asarray(image, np.uint8)


def _is_cut_off(content: bytes) -> bool:
    # OpenCV decodes what there is of a truncated file and paints the rest grey.
    if content.startswith(_JPEG):
        return content.rfind(_JPEG_END) < content.rfind(_JPEG_SCAN)
    return content.startswith(_PNG) and _PNG_END not in content[-64:]
