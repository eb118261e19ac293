"""ExecuTorch's C++ runtime without torch, as an app has it: on the emulated ARM processor.

The Python package of ExecuTorch needs torch, which no phone has. `make arm-python` compiles
`android_bench/native/executorch.cpp` against its libraries for ARM.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib.metadata import version as distribution_version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from agecompact.artifacts import metadata
from agecompact.errors import BackendMissingError, UsageError
from agecompact.runtimes.base import Array, Arrays, Backend, Interface, Session, Trace
from agecompact.runtimes.executorch_program import Described, interface, unusable

PACKAGE = "agecompact_executorch"
LIBRARY = "libagecompact_executorch.so"
_MOST_AXES = 8
_TEXT_BYTES = 1 << 20


@cache
def _library() -> ctypes.CDLL:
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise BackendMissingError(
            "ExecuTorch's C++ runtime is not compiled for this Python",
            fix="python -m android_bench.emulated.make_python",
        )
    return ctypes.CDLL(str(Path(spec.submodule_search_locations[0]) / LIBRARY))


class _Module:
    """A loaded program, freed with this object."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._handle = ctypes.c_void_p()
        self._call("open_module", path.encode(), ctypes.byref(self._handle), loads=True)

    def __del__(self) -> None:
        if self._handle:
            _library().delete_module(self._handle)

    def _call(self, function: str, *arguments: Any, loads: bool = False) -> None:
        values = arguments if loads else (self._handle, *arguments)
        status = getattr(_library(), function)(*values)
        if status != 0:
            raise unusable(self._path, f"ExecuTorch's {function} returned error 0x{status:x}")

    def text(self, method: str) -> str | None:
        """What a method without inputs returns; None if there is none."""
        buffer, length = ctypes.create_string_buffer(_TEXT_BYTES), ctypes.c_int64()
        size = ctypes.c_int64(_TEXT_BYTES)
        self._call("read_text", method.encode(), buffer, size, ctypes.byref(length))
        if length.value > _TEXT_BYTES:
            raise unusable(self._path, f"'{method}' returns {length.value:,} bytes")
        return buffer.raw[: length.value].decode(errors="replace") if length.value else None

    def tensors(self, *, output: bool) -> list[Described]:
        """Sizes and dtypes of the inputs or outputs of the method that apps call."""
        count = ctypes.c_int64()
        self._call("count_tensors", ctypes.c_bool(output), ctypes.byref(count))
        return [self._tensor(place, output=output) for place in range(count.value)]

    def _tensor(self, place: int, *, output: bool) -> Described:
        rank, sizes, dtype = ctypes.c_int64(), (ctypes.c_int64 * _MOST_AXES)(), ctypes.c_int()
        self._call(
            "describe_tensor",
            ctypes.c_bool(output),
            ctypes.c_int64(place),
            ctypes.c_int64(_MOST_AXES),
            ctypes.byref(rank),
            sizes,
            ctypes.byref(dtype),
        )
        if rank.value > _MOST_AXES:
            raise unusable(self._path, f"a tensor of it has {rank.value} axes")
        return sizes[: rank.value], dtype.value

    def load(self) -> None:
        """Prepares the method, delegates included."""
        self._call("load_forward")

    def run(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> None:
        """Runs the method, and writes to the outputs."""
        sizes = (ctypes.c_int64 * len(outputs))(*(each.nbytes for each in outputs))
        self._call("run_forward", _addresses(inputs), _addresses(outputs), sizes)


def _addresses(arrays: Sequence[Array]) -> Any:
    return (ctypes.c_void_p * len(arrays))(*(each.ctypes.data for each in arrays))


class _Session(Session):
    def __init__(self, path: str) -> None:
        self._module = _Module(path)
        self._interface = interface(
            self._module.tensors(output=False),
            self._module.tensors(output=True),
            self._module.text(metadata.KEY),
            where=path,
        )
        self._module.load()

    def infer(self, inputs: Arrays) -> dict[str, Array]:
        bound, outputs = self._bound(inputs), self._outputs()
        self._module.run(bound, list(outputs.values()))
        return outputs

    def prepare(self, inputs: Arrays) -> Callable[[], object]:
        return partial(self._module.run, self._bound(inputs), list(self._outputs().values()))

    def trace(self, inputs: Arrays) -> Trace:  # noqa: ARG002 - not supported.
        raise UsageError("ExecuTorch does not say what each op wrote inside a delegate")

    def interface(self) -> Interface:
        return self._interface

    def _bound(self, inputs: Arrays) -> list[Array]:
        bound = []
        for name, port in self._interface.inputs.items():
            array = np.ascontiguousarray(inputs[name])
            if (array.shape, array.dtype.name) != (port.shape, port.dtype):
                raise UsageError(f"input '{name}' is {port.dtype} {port.sides}")
            bound.append(array)
        return bound

    def _outputs(self) -> dict[str, Array]:
        return {
            name: np.empty([side or 0 for side in port.shape], port.dtype)
            for name, port in self._interface.outputs.items()
        }


class _Native(Backend):
    """Inputs are NCHW, as for the Python package."""

    def read_metadata(self, path: str) -> str | None:
        return _Module(path).text(metadata.KEY)

    def describe(self, path: str) -> dict[str, Any]:
        made = self.open_session(path, 1).interface()
        return {
            "inputs": {name: port.described() for name, port in made.inputs.items()},
            "outputs": {name: port.described() for name, port in made.outputs.items()},
        }

    def open_session(self, path: str, threads: int) -> Session:  # noqa: ARG002 - one core.
        return _Session(path)

    def version(self) -> str:
        return f"executorch {distribution_version('executorch')}"


BACKEND = _Native()
