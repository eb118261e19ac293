"""Chooses the ops of a Core ML program that stay float32 when the rest computes in float16.

As in a TFLite file (`export.float16`), nearly all of the error originates in the first layers. In
the last layers, a rounding error goes straight into the output, without later layers to average it
out. Both have few weights. The price: ops that stay float32 cannot run on the Neural Engine, which
computes in float16 only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from export.full_share import kept


def computes_in_float16() -> Callable[[Any], bool]:
    """A selector of ops for `coremltools.transform.FP16ComputePrecision`.

    The depth of an op is the number of ops with weights before it. The first depths stay float32 up
    to the share of the weights that `full_share` keeps, but at least one, and so do the last ones.
    """
    blocks: dict[int, tuple[Any, frozenset[str]]] = {}

    def select(op: Any) -> bool:
        block = op.enclosing_block
        if id(block) not in blocks:
            # Keeps the block alive: Python reuses the ids of deleted objects.
            blocks[id(block)] = block, _kept(block)
        return op.name not in blocks[id(block)][1]

    return select


def _kept(block: Any) -> frozenset[str]:
    """Names of the ops of a block that stay float32."""
    depths: dict[Any, int] = {}
    sizes: list[int] = []
    for op in block.operations:  # MIL requires execution order.
        before = [source for source in _sources(op) if source in depths]
        depth = max((depths[s] + bool(_weights(s)) for s in before), default=0)
        depths[op] = depth
        sizes += [0] * (depth + 1 - len(sizes))
        sizes[depth] += _weights(op)
    first = max(1, kept(sizes))
    last = len(sizes) - kept(sizes[::-1])
    return frozenset(op.name for op, d in depths.items() if d < first or d >= last)


def _weights(op: Any) -> int:
    weight = op.inputs.get("weight")
    return 0 if weight is None or weight.val is None else int(weight.val.size)


def _sources(op: Any) -> Iterator[Any]:
    for value in op.inputs.values():
        for part in value if isinstance(value, list | tuple) else (value,):
            if part is not None and part.op is not None:
                yield part.op
