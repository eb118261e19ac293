"""One side of a comparison: a model file, opened in a process of its own, that answers images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TypeVar

import numpy as np

from agecompact.contract import Contract, Tensor
from agecompact.evaluation.prediction import ArtifactModel
from agecompact.formats import Runtime
from agecompact.runtimes.base import Array, Interface, Trace
from agecompact.runtimes.messages import Opened
from agecompact.runtimes.process import RuntimeFailure, RuntimeProcess
from parity_tests.compare import Answers
from parity_tests.inputs import Sample
from parity_tests.results import Failure

_T = TypeVar("_T")


class Side:
    """A context manager around a model file; threads may share it.

    Args:
        path: The file.
        runtime: What opens it.
        contract: How images become its inputs.
        values: Values of an answer; None takes any number.
        threads: Threads for the runtime.
        timeout_s: Longest wait for any one answer.
    """

    def __init__(
        self,
        path: Path,
        runtime: Runtime,
        contract: Contract,
        *,
        values: int | None = 1,
        threads: int = 1,
        timeout_s: float = 120.0,
    ) -> None:
        self.contract = contract
        self._values = values
        self._process = RuntimeProcess(path, runtime, threads=threads, timeout_s=timeout_s)
        self._lock = Lock()
        self._stack = ExitStack()

    def __enter__(self) -> Side:
        """Opens the file.

        Raises:
            Failure: It cannot be opened, or takes and gives other than the contract says.
        """
        process = self._stack.enter_context(self._process)
        try:
            self.opened: Opened = _told(process.open)
            check_interface(self.opened.interface, self.contract, self._values)
        except Failure:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def answers(self, samples: Sequence[Sample]) -> Answers:
        """The answers to images, `(samples, values)`.

        Raises:
            Failure: The runtime fails, dies, hangs, or answers NaN or Inf.
        """
        inputs = self._tensors(samples)
        with self._lock:
            outputs = _told(lambda: self._process.infer(inputs))
        answers = np.asarray(outputs[self.contract.output.name], np.float64)
        answers = answers.reshape(len(samples), -1)
        unusable = np.flatnonzero(~np.isfinite(answers).all(axis=1))
        if unusable.size:
            raise Failure("not-finite", f"NaN or Inf on '{samples[int(unusable[0])].name}'")
        return answers

    def trace(self, sample: Sample) -> Trace:
        """What every op writes on an image.

        Raises:
            Failure: The runtime fails, dies or hangs.
        """
        inputs = self._tensors([sample])
        with self._lock:
            return _told(lambda: self._process.trace(inputs))

    def model(self) -> ArtifactModel:
        """This side as a model that faces in bulk are put to, by one thread."""
        return ArtifactModel(self._process, self.opened, self.contract)

    def tensors(self, sample: Sample) -> dict[str, Tensor]:
        """An image as this side takes it, batch 1."""
        # By place: of a foreign pair, the two sides may name the same crop otherwise.
        crops = zip(self.contract.input_names, sample.crops.values(), strict=True)
        return self.contract.tensors(dict(crops))

    def _tensors(self, samples: Sequence[Sample]) -> dict[str, Array]:
        batches = [self.tensors(sample) for sample in samples]
        return {
            name: np.stack([batch[name] for batch in batches]) for name in self.contract.input_names
        }


def check_interface(declared: Interface, contract: Contract, values: int | None = 1) -> None:
    """Holds what a file takes and gives to its contract.

    Raises:
        Failure: Of the kind `names`, `order`, `shapes` or `dtypes`.
    """
    names = list(declared.inputs)
    if set(names) != set(contract.input_names):
        raise Failure(
            "names",
            f"inputs {', '.join(names)}; the contract says {', '.join(contract.input_names)}",
        )
    if contract.output.name not in declared.outputs:
        raise Failure(
            "names", f"no output '{contract.output.name}', but {', '.join(declared.outputs)}"
        )
    if names != list(contract.input_names):
        raise Failure(
            "order",
            f"inputs stand in the order {', '.join(names)}; the contract's is "
            f"{', '.join(contract.input_names)}, by which a phone may bind them",
        )
    for name, port in declared.inputs.items():
        sides = zip(port.shape[1:], contract.input_shape[1:], strict=False)
        if len(port.shape) != 4 or any(have not in (None, want) for have, want in sides):
            raise Failure(
                "shapes",
                f"input '{name}' is {port.shape}; the contract says {contract.input_shape}",
            )
        if port.dtype != contract.dtype:
            raise Failure(
                "dtypes", f"input '{name}' is {port.dtype}; the contract says {contract.dtype}"
            )
    output = declared.outputs[contract.output.name]
    if values is not None and math.prod(side or 1 for side in output.shape[1:]) != values:
        raise Failure(
            "shapes", f"output '{contract.output.name}' is {output.shape}, not {(1, values)}"
        )
    if output.dtype != "float32":
        raise Failure("dtypes", f"output '{contract.output.name}' is {output.dtype}, not float32")


def _told(ask: Callable[[], _T]) -> _T:
    """A runtime's failure as this package's."""
    try:
        return ask()
    except RuntimeFailure as failure:
        raise Failure(failure.kind, failure.reason) from None
