"""ONNX Runtime on the CPU."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import onnxruntime as ort

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
    "tensor(uint16)": "uint16",
    "tensor(int16)": "int16",
    "tensor(uint32)": "uint32",
    "tensor(int32)": "int32",
    "tensor(uint64)": "uint64",
    "tensor(int64)": "int64",
}
_FLOATS = frozenset({"tensor(float)", "tensor(float16)", "tensor(double)"})
# As ONNX Runtime words it.
_IR_VERSIONS = re.compile(r"Unsupported model IR version: (\d+), max supported IR version: (\d+)")


# Makes a session of a model: of a path, or of the content of a file.
Opener = Callable[[str | bytes], ort.InferenceSession]


class OnnxSession(Session):
    """A session of ONNX Runtime.

    Args:
        path: The file.
        opened: Makes sessions of it, and of copies that have more outputs.
    """

    def __init__(self, path: str, opened: Opener) -> None:
        self._opened = opened
        self._session = session = opened(path)
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
        return onnxruntime_trace.trace(model, self._opened, inputs)

    def interface(self) -> Interface:
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        kinds = {argument.type for argument in (*inputs, *outputs)}
        if kinds <= _FLOATS:
            return Interface(_ports(inputs, {}), _ports(outputs, {}))
        from agecompact.runtimes import onnxruntime_declared

        found = onnxruntime_declared.quantizations(_parse(self._path))
        return Interface(_ports(inputs, found), _ports(outputs, found))


def _ports(arguments: Any, quantizations: Mapping[str, Quantization]) -> dict[str, Port]:
    return {
        argument.name: Port(
            # An axis of any size has a name, or None, instead of a number.
            tuple(side if isinstance(side, int) else None for side in argument.shape),
            _DTYPES.get(argument.type, argument.type),
            quantizations.get(argument.name),
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


def _refused(path: str, error: Exception) -> UsageError:
    """The error for a file that ONNX Runtime does not load."""
    what = f"ONNX Runtime cannot load {path}"
    versions = _IR_VERSIONS.search(str(error))
    if versions is None:
        return _unusable(what, path, str(error).splitlines()[0])
    found, most = versions.groups()
    new = str(Path(path).with_name(f"{Path(path).stem}-ir{most}.onnx"))
    return UsageError(
        what,
        why=f"its IR version is {found}, and onnxruntime {ort.__version__} reads up to {most}",
        fix="\n".join(
            (
                f"upgrade onnxruntime, or write a copy of IR version {most} with Python:",
                f"import onnx; model = onnx.load({path!r})",
                f"model.ir_version = {most}; onnx.save(model, {new!r})",
            )
        ),
    )


class OnnxRuntime(Backend):
    """The metadata is an entry of `metadata_props`. Inputs are NCHW."""

    session: ClassVar[type[OnnxSession]] = OnnxSession

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
        from agecompact.runtimes import onnxruntime_declared

        inputs, outputs = onnxruntime_declared.described(model)
        return {
            "ir_version": model.ir_version,
            "opsets": {entry.domain or "ai.onnx": entry.version for entry in model.opset_import},
            "producer": f"{model.producer_name} {model.producer_version}".strip(),
            "inputs": inputs,
            "outputs": outputs,
            "ops": dict(Counter(node.op_type for node in model.graph.node).most_common()),
        }

    def declared(self, path: str) -> Declared:
        from agecompact.runtimes import onnxruntime_declared

        return onnxruntime_declared.declared(_parse(path))

    def open_session(self, path: str, threads: int) -> Session:
        try:
            return self.session(path, partial(self.opened, threads=threads))
        except Exception as error:  # ONNX Runtime's exceptions share no other base class.
            if isinstance(error, AgecompactError):
                raise
            raise _refused(path, error) from None

    def opened(self, model: str | bytes, *, threads: int) -> ort.InferenceSession:
        """A session of a model on this backend's processor.

        Args:
            model: The path of a file, or its content.
            threads: Threads of the CPU.

        Raises:
            Exception: Of any class, if it cannot be loaded.
        """
        return ort.InferenceSession(model, options(threads), providers=["CPUExecutionProvider"])

    def version(self) -> str:
        return f"onnxruntime {ort.__version__}"


def options(threads: int) -> ort.SessionOptions:
    """The options of every session: a number of threads, and errors alone are logged."""
    made = ort.SessionOptions()
    made.intra_op_num_threads = threads
    made.inter_op_num_threads = 1
    made.log_severity_level = 3
    return made


BACKEND = OnnxRuntime()
