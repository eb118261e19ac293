"""Runs a model file on images, in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
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
from parity_tests.parts import column_weights, matrix, values_of
from parity_tests.results import Failure
from parity_tests.settings import CheckSettings

# Rows of a frozen batch, all of which are filled for each image in a search.
_MOST_ROWS = 256
_PER_REQUEST = 32
# Of a slow runtime, whose every reply has to come within the same time: WebGPU without a GPU takes
# half a minute for an image of MobileAgeNet.
_PER_SLOW_REQUEST = 1
# What a grey level has of each colour, ITU-R BT.601.
_BLUE_GREEN_RED = np.array([0.114, 0.587, 0.299], np.float32)


def runtime_process(path: Path, runtime: Runtime, settings: CheckSettings) -> RuntimeProcess:
    """The process that runs a file, to be started with `with`.

    Raises:
        Failure: The runtime needs what was not made on this machine.
    """
    with runtime_failures():
        return RuntimeProcess(path, runtime, threads=settings.threads, timeout_s=settings.timeout_s)


class ModelRunner:
    """An open model file; threads may share it.

    Args:
        process: The process of the file, which has started; the file is opened in it.
        contract: How images become its inputs.

    Attributes:
        contract: As above.
        opened: What the runtime reports about the open file.
        takes_any_batch: Whether it declares that a call may have any number of images.

    Raises:
        Failure: The file cannot be opened, or its interface differs from the contract.
    """

    def __init__(self, process: RuntimeProcess, contract: Contract) -> None:
        self.contract = contract
        self._process = process
        self._lock = Lock()
        with runtime_failures():
            self.opened: Opened = process.open()
        interface = self.opened.interface
        check_interface(interface, contract)
        self._ports = interface.outputs
        self.takes_any_batch = interface.fixed_batch is None
        self._rows = interface.fixed_batch or 1
        if self._rows > _MOST_ROWS:
            reason = f"its batch is frozen at {self._rows}; {_MOST_ROWS} at most can be filled"
            raise Failure("shapes", reason)

    def outputs(self, samples: Sequence[Sample]) -> Outputs:
        """The matrix of its outputs for images, `(samples, columns)`, see `parts`.

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

    def outputs_together(self, samples: Sequence[Sample]) -> Outputs:
        """The matrix of its outputs for images in one call, which may be NaN or infinite.

        Raises:
            Failure: The runtime fails, crashes or hangs, or an output does not have a row for each
                image.
        """
        tensors = [self.tensors(sample) for sample in samples]
        call = {n: np.concatenate([t[n] for t in tensors])[np.newaxis] for n in tensors[0]}
        with self._lock, runtime_failures():
            outputs = self._process.infer(call)
        numbers = {}
        for name, found in outputs.items():
            if found.shape[1:2] != (len(samples),):
                shape = f"shape {found.shape[1:]} for a batch of {len(samples)}"
                raise Failure("shapes", f"output '{name}' has {shape}")
            numbers[name] = self._real(name, found[0, :, np.newaxis])
        return matrix(values_of(numbers, self.contract, len(samples)), self.contract)

    def values(self, samples: Sequence[Sample]) -> dict[str, npt.NDArray[np.float64]]:
        """What it writes for images, by output name, `(samples, size)`.

        Half-precision and quantised outputs are the real numbers that they stand for.

        Raises:
            Failure: The runtime fails, crashes or hangs, or an output has another shape.
        """
        outputs = self._infer(self._batch(samples))
        numbers = {
            output.name: self._numbers(output.name, outputs[output.name], len(samples))
            for output in self.contract.outputs
            if output.name in outputs
        }
        return values_of(numbers, self.contract, len(samples))

    def raw_outputs(self, samples: Sequence[Sample]) -> Outputs:
        """The matrix of its outputs for images, which may be NaN or infinite.

        Raises:
            Failure: The runtime fails, crashes or hangs, or an output has another shape.
        """
        return matrix(self.values(samples), self.contract)

    def slopes(self, samples: Sequence[Sample], column: int) -> tuple[Outputs, list[Slope]]:
        """The matrix for images of the model's size, and how a column changes with each pixel.

        Raises:
            Failure: The runtime fails, crashes, hangs or does not compute gradients.
        """
        inputs = self._batch(samples)
        with self._lock, runtime_failures():
            outputs, gradients = self._process.differentiate(
                inputs, column_weights(self.contract, column)
            )
        slopes: list[Slope] = [
            {name: _slope(each[i, 0], self.contract) for name, each in gradients.items()}
            for i in range(len(samples))
        ]
        values = values_of(outputs, self.contract, len(samples))
        return matrix(values, self.contract), slopes

    def trace(self, sample: Sample, contract: Contract | None = None) -> Trace:
        """What every op writes for an image, prepared by another contract if one is given.

        Raises:
            Failure: The runtime fails, crashes or hangs.
        """
        tensors = self.tensors(sample, contract)
        filled = {n: np.repeat(v, self._rows, axis=0)[np.newaxis] for n, v in tensors.items()}
        with self._lock, runtime_failures():
            steps = self._process.trace(filled)
        if self._rows == 1:
            return steps
        return tuple(replace(s, value=_first_row(s.value, self._rows)) for s in steps)

    def model(self) -> ArtifactModel:
        """This file as a model for `evaluation.prediction.predict`; one thread may use it."""
        return ArtifactModel(self._process, self.opened)

    def tensors(self, sample: Sample, contract: Contract | None = None) -> dict[str, Tensor]:
        """An image as the model's inputs, batch 1, by its own contract or another."""
        names = self.contract.input_names
        crops = sample.crops
        if set(names) != set(crops):
            # In a foreign pair, the two models may have different names for one crop.
            crops = dict(zip(names, crops.values(), strict=True))
        return (contract or self.contract).tensors(crops)

    def activations(self, sample: Sample, contract: Contract | None = None) -> dict[str, Array]:
        """An image as the numbers that the model's inputs stand for, see `tensors`."""
        tensors = self.tensors(sample, contract)
        quantization = (contract or self.contract).quantization
        if quantization is None:
            return dict(tensors)
        return {n: quantization.real(v).astype(np.float32) for n, v in tensors.items()}

    def _infer(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Runs calls, some in each request: simulated processors take a second for one."""
        calls = len(next(iter(inputs.values())))
        count = _PER_SLOW_REQUEST if self._process.is_slow else _PER_REQUEST
        with self._lock, runtime_failures():
            made = [
                self._process.infer({n: v[i : i + count] for n, v in inputs.items()})
                for i in range(0, calls, count)
            ]
        return {name: np.concatenate([each[name] for each in made]) for name in made[0]}

    def _batch(self, samples: Sequence[Sample]) -> dict[str, Array]:
        """Images as calls of the file's own batch; the last one fills the last call.

        Returns:
            By input name, `(calls, rows, ...)`.
        """
        made = [self.tensors(sample) for sample in samples]
        made += made[-1:] * (-len(made) % self._rows)
        batches = {}
        for name in self.contract.input_names:
            rows = np.concatenate([each[name] for each in made])
            batches[name] = rows.reshape(-1, self._rows, *rows.shape[1:])
        return batches

    def _numbers(self, name: str, found: Array, count: int) -> Array:
        """An output's numbers for each of `count` images, batch axis of 1 included."""
        if self._rows > 1:
            shape = found.shape[1:]
            if not shape or shape[0] != self._rows:
                rows = f"its batch is frozen at {self._rows}"
                raise Failure("shapes", f"output '{name}' has shape {shape}, and {rows}")
            found = found.reshape(-1, 1, *shape[1:])[:count]
        return self._real(name, found)

    def _real(self, name: str, found: Array) -> Array:
        quantization = self._ports[name].quantization
        return found if quantization is None else quantization.real(found)


def _first_row(value: Array, rows: int) -> Array:
    """The first row of a batch of equal ones."""
    return value[:1] if value.shape[:1] == (rows,) else value


def _slope(gradient: Array, contract: Contract) -> npt.NDArray[np.float32]:
    """How an output changes with each pixel, HWC BGR, from its gradient by a tensor, CHW."""
    table = contract.table()[0]
    slope: npt.NDArray[np.float32] = np.moveaxis(gradient, 0, -1) * (table[-1] - table[0])
    if contract.color_order == "GREY":
        return slope * _BLUE_GREEN_RED
    return slope[..., ::-1] if contract.color_order == "RGB" else slope


@contextmanager
def runtime_failures() -> Iterator[None]:
    """Turns a runtime's failure into a `Failure`."""
    try:
        yield
    except RuntimeFailure as failure:
        raise Failure(failure.kind, failure.reason) from None
