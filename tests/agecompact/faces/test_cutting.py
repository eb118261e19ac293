"""Chips are cut where landmarks and boxes say, at any turn and scale."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agecompact.faces import cutting
from agecompact.faces.cascade import HAAR_GEOMETRY
from agecompact.faces.detection import FaceBox, Landmarks

TEMPLATE = ((0.305, 0.293), (0.697, 0.301), (0.495, 0.717))


def landmarks(points: np.ndarray) -> Landmarks:
    return Landmarks(*(tuple(map(float, point)) for point in points))


@given(
    st.floats(20, 900),
    st.floats(-np.pi, np.pi),
    st.floats(-300, 300),
    st.floats(-300, 300),
)
def test_the_transform_undoes_any_turn_scale_and_shift(
    side: float, angle: float, x: float, y: float
) -> None:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = np.array(TEMPLATE) @ turn.T * side + (x, y)
    found = cutting.similarity(landmarks(points))
    np.testing.assert_allclose(np.c_[points, np.ones(3)] @ found.T, TEMPLATE, rtol=0, atol=1e-6)


def test_a_chip_in_a_photo_is_cut_out_pixel_by_pixel() -> None:
    chip = np.random.default_rng(0).integers(0, 256, (120, 120, 3), dtype=np.uint8)
    photo = np.zeros((300, 400, 3), np.uint8)
    photo[50:170, 90:210] = chip
    cut = cutting.aligned(photo, landmarks(np.array(TEMPLATE) * 120 + (90, 50)))
    np.testing.assert_array_equal(cut, chip)


def test_a_turned_face_is_turned_back() -> None:
    smooth = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 256, (120, 120, 3), dtype=np.uint8), (0, 0), 6
    )
    chip = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)
    photo = np.zeros((400, 400, 3), np.uint8)
    photo[140:260, 140:260] = chip
    matrix = cv2.getRotationMatrix2D((199.5, 199.5), 25, 1.0)
    turned = cv2.warpAffine(photo, matrix, (400, 400))
    # From edges of pixels to their centres, and back.
    points = np.array(TEMPLATE) * 120 + 140 - 0.5
    moved = np.c_[points, np.ones(3)] @ matrix.T + 0.5
    cut = cutting.aligned(turned, landmarks(moved))
    inside = np.s_[12:-12, 12:-12]
    error = np.abs(cut[inside].astype(int) - chip[inside])
    assert error.mean() < 2


def test_a_huge_face_is_made_smaller_first() -> None:
    photo = np.full((4000, 3000, 3), 90, np.uint8)
    cut = cutting.aligned(photo, landmarks(np.array(TEMPLATE) * 2500 + (200, 500)))
    assert cut.shape == (1024, 1024, 3)
    assert (cut == 90).all()


def test_points_in_one_place_give_some_chip() -> None:
    cut = cutting.aligned(np.zeros((9, 9, 3), np.uint8), Landmarks((4, 4), (4, 4), (4, 4)))
    assert cut.shape[0] == cut.shape[1]


def test_a_box_at_the_edge_repeats_the_edge_pixels() -> None:
    image = np.full((100, 100, 3), 7, np.uint8)
    chip = cutting.around(image, FaceBox(60, 60, 80, 80), HAAR_GEOMETRY)
    assert chip.shape[0] == chip.shape[1]
    assert (chip == 7).all()


@pytest.mark.parametrize(("x", "y"), [(60, 60), (20, 30)])
def test_a_box_is_cut_by_its_geometry(x: int, y: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    chip = cutting.around(image, FaceBox(x, y, 100, 100), HAAR_GEOMETRY)
    side = chip.shape[0]
    left, top = round(x + 50 - 0.492 * side), round(y + 50 - 0.405 * side)
    np.testing.assert_array_equal(chip, image[top : top + side, left : left + side])
