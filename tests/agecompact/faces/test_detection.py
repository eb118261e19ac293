"""Faces are found where they are, and framed as in UTKFace."""

import numpy as np
import pytest

from agecompact.faces import detection
from parity_tests.inputs import portrait


def test_the_only_face_of_the_portrait_is_found():
    (box,) = detection.detect(portrait())
    # The astronaut's eyes, located by hand: (202, 100) and (246, 100).
    assert box.x < 202 < 246 < box.x + box.width
    assert box.y < 100 < box.y + box.height


def test_no_face_in_noise():
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    assert detection.detect(noise) == ()


def test_the_chip_is_framed_as_utkface_frames_it():
    picture = portrait()
    (box,) = detection.detect(picture)
    chip = detection.chip(picture, box)
    side = chip.shape[0]
    assert chip.shape == (side, side, 3)
    # UTKFace's template has the eyes at 0.29 of the height; detection varies by a few percent.
    left = round(box.x + box.width / 2 - 0.492 * side)
    top = round(box.y + box.height / 2 - 0.405 * side)
    assert (100 - top) / side == pytest.approx(0.29, abs=0.08)
    np.testing.assert_array_equal(chip, picture[top : top + side, left : left + side])


def test_a_face_at_the_edge_repeats_the_edge_pixels():
    image = np.full((100, 100, 3), 7, np.uint8)
    chip = detection.chip(image, detection.FaceBox(60, 60, 80, 80))
    assert chip.shape[0] == chip.shape[1]
    assert (chip == 7).all()
