"""Runs a model file on images, in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock

import numpy as np

from agecompact.contract import Contract, Tensor
from agecompact.evaluation.prediction import ArtifactModel
from agecompact.formats import Runtime
from agecompact.runtimes.base import Array, Trace
from agecompact.runtimes.messages import Opened
from agecompact.runtimes.process import RuntimeFailure, RuntimeProcess
from parity_tests.compare import Outputs
from parity_tests.inputs import Sample
from parity_tests.interface import check_interface
from parity_tests.results import Failure
from parity_tests.settings import CheckSettings


class ModelRunner:
    """A context manager around an open model file; threads may share it.

    Args:
        path: The file.
        runtime: The runtime that runs it.
        contract: How images become its inputs.
        settings: The runtime's threads and timeout.
        values: Number of values in its output; None accepts any number.

    Attributes:
        contract: As above.
        opened: What the runtime reports about the open file.
    """

    def __init__(
        self,
        path: Path,
        runtime: Runtime,
        contract: Contract,
        settings: CheckSettings,
        *,
        values: int | None = 1,
    ) -> None:
        self.contract = contract
        self._values = values
        self._process = RuntimeProcess(
            path, runtime, threads=settings.threads, timeout_s=settings.timeout_s
        )
        self._lock = Lock()
        self._stack = ExitStack()

    def __enter__(self) -> ModelRunner:
        """Opens the file.

        Raises:
            Failure: The file cannot be opened, or its interface differs from the contract.
        """
        with ExitStack() as stack, runtime_failures():
            process = stack.enter_context(self._process)
            self.opened: Opened = process.open()
            check_interface(self.opened.interface, self.contract, self._values)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def outputs(self, samples: Sequence[Sample]) -> Outputs:
        """The outputs for images, `(samples, values)`.

        Raises:
            Failure: The runtime fails, crashes or hangs, or an output is NaN, infinite or of
                another shape.
        """
        inputs = self._batch(samples)
        with self._lock, runtime_failures():
            outputs = self._process.infer(inputs)[self.contract.output.name]
        self._check_shape(outputs.shape[1:])
        outputs = np.asarray(outputs, np.float64).reshape(len(samples), -1)
        unusable = np.flatnonzero(~np.isfinite(outputs).all(axis=1))
        if unusable.size:
            name = samples[int(unusable[0])].name
            raise Failure("not-finite", f"the output is NaN or infinite on '{name}'")
        return outputs

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        """Checks what came out, which is not always what the file declares."""
        if self._values is not None and shape != (1, self._values):
            name = self.contract.output.name
            raise Failure("shapes", f"output '{name}' has shape {shape}, not (1, {self._values})")

    def trace(self, sample: Sample) -> Trace:
        """What every op writes for an image.

        Raises:
            Failure: The runtime fails, crashes or hangs.
        """
        inputs = self._batch([sample])
        with self._lock, runtime_failures():
            return self._process.trace(inputs)

    def model(self) -> ArtifactModel:
        """This file as a model for `evaluation.prediction.predict`; one thread may use it."""
        return ArtifactModel(self._process, self.opened, self.contract)

    def tensors(self, sample: Sample) -> dict[str, Tensor]:
        """An image as the model's inputs, batch 1."""
        # By position: in a foreign pair, the two models may have different names for one crop.
        crops = zip(self.contract.input_names, sample.crops.values(), strict=True)
        return self.contract.tensors(dict(crops))

    def _batch(self, samples: Sequence[Sample]) -> dict[str, Array]:
        batches = [self.tensors(sample) for sample in samples]
        return {
            name: np.stack([batch[name] for batch in batches]) for name in self.contract.input_names
        }


@contextmanager
def runtime_failures() -> Iterator[None]:
    """Turns a runtime's failure into a `Failure`."""
    try:
        yield
    except RuntimeFailure as failure:
        raise Failure(failure.kind, failure.reason) from None
