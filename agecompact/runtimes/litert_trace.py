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
from collections.abc import Mapping
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from agecompact.runtimes.base import Array, Arrays, Step, Trace
from agecompact.runtimes.litert import BUILTIN_OPS, FILE_IDENTIFIER, allocate, bind

_ACTIVATIONS = {
    code: name
    for name, code in vars(schema.ActivationFunctionType).items()
    if isinstance(code, int) and code
}


def trace(model: Any, threads: int, inputs: Arrays, indices: Mapping[str, int]) -> Trace:
    """Runs a model once and keeps the output of every op.

    Args:
        model: A `schema.ModelT`; the outputs of its first subgraph are extended.
        threads: For the interpreter.
        inputs: One batch, NHWC, by input name.
        indices: Indices of the input tensors, by input name.

    Returns:
        The steps in the order of execution. `op` includes a fused activation, `CONV_2D+RELU`. A
        quantised tensor is dequantised to float32, and `op` shows its stored type: `CONV_2D[int8]`.
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
            ops.append((_kind(model, op), reads, constants, [int(i) for i in op.outputs]))
    outputs = [int(i) for i in graph.outputs]
    graph.outputs = [*outputs, *(i for *_, written in ops for i in written if i not in outputs)]
    # A signature would have to name the new outputs too.
    model.signatureDefs = []
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
    interpreter = Interpreter(model_content=bytes(builder.Output()), num_threads=threads)
    allocate(interpreter)
    bind(interpreter, indices, inputs)
    interpreter.invoke()
    names = _names(graph) | {index: name for name, index in indices.items()}
    details = {d["index"]: d for d in interpreter.get_tensor_details()}

    def read(index: int) -> tuple[Array, Array]:
        stored = interpreter.get_tensor(index)
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
    """Names of the tensors by index; a name that several tensors share gets the index appended.

    Tensors inside small files may have no name.
    """
    names = {i: (tensor.name or b"tensor").decode() for i, tensor in enumerate(graph.tensors)}
    counts = Counter(names.values())
    return {i: name if counts[name] == 1 else f"{name}:{i}" for i, name in names.items()}


def _kind(model: Any, op: Any) -> str:
    code = model.operatorCodes[op.opcodeIndex]
    kind = BUILTIN_OPS[max(code.builtinCode, code.deprecatedBuiltinCode)]
    fused = _ACTIVATIONS.get(getattr(op.builtinOptions, "fusedActivationFunction", 0))
    return f"{kind}+{fused}" if fused else kind


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
