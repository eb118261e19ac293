"""The face detectors that this machine has."""

import pytest

from agecompact.faces.detection import DETECTORS

INSTALLED = [
    pytest.param(
        spec.name, marks=pytest.mark.skipif(not spec.is_installed, reason=f"needs: {spec.install}")
    )
    for spec in DETECTORS.values()
]
needs_blazeface = pytest.mark.skipif(
    not DETECTORS["blazeface"].is_installed, reason=f"needs: {DETECTORS['blazeface'].install}"
)
