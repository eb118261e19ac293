"""The table of what ops cost in int8."""

from __future__ import annotations

import pytest

from agecompact.artifacts.manifest import CalibrationSet
from export.int8 import record
from export.int8.calibration import Calibration
from export.int8.costs_table import costs_table
from export.int8.plan import Plan
from export.int8.record import Origin
from tests.export.int8.models import float_file
from tests.support import BuildOf

pytest.importorskip("ai_edge_litert", reason="needs 'tflite'")


@pytest.mark.parametrize(("deviation", "cost"), [(20.0, "0.600"), (None, "-")])
def test_the_costliest_come_first_in_the_unit_of_the_answer(
    deviation: float | None, cost: str, build_of: BuildOf
) -> None:
    content = float_file(build_of("ssrnet"))
    calibration = Calibration(
        Plan(frozenset({0}), frozenset()), {}, {}, (), "", {0: 0.001, 3: 0.03, 4: 0.002}
    )
    origin = Origin("a" * 64, CalibrationSet(40, "b" * 64), deviation=deviation, unit="years")
    table = costs_table(content, record.of(content, calibration, origin))
    assert [row[0].split()[0] for row in table.rows] == ["3", "4", "0"]
    assert [row[-1] for row in table.rows] == ["float32", "float32", "int8"]
    assert table.rows[0][2:4] == (cost, "3.0%")
