"""LiteRT (TFLite) on the CPU, with its default XNNPACK delegate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from agecompact.artifacts import metadata
from agecompact.errors import UsageError
from agecompact.runtimes.base import Array, Arrays, Interface, Placement, Port, Trace

SIGNATURE = "serving_default"
_FILE_IDENTIFIER = b"TFL3"


class _Session:
    def __init__(self, interpreter: Interpreter, path: str, threads: int) -> None:
        self._interpreter = interpreter
        self._path, self._threads = path, threads
        details, outputs = _named(interpreter, path)
        self._inputs = {n: d["index"] for n, d in details.items()}
        self._batch = int(next(iter(details.values()))["shape"][0])
        self._outputs = {n: d["index"] for n, d in outputs.items()}
        self._interface = Interface(
            _ports(details, interpreter.get_input_details()),
            _ports(outputs, interpreter.get_output_details()),
        )

    def _feed(self, inputs: Arrays) -> None:
        if set(inputs) != set(self._inputs):
            raise KeyError(f"inputs {sorted(inputs)}; the signature has {sorted(self._inputs)}")
        for name, value in inputs.items():
            self._interpreter.set_tensor(self._inputs[name], value)

    def infer(self, inputs: Arrays) -> dict[str, Array]:
        self._feed(inputs)
        self._interpreter.invoke()
        return {n: self._interpreter.get_tensor(i) for n, i in self._outputs.items()}

    def prepare(self, inputs: Arrays) -> Callable[[], None]:
        self._feed(inputs)
        invoke: Callable[[], None] = self._interpreter.invoke
        return invoke

    def trace(self, inputs: Arrays) -> Trace:
        from agecompact.runtimes import litert_trace

        return litert_trace.trace(_parse(self._path), self._threads, inputs, self._inputs)

    def interface(self) -> Interface:
        return self._interface

    def fixed_batch(self) -> int | None:
        return self._batch

    def placement(self) -> Placement | None:
        return _placement(self._interpreter._get_ops_details(), list(self._outputs.values()))


def _named(interpreter: Interpreter, path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Inputs and outputs by the names that the signature gives them.

    A stranger's file may have no signature; then its tensors' own names stand in. Never their
    positions, which converters reorder.
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
            why=f"it has {', '.join(signatures)}: which one is meant cannot be told",
        )
    runner = interpreter.get_signature_runner(
        SIGNATURE if SIGNATURE in signatures else signatures[0]
    )
    return runner.get_input_details(), runner.get_output_details()


def _ports(named: dict[str, Any], placed: list[dict[str, Any]]) -> dict[str, Port]:
    """By the signature's names, in the order of the subgraph, by which others bind them."""
    order = [int(tensor["index"]) for tensor in placed]
    return {
        name: Port(tuple(int(side) for side in d["shape"]), np.dtype(d["dtype"]).name)
        for name, d in sorted(named.items(), key=lambda item: order.index(int(item[1]["index"])))
    }


def _placement(ops: list[dict[str, Any]], outputs: list[int]) -> Placement:
    """The execution plan, rebuilt from the op list, which holds delegated ops and delegates.

    Walking back from the outputs, a tensor that a delegate partition writes was computed there; the
    original ops that are reached are those that fell back.
    """
    writers: dict[int, dict[str, Any]] = {}
    for op in ops:  # Partitions follow the original ops, so theirs is the last word.
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


def _content(path: str) -> bytes:
    content = Path(path).read_bytes()
    if content[4:8] != _FILE_IDENTIFIER:
        raise UsageError(f"{path} is no TFLite file", why="it lacks the identifier 'TFL3'")
    return content


def _parse(path: str) -> Any:
    """The FlatBuffer as Python objects."""
    content = _content(path)
    try:
        return schema.ModelT.InitFromPackedBuf(content, 0)
    except Exception as error:  # A truncated FlatBuffer fails in as many ways as it has fields.
        raise UsageError(f"{path} is a broken TFLite file", why=str(error)) from None


def read_metadata(path: str) -> str | None:
    """The content of the metadata buffer of our name."""
    model = _parse(path)
    for entry in model.metadata or ():
        if entry.name == metadata.KEY.encode():
            return bytes(model.buffers[entry.buffer].data).decode("utf-8")
    return None


def describe(path: str) -> dict[str, Any]:
    """Signatures, ops and tensors."""
    model = _parse(path)
    names = {
        code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
    }
    graph = model.subgraphs[0]

    def shapes(indices: Any) -> dict[str, list[int]]:
        tensors = (graph.tensors[i] for i in indices)
        return {t.name.decode(): [int(d) for d in t.shape] for t in tensors}

    ops = Counter(names[model.operatorCodes[op.opcodeIndex].builtinCode] for op in graph.operators)
    return {
        "signatures": [s.signatureKey.decode() for s in model.signatureDefs or ()],
        "inputs": shapes(graph.inputs),
        "outputs": shapes(graph.outputs),
        "ops": dict(ops.most_common()),
    }


def open_session(path: str, threads: int) -> _Session:
    """Loads a `.tflite` file; tensors are NHWC."""
    _content(path)
    try:
        interpreter = Interpreter(model_path=path, num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise UsageError(f"{path} is no model that LiteRT loads", why=str(error)) from None
    return _Session(interpreter, path, threads)


def version() -> str:
    """Version of LiteRT."""
    return f"litert {distribution_version('ai-edge-litert')}"
