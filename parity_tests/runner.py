"""Runs a model file on images, in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import numpy as np
import numpy.typing as npt

from agecompact.contract import Contract, Tensor
from agecompact.evaluation.prediction import ArtifactModel
from agecompact.formats import Runtime
from agecompact.runtimes.base import Array, Trace
from agecompact.runtimes.messages import Opened
from agecompact.runtimes.process import RuntimeFailure, RuntimeProcess
from parity_tests.compare import Outputs
from parity_tests.driving import Slope
from parity_tests.inputs import Sample
from parity_tests.interface import check_interface
from parity_tests.results import Failure
from parity_tests.settings import CheckSettings


def runtime_process(path: Path, runtime: Runtime, settings: CheckSettings) -> RuntimeProcess:
    """The process that runs a file, to be started with `with`."""
    return RuntimeProcess(path, runtime, threads=settings.threads, timeout_s=settings.timeout_s)


class ModelRunner:
    """An open model file; threads may share it.

    Args:
        process: The process of the file, which has started; the file is opened in it.
        contract: How images become its inputs.
        values: Number of values in its output; None accepts any number.

    Attributes:
        contract: As above.
        opened: What the runtime reports about the open file.

    Raises:
        Failure: The file cannot be opened, or its interface differs from the contract.
    """

    def __init__(
        self, process: RuntimeProcess, contract: Contract, *, values: int | None = 1
    ) -> None:
        self.contract = contract
        self._values = values
        self._process = process
        self._lock = Lock()
        with runtime_failures():
            self.opened: Opened = process.open()
        check_interface(self.opened.interface, contract, values)

    def outputs(self, samples: Sequence[Sample]) -> Outputs:
        """The outputs for images, `(samples, values)`.

        Raises:
            Failure: The runtime fails, crashes or hangs, or an output is NaN, infinite or of
                another shape.
        """
        outputs = self.raw_outputs(samples)
        unusable = np.flatnonzero(~np.isfinite(outputs).all(axis=1))
        if unusable.size:
            sample = samples[int(unusable[0])]
            reason = f"the output is NaN or infinite on '{sample.name}'"
            raise Failure("not-finite", reason, sample)
        return outputs

    def raw_outputs(self, samples: Sequence[Sample]) -> Outputs:
        """The outputs for images, `(samples, values)`, which may be NaN or infinite.

        Raises:
            Failure: The runtime fails, crashes or hangs, or the output has another shape.
        """
        inputs = self._batch(samples)
        with self._lock, runtime_failures():
            outputs = self._process.infer(inputs)[self.contract.output.name]
        self._check_shape(outputs.shape[1:])
        return np.asarray(outputs, np.float64).reshape(len(samples), -1)

    def slopes(self, samples: Sequence[Sample]) -> tuple[Outputs, list[Slope]]:
        """The outputs for images of the model's size, and how they change with each pixel.

        Raises:
            Failure: The runtime fails, crashes, hangs or does not compute gradients.
        """
        inputs = self._batch(samples)
        with self._lock, runtime_failures():
            outputs, gradients = self._process.differentiate(inputs)
        slopes: list[Slope] = [
            {name: _slope(each[i, 0], self.contract) for name, each in gradients.items()}
            for i in range(len(samples))
        ]
        made = np.asarray(outputs[self.contract.output.name], np.float64)
        return made.reshape(len(samples), -1), slopes

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        """Checks what came out, which is not always what the file declares."""
        name = self.contract.output.name
        if self._values is not None and shape != (1, self._values):
            raise Failure("shapes", f"output '{name}' has shape {shape}, not (1, {self._values})")
        if 0 in shape:
            raise Failure("shapes", f"output '{name}' is empty: its shape is {shape}")

    def trace(self, sample: Sample, contract: Contract | None = None) -> Trace:
        """What every op writes for an image, prepared by another contract if one is given.

        Raises:
            Failure: The runtime fails, crashes or hangs.
        """
        inputs = {name: value[np.newaxis] for name, value in self.tensors(sample, contract).items()}
        with self._lock, runtime_failures():
            return self._process.trace(inputs)

    def model(self) -> ArtifactModel:
        """This file as a model for `evaluation.prediction.predict`; one thread may use it."""
        return ArtifactModel(self._process, self.opened, self.contract)

    def tensors(self, sample: Sample, contract: Contract | None = None) -> dict[str, Tensor]:
        """An image as the model's inputs, batch 1, by its own contract or another."""
        # By position: in a foreign pair, the two models may have different names for one crop.
        crops = zip(self.contract.input_names, sample.crops.values(), strict=True)
        return (contract or self.contract).tensors(dict(crops))

    def _batch(self, samples: Sequence[Sample]) -> dict[str, Array]:
        batches = [self.tensors(sample) for sample in samples]
        return {
            name: np.stack([batch[name] for batch in batches]) for name in self.contract.input_names
        }


def _slope(gradient: Array, contract: Contract) -> npt.NDArray[np.float32]:
    """How an output changes with each pixel, HWC BGR, from its gradient by a tensor, CHW."""
    table = contract.table()[0]
    slope: npt.NDArray[np.float32] = np.moveaxis(gradient, 0, -1) * (table[-1] - table[0])
    return slope[..., ::-1] if contract.color_order == "RGB" else slope


@contextmanager
def runtime_failures() -> Iterator[None]:
    """Turns a runtime's failure into a `Failure`."""
    try:
        yield
    except RuntimeFailure as failure:
        raise Failure(failure.kind, failure.reason) from None
