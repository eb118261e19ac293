"""ExecuTorch on the CPU, with XNNPACK."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from executorch.exir._serialize._program import deserialize_pte_binary
from executorch.runtime import Runtime, Verification

from agecompact.artifacts import metadata
from agecompact.errors import AgecompactError, UsageError
from agecompact.runtimes.base import Array, Arrays, Backend, Interface, Placement, Session, Trace
from agecompact.runtimes.executorch_program import METHOD, interface, unusable


class _Session(Session):
    def __init__(self, path: str, text: str | None) -> None:
        self._plan = _plan(path)
        # The program is read from the file as long as it lives.
        self._program = _load(path)
        self._method = self._program.load_method(METHOD)
        about = self._method.metadata
        inputs = [about.input_tensor_meta(i) for i in range(about.num_inputs())]
        outputs = [about.output_tensor_meta(i) for i in range(about.num_outputs())]
        self._interface = interface(
            [(each.sizes(), each.dtype()) for each in inputs],
            [(each.sizes(), each.dtype()) for each in outputs],
            text,
            where=path,
        )

    def infer(self, inputs: Arrays) -> dict[str, Array]:
        return self._run(self._bound(inputs))

    def prepare(self, inputs: Arrays) -> Callable[[], object]:
        return partial(self._method.execute, self._bound(inputs))

    def trace(self, inputs: Arrays) -> Trace:  # noqa: ARG002 - not supported.
        raise UsageError("ExecuTorch does not say what each op wrote inside a delegate")

    def interface(self) -> Interface:
        return self._interface

    def placement(self) -> Placement:
        """One partition for each delegate; the ops are the calls of kernels beside them."""
        calls = [each.instr_args for chain in self._plan.chains for each in chain.instructions]
        kernels = [each for each in calls if type(each).__name__ == "KernelCall"]
        ops = Counter(self._plan.operators[each.op_index].name for each in kernels)
        delegated = sum(type(each).__name__ == "DelegateCall" for each in calls)
        return Placement(delegated, dict(sorted(ops.items())))

    def _bound(self, inputs: Arrays) -> list[torch.Tensor]:
        return [torch.from_numpy(np.ascontiguousarray(inputs[n])) for n in self._interface.inputs]

    def _run(self, inputs: list[torch.Tensor]) -> dict[str, Array]:
        made = self._method.execute(inputs)
        # Copies: the next call writes to the same memory.
        return {n: np.array(v) for n, v in zip(self._interface.outputs, made, strict=True)}


def _load(path: str) -> Any:
    try:
        return Runtime.get().load_program(path, verification=Verification.InternalConsistency)
    except Exception as error:  # The runtime's exceptions share no other base class.
        raise unusable(path, str(error)) from None


def _plan(path: str) -> Any:
    """The execution plan of the method that apps call."""
    try:
        program = deserialize_pte_binary(Path(path).read_bytes()).program
        return next(plan for plan in program.execution_plan if plan.name == METHOD)
    except StopIteration:
        raise unusable(path, f"it has no method '{METHOD}'") from None
    except Exception as error:  # A damaged FlatBuffer fails in as many ways as it has fields.
        raise unusable(path, f"{type(error).__name__}: {error}") from None


class _ExecuTorch(Backend):
    """The metadata is what a method of its name returns. Inputs are NCHW."""

    def read_metadata(self, path: str) -> str | None:
        program = _load(path)
        if metadata.KEY not in program.method_names:
            return None
        (found,) = program.load_method(metadata.KEY).execute([])
        return found if isinstance(found, str) else None

    def describe(self, path: str) -> dict[str, Any]:
        session = self.open_session(path, 1)
        placement = session.placement()
        assert placement is not None
        inputs, outputs = session.interface().inputs, session.interface().outputs
        return {
            "inputs": {name: port.described() for name, port in inputs.items()},
            "outputs": {name: port.described() for name, port in outputs.items()},
            "delegates": placement.partitions,
            "ops": dict(placement.fallback_ops),
        }

    def open_session(self, path: str, threads: int) -> Session:
        torch.set_num_threads(threads)
        text = self.read_metadata(path)
        try:
            return _Session(path, text)
        except AgecompactError:
            raise
        except Exception as error:  # As in `_load`.
            raise unusable(path, str(error)) from None

    def version(self) -> str:
        return f"executorch {distribution_version('executorch')}"


BACKEND = _ExecuTorch()
