"""LiteRT's GPU accelerator, in float32, on a real or a software Vulkan; see `vulkan`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ai_edge_litert.compiled_model import CompiledModel
from ai_edge_litert.hardware_accelerator import HardwareAccelerator
from ai_edge_litert.interpreter import Interpreter

from agecompact.runtimes import litert_trace, vulkan
from agecompact.runtimes.base import Array, Arrays, Placement, Session, Trace
from agecompact.runtimes.litert import LiteRT, LiteRTSession, parse
from agecompact.runtimes.litert_single import single_ops


class _Compiled:
    """A compiled model and its buffers, which are bound by name.

    Args:
        content: The file.

    Raises:
        RuntimeError: The GPU does not take it.
    """

    def __init__(self, content: bytes) -> None:
        # LiteRT reads it as long as the model lives.
        self._content = content
        self.model = CompiledModel.from_buffer(content, hardware_accel=HardwareAccelerator.GPU)
        (self._signature, names), *_ = self.model.get_signature_list().items()
        self._inputs = dict(zip(names["inputs"], self.model.create_input_buffers(0), strict=True))
        self._outputs = self.model.create_output_buffers(0)
        self._names = names["outputs"]

    def bind(self, inputs: Arrays) -> None:
        """Copies inputs to the GPU."""
        for name, value in inputs.items():
            self._inputs[name].write(np.ascontiguousarray(value))

    def run(self) -> None:
        """Starts a run; `read` waits for its end."""
        self.model.run_by_index(0, list(self._inputs.values()), self._outputs)

    def read(self) -> list[Array]:
        """The outputs, in the order of the subgraph."""
        details = self.model.get_output_tensor_details(self._signature)
        read = []
        for name, buffer in zip(self._names, self._outputs, strict=True):
            shape, kind = details[name]["shape"], np.dtype(details[name]["dtype"])
            read.append(buffer.read(int(np.prod(shape)), kind.type).reshape(shape))
        return read


class _Session(LiteRTSession):
    """Runs on the GPU, or on the CPU if the GPU does not take the file.

    What the file declares is read by an interpreter.
    """

    def __init__(self, interpreter: Interpreter, path: str, threads: int) -> None:
        super().__init__(interpreter, path, threads)
        self._content = Path(path).read_bytes()
        self._gpu = _on_gpu(self._content)

    def infer(self, inputs: Arrays) -> dict[str, Array]:
        if self._gpu is None:
            return super().infer(inputs)
        self._gpu.bind(inputs)
        self._gpu.run()
        return dict(zip(self._interface.outputs, self._gpu.read(), strict=True))

    def prepare(self, inputs: Arrays) -> Callable[[], object]:
        gpu = self._gpu
        if gpu is None:
            return super().prepare(inputs)
        gpu.bind(inputs)

        def run() -> object:
            gpu.run()
            # A run ends when its outputs are read.
            return gpu.read()

        return run

    def trace(self, inputs: Arrays) -> Trace:
        if self._gpu is None:
            return super().trace(inputs)
        return litert_trace.trace(parse(self._path), self._threads, inputs, self._inputs, _run_once)

    def placement(self) -> Placement:
        """One partition for the whole file; the ops that the GPU refuses are tried one by one."""
        if self._gpu is not None and self._gpu.model.is_fully_accelerated():
            return Placement(1, {})
        return Placement(0 if self._gpu is None else 1, _refused(self._content))


def _on_gpu(content: bytes) -> _Compiled | None:
    try:
        return _Compiled(content)
    except RuntimeError:
        return None


def _refused(content: bytes) -> dict[str, int]:
    """How many ops of each type the GPU does not run as a file of their own."""
    ops = Counter(kind for kind, single in single_ops(content) if not _is_run(single))
    return dict(sorted(ops.items()))


def _is_run(content: bytes) -> bool:
    compiled = _on_gpu(content)
    return compiled is not None and compiled.model.is_fully_accelerated()


def _run_once(content: bytes, inputs: Arrays) -> list[Array]:
    compiled = _Compiled(content)
    compiled.bind(inputs)
    compiled.run()
    return compiled.read()


class _LiteRTGpu(LiteRT):
    def open_session(self, path: str, threads: int) -> Session:
        vulkan.prepare()
        return super().open_session(path, threads)

    session = _Session

    def version(self) -> str:
        return f"{super().version()}, GPU"


BACKEND = _LiteRTGpu()
