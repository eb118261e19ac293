"""ExecuTorch on the CPU, with XNNPACK.

A program has no names for its inputs and outputs: they are those of the contract, in its order,
where the program has agecompact's metadata.
"""

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
from agecompact.artifacts.metadata import ArtifactMetadata, MetadataError
from agecompact.errors import AgecompactError, UsageError
from agecompact.filetypes import fix_for
from agecompact.runtimes.base import (
    Array,
    Arrays,
    Backend,
    Interface,
    Placement,
    Port,
    Session,
    Trace,
)

_METHOD = "forward"
# `c10::ScalarType`, in the order of its numbers.
_DTYPES = ("uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")


class _Session(Session):
    def __init__(self, path: str, described: ArtifactMetadata | None) -> None:
        self._plan = _plan(path)
        # The program is read from the file as long as it lives.
        self._program = _load(path)
        self._method = self._program.load_method(_METHOD)
        about = self._method.metadata
        inputs = [about.input_tensor_meta(i) for i in range(about.num_inputs())]
        outputs = [about.output_tensor_meta(i) for i in range(about.num_outputs())]
        contract = described.contract if described else None
        self._interface = Interface(
            _ports("input", inputs, contract.input_names if contract else ()),
            _ports("output", outputs, contract.output_names if contract else ()),
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


def _ports(side: str, tensors: list[Any], names: tuple[str, ...]) -> dict[str, Port]:
    if len(names) != len(tensors):
        names = tuple(f"{side}_{place}" for place in range(len(tensors)))
    return {
        name: Port(tuple(map(int, tensor.sizes())), _dtype(tensor.dtype()))
        for name, tensor in zip(names, tensors, strict=True)
    }


def _dtype(number: int) -> str:
    return _DTYPES[number] if 0 <= number < len(_DTYPES) else f"type {number}"


def _unusable(path: str, why: str) -> UsageError:
    return UsageError(
        f"{path} is not an ExecuTorch program",
        why=why,
        fix=fix_for(Path(path), wanted="executorch"),
    )


def _load(path: str) -> Any:
    try:
        return Runtime.get().load_program(path, verification=Verification.InternalConsistency)
    except Exception as error:  # The runtime's exceptions share no other base class.
        raise _unusable(path, str(error)) from None


def _plan(path: str) -> Any:
    """The execution plan of the method that apps call."""
    try:
        program = deserialize_pte_binary(Path(path).read_bytes()).program
        return next(plan for plan in program.execution_plan if plan.name == _METHOD)
    except StopIteration:
        raise _unusable(path, f"it has no method '{_METHOD}'") from None
    except Exception as error:  # A damaged FlatBuffer fails in as many ways as it has fields.
        raise _unusable(path, f"{type(error).__name__}: {error}") from None


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
            described = ArtifactMetadata.from_json(text, where=path) if text else None
        except MetadataError:
            described = None
        try:
            return _Session(path, described)
        except AgecompactError:
            raise
        except Exception as error:  # As in `_load`.
            raise _unusable(path, str(error)) from None

    def version(self) -> str:
        return f"executorch {distribution_version('executorch')}"


BACKEND = _ExecuTorch()
