"""Which ops of a Core ML program stay float32 when the rest computes in float16.

As in a TFLite file (`export.float16`), nearly all of a float16 program's error is born where it
begins; and where it ends, a rounded value is the answer, with nothing after it to average it out.
Both ends hold few weights. The price: what stays float32 leaves the Neural Engine, which computes
in float16 only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any

# The parts of a network's weights whose ops stay float32, at its beginning and at its end.
_FIRST_SHARE = 0.02
_LAST_SHARE = 0.02


def computes_in_float16() -> Callable[[Any], bool]:
    """A selector for `coremltools.transform.FP16ComputePrecision`.

    The depth of an op is how many ops with weights stand before it. Of all depths the first ones
    stay float32, at least one, as far as `_FIRST_SHARE` of the weights goes, and the last ones as
    far as `_LAST_SHARE` goes.
    """
    blocks: dict[int, tuple[Any, frozenset[str]]] = {}

    def select(op: Any) -> bool:
        block = op.enclosing_block
        if id(block) not in blocks:
            # The block is held, or the id of one that is gone would be another's.
            blocks[id(block)] = block, _kept(block)
        return op.name not in blocks[id(block)][1]

    return select


def _kept(block: Any) -> frozenset[str]:
    """Names of the ops of a block that stay float32."""
    depths: dict[Any, int] = {}
    sizes: list[int] = []
    for op in block.operations:  # In execution order, by MIL's rule.
        before = [source for source in _sources(op) if source in depths]
        depth = max((depths[s] + bool(_weights(s)) for s in before), default=0)
        depths[op] = depth
        sizes += [0] * (depth + 1 - len(sizes))
        sizes[depth] += _weights(op)
    first = max(1, _within(sizes, _FIRST_SHARE))
    last = len(sizes) - _within(sizes[::-1], _LAST_SHARE)
    return frozenset(op.name for op, d in depths.items() if d < first or d >= last)


def _within(sizes: Sequence[int], share: float) -> int:
    """How many depths hold no more than a share of all weights together."""
    return sum(held <= share * sum(sizes) for held in accumulate(sizes))


def _weights(op: Any) -> int:
    weight = op.inputs.get("weight")
    return 0 if weight is None or weight.val is None else int(weight.val.size)


def _sources(op: Any) -> Iterator[Any]:
    for value in op.inputs.values():
        for part in value if isinstance(value, list | tuple) else (value,):
            if part is not None and part.op is not None:
                yield part.op
