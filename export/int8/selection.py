"""Which faces calibrate: those whose answers cover the whole range evenly."""

from __future__ import annotations

import numpy as np

from agecompact.data.face import spread
from agecompact.outputs import Values

# A range of answers has so many parts, each with as many faces as the others where there are any.
_PARTS = 20


def selected(answers: Values | None, count: int, most: int) -> list[int]:
    """At most so many faces, of all answers alike: rare ages are where int8 errs most.

    Args:
        answers: One for each face, `(faces, 1)`; None if they are not known.
        count: How many faces there are.
        most: How many are wanted.

    Returns:
        Their places, in order; evenly spread ones if the answers are not known.
    """
    if count <= most:
        return list(range(count))
    if answers is None:
        return list(spread(range(count), most))
    width = max(float(np.ptp(answers)), 1e-9)
    parts = (answers.ravel() - answers.min()) / width * _PARTS
    parts = np.minimum(parts, _PARTS - 1).astype(int)
    ranks = np.empty(count, int)
    for part in range(_PARTS):
        places = np.flatnonzero(parts == part)
        ranks[places] = np.arange(len(places))
    # All first faces of the parts, then all second ones, and so on.
    order = np.lexsort((parts, ranks))
    return sorted(int(place) for place in order[:most])
