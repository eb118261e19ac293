"""The published UTKFace: the survey and the split that released weights were trained on."""

import os
from pathlib import Path

import pytest

from agecompact.data import chips, fingerprints, registry, splits, utkface
from agecompact.data.face import spread
from agecompact.data.survey import Survey, survey
from agecompact.faces.framing import WHOLE

_FOLDER = os.environ.get("AGECOMPACT_DATA")
_FILES = 21_707

pytestmark = pytest.mark.skipif(not _FOLDER, reason="AGECOMPACT_DATA does not name UTKFace")


@pytest.fixture(scope="module")
def surveyed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Survey, Path]:
    listing = utkface.read(Path(str(_FOLDER)))
    if len(listing.records) != _FILES:
        pytest.skip(f"{len(listing.records)} images, not the {_FILES} that the figures are of")
    cache = tmp_path_factory.mktemp("cache")
    return survey(listing, "age", cache=cache), cache


@pytest.mark.slow
def test_the_split_is_the_one_that_was_trained_on(surveyed: tuple[Survey, Path]) -> None:
    found, _ = surveyed
    split = splits.split(found.faces)
    assert [len(split.part(part)) for part in splits.PARTS] == [14_119, 2_016, 4_033]
    assert split.sha256 == "c2d935f4b8859b61cd5e5620d8052b721cc8a9740cd4e6322763dbbb5acb94c3"
    default = registry.get("utkface").protocol(None).folds(found.faces, splits.SEED)
    assert default == {"single": split}


def test_the_counts_are_those_published(surveyed: tuple[Survey, Path]) -> None:
    found, _ = surveyed
    assert {why: count for why, count in found.counts.items() if count} == {
        "entries": _FILES,
        "kept": 20_168,
        "duplicates": 176,
        "near_duplicates": 124,
        "conflicting": 419,
        "near_conflicting": 820,
    }


def test_kept_fingerprints_give_the_same_survey(surveyed: tuple[Survey, Path]) -> None:
    found, cache = surveyed
    assert fingerprints.path_in(cache, "utkface", WHOLE).exists()
    assert survey(utkface.read(Path(str(_FOLDER))), "age", cache=cache) == found


def test_its_chips_are_not_taken_for_photos() -> None:
    records = utkface.read(Path(str(_FOLDER))).records
    said: list[str] = []
    assert chips.choose(records, WHOLE, None, said.append) == WHOLE
    assert chips.choose(records, None, None, said.append) == WHOLE
    assert len(said) == 2
    seen = chips.look(spread(records, 300))
    assert seen.not_square == 0
    assert seen.in_place >= 0.97 * seen.pictures
    assert seen.elsewhere <= 0.01 * seen.pictures
