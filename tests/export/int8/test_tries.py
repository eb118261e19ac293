"""Several calibrations: the best one on faces of none of them is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agecompact.contract import Image
from export import source as sources
from export.int8 import record, tries
from export.int8.calibrate import calibrate
from export.int8.faces import calibration_set
from export.int8.qat import split
from export.int8.record import Origin, Record
from export.int8.source import Faces
from export.source import Source
from tests.export.int8.models import batch_of_chips, float_file
from tests.lit_faces import lit_faces
from tests.support import BuildOf

pytest.importorskip("ai_edge_litert", reason="needs 'tflite'")


@pytest.fixture(scope="module")
def source(build_of: BuildOf) -> Source:
    return sources.read(build_of("ssrnet").weights)


@pytest.fixture(scope="module")
def chips() -> list[Image]:
    return lit_faces(np.linspace(0.4, 1.3, 8))


@pytest.mark.parametrize("better", [0, 1, 2])
def test_the_best_is_kept(
    better: int,
    source: Source,
    chips: list[Image],
    build_of: BuildOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = float_file(build_of("ssrnet"))
    right = calibrate(content, batch_of_chips(source.contract, chips))
    wide = {tensor: (3 * low, 3 * high) for tensor, (low, high) in right.ranges.items()}
    held, _ = split(chips)
    made: list[Record] = []

    def planted(content: bytes, source: Source, faces: Faces, _: object) -> Record:
        seen = {chip.tobytes() for chip in faces.chips}
        assert not seen & {chip.tobytes() for chip in held}
        calibration = right if len(made) == better else replace(right, ranges=wide)
        origin = Origin(source.sha256, calibration_set(faces.chips))
        made.append(record.of(content, calibration, origin))
        return made[-1]

    monkeypatch.setattr(tries, "from_faces", planted)
    told: list[tuple[int, float]] = []
    faces = Faces(chips)
    found = tries.best_of(
        3, content, source, faces, lambda *_: None, lambda *each: told.append(each)
    )
    assert found is made[better]
    assert [number for number, _ in told] == [1, 2, 3]
    errors = [error for _, error in told]
    assert errors[better] == min(errors)
    # Each with faces of its own.
    assert len({each.origin.calibration.faces_sha256 for each in made}) == 3
