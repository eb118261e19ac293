"""Which weights keep their precision where the others lose bits: the first ones.

They are few and read values far from zero, and all later layers amplify their errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

# Share of a network's weights that may stay as they are.
_SHARE = 0.02


def kept(sizes: Sequence[int]) -> int:
    """How many of the first weights, or groups of them, stay as they are: 2 % of all at most.

    Args:
        sizes: Number of values in each, in the order in which a network reads them.
    """
    total = sum(sizes)
    return sum(size <= _SHARE * total for size in accumulate(sizes))
