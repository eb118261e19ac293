"""The best of several calibrations: rounding errors are a matter of chance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from agecompact.contract import Image
from agecompact.data.face import spread
from export.int8.faces import MOST
from export.int8.qat import split
from export.int8.record import Record
from export.int8.source import Faces, from_faces
from export.int8.steps import Step
from export.int8.student import Comparison, Student
from export.source import Source

# Of the faces that are not held out, a try has at most this share.
_SHARE = 0.9


def best_of(
    tries: int,
    content: bytes,
    source: Source,
    faces: Faces,
    step: Step,
    told: Callable[[int, float], None],
) -> Record:
    """Calibrates with several sets of faces, and keeps the best on faces of none of them.

    Args:
        tries: How many sets: the one of all answers alike, one that is evenly spread over the
            files, then random ones.
        content: The float file.
        source: The network.
        faces: The faces, of which some are chosen.
        step: As in `from_faces`.
        told: Is told the number of each try, from 1, and the root of its mean squared error as a
            share of the answers' deviation.

    Raises:
        ConversionError: No layer can be int8.
        UnknownOpError: The twin cannot run the file.
    """
    held, rest = split(faces.chips)
    comparison = Comparison.on(content, source.contract, held)
    found = []
    for number, chips in enumerate(_sets(rest, tries), start=1):
        made = from_faces(content, source, Faces(chips), step)
        error = comparison.error(Student.of(content, made.calibration(content)), held)
        told(number, error)
        found.append((error, number, made))
    return min(found)[2]


def _sets(chips: Sequence[Image], tries: int) -> Iterator[Sequence[Image]]:
    most = min(MOST, round(_SHARE * len(chips)))
    for number in range(tries):
        if number == 0:
            yield chips
        elif number == 1:
            yield spread(chips, most)
        else:
            random = np.random.default_rng(number)
            yield [chips[i] for i in sorted(random.choice(len(chips), most, replace=False))]
