"""LiteRT (TFLite) on the CPU, with its default XNNPACK delegate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Any, ClassVar

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from agecompact.artifacts import metadata
from agecompact.artifacts.metadata import MetadataError
from agecompact.contract import Quantization
from agecompact.errors import AgecompactError, UsageError
from agecompact.filetypes import fix_for
from agecompact.runtimes.base import (
    Array,
    Arrays,
    Backend,
    Declared,
    Interface,
    Placement,
    Port,
    Session,
    Trace,
)

SIGNATURE = "serving_default"
# Names of ops by code.
BUILTIN_OPS = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
}
FILE_IDENTIFIER = b"TFL3"

# Details of tensors, as the interpreter reports them, by name.
_Tensors = dict[str, dict[str, Any]]


class LiteRTSession(Session):
    """An interpreter of a file."""

    def __init__(self, interpreter: Interpreter, path: str, threads: int) -> None:
        self._interpreter = interpreter
        self._path, self._threads = path, threads
        inputs, outputs = _tensors(interpreter, path)
        self._inputs = {name: tensor["index"] for name, tensor in inputs.items()}
        self._outputs = {name: tensor["index"] for name, tensor in outputs.items()}
        self._interface = Interface(
            _ports(inputs, interpreter.get_input_details()),
            _ports(outputs, interpreter.get_output_details()),
        )

    def _bind(self, inputs: Arrays) -> None:
        if set(inputs) != set(self._inputs):
            raise KeyError(f"inputs {sorted(inputs)}; the signature has {sorted(self._inputs)}")
        bind(self._interpreter, self._inputs, inputs)

    def infer(self, inputs: Arrays) -> dict[str, Array]:
        self._bind(inputs)
        self._interpreter.invoke()
        return {n: self._interpreter.get_tensor(i) for n, i in self._outputs.items()}

    def prepare(self, inputs: Arrays) -> Callable[[], object]:
        self._bind(inputs)
        invoke: Callable[[], object] = self._interpreter.invoke
        return invoke

    def trace(self, inputs: Arrays) -> Trace:
        from agecompact.runtimes import litert_trace

        return litert_trace.trace(parse(self._path), self._threads, inputs, self._inputs)

    def interface(self) -> Interface:
        return self._interface

    def placement(self) -> Placement | None:
        return _placement(self._interpreter._get_ops_details(), list(self._outputs.values()))


def allocate(interpreter: Interpreter) -> None:
    """Allocates the tensors of an interpreter, or leaves that to `bind` if an input has no size.

    Some networks have no place for the single pixel that the file has until then.
    """
    if not _has_open_inputs(interpreter):
        interpreter.allocate_tensors()


def bind(interpreter: Interpreter, indices: Mapping[str, int], inputs: Arrays) -> None:
    """Sets the inputs of an interpreter, which take their sizes where the file leaves them open.

    Args:
        interpreter: The interpreter, after `allocate`.
        indices: Indices of the input tensors, by input name.
        inputs: One batch, by input name.
    """
    if _has_open_inputs(interpreter):
        for name, value in inputs.items():
            interpreter.resize_tensor_input(indices[name], value.shape)
        interpreter.allocate_tensors()
    for name, value in inputs.items():
        interpreter.set_tensor(indices[name], value)


def _sides(tensor: dict[str, Any]) -> tuple[int | None, ...]:
    """The shape of a tensor; None for a side of any size, which its signature has as -1."""
    signature = tensor["shape_signature"]
    shape = signature if len(signature) == len(tensor["shape"]) else tensor["shape"]
    return tuple(None if side < 0 else int(side) for side in shape)


def _has_open_inputs(interpreter: Interpreter) -> bool:
    return any(None in _sides(tensor) for tensor in interpreter.get_input_details())


def _tensors(interpreter: Interpreter, path: str) -> tuple[_Tensors, _Tensors]:
    """Inputs and outputs by the names in the signature.

    A foreign file may have no signature; its tensors' own names are used then. Positions are never
    used, because converters reorder them.
    """
    signatures = list(interpreter.get_signature_list())
    if not signatures:
        return (
            {d["name"]: d for d in interpreter.get_input_details()},
            {d["name"]: d for d in interpreter.get_output_details()},
        )
    if SIGNATURE not in signatures and len(signatures) > 1:
        raise UsageError(
            f"{path} has no signature '{SIGNATURE}'",
            why=f"it has several others: {', '.join(signatures)}",
            fix=f"convert it with one signature, or name one of them '{SIGNATURE}'",
        )
    runner = interpreter.get_signature_runner(
        SIGNATURE if SIGNATURE in signatures else signatures[0]
    )
    return runner.get_input_details(), runner.get_output_details()


def _ports(tensors: _Tensors, in_order: list[dict[str, Any]]) -> dict[str, Port]:
    """By the signature's names, in the order of the subgraph, which other tools bind by."""
    order = [int(tensor["index"]) for tensor in in_order]
    return {
        name: Port(_sides(d), np.dtype(d["dtype"]).name, _quantization(d))
        for name, d in sorted(tensors.items(), key=lambda item: order.index(int(item[1]["index"])))
    }


