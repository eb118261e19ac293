"""Steps of a graph that have no counterpart in another, because a converter moved or merged ops."""

from __future__ import annotations

from parity_tests.localisation.graph import Graph
from parity_tests.localisation.opkinds import ACTIVATIONS, AFFINE, NORM, POOL, kind_of


def folded(graph: Graph, other: Graph) -> set[int]:
    """Convolutions read only by a batch norm, if the other graph has no batch norms after any.

    One that an image goes through normalises the image.
    """
    if any(other.kind(i) == NORM and _follows_affine(other, i) for i in range(len(other))):
        return set()
    return {
        index
        for index, readers in enumerate(graph.readers)
        if graph.kind(index) == AFFINE and [graph.kind(i) for i in readers] == [NORM]
    }


def early_pools(graph: Graph, other: Graph) -> set[int]:
    """Pools read only by an activation, if in the other graph pools read activations.

    A converter may take the activation of the maximum, which is the maximum of the activations.
    """
    if not any(
        other.kind(i) == POOL and other.kind(parent) in ACTIVATIONS
        for i in range(len(other))
        for parent in other.parents[i]
    ):
        return set()
    found = {i: graph.readers[graph.as_read(i)] for i in range(len(graph)) if graph.kind(i) == POOL}
    return {
        index
        for index, readers in found.items()
        if len(readers) == 1 and first_kind(graph, readers[0]) in ACTIVATIONS
    }


def _follows_affine(graph: Graph, index: int) -> bool:
    """Whether a step depends on a convolution or a Linear."""
    bits = graph.ancestors[index]
    return any(bits >> i & 1 and graph.kind(i) == AFFINE for i in range(index))


def first_kind(graph: Graph, index: int) -> str:
    """The kind of a step without a fused activation."""
    return kind_of(graph.steps[index].op.split("+")[0])
