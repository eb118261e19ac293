"""The model that artefacts are checked against: for a build, PyTorch in float64."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path

import numpy as np

from agecompact.artifacts.manifest import Build
from agecompact.artifacts.parity import CoveredRange
from agecompact.contract import Contract
from agecompact.errors import AgecompactError, BackendMissingError, GateError, UsageError
from agecompact.evaluation.evaluate import target_of_contract
from agecompact.formats import EXPORTED, RUNTIMES, Runtime, format_of
from parity_tests import inputs
from parity_tests.compare import Outputs
from parity_tests.coverage import covered
from parity_tests.driving import Model, drive
from parity_tests.inputs import Sample
from parity_tests.results import Failure
from parity_tests.runner import ModelRunner, runtime_process
from parity_tests.settings import CheckSettings
from parity_tests.task import mean_absolute_error
from parity_tests.weights import Parameters


class Reference:
    """A context manager around an open reference; threads may share it.

    Args:
        path: The model file; for a build, its copy of the weights.
        contract: How images become its inputs.
        settings: Determines the fixed inputs.
        values: Number of values in its output; None accepts any number.

    Raises:
        UsageError: One of the user's images cannot be read.

    Attributes:
        runner: The open model.
        samples: The fixed inputs, then mosaics, then those that drive this model over its range.
        outputs: Its outputs for them, `(samples, values)`.
        fixed: How many of the inputs are fixed.
        mae: Its mean absolute error on the labelled faces, if the settings contain any.
    """

    def __init__(
        self, path: Path, contract: Contract, settings: CheckSettings, *, values: int | None = 1
    ) -> None:
        self._path = path
        self._contract = contract
        self._settings = settings
        self._values = values
        self._fixed = inputs.fixed(contract, settings.images)

    @classmethod
    def of_build(cls, build: Build, settings: CheckSettings) -> Reference:
        """PyTorch in float64, with the weights that a build was made from."""
        return cls(build.weights, build.manifest.contract, settings)

    def __enter__(self) -> Reference:
        """Opens the model, drives it over its range, and runs it on all inputs and labelled faces.

        Raises:
            UsageError: It does not open, or fails to run.
            BackendMissingError: Its runtime is not available on this machine.
            GateError: An output is NaN or infinite.
        """
        usual = format_of(self._path).runtimes[0]
        exact = RUNTIMES["pytorch-float64"] if self.weights else usual
        with ExitStack() as stack:
            try:
                self.runner = stack.enter_context(self._open(exact))
                self._run()
                if self._settings.labelled:
                    labelled = self._settings.labelled[target_of_contract(self._contract)]
                    # Not in float64: that takes four times as long, and the mean over thousands
                    # of faces is the same.
                    with self._open(usual) as runner:
                        self.mae = mean_absolute_error(runner, labelled)
            except Failure as failure:
                raise unusable(self._path, failure) from None
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _run(self) -> None:
        runner = self.runner
        known = (*self._fixed, *inputs.mosaics(self._contract))
        outputs = runner.outputs(known)
        model = Model(self._contract, runner.raw_outputs, runner.slopes if self.weights else None)
        driven = drive(model, known, outputs)
        if driven:
            outputs = np.concatenate([outputs, runner.outputs(driven)])
        self.samples: tuple[Sample, ...] = (*known, *driven)
        self.outputs: Outputs = outputs
        self.fixed = len(self._fixed)

    @property
    def covered(self) -> tuple[CoveredRange, ...]:
        """The range of each value of its output."""
        return covered(self.outputs, self._contract.output.unit)

    @contextmanager
    def _open(self, runtime: Runtime) -> Iterator[ModelRunner]:
        with runtime_process(self._path, runtime, self._settings) as process:
            yield ModelRunner(process, self._contract, values=self._values)

    @property
    def weights(self) -> Path | None:
        """The weights file of its PyTorch network; None if it is an exported model."""
        return None if format_of(self._path).name in EXPORTED else self._path

    @cached_property
    def parameters(self) -> Parameters:
        """The parameters of its network, batch norms folded, as Core ML's converter gets them."""
        from agecompact.models.complexity import folded_weights
        from agecompact.weights import checkpoints

        return folded_weights(checkpoints.read(self._path).network())


def unusable(path: Path, failure: Failure) -> AgecompactError:
    """The error for a reference that does not run.

    Nothing was checked, so the gate did not fail: the file is an unreadable input, or its runtime
    is missing. A reference that runs and outputs NaN or Inf does fail the gate.
    """
    error: type[AgecompactError] = {
        "missing": BackendMissingError,
        "not-finite": GateError,
    }.get(failure.kind, UsageError)
    return error(
        f"{path.name} cannot be used as a reference",
        why=f"{failure.kind}: {failure}",
        fix=f"check it with: agecompact inspect {path}",
    )
