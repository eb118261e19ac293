"""Float16 storage for TFLite: half the bytes, with a tenth of the error of a plain cast.

A plain cast rounds every constant, and nearly all of its error originates in the first layers: they
are small, read values far from zero, and all later layers amplify their errors. So the layers that
read the input stay float32, as do the next layers up to 2 % of the weights, and all biases.

Arithmetic stays float32. onnx2tf's own float16 files set a flag that allows a runtime to compute in
float16 (`reduced_precision_support`). Here it is not set, since parity is checked without it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from export.full_share import Op, late

_DEQUANTIZE_VERSION = 3
# The first runtime whose DEQUANTIZE supports float16.
_MIN_RUNTIME = (b"min_runtime_version", b"1.15.0")


def store_half(model: Any, schema: Any) -> None:
    """Stores the weights of a float32 model in float16, in place.

    Each weight (a constant with at least two axes) becomes a float16 tensor and a DEQUANTIZE, which
    XNNPACK runs once, on loading. Weights of the first layers and biases do not change.

    Args:
        model: A `schema.ModelT` with one subgraph, all constants float32.
        schema: `ai_edge_litert.schema_py_generated`.
    """
    store_some_in_half(model, schema, late_weights(model, schema))


def store_some_in_half(model: Any, schema: Any, weights: Collection[int]) -> None:
    """Stores some constants of a model in float16, as `store_half` does, in place.

    Args:
        model: A `schema.ModelT` with one subgraph.
        schema: `ai_edge_litert.schema_py_generated`.
        weights: Indices of their tensors, which are float32.
    """
    if not weights:
        return
    graph = model.subgraphs[0]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    code.version = _DEQUANTIZE_VERSION
    restoring = []
    for index in weights:
        tensor = graph.tensors[index]
        half = schema.TensorT()
        half.name = tensor.name + b"_float16"
        half.shape = tensor.shape
        half.type = schema.TensorType.FLOAT16
        half.buffer = tensor.buffer
        stored = model.buffers[tensor.buffer]
        stored.data = np.asarray(stored.data).view("<f4").astype("<f2").view(np.uint8)
        tensor.buffer = 0
        restore = schema.OperatorT()
        restore.opcodeIndex = len(model.operatorCodes)
        restore.inputs = [len(graph.tensors)]
        restore.outputs = [index]
        graph.tensors.append(half)
        restoring.append(restore)
    model.operatorCodes.append(code)
    graph.operators = restoring + graph.operators
    for entry in model.metadata or ():
        if entry.name == _MIN_RUNTIME[0]:
            padded = _MIN_RUNTIME[1].ljust(len(model.buffers[entry.buffer].data), b"\0")
            model.buffers[entry.buffer].data = np.frombuffer(padded, np.uint8)


def late_weights(model: Any, schema: Any) -> list[int]:
    """Tensor indices of the weights behind the first layers and the share that stays float32.

    Args:
        model: A `schema.ModelT` with one subgraph, all constants float32.
        schema: `ai_edge_litert.schema_py_generated`.
    """
    graph = model.subgraphs[0]
    return late(_ops(model, schema), lambda index: int(np.prod(graph.tensors[index].shape)))


def _ops(model: Any, schema: Any) -> Iterator[Op[int]]:
    """The ops of a graph, in the order of execution, which the format requires.

    A mean in the form of a convolution is no layer: what shrinks the image is not the first one.
    """
    graph = model.subgraphs[0]
    for op in graph.operators:
        reads = [int(i) for i in op.inputs if i >= 0]
        weights = [i for i in reads if _is_weight(model, schema, graph.tensors[i])]
        learned = any(not _is_constant(model, graph.tensors[i]) for i in weights)
        yield Op(reads, [int(i) for i in op.outputs], weights, learned)


def _is_weight(model: Any, schema: Any, tensor: Any) -> bool:
    is_matrix = tensor.type == schema.TensorType.FLOAT32 and len(tensor.shape) > 1
    return is_matrix and model.buffers[tensor.buffer].data is not None


def _is_constant(model: Any, tensor: Any) -> bool:
    values = np.asarray(model.buffers[tensor.buffer].data).view("<f4")
    return bool((values == values[0]).all())
