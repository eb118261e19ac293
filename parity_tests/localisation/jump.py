"""The jump: from errors in units of rounding, which op is accused.

An op is accused when its ratio is well above that of what it reads, its error reaches a reader, and
it, or what comes of it, has lost more than kernels lose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# Five bits more than rounding takes. Kernels that add a thousand values one after the other lose
# four; a batch norm with another framework's epsilon, the subtlest of real faults, ten.
_LOST = 32.0
# From one op to the next rounding grows with the network's own amplification, which the measure
# holds already; what is left is chance, and two RMS figures of few values differ by twice or so.
_JUMP = 4.0
_VISIBLE = 8.0
# An error is carried on when a reader keeps this part of its ratio. Where none does it was undone:
# converters move a bias from one Linear into the next, and between them values are others.
_CARRIED = 1 / 16


def _readers(order: Sequence[int], reads: Mapping[int, Sequence[int]]) -> dict[int, list[int]]:
    readers: dict[int, list[int]] = {i: [] for i in order}
    for index in order:
        for source in reads[index]:
            readers[source].append(index)
    return readers


def carried_on(
    order: Sequence[int], ratios: Mapping[int, float], reads: Mapping[int, Sequence[int]]
) -> set[int]:
    """The tensors whose error reaches a reader, or that nothing reads."""
    return {
        index
        for index, after in _readers(order, reads).items()
        if not after or any(ratios[i] >= ratios[index] * _CARRIED for i in after)
    }


def jumps(ratio: float, before: float) -> bool:
    """Whether a tensor's error is visible and well above that of what it is computed from."""
    return ratio > max(_VISIBLE, _JUMP * before)


def birthplace(
    order: Sequence[int],
    ratios: Mapping[int, float],
    reads: Mapping[int, Sequence[int]],
    carried: set[int],
) -> int | None:
    """The first tensor whose error jumps and leads to more than kernels lose."""
    readers = _readers(order, reads)

    def born(index: int) -> bool:
        return jumps(ratios[index], max((ratios[i] for i in reads[index]), default=0.0))

    def leads_to_a_loss(index: int) -> bool:
        pending, seen = [index], {index}
        while pending:
            at = pending.pop()
            if at in carried and ratios[at] > _LOST:
                return True
            pending += [i for i in readers[at] if i not in seen]
            seen.update(readers[at])
        return False

    return next((i for i in order if i in carried and born(i) and leads_to_a_loss(i)), None)
