"""The changes of a float TFLite graph, by name, so that an export can leave one out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from agecompact.contract import Contract
from export.int8.graph import Graph
from export.passes.centring import centre_inputs
from export.passes.pooling import average_pool_as_convolution, tanh_after_max_pool
from export.stepwise_mean import split_means


@dataclass(frozen=True)
class Pass:
    """A change of a float graph that leaves its answers alone, up to rounding.

    Attributes:
        change: Changes the graph in place; the contract says what the inputs hold.
        only: The precision that it is for; empty for all.
    """

    change: Callable[[Graph, Contract], None]
    only: str = ""


# In the order in which they run.
PASSES: Mapping[str, Pass] = {
    "mean in two steps": Pass(lambda graph, _: split_means(graph.model, graph.schema)),
    "tanh after pool": Pass(lambda graph, _: tanh_after_max_pool(graph)),
    "pool as convolution": Pass(lambda graph, _: average_pool_as_convolution(graph)),
    "centred inputs": Pass(
        lambda graph, contract: centre_inputs(graph, contract.table()[0]), "float16-arithmetic"
    ),
}


def run(graph: Graph, contract: Contract, precision: str, without: Collection[str] = ()) -> None:
    """Runs the passes of a precision, in place.

    Args:
        graph: A float graph.
        contract: Of the file, which says what the inputs hold.
        precision: Name of the precision.
        without: Names of passes to leave out.
    """
    for name, each in PASSES.items():
        if each.only in ("", precision) and name not in without:
            each.change(graph, contract)
