"""Makes the channels of a map equally wide, exactly: the layers around it absorb the factors.

int8 has one step for a whole map, so a channel that is a hundred times narrower than the widest
keeps two of its 255 steps. Dividing each channel by a factor of its own where it is written, and
multiplying it back where it is read, changes no answer ("Data-Free Quantization Through Weight
Equalization and Bias Correction", Nagel et al. 2019, section 4.1). Here a factor goes through every
op that is linear in each channel, so that residual streams and gated maps are equalised as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from export.int8 import twin
from export.int8.graph import Array, Graph, Op, moved
from export.int8.layers import KINDS, row_axis
from export.int8.plan import Plan

if TYPE_CHECKING:
    from torch import Tensor

# What is done to a channel here is done to it alone, and scales with it.
_LINEAR = frozenset({"PAD", "MAX_POOL_2D", "AVERAGE_POOL_2D", "SUM", "MEAN", "RELU", "ADD", "SUB"})
# Fused activations that scale with their input: none, and RELU.
_HOMOGENEOUS = (0, 1)
# A channel may become this many times wider.
_MOST = 1000.0
# A map whose factors are all above this is equal enough.
_UNEQUAL = 0.5


@dataclass(frozen=True)
class Factors:
    """A multiplication that equalises the channels of a map.

    Attributes:
        tensor: The map.
        place: Of the multiplication, in the order of execution.
        values: One factor a channel, float32.
    """

    tensor: int
    place: int
    values: Array


@dataclass
class _Group:
    """Tensors whose channels must have the same factors.

    Attributes:
        tensors: The tensors.
        writers: Layers that write one of them.
        readers: Layers that read one of them.
        fixed: Whether an op that is not linear reads or writes one of them.
    """

    tensors: set[int] = field(default_factory=set)
    writers: list[Op] = field(default_factory=list)
    readers: list[Op] = field(default_factory=list)
    fixed: bool = False


def equalise(graph: Graph, faces: Mapping[int, Tensor]) -> None:
    """Equalises the channels of maps, in place.

    Args:
        graph: A float graph; a factor goes only into weights that one layer reads.
        faces: By input tensor, a batch of faces, NCHW.
    """
    groups = [g for g in _groups(graph) if not g.fixed and g.writers and g.readers]
    widths = _widths(graph, faces, {t for group in groups for t in group.tensors})
    for group in groups:
        found = [widths[t] / widths[t].max() for t in group.tensors if t in widths]
        if not found:
            continue
        width = np.maximum(np.max(found, axis=0), 1 / _MOST)
        # A depthwise kernel has a grid for each channel. Others share one over their inputs, whose
        # weights become as unequal as the channels become equal: half way costs both the same.
        alone = all(op.kind == "DEPTHWISE_CONV_2D" for op in group.readers)
        _divide(graph, group, width if alone else np.sqrt(width))


def equalise_entries(
    graph: Graph, faces: Mapping[int, Tensor], plan: Plan, left: Collection[int]
) -> tuple[Plan, tuple[Factors, ...]]:
    """Equalises maps that fragile ops write in float and int8 layers read, in place.

    A multiplication of its own takes the factors, a small part of the layer's work.

    Args:
        graph: A float graph.
        faces: By input tensor, a batch of faces, NCHW.
        plan: What becomes int8.
        left: Indices of the ops that stay float because they are fragile.

    Returns:
        The same plan, for the graph with these multiplications, and those.
    """
    entries = {op.output: list(graph.readers(op.output)) for op in _entries(graph, plan, left)}
    added = []
    for tensor, width in _widths(graph, faces, set(entries)).items():
        relative = np.sqrt(np.maximum(width / width.max(), 1 / _MOST))
        if relative.min() > _UNEQUAL:
            continue
        place = entries[tensor][0].index
        added.append(Factors(tensor, place, (1 / relative).astype(np.float32)))
        insert(graph, added[-1])
        for reader in entries[tensor]:
            stored = graph.constant(reader.inputs[1])
            assert stored is not None
            graph.set_constant(reader.inputs[1], stored * relative)
        entries = {
            t: [replace(r, index=moved(r.index, place)) for r in readers]
            for t, readers in entries.items()
        }
        plan = plan.shifted(place)
    return plan, tuple(added)


def insert(graph: Graph, factors: Factors) -> None:
    """Multiplies a map where it is read, in place."""
    tensor, name = factors.tensor, graph.name(factors.tensor)
    equal = graph.add_tensor(f"{name}_equal", graph.shape(tensor))
    graph.redirect(tensor, equal)
    constant = graph.add_constant(f"{name}_factors", factors.values)
    options = graph.schema.MulOptionsT()
    graph.insert_op(factors.place, "MUL", (tensor, constant), equal, options)


def _entries(graph: Graph, plan: Plan, left: Collection[int]) -> Iterator[Op]:
    """Fragile ops whose maps only int8 layers read."""
    for op in (graph.ops[index] for index in left):
        readers = list(graph.readers(op.output))
        if not readers or op.output in graph.outputs:
            continue
        if all(
            each.index in plan.body
            and each.kind in KINDS
            and _own_weights(graph, each)
            and _reads_channels(graph, each)
            for each in readers
        ):
            yield op


def _groups(graph: Graph) -> list[_Group]:
    groups: dict[int, _Group] = defaultdict(_Group)

    def group_of(tensor: int) -> _Group:
        groups[tensor].tensors.add(tensor)
        return groups[tensor]

    def join(*tensors: int) -> None:
        first, *others = (group_of(tensor) for tensor in tensors)
        for other in others:
            if other is first:
                continue
            first.tensors |= other.tensors
            first.writers += other.writers
            first.readers += other.readers
            first.fixed |= other.fixed
            groups.update(dict.fromkeys(other.tensors, first))

    for tensor in (*graph.inputs, *graph.outputs):
        group_of(tensor).fixed = True
    for op in graph.ops:
        read = [t for t in op.inputs if t >= 0 and graph.constant(t) is None]
        scales = getattr(op.options, "fusedActivationFunction", 0) in _HOMOGENEOUS
        if op.kind in KINDS and len(read) == 1 and _own_weights(graph, op):
            group_of(op.output).writers.append(op)
            group_of(op.output).fixed |= not scales
            group_of(read[0]).readers.append(op)
            group_of(read[0]).fixed |= not _reads_channels(graph, op)
        elif scales and _is_linear(graph, op, read):
            join(op.output, *read)
        elif scales and op.kind == "MUL" and len(read) == 2:
            gate, gated = sorted(read, key=lambda t: np.prod(graph.shape(t)))
            join(op.output, gated)
            group_of(gate).fixed = True
        else:
            for tensor in (op.output, *read):
                group_of(tensor).fixed = True
    return list({id(group): group for group in groups.values()}.values())


def _own_weights(graph: Graph, op: Op) -> bool:
    constants = [t for t in op.inputs[1:] if t >= 0]
    return all(graph.constant(t) is not None and graph.is_read_once(t) for t in constants)


def _reads_channels(graph: Graph, op: Op) -> bool:
    """Whether each input of a layer is a channel: a flattened map is not."""
    stored = graph.constant(op.inputs[1])
    return stored is not None and stored.shape[-1] == graph.shape(op.inputs[0])[-1]


def _is_linear(graph: Graph, op: Op, read: list[int]) -> bool:
    channels = graph.shape(op.output)[-1:]
    if op.kind == "MUL":
        constant = [graph.constant(t) for t in op.inputs if t not in read]
        return len(read) == 1 and constant[0] is not None and constant[0].size == 1
    if op.kind in {"ADD", "SUB"} and len(read) != 2:
        return False
    return op.kind in _LINEAR and all(graph.shape(t)[-1:] == channels for t in read)


def _widths(graph: Graph, faces: Mapping[int, Tensor], wanted: set[int]) -> Mapping[int, Array]:
    """The greatest value of each channel of some maps."""
    found = {}
    for tensor, values in twin.walk(graph, faces):
        if tensor in wanted and values.ndim == 4 and values.shape[2] > 1:
            width = values.abs().amax((0, 2, 3)).double().numpy()
            if width.max() > 0:
                found[tensor] = width
    return found


def _divide(graph: Graph, group: _Group, factors: Array) -> None:
    for op in group.writers:
        for tensor, axis in _written_by(op):
            stored = graph.constant(tensor)
            assert stored is not None
            shape = [1] * stored.ndim
            shape[axis] = -1
            graph.set_constant(tensor, stored / factors.reshape(shape))
    for op in group.readers:
        stored = graph.constant(op.inputs[1])
        assert stored is not None
        graph.set_constant(op.inputs[1], stored * factors)


def _written_by(op: Op) -> Iterator[tuple[int, int]]:
    """The constants of a layer with a value for each output channel, and the axis of those."""
    yield op.inputs[1], row_axis(op)
    if len(op.inputs) > 2 and op.inputs[2] >= 0:
        yield op.inputs[2], 0
