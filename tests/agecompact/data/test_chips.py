"""Photos among what should be chips are noticed, and chips are left alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import data

from agecompact.contract import Image
from agecompact.data import chips
from agecompact.data.chips import SAMPLE, Look, choose
from agecompact.data.face import Label
from agecompact.data.listing import Record
from agecompact.errors import UsageError
from agecompact.faces.detection import FaceBox
from agecompact.faces.framing import DETECT, WHOLE, Framing, frame
from agecompact.faces.placement import placement
from tests.agecompact.data import synthetic


def photo() -> Image:
    return np.ascontiguousarray(data.astronaut()[:, :, ::-1])


def chip() -> Image:
    framed = frame(photo(), DETECT)
    assert framed is not None
    return framed


@pytest.fixture(scope="module")
def pictures() -> Mapping[str, Image | bytes]:
    return {
        "chip": chip(),
        "photo": photo(),
        "oblong": photo()[:, :400],
        "squashed": chip()[:, 10:-10],
        "faceless": synthetic.picture(1),
        "damaged": b"no image",
    }


def records(folder: Path, pictures: Mapping[str, Image | bytes], kinds: Sequence[str]):
    for index, kind in enumerate(kinds):
        synthetic.write(folder / f"{index}.jpg", pictures[kind])
    return [Record(f"{i}.jpg", folder / f"{i}.jpg", Label(30)) for i in range(len(kinds))]


@pytest.mark.parametrize("side", [64, 112, 200, 400])
def test_a_chip_has_its_face_in_place(side: int) -> None:
    assert placement(cv2.resize(chip(), (side, side), interpolation=cv2.INTER_AREA)) == "in_place"


def test_a_photo_has_its_face_elsewhere_and_a_pattern_none() -> None:
    assert placement(photo()) == "elsewhere"
    assert placement(synthetic.picture(1)) == "no_face"


@pytest.mark.parametrize("share", [0.2, 0.3, 0.4, 0.5, 0.6])
def test_a_small_face_is_elsewhere(share: float) -> None:
    side = round(200 / share)
    canvas = cv2.resize(synthetic.picture(3), (side, side))
    canvas[-200:, -200:] = chip()
    assert placement(canvas) == "elsewhere"


def test_a_look_counts_each_kind(tmp_path: Path, pictures: Mapping[str, Image | bytes]) -> None:
    entries = records(tmp_path, pictures, [*pictures, "chip"])
    entries.append(Record("absent", tmp_path / "absent.jpg", Label(30)))
    seen = chips.look(entries)
    assert seen == Look(pictures=6, not_square=2, in_place=2, elsewhere=1)
    assert str(seen) == "of 6 pictures 2 are not square; the face is in place in 2, elsewhere in 1"


@given(st.tuples(*(st.integers(0, SAMPLE) for _ in range(4))))
def test_nothing_is_chips_and_photos(counts: tuple[int, int, int, int]) -> None:
    square, oblong, elsewhere, faceless = counts
    seen = Look(sum(counts), oblong, square, elsewhere)
    assert not (seen.chips and seen.photos)
    # Chips alone are never taken for photos, nor pictures in which the detector fails.
    assert not Look(square + faceless, 0, square, 0).photos
    if oblong + elsewhere:
        assert Look(oblong + elsewhere, oblong, 0, elsewhere).photos


def test_chips_stay_chips(tmp_path: Path, pictures: Mapping[str, Image | bytes]) -> None:
    said: list[str] = []
    entries = records(tmp_path, pictures, ["chip"] * 5 + ["faceless", "oblong"])
    assert choose(entries, WHOLE, None, said.append) == WHOLE
    assert said == []
    assert choose(entries, None, None, said.append) == WHOLE
    assert said[0].startswith("the pictures are taken for face chips (--framing detect")


@pytest.mark.parametrize("kind", ["photo", "oblong", "squashed"])
def test_photos_in_a_data_set_of_chips_are_refused(
    kind: str, tmp_path: Path, pictures: Mapping[str, Image | bytes]
) -> None:
    said: list[str] = []
    entries = records(tmp_path, pictures, [kind] * 4 + ["chip"])
    with pytest.raises(UsageError, match="the pictures are photos") as refused:
        choose(entries, WHOLE, None, said.append)
    assert "--framing detect" in refused.value.fix
    assert "of 5 pictures " in refused.value.why
    # In a table they are photos, and the choice is said.
    assert choose(entries, None, None, said.append) == DETECT
    assert said[0].startswith("the detector finds the faces (--framing chip")


def test_pictures_without_faces_are_doubted(
    tmp_path: Path, pictures: Mapping[str, Image | bytes]
) -> None:
    said: list[str] = []
    entries = records(tmp_path, pictures, ["faceless"] * 3)
    assert choose(entries, WHOLE, None, said.append) == WHOLE
    assert said[0].startswith("warning: the pictures may not be face chips")


@pytest.mark.parametrize(
    ("own", "wanted", "chosen"),
    [
        (WHOLE, "detect", DETECT),
        (None, "detect", DETECT),
        (None, "chip", WHOLE),
        (WHOLE, "chip", WHOLE),
        (DETECT, "chip", WHOLE),
        (DETECT, None, DETECT),
        (Framing("border", 20), None, Framing("border", 20)),
        (Framing("border", 20), "chip", Framing("border", 20)),
        (Framing("border", 20), "detect", DETECT),
    ],
)
def test_what_is_known_needs_no_look(own, wanted, chosen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chips, "look", None)
    entries = [Record("a.jpg", Path("a.jpg"), Label(30))]
    assert choose(entries, own, wanted, lambda _: None) == chosen


def test_pictures_with_a_box_are_not_looked_at(tmp_path: Path) -> None:
    entries = [Record("a.jpg", tmp_path / "a.jpg", Label(30), FaceBox(0, 0, 9, 9))]
    assert choose(entries, WHOLE, None, lambda _: None) == WHOLE
    assert choose(entries, None, None, lambda _: None) == DETECT


def test_the_sample_is_small_and_spread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Record] = []
    monkeypatch.setattr(chips, "look", lambda sample: looked.extend(sample) or Look(1, 0, 1, 0))
    entries = [Record(f"{i:04}", tmp_path / str(i), Label(30)) for i in range(1000)]
    choose(entries, WHOLE, None, lambda _: None)
    assert len(looked) == SAMPLE
    assert looked[-1].name > "0900"