def _quantization(tensor: dict[str, Any]) -> Quantization | None:
    from agecompact.runtimes.litert_declared import quantization_of

    parameters = tensor["quantization_parameters"]
    return quantization_of(parameters["scales"], parameters["zero_points"])


def _placement(ops: list[dict[str, Any]], outputs: list[int]) -> Placement:
    """Rebuilds the execution plan from the op list, which holds delegated ops and delegates.

    Walks back from the outputs: a tensor that a delegate partition writes was computed there, and
    the original ops that are reached are those that were not delegated.
    """
    writers: dict[int, dict[str, Any]] = {}
    for op in ops:  # Partitions come after the original ops, so they win.
        writers.update(dict.fromkeys(op["outputs"], op))
    planned: dict[int, dict[str, Any]] = {}
    pending = list(outputs)
    while pending:
        writer = writers.get(pending.pop())
        if writer is not None and writer["index"] not in planned:
            planned[writer["index"]] = writer
            pending.extend(int(tensor) for tensor in writer["inputs"])
    names = Counter(op["op_name"] for op in planned.values())
    partitions = names.pop("DELEGATE", 0)
    return Placement(partitions, dict(sorted(names.items())))


def _ends(graph: Any, indices: Any) -> dict[str, Any]:
    """Inputs or outputs of a graph, by the names of their tensors."""
    from agecompact.runtimes.litert_declared import port

    tensors = (graph.tensors[i] for i in indices)
    return {t.name.decode(): port(t).described() for t in tensors}


def op_name(code: Any) -> str:
    """Name of an op; its number if this schema does not know it."""
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    return str(BUILTIN_OPS.get(number, f"op {number}"))


def _unusable(what: str, path: str, why: str) -> UsageError:
    return UsageError(what, why=why, fix=fix_for(Path(path), wanted="tflite"))


def _read(path: str) -> bytes:
    content = Path(path).read_bytes()
    if content[4:8] != FILE_IDENTIFIER:
        raise _unusable(f"{path} is not a TFLite file", path, "it lacks the identifier 'TFL3'")
    return content


@contextmanager
def _whole(path: str) -> Iterator[None]:
    """Reports whatever the block raises as a broken file."""
    try:
        yield
    except AgecompactError:
        raise
    except Exception as error:  # A damaged FlatBuffer fails in as many ways as it has fields.
        why = f"{type(error).__name__}: {error}"
        raise _unusable(f"{path} is a broken TFLite file", path, why) from None


def packed(model: Any) -> bytes:
    """The file of a `schema.ModelT`."""
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())


def parse(path: str) -> Any:
    """The FlatBuffer as Python objects."""
    content = _read(path)
    with _whole(path):
        return schema.ModelT.InitFromPackedBuf(content, 0)


def _metadata_text(model: Any, entry: Any, path: str) -> str:
    buffers = model.buffers or ()
    if not 0 < entry.buffer < len(buffers):
        why = f"it is in buffer {entry.buffer} of {len(buffers)}"
    elif (data := buffers[entry.buffer].data) is None:
        why = "its buffer is empty"
    else:
        try:
            text: str = bytes(data).decode("utf-8")
        except UnicodeDecodeError as error:
            why = str(error)
        else:
            return text
    raise MetadataError(
        f"{path} has agecompact metadata that cannot be read",
        why=why,
        fix=fix_for(Path(path), wanted="tflite"),
    )


class LiteRT(Backend):
    """The metadata is a FlatBuffer metadata buffer. Inputs are NHWC."""

    session: ClassVar[type[LiteRTSession]] = LiteRTSession

    def read_metadata(self, path: str) -> str | None:
        model = parse(path)
        for entry in model.metadata or ():
            if entry.name == metadata.KEY.encode():
                return _metadata_text(model, entry, path)
        return None

    def describe(self, path: str) -> dict[str, Any]:
        model = parse(path)
        with _whole(path):
            graph = model.subgraphs[0]
            codes = (model.operatorCodes[op.opcodeIndex] for op in graph.operators)
            ops = Counter(op_name(code) for code in codes)
            return {
                "signatures": [s.signatureKey.decode() for s in model.signatureDefs or ()],
                "inputs": _ends(graph, graph.inputs),
                "outputs": _ends(graph, graph.outputs),
                "ops": dict(ops.most_common()),
            }

    def declared(self, path: str) -> Declared:
        from agecompact.runtimes import litert_declared

        try:
            return litert_declared.declared(parse(path), SIGNATURE)
        except Exception as error:  # As in `parse`.
            raise _unusable(f"{path} is a broken TFLite file", path, str(error)) from None

    def open_session(self, path: str, threads: int) -> Session:
        _read(path)
        try:
            interpreter = Interpreter(model_path=path, num_threads=threads)
            allocate(interpreter)
        except (ValueError, RuntimeError) as error:
            raise _unusable(f"LiteRT cannot load {path}", path, str(error)) from None
        return self.session(interpreter, path, threads)

    def version(self) -> str:
        return f"litert {distribution_version('ai-edge-litert')}"


BACKEND = LiteRT()
