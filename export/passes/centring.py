"""Centres inputs before the convolutions that read them.

Half precision rounds sums by a share of their size. Of pixels from 0 to 255 most of a sum is their
mean, which the convolution's weights then cancel; taken off first, it is never rounded. Where a
network first shrinks its input, by a mean in the form of a convolution, the bias of that takes it
off, which costs no op.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from export.int8.graph import Graph, Op

Values = npt.NDArray[np.float32]

_VALID = 1
_WEIGHT, _BIAS = 1, 2


def centre_inputs(graph: Graph, levels: Values) -> None:
    """Subtracts its middle level from each input, and adds what that changes to the biases.

    Nothing is done where the middle is near 0 already, or where a convolution pads with zeros,
    which are no pixels any more once the middle is taken off.

    Args:
        graph: A float graph, changed in place.
        levels: Input values of the levels of a pixel, `(levels, C)`.
    """
    middle = levels[len(levels) // 2]
    if np.abs(middle).max() <= np.ptp(levels) / 4:
        return
    means = _means(graph)
    changed = _convolutions(graph, means)
    if changed is None:
        return
    for op in changed:
        weight, bias = (graph.constant(op.inputs[place]) for place in (_WEIGHT, _BIAS))
        assert weight is not None
        assert bias is not None
        moved = bias + weight.astype(np.float64).sum((1, 2)) @ middle.astype(np.float64)
        graph.set_constant(op.inputs[_BIAS], moved.astype(np.float32))
    for tensor in {op.inputs[_BIAS] for op in means}:
        graph.set_constant(tensor, -middle)
    shrunk = {op.inputs[0] for op in means}
    whole = [tensor for tensor in graph.inputs if tensor not in shrunk]
    if not whole:
        return
    # One number for all channels is subtracted whole rows at a time.
    same = np.ptp(middle) == 0
    constant = graph.add_constant("middle_level", middle[:1] if same else middle)
    for tensor in whole:
        options = graph.schema.SubOptionsT()
        centred = graph.add_tensor(f"{graph.name(tensor)}_centred", graph.shape(tensor))
        graph.insert_op(0, "SUB", (tensor, constant), centred, options)
        graph.redirect(tensor, centred)


def _means(graph: Graph) -> tuple[Op, ...]:
    """The means of squares of the inputs that are convolutions; none if they cannot be changed."""
    found = tuple(op for op in graph.ops if op.inputs[0] in graph.inputs and _is_mean(graph, op))
    places = {op.index for op in found}
    biases = {op.inputs[_BIAS] for op in found}
    readers = {each.index for bias in biases for each in graph.readers(bias)}
    alone = all(graph.is_read_once(op.inputs[0]) for op in found)
    return found if readers <= places and alone else ()


def _is_mean(graph: Graph, op: Op) -> bool:
    if op.kind != "DEPTHWISE_CONV_2D" or op.options.padding != _VALID:
        return False
    weight, bias = (graph.constant(op.inputs[place]) for place in (_WEIGHT, _BIAS))
    if weight is None or bias is None or bias.any():
        return False
    return bool(np.ptp(weight) == 0 and np.isclose(weight[0, ..., 0].sum(), 1))


def _convolutions(graph: Graph, means: tuple[Op, ...]) -> tuple[Op, ...] | None:
    """The convolutions that read the inputs, or their means, directly or stacked.

    None if anything else reads them.
    """
    found: dict[int, Op] = {}
    reached = set(graph.inputs)
    for op in graph.ops:
        if reached.isdisjoint(op.inputs):
            continue
        is_joined = op.kind == "CONCATENATION" and reached.issuperset(op.inputs)
        if op in means or is_joined:
            reached.add(op.output)
        elif op.kind == "CONV_2D" and _is_plain(graph, op, found):
            found[op.inputs[_BIAS]] = op
        else:
            return None
    return None if reached & set(graph.outputs) else tuple(found.values())


def _is_plain(graph: Graph, op: Op, others: Mapping[int, Any]) -> bool:
    """Whether a convolution pads nothing, and has constants that no other one of these shares."""
    constants = [graph.constant(each) for each in op.inputs[_WEIGHT:] if each >= 0]
    return (
        op.options.padding == _VALID
        and len(constants) == _BIAS
        and all(each is not None for each in constants)
        and op.inputs[_BIAS] not in others
        and graph.is_read_once(op.inputs[_BIAS])
    )
