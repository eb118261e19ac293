"""Image files are read as BGR, and damaged ones are an error or have no chip."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from agecompact.errors import UsageError
from agecompact.faces.files import ChipFile, read_chip, read_image
from agecompact.faces.framing import WHOLE, Framing

# The header claims more pixels than OpenCV allows.
_HUGE = b"P6\n2000000 2000000\n255\n" + bytes(100)


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\xff\xd8\xff\xe0 cut short", _HUGE])
def test_a_file_that_is_not_an_image_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "image.jpg"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="is not an image"):
        read_image(path)
    file = read_chip(path, WHOLE)
    assert (file.state, file.chip) == ("unreadable", None)
    assert len(file.sha256) == 64


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        read_image(tmp_path / "absent.jpg")
    assert read_chip(tmp_path / "absent.jpg", WHOLE) == ChipFile("unreadable")


def test_an_image_is_read_as_bgr(tmp_path: Path) -> None:
    path = tmp_path / "blue.png"
    cv2.imwrite(str(path), np.full((200, 200, 3), (255, 0, 0), np.uint8))
    assert (read_image(path) == (255, 0, 0)).all()
    chip = read_chip(path, WHOLE).chip
    assert chip is not None
    assert (chip == (255, 0, 0)).all()
    assert read_chip(path, Framing("detect")).state == "faceless"
