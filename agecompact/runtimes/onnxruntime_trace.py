"""What every node of an ONNX graph gave, as `Step`s.

All values become graph outputs of a copy in memory. ONNX Runtime's optimisations stay on, so the
kernels are those of `infer` but for one thing: nodes that it would fuse (Conv and the Relu after
it) run apart, because the value between them is asked for. A fused activation is applied to the
same sums: the answers of all released models are the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper

from agecompact.runtimes.base import Array, Arrays, Step, Trace


def trace(model: onnx.ModelProto, options: ort.SessionOptions, inputs: Arrays) -> Trace:
    """Runs a model once and keeps what every node gave.

    Args:
        model: The model; values are added to its outputs.
        options: Of the session that runs it.
        inputs: One batch, by input name.

    Returns:
        The steps in the graph's order. `scope` is what stands before the last `/` of a node's name,
        where files of this package keep the module's path, without the enclosing modules that
        other exporters repeat before it.
    """
    graph = model.graph
    live = _live(graph)
    nodes = [(node, [o for o in node.output if o in live]) for node in graph.node]
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    # Weights may be made of others as the session loads: unpacked, cast, transposed.
    made = {i for node, outputs in nodes if outputs for i in node.input} - live - stored.keys()
    asked = [*(name for _, outputs in nodes for name in outputs), *sorted(made - {""})]
    known = {output.name for output in graph.output}
    graph.output.extend(onnx.ValueInfoProto(name=n) for n in asked if n not in known)
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    values = dict(zip(asked, session.run(asked, dict(inputs)), strict=True))
    fixed = stored | {name: values[name] for name in made if name}
    return tuple(
        Step(
            node.op_type,
            name,
            tuple(dict.fromkeys(i for i in node.input if i in live)),
            _scope(node.name),
            values[name],
            _floats(fixed, node.input),
        )
        for node, outputs in nodes
        for name in outputs
    )


def _live(graph: Any) -> set[str]:
    """Names of the inputs and of the values that depend on them: neither weights nor constants."""
    stored = {initializer.name for initializer in graph.initializer}
    live = {value.name for value in graph.input if value.name not in stored}
    for node in graph.node:
        if any(name in live for name in node.input):
            live.update(name for name in node.output if name)
    return live


def _floats(fixed: Mapping[str, Array], names: Iterable[str]) -> tuple[Array, ...]:
    found = (fixed[name] for name in names if name in fixed)
    # What a sequence or an optional type holds is no array.
    return tuple(v for v in found if isinstance(v, np.ndarray) and v.dtype.kind == "f")


def _scope(name: str) -> str:
    return name.rpartition("/")[0].rpartition("/")[2]
