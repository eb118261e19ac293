"""Image files are read as BGR, and damaged ones are an error or have no chip."""

import hashlib
import struct
import sys
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


@pytest.mark.parametrize(
    ("url", "command"),
    [
        ("https://example.org/a/face.jpg", "curl -O https://example.org/a/face.jpg"),
        ("HTTP://example.org/face.jpg?w=1&h=2", "curl -O 'http://example.org/face.jpg?w=1&h=2'"),
        ("ftp://example.org/face.jpg", "curl -O ftp://example.org/face.jpg"),
        ("s3://bucket/face.jpg", "aws s3 cp s3://bucket/face.jpg ."),
        ("gs://bucket/face.jpg", "gcloud storage cp gs://bucket/face.jpg ."),
        ("hdfs://host/face.jpg", "download it first"),
    ],
)
def test_a_network_address_is_refused_with_the_cure(url: str, command: str) -> None:
    for use in (read_image, lambda path: files.images_in(path, "--images")):
        with pytest.raises(UsageError, match="is a network address") as refused:
            use(Path(url))
        assert refused.value.fix.endswith(command)
    assert read_chip(Path(url), WHOLE) == ChipFile("unreadable")


def test_a_folder_may_be_called_like_a_network(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    face = Path("https:/example.org/face.png")
    face.parent.mkdir(parents=True)
    cv2.imwrite(str(face), picture(1))
    assert read_image(face).shape == (200, 200, 3)
    assert files.images_in(face.parent, "--images") == (face,)


def test_heic_without_its_package_names_it(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "IMG_0001.HEIC"
    size = b"\0\0\0\x14ispe\0\0\0\0" + struct.pack(">II", 64, 64)
    inner = struct.pack(">I4s", len(size) + 8, b"ipco") + size
    inner = struct.pack(">I4s", len(inner) + 8, b"iprp") + inner
    meta = struct.pack(">I4s4x", len(inner) + 12, b"meta") + inner
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + meta)
    # As Python does for a module that is missing.
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr("agecompact.faces.pillow.find_spec", lambda _: None)
    with pytest.raises(UsageError, match="cannot read") as refused:
        read_image(path)
    assert "HEIC" in refused.value.why
    assert refused.value.fix.startswith("pip install pillow-heif")
    assert read_chip(path, WHOLE).state == "unreadable"
    assert files.images_in(tmp_path, "--images") == (path,)


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
