"""ONNX Runtime on the CPU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import onnxruntime as ort

from agecompact.artifacts import metadata
from agecompact.errors import UsageError
from agecompact.runtimes.base import Array, Arrays, Interface, Placement, Port, Trace

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
}


class _Session:
    def __init__(self, session: ort.InferenceSession, path: str) -> None:
        self._session = session
        self._path = path
        self._outputs = [output.name for output in session.get_outputs()]

    def infer(self, inputs: Arrays) -> dict[str, Array]:
        return dict(zip(self._outputs, self._session.run(None, dict(inputs)), strict=True))

    def prepare(self, inputs: Arrays) -> Callable[[], None]:
        binding = self._session.io_binding()
        for name, value in inputs.items():
            binding.bind_cpu_input(name, value)
        for name in self._outputs:
            binding.bind_output(name)
        return lambda: self._session.run_with_iobinding(binding)

    def trace(self, inputs: Arrays) -> Trace:
        import onnx

        from agecompact.runtimes import onnxruntime_trace

        model = onnx.load_model(self._path)
        return onnxruntime_trace.trace(model, self._session.get_session_options(), inputs)

    def interface(self) -> Interface:
        def ports(arguments: Any) -> dict[str, Port]:
            return {
                a.name: Port(
                    # An open axis has a name, or nothing, in place of a number.
                    tuple(side if isinstance(side, int) else None for side in a.shape),
                    _DTYPES.get(a.type, a.type),
                )
                for a in arguments
            }

        return Interface(ports(self._session.get_inputs()), ports(self._session.get_outputs()))

    def fixed_batch(self) -> int | None:
        axis = self._session.get_inputs()[0].shape[0]
        return axis if isinstance(axis, int) else None

    def placement(self) -> Placement | None:
        return None


def _load(path: str, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no base class but this one.
        reason = str(error).splitlines()[0]
        raise UsageError(f"{path} is no model that ONNX Runtime loads", why=reason) from None


def _parse(path: str) -> Any:
    """The protobuf, not a session: that would run graph passes on a file not yet trusted."""
    import onnx

    try:
        return onnx.load_model(path, load_external_data=False)
    except Exception as error:  # protobuf's DecodeError has moved between versions.
        raise UsageError(f"{path} is no ONNX file", why=str(error)) from None


def read_metadata(path: str) -> str | None:
    """The entry of `metadata_props`."""
    return next((p.value for p in _parse(path).metadata_props if p.key == metadata.KEY), None)


def describe(path: str) -> dict[str, Any]:
    """Opset, ops and tensors."""
    model = _parse(path)

    def shapes(values: Any) -> dict[str, list[int | str]]:
        return {
            v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
            for v in values
        }

    return {
        "opsets": {entry.domain or "ai.onnx": entry.version for entry in model.opset_import},
        "inputs": shapes(model.graph.input),
        "outputs": shapes(model.graph.output),
        "ops": dict(Counter(node.op_type for node in model.graph.node).most_common()),
    }


def open_session(path: str, threads: int) -> _Session:
    """Loads an `.onnx` file on the CPU provider."""
    return _Session(_load(path, threads), path)


def version() -> str:
    """Version of ONNX Runtime."""
    return f"onnxruntime {ort.__version__}"
