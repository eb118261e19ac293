"""Reports that an earlier agecompact wrote."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agecompact.artifacts import parity
from agecompact.artifacts.parity import ParityReport, Quantiles
from agecompact.errors import UsageError
from agecompact.serialization import write_versioned
from tests.parity_tests.records import GOOD


def _written(path: Path, version: int) -> Path:
    write_versioned(path, ParityReport(True, (replace(GOOD, quantiles=None),)))
    content = json.loads(path.read_text())
    content["schema_version"] = version
    for result in content["results"]:
        del result["quantiles"]
    path.write_text(json.dumps(content))
    return path


def test_a_report_of_version_4_has_no_quantiles(tmp_path: Path) -> None:
    (result,) = parity.read(_written(tmp_path / "parity.json", 4))
    assert result == replace(GOOD, quantiles=None)


@pytest.mark.parametrize("version", [3, 7])
def test_other_versions_are_refused(version: int, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read parity report"):
        parity.read(_written(tmp_path / "parity.json", version))


def test_quantiles_are_kept(tmp_path: Path) -> None:
    path, result = tmp_path / "parity.json", replace(GOOD, quantiles=Quantiles(1, 2, 3, 4, 5))
    write_versioned(path, ParityReport(True, (result,)))
    assert parity.read(path) == (result,)
