"""Chips are 200x200 whatever the picture, and damaged files have none."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import data

from agecompact.contract import Image
from agecompact.data.duplicates import thumbnail
from agecompact.faces import cutting, detection
from agecompact.faces.decoding import decode
from agecompact.faces.detection import DETECTORS, FaceBox
from agecompact.faces.framing import WHOLE, Framing, frame
from tests.agecompact.data.synthetic import jpeg, picture
from tests.detectors import INSTALLED


def test_a_whole_chip_is_not_touched() -> None:
    assert frame(picture(1), WHOLE) is not None
    assert np.array_equal(frame(picture(1), WHOLE), picture(1))


@pytest.mark.parametrize("side", [1, 64, 199, 400])
def test_chips_of_other_sizes_are_resampled(side: int) -> None:
    chip = frame(picture(1, side), WHOLE)
    assert chip is not None
    assert (chip.shape, chip.dtype) == ((200, 200, 3), np.uint8)


def test_a_border_is_removed_on_both_axes() -> None:
    image = picture(1, 240)
    assert np.array_equal(frame(image, Framing("border", 20)), image[20:-20, 20:-20])
    assert frame(picture(1, 40), Framing("border", 20)) is None
    assert frame(picture(1, 10), Framing("border", 20)) is None


def _photo(side: int) -> Image:
    image = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("name", INSTALLED)
def test_a_face_is_framed_as_it_is_for_prediction(name: str) -> None:
    photo = _photo(256)
    finder = detection.detector(name)
    expected = finder.chip(photo, finder.find(photo)[0])
    chip = frame(photo, Framing("detect", detector=name))
    assert np.array_equal(chip, cv2.resize(expected, (200, 200), interpolation=cv2.INTER_AREA))


@pytest.mark.parametrize("name", INSTALLED)
@pytest.mark.parametrize("side", [400, 512, 1024])
def test_a_large_photo_is_framed_like_a_small_one(side: int, name: str) -> None:
    framing = Framing("detect", detector=name)
    chips = [frame(_photo(size), framing) for size in (256, side)]
    prints = [thumbnail(chip) for chip in chips if chip is not None]
    assert len(prints) == 2
    assert float(prints[0] @ prints[1]) > 0.95


@pytest.mark.parametrize("name", INSTALLED)
def test_a_picture_without_a_face_has_no_chip(name: str) -> None:
    for side in (1, 100, 600):
        grey = np.full((side, side, 3), 128, np.uint8)
        assert frame(grey, Framing("detect", detector=name)) is None


def test_chips_of_different_detectors_are_cached_apart() -> None:
    keys = {Framing("detect", detector=name).key for name in DETECTORS}
    assert len(keys) == len(DETECTORS)
    assert Framing("detect").key == Framing("detect", detector=detection.default().name).key


@pytest.mark.parametrize(
    ("box", "square"),
    [
        (FaceBox(10, 20, 50, 50), (10, 20, 50)),
        # The box is in the middle of the square.
        (FaceBox(10, 20, 50, 30), (10, 10, 50)),
        (FaceBox(10, 20, 31, 50), (0, 20, 50)),
        (FaceBox(0, 0, 200, 200), (0, 0, 200)),
    ],
)
def test_a_box_is_cut_out_as_a_square(box: FaceBox, square: tuple[int, int, int]) -> None:
    x, y, side = square
    expected = frame(picture(1)[y : y + side, x : x + side], WHOLE)
    assert np.array_equal(frame(picture(1), Framing("box", box=box)), expected)


def test_edge_pixels_repeat_beyond_the_picture() -> None:
    cut = cutting.square(picture(1), FaceBox(-20, 130, 80, 80))
    padded = cv2.copyMakeBorder(picture(1), 0, 10, 20, 0, cv2.BORDER_REPLICATE)
    assert np.array_equal(cut, padded[130:210, 0:80])


@pytest.mark.parametrize(
    "box",
    [
        FaceBox(200, 0, 50, 50),
        FaceBox(-50, 0, 50, 50),
        FaceBox(150, 150, 100, 100),
        FaceBox(0, 0, 1, 10**9),
        FaceBox(-(10**9), -(10**9), 2 * 10**9, 2 * 10**9),
        FaceBox(0, 0, 0, 0),
    ],
)
def test_a_box_outside_the_picture_has_no_chip(box: FaceBox) -> None:
    assert frame(picture(1), Framing("box", box=box)) is None


@given(st.tuples(*(st.integers(-300, 500) for _ in range(4))))
def test_a_square_is_at_most_twice_the_picture(sides: tuple[int, int, int, int]) -> None:
    cut = cutting.square(picture(1), FaceBox(*sides))
    if cut is not None:
        assert cut.shape[0] == cut.shape[1] == max(sides[2:])
        assert cut.shape[0] ** 2 <= 2 * 200**2


def test_a_grayscale_file_has_three_equal_channels() -> None:
    image = decode(jpeg(np.full((8, 8), 77, np.uint8)))
    assert image is not None
    assert image.shape == (8, 8, 3)


@pytest.mark.parametrize("extension", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_not_an_image(extension: str, share: float) -> None:
    content = cv2.imencode(extension, picture(1))[1].tobytes()
    assert decode(content) is not None
    assert decode(content[: int(len(content) * share)]) is None


@given(st.binary(max_size=300))
def test_no_bytes_break_the_decoder(content: bytes) -> None:
    for head in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF89a", b"RIFF"):
        decode(head + content)
