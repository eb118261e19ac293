"""Finds the op where an error originates, from each tensor's error relative to rounding.

An op is to blame if its ratio is well above that of its inputs, its error reaches a reader, and it,
or an op that depends on it, has lost more than kernels lose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# Five bits more than rounding costs. Kernels that add a thousand values one after the other lose
# four; a batch norm with another framework's epsilon, the subtlest of real faults, loses ten.
_LOST = 32.0
# The ratio already includes the network's own amplification of rounding from op to op. What is left
# is chance: the RMS of a few values may differ by a factor of two.
_JUMP = 4.0
_VISIBLE = 8.0
# An error is passed on if a reader has at least this share of its ratio. If none does, it was
# undone: converters move a bias from one Linear into the next, and the values between them differ.
_PASSED_ON = 1 / 16


def _readers(order: Sequence[int], reads: Mapping[int, Sequence[int]]) -> dict[int, list[int]]:
    readers: dict[int, list[int]] = {i: [] for i in order}
    for index in order:
        for source in reads[index]:
            readers[source].append(index)
    return readers


def passed_on(
    order: Sequence[int], ratios: Mapping[int, float], reads: Mapping[int, Sequence[int]]
) -> set[int]:
    """The tensors whose error reaches a reader, or that have no reader."""
    return {
        index
        for index, after in _readers(order, reads).items()
        if not after or any(ratios[i] >= ratios[index] * _PASSED_ON for i in after)
    }


def jumps(ratio: float, before: float) -> bool:
    """Whether a tensor's error is visible and well above that of its inputs."""
    return ratio > max(_VISIBLE, _JUMP * before)


def find_origin(
    order: Sequence[int],
    ratios: Mapping[int, float],
    reads: Mapping[int, Sequence[int]],
    effective: set[int],
) -> int | None:
    """The first tensor whose error jumps and leads to more than kernels lose.

    Args:
        order: The tensors, each after those that it reads.
        ratios: Their errors relative to rounding.
        reads: The tensors that each one reads.
        effective: The tensors whose error is passed on.
    """
    readers = _readers(order, reads)

    def starts(index: int) -> bool:
        return jumps(ratios[index], max((ratios[i] for i in reads[index]), default=0.0))

    def leads_to_a_loss(index: int) -> bool:
        pending, seen = [index], {index}
        while pending:
            at = pending.pop()
            if at in effective and ratios[at] > _LOST:
                return True
            pending += [i for i in readers[at] if i not in seen]
            seen.update(readers[at])
        return False

    return next((i for i in order if i in effective and starts(i) and leads_to_a_loss(i)), None)
