"""Image files are read as BGR, and damaged ones are an error or have no chip."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from agecompact.errors import UsageError
from agecompact.faces import files
from agecompact.faces.detection import FaceBox
from agecompact.faces.files import ChipFile, read_chip, read_image
from agecompact.faces.framing import WHOLE, Framing
from tests.agecompact.data.synthetic import jpeg, picture

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


def test_each_box_of_a_photo_is_a_picture() -> None:
    content = jpeg(picture(1))
    boxes = [FaceBox(0, 0, 9, 9), FaceBox(1, 0, 9, 9)]
    hashes = {files.picture_hash(content, Framing("box", box=box)) for box in boxes}
    hashes.add(files.picture_hash(content, WHOLE))
    assert len(hashes) == 3
    assert files.picture_hash(content, WHOLE) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("height", "width", "square"),
    [(200, 200, True), (200, 210, True), (210, 200, True), (200, 211, False), (90, 200, False)],
)
def test_square_pictures(height: int, width: int, square: bool) -> None:
    content = jpeg(np.zeros((height, width, 3), np.uint8))
    assert files.is_square(content) == square
    # What declares no size is not judged here.
    assert files.is_square(b"no image")
