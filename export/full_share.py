"""Which weights keep their precision where the others lose bits: the first ones.

They are few and read values far from zero, and all later layers amplify their errors.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Generic, TypeVar

# What a format calls a weight: a name, an index, a layer.
Weight = TypeVar("Weight", bound=Hashable)

# Share of a network's weights that may stay as they are.
_SHARE = 0.02


def kept(sizes: Sequence[int]) -> int:
    """How many of the first weights, or groups of them, stay as they are: 2 % of all at most.

    Args:
        sizes: Number of values in each, in the order in which a network reads them.
    """
    total = sum(sizes)
    return sum(size <= _SHARE * total for size in accumulate(sizes))


@dataclass(frozen=True)
class Op(Generic[Weight]):
    """An op of a graph, as far as the depth of weights goes.

    Attributes:
        reads: What it reads, constants or not.
        writes: What it writes.
        weights: Its weights.
        is_layer: Whether what it writes is one layer deeper than what it reads.
    """

    reads: Iterable[Hashable]
    writes: Collection[Hashable]
    weights: Sequence[Weight]
    is_layer: bool


def late(ops: Iterable[Op[Weight]], size: Callable[[Weight], int]) -> list[Weight]:
    """The weights that lose bits: those behind the first layers and behind the share that stays.

    Args:
        ops: A graph, in the order of execution.
        size: Number of values of a weight.
    """
    depths: dict[Hashable, int] = {}
    levels: list[list[Weight]] = []
    seen: set[Weight] = set()
    for op in ops:
        depth = max((depths.get(each, 0) for each in op.reads), default=0)
        if op.weights:
            levels += [[] for _ in range(depth + 1 - len(levels))]
            levels[depth] += [each for each in op.weights if each not in seen]
            seen.update(op.weights)
        depths |= dict.fromkeys(op.writes, depth + op.is_layer)
    sizes = [sum(map(size, level)) for level in levels]
    return [each for level in levels[max(1, kept(sizes)) :] for each in level]
