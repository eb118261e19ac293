"""Of all planted faults, nearly all are caught and located, and no wrong cause is stated."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.parity_tests.faults.catalogue import FAULTS
from tests.parity_tests.faults.table import Outcome, of_model, outcomes, summary
from tests.support import BuildOf

_CAUGHT, _PLACED = 0.97, 0.9
_EVERY = 8


def test_every_fault_has_its_own_name_and_a_place() -> None:
    assert len({fault.id for fault in FAULTS}) == len(FAULTS) >= 100
    assert all(fault.places for fault in FAULTS)


@pytest.mark.slow
def test_faults_are_caught_and_located(build_of: BuildOf, tmp_path: Path) -> None:
    found: list[Outcome] = []
    # The whole table, which takes six minutes, is `python -m tests.parity_tests.faults.table`.
    every = int(os.environ.get("AGECOMPACT_FAULTS_EVERY", _EVERY))
    for model in dict.fromkeys(fault.model for fault in FAULTS):
        folder = tmp_path / model
        folder.mkdir()
        found += outcomes(build_of(model), of_model(model)[::every], folder)
    print(summary(found))
    located = [each for each in found if each.result.localisation is not None]
    caught = [each for each in found if each.caught]
    placed = [each for each in located if each.place == "right"]
    missed = [each.fault.id for each in found if not each.caught]
    elsewhere = [each.fault.id for each in located if each.place != "right"]
    assert len(caught) >= _CAUGHT * len(found), missed
    assert len(placed) >= _PLACED * len(located), elsewhere
    assert not [(each.fault.id, each.origin) for each in located if each.cause == "wrong"]
