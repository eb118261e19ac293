"""Faces to train on for a moment."""

from pathlib import Path

import pytest

from agecompact.data.splits import Split
from tests.agecompact.training import small


@pytest.fixture(scope="session")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """28 faces to train on, 4 to validate on, 8 to test on."""
    return small.split(tmp_path_factory.mktemp("faces"))
