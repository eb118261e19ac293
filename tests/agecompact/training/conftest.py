"""Faces to train on."""

import pytest

from agecompact.data.splits import Split
from tests.agecompact.training import small


@pytest.fixture(scope="session")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    return small.split(tmp_path_factory.mktemp("faces"))
