"""TFLite files that XNNPACK computes in half precision, on processors that can.

XNNPACK looks for a metadata entry (`reduced_precision_support`) that allows it. On an Arm core with
half-precision arithmetic it then takes about half of the instructions; other processors, such as
those of desktop computers, still compute in float32.
"""

from __future__ import annotations

from export.float16 import store_half
from export.int8.graph import Graph

# As in `tensorflow/compiler/mlir/lite/tools/optimize/reduced_precision_metadata.h`.
_ENTRY, _ALLOWED = "reduced_precision_support", b"fp16accfp16"


def allow_half(graph: Graph) -> None:
    """Stores a float32 graph in float16 and allows arithmetic in float16, in place.

    Args:
        graph: The graph, all constants float32.
    """
    store_half(graph.model, graph.schema)
    graph.add_metadata(_ENTRY, _ALLOWED)
