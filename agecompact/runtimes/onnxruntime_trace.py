"""Traces an ONNX graph: the output of every node, as `Step`s.

Works on a copy in memory whose outputs are all values. ONNX Runtime's optimisations stay on, so the
kernels are those of `infer`, with one exception: nodes that would be fused (a Conv and its Relu)
run separately, because the value between them is an output. A fused activation is applied to the
same sums, so the outputs change by rounding at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper

from agecompact.runtimes.base import Array, Arrays, Step, Trace


def trace(
    model: onnx.ModelProto, opened: Callable[[bytes], ort.InferenceSession], inputs: Arrays
) -> Trace:
    """Runs a model once and keeps the output of every node.

    Args:
        model: The model; values are added to its outputs.
        opened: Makes the session that runs it.
        inputs: One batch, by input name.

    Returns:
        The steps in the order of the graph. `scope` is the last path component before the name of
        the node: agecompact's exporter writes the path of the module there, other exporters repeat
        the enclosing modules before it.
    """
    graph = model.graph
    live = _live(graph)
    nodes = [(node, [o for o in node.output if o in live]) for node in graph.node]
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    # Weights may be computed from others as the session loads: unpacked, cast, transposed.
    computed = {i for node, outputs in nodes if outputs for i in node.input} - live - stored.keys()
    computed -= {""}
    wanted = [*(name for _, outputs in nodes for name in outputs), *sorted(computed)]
    known = {output.name for output in graph.output}
    graph.output.extend(onnx.ValueInfoProto(name=n) for n in wanted if n not in known)
    session = opened(model.SerializeToString())
    values = dict(zip(wanted, session.run(wanted, dict(inputs)), strict=True))
    constants = stored | {name: values[name] for name in computed}
    return tuple(
        Step(
            node.op_type,
            name,
            tuple(dict.fromkeys(i for i in node.input if i in live)),
            _scope(node.name),
            values[name],
            _floats(constants, node.input),
        )
        for node, outputs in nodes
        for name in outputs
    )


def _live(graph: Any) -> set[str]:
    """Names of the inputs and of the values computed from them: not weights, not constants."""
    stored = {initializer.name for initializer in graph.initializer}
    live = {value.name for value in graph.input if value.name not in stored}
    for node in graph.node:
        if any(name in live for name in node.input):
            live.update(name for name in node.output if name)
    return live


def _floats(constants: Mapping[str, Array], names: Iterable[str]) -> tuple[Array, ...]:
    found = (constants[name] for name in names if name in constants)
    # A sequence or an optional type does not give an array.
    return tuple(v for v in found if isinstance(v, np.ndarray) and v.dtype.kind == "f")


def _scope(name: str) -> str:
    return name.rpartition("/")[0].rpartition("/")[2]
