"""ONNX Runtime on the CPU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import onnxruntime as ort

from agecompact.artifacts import metadata
from agecompact.artifacts.metadata import MetadataError
from agecompact.errors import UsageError
from agecompact.filetypes import fix_for
from agecompact.runtimes.base import (
    Array,
    Arrays,
    Backend,
    Declared,
    Interface,
    Port,
    Session,
    Trace,
)

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
}


class _Session(Session):
    def __init__(self, session: ort.InferenceSession, path: str) -> None:
        self._session = session
        self._path = path
        self._outputs = [output.name for output in session.get_outputs()]

    def infer(self, inputs: Arrays) -> dict[str, Array]:
        return dict(zip(self._outputs, self._session.run(None, dict(inputs)), strict=True))

    def prepare(self, inputs: Arrays) -> Callable[[], object]:
        binding = self._session.io_binding()
        for name, value in inputs.items():
            binding.bind_cpu_input(name, value)
        for name in self._outputs:
            binding.bind_output(name)
        return partial(self._session.run_with_iobinding, binding)

    def trace(self, inputs: Arrays) -> Trace:
        import onnx

        from agecompact.runtimes import onnxruntime_trace

        model = onnx.load_model(self._path)
        return onnxruntime_trace.trace(model, self._session.get_session_options(), inputs)

    def interface(self) -> Interface:
        return Interface(_ports(self._session.get_inputs()), _ports(self._session.get_outputs()))


def _ports(arguments: Any) -> dict[str, Port]:
    return {
        argument.name: Port(
            # An axis of any size has a name, or None, instead of a number.
            tuple(side if isinstance(side, int) else None for side in argument.shape),
            _DTYPES.get(argument.type, argument.type),
        )
        for argument in arguments
    }


def _unusable(what: str, path: str, why: str) -> UsageError:
    return UsageError(what, why=why, fix=fix_for(Path(path), wanted="onnx"))


def _parse(path: str) -> Any:
    """The protobuf. Not a session, which would run graph passes on an untrusted file."""
    import onnx

    try:
        return onnx.load_model(path, load_external_data=False)
    except Exception as error:  # protobuf's DecodeError has moved between versions.
        raise _unusable(f"{path} is not an ONNX file", path, str(error)) from None


def _shapes(values: Any) -> dict[str, list[int | str]]:
    return {
        v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in values
    }


class _OnnxRuntime(Backend):
    """The metadata is an entry of `metadata_props`. Inputs are NCHW."""

    def read_metadata(self, path: str) -> str | None:
        values = (p.value for p in _parse(path).metadata_props if p.key == metadata.KEY)
        text: str | bytes | None = next(values, None)
        # Protobuf gives bytes where text is not UTF-8.
        if isinstance(text, bytes):
            raise MetadataError(
                f"{path} has agecompact metadata that cannot be read",
                why="it is not UTF-8",
                fix=fix_for(Path(path), wanted="onnx"),
            )
        return text

    def describe(self, path: str) -> dict[str, Any]:
        model = _parse(path)
        return {
            "opsets": {entry.domain or "ai.onnx": entry.version for entry in model.opset_import},
            "inputs": _shapes(model.graph.input),
            "outputs": _shapes(model.graph.output),
            "ops": dict(Counter(node.op_type for node in model.graph.node).most_common()),
        }

    def declared(self, path: str) -> Declared:
        from agecompact.runtimes import onnxruntime_declared

        return onnxruntime_declared.declared(_parse(path))

    def open_session(self, path: str, threads: int) -> Session:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions share no other base class.
            reason = str(error).splitlines()[0]
            raise _unusable(f"ONNX Runtime cannot load {path}", path, reason) from None
        return _Session(session, path)

    def version(self) -> str:
        return f"onnxruntime {ort.__version__}"


BACKEND = _OnnxRuntime()
