"""Traces a TFLite graph: the output of every op, as `Step`s.

There are two ways to see the tensors between the ops. This module rewrites the FlatBuffer, in
memory, so that every tensor computed from the inputs is an output of the subgraph: XNNPACK then
runs the same kernels with the same plan and must write each tensor. The other way,
`experimental_preserve_all_tensors`, only keeps what the interpreter itself writes: nothing for a
graph that XNNPACK takes as a whole. Without the delegate, other kernels with other rounding would
run. Here XNNPACK only stops fusing ops across the new outputs, which does not change the
arithmetic: the outputs change by rounding at most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from agecompact.runtimes.base import Array, Arrays, Step, Trace
from agecompact.runtimes.litert import BUILTIN_OPS, allocate, bind, packed

_ACTIVATIONS = {
    code: name
    for name, code in vars(schema.ActivationFunctionType).items()
    if isinstance(code, int) and code
}
_DEPTHWISE = "DEPTHWISE_CONV_2D"
# Ignored where ops are compared: what is in brackets.
_AS_POOL = "AVERAGE_POOL_2D[DEPTHWISE_CONV_2D]"
_FLOATS = {schema.TensorType.FLOAT32: "<f4", schema.TensorType.FLOAT16: "<f2"}


# Runs a file, given as bytes, once on inputs; returns its outputs in the order of its subgraph.
Run = Callable[[bytes, Arrays], Sequence[Array]]


def trace(
    model: Any,
    threads: int,
    inputs: Arrays,
    indices: Mapping[str, int],
    elsewhere: Run | None = None,
) -> Trace:
    """Runs a model once and keeps the output of every op.

    Args:
        model: A `schema.ModelT`; the outputs of its first subgraph are extended.
        threads: For the interpreter.
        inputs: One batch, NHWC, by input name.
        indices: Indices of the input tensors, by input name.
        elsewhere: Computes the outputs; None for the CPU.

    Returns:
        The steps in the order of execution. `op` includes a fused activation, `CONV_2D+RELU`. A
        quantised tensor is dequantised to float32, and `op` shows its stored type: `CONV_2D[int8]`.
        A depthwise convolution whose weights are all one number is an average pool.
    """
    graph = model.subgraphs[0]
    live = {int(i) for i in graph.inputs}
    stored_at = _constants(model)
    ops = []
    for op in graph.operators:  # In execution order, as the format requires.
        reads = tuple(dict.fromkeys(int(i) for i in op.inputs if int(i) in live))
        if reads:
            live.update(int(i) for i in op.outputs)
            constants = [stored_at[int(i)] for i in op.inputs if int(i) in stored_at]
            ops.append((_meaning(model, op), reads, constants, [int(i) for i in op.outputs]))
    outputs = [int(i) for i in graph.outputs]
    graph.outputs = [*outputs, *(i for *_, written in ops for i in written if i not in outputs)]
    # A signature would have to name the new outputs too.
    model.signatureDefs = []
    content = packed(model)
    interpreter = Interpreter(model_content=content, num_threads=threads)
    allocate(interpreter)
    made: dict[int, Array] = {}
    if elsewhere is None:
        bind(interpreter, indices, inputs)
        interpreter.invoke()
    else:
        made = dict(zip(graph.outputs, elsewhere(content, inputs), strict=True))
    names = _names(graph) | {index: name for name, index in indices.items()}
    details = {d["index"]: d for d in interpreter.get_tensor_details()}

    def read(index: int) -> tuple[Array, Array]:
        stored = made[index] if index in made else interpreter.get_tensor(index)
        return stored, _dequantised(stored, details[index]["quantization_parameters"])

    steps = []
    for kind, reads, constants, written in ops:
        floats = tuple(v for v in (read(i)[1] for i in constants) if v.dtype.kind == "f")
        for index in written:
            stored, value = read(index)
            op = kind if value is stored else f"{kind}[{stored.dtype}]"
            steps.append(Step(op, names[index], tuple(names[i] for i in reads), "", value, floats))
    return tuple(steps)


def _constants(model: Any) -> dict[int, int]:
    """For each constant tensor, the index of the tensor that the file stores it in.

    That is another tensor if the constant is the output of a DEQUANTIZE op.
    """
    graph = model.subgraphs[0]
    found = {
        index: index
        for index, tensor in enumerate(graph.tensors)
        if (data := model.buffers[tensor.buffer].data) is not None and len(data)
    }
    for op in graph.operators:
        if _kind(model, op) == "DEQUANTIZE" and int(op.inputs[0]) in found:
            found[int(op.outputs[0])] = int(op.inputs[0])
    return found


def _names(graph: Any) -> dict[int, str]:
    """Names of the tensors by index; one that several share, or that is empty, gets the index."""
    names = {index: (tensor.name or b"").decode() for index, tensor in enumerate(graph.tensors)}
    counts = Counter(names.values())
    return {i: name if name and counts[name] == 1 else f"{name}:{i}" for i, name in names.items()}


def _kind(model: Any, op: Any) -> str:
    code = model.operatorCodes[op.opcodeIndex]
    kind = BUILTIN_OPS[max(code.builtinCode, code.deprecatedBuiltinCode)]
    fused = _ACTIVATIONS.get(getattr(op.builtinOptions, "fusedActivationFunction", 0))
    return f"{kind}+{fused}" if fused else kind


def _meaning(model: Any, op: Any) -> str:
    """The kind of an op; an average pool where a depthwise convolution with one weight is meant."""
    kind = _kind(model, op)
    if not kind.startswith(_DEPTHWISE):
        return kind
    weight, bias = (_constant(model, int(op.inputs[place])) for place in (1, 2))
    is_mean = weight is not None and weight.size and (weight == weight[0]).all()
    if not is_mean or (bias is not None and bias.any()):
        return kind
    return kind.replace(_DEPTHWISE, _AS_POOL)


def _constant(model: Any, tensor: int) -> Array | None:
    """A float constant, flat, as stored; None for an activation and for other types."""
    held = model.subgraphs[0].tensors[_constants(model).get(tensor, tensor)]
    data = model.buffers[held.buffer].data
    if data is None or held.type not in _FLOATS:
        return None
    values: Array = np.frombuffer(bytes(bytearray(data)), _FLOATS[held.type])
    return values


def _dequantised(stored: Array, parameters: Any) -> Array:
    """A quantised tensor as float32; any other tensor as it is."""
    scales, zeros = parameters["scales"], parameters["zero_points"]
    if not len(scales):
        return stored
    shape = [1] * stored.ndim
    if len(scales) > 1:
        shape[parameters["quantized_dimension"]] = -1
    centred = stored.astype(np.float32) - zeros.astype(np.float32).reshape(shape)
    value: Array = centred * scales.astype(np.float32).reshape(shape)
    return value
