"""Model files that are damaged or made to harm whoever opens them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import psutil
from onnx import TensorProto, helper

KEY = "agecompact"

# A change of a `schema.ModelT`, in place.
Change = Callable[[Any], None]


def endless_onnx(source: Path, path: Path) -> Path:
    """A valid ONNX file with the metadata of another one, whose only node never ends."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["go_on"]),
            helper.make_node("Identity", ["value"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("count", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, [1, 1]),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, [1, 1]),
        ],
    )
    # Made of the input, or ONNX Runtime would run the loop while it loads the file.
    nodes = [
        helper.make_node("ReduceMean", ["face"], ["mean"], keepdims=0),
        helper.make_node("Reshape", ["mean", "shape"], ["start"]),
        helper.make_node("Greater", ["mean", "less"], ["always"]),
        helper.make_node("Loop", ["", "always", "start"], ["age"], body=body),
    ]
    constants = [
        helper.make_tensor("shape", TensorProto.INT64, [2], [1, 1]),
        helper.make_tensor("less", TensorProto.FLOAT, [], [-1e9]),
    ]
    return _with_metadata_of(source, path, nodes, constants)


def edit_tflite(path: Path, change: Change) -> None:
    """Changes a TFLite file through its objects."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    change(model)
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    path.write_bytes(bytes(builder.Output()))


def with_metadata(content: bytes | None) -> Change:
    """Replaces agecompact's metadata; None leaves its buffer empty."""

    def change(model: Any) -> None:
        (entry,) = (e for e in model.metadata if e.name == KEY.encode())
        data = None if content is None else np.frombuffer(content, np.uint8)
        model.buffers[entry.buffer].data = data

    return change


def metadata_out_of_range(model: Any) -> None:
    """Names a buffer that the file does not have."""
    (entry,) = (e for e in model.metadata if e.name == KEY.encode())
    entry.buffer = 1 << 30


def signature_out_of_range(model: Any) -> None:
    """Binds the signature's input to a tensor that the file does not have."""
    model.signatureDefs[0].inputs[0].tensorIndex = 1 << 30


def huge_onnx(source: Path, path: Path) -> Path:
    """A valid ONNX file whose output of 16 GB is computed from a few bytes."""
    nodes = [
        helper.make_node("ReduceMean", ["face"], ["mean"], keepdims=0),
        helper.make_node("Expand", ["mean", "shape"], ["wide"]),
        helper.make_node("ReduceMax", ["wide"], ["greatest"], keepdims=0),
        helper.make_node("Reshape", ["greatest", "one"], ["age"]),
    ]
    constants = [
        helper.make_tensor("shape", TensorProto.INT64, [2], [1 << 16, 1 << 16]),
        helper.make_tensor("one", TensorProto.INT64, [2], [1, 1]),
    ]
    return _with_metadata_of(source, path, nodes, constants)


def wide_onnx(source: Path, path: Path) -> Path:
    """A valid ONNX file with three values in its output."""
    nodes = [
        helper.make_node("ReduceMean", ["face"], ["mean"], keepdims=0),
        helper.make_node("Expand", ["mean", "shape"], ["age"]),
    ]
    constants = [helper.make_tensor("shape", TensorProto.INT64, [2], [1, 3])]
    return _with_metadata_of(source, path, nodes, constants, values=3)


def busy_worker(parent: int, patience_s: float = 120.0) -> psutil.Process:
    """The worker of `parent` that has run ONNX Runtime for longer than any artefact takes."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        for child in psutil.Process(parent).children(recursive=True):
            # PyTorch's worker imports for seconds, but not this library.
            loaded = {Path(each.path).name for each in child.memory_maps()}
            busy_s = sum(child.cpu_times()[:2])
            if busy_s > 3 and any("onnxruntime" in name for name in loaded):
                return child
        time.sleep(0.2)
    raise TimeoutError("no worker hangs")


def _with_metadata_of(
    source: Path, path: Path, nodes: list[Any], constants: list[Any], values: int = 1
) -> Path:
    graph = helper.make_graph(
        nodes,
        "hostile",
        [helper.make_tensor_value_info("face", TensorProto.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info("age", TensorProto.FLOAT, [1, values])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    model.metadata_props.extend(onnx.load_model(str(source)).metadata_props)
    onnx.save_model(model, str(path))
    return path
