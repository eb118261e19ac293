"""The model that artefacts are checked against: for a build, PyTorch in float64.

An ONNX file in the place of PyTorch's weights runs in ONNX Runtime, in float32, once that is known
to be close to float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agecompact.artifacts.manifest import Build
from agecompact.artifacts.parity import Float64Check
from agecompact.contract import Contract
from agecompact.errors import AgecompactError, BackendMissingError, GateError, UsageError
from agecompact.evaluation.evaluate import targets_of
from agecompact.formats import EXPORTED, RUNTIMES, Runtime, format_of
from parity_tests import float64, inputs
from parity_tests.compare import Outputs
from parity_tests.driving import Model, drive
from parity_tests.inputs import Sample
from parity_tests.parts import parts_of
from parity_tests.results import Failure
from parity_tests.runner import ModelRunner, runtime_process
from parity_tests.settings import CheckSettings
from parity_tests.task import Answers, answers_of
from parity_tests.weights import Parameters

if TYPE_CHECKING:
    from agecompact.data.face import Target


class Reference:
    """A context manager around an open reference; threads may share it.

    Args:
        path: The model file; for a build, its copy of the weights.
        contract: How images become its inputs.
        settings: Determines the fixed inputs.
        model: Name of the model, which selects the gates.

    Raises:
        UsageError: One of the user's images cannot be read.

    Attributes:
        runner: The open model.
        samples: The fixed inputs, then mosaics, then those that drive this model over its range.
        outputs: The matrix of its outputs for them, `(samples, columns)`.
        parts: Its outputs in the matrix.
        fixed: How many of the inputs are fixed.
        faces: Which of the fixed inputs are faces, `(faces,)`.
        float64: By output name, how far its float32 is from float64; empty if it is not an ONNX
            file.
        answers: By label, its answers for the labelled faces.
    """

    def __init__(
        self, path: Path, contract: Contract, settings: CheckSettings, *, model: str = ""
    ) -> None:
        self._path = path
        self._contract = contract
        self._settings = settings
        self._model = model
        self._fixed = inputs.fixed(contract, settings.images)

    @classmethod
    def of_build(cls, build: Build, settings: CheckSettings) -> Reference:
        """PyTorch in float64, with the weights that a build was made from, or its ONNX file."""
        manifest = build.manifest
        return cls(build.weights, manifest.contract, settings, model=manifest.model)

    def __enter__(self) -> Reference:
        """Opens the model, drives it over its range, and runs it on all inputs and labelled faces.

        Raises:
            UsageError: It does not open, or fails to run.
            BackendMissingError: Its runtime is not available on this machine.
            GateError: An output is NaN or infinite, or too far from float64.
        """
        usual = format_of(self._path).runtimes[0]
        exact = RUNTIMES["pytorch-float64"] if self.weights else usual
        with ExitStack() as stack:
            try:
                self.runner = stack.enter_context(self._open(exact))
                self._run()
                self.answers = self._answers(usual)
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
        self.faces = np.array([i for i, each in enumerate(known) if each.kind == "face"])
        self.parts = parts_of(self._contract, outputs[self.faces])
        self.float64 = self._compared_with_float64(known, outputs)
        model = Model(
            self._contract,
            [span for part in self.parts for span in part.spans],
            runner.raw_outputs,
            runner.slopes if self.weights else None,
        )
        driven = drive(model, known, outputs)
        if driven:
            outputs = np.concatenate([outputs, runner.outputs(driven)])
        self.samples: tuple[Sample, ...] = (*known, *driven)
        self.outputs: Outputs = outputs
        self.fixed = len(self._fixed)

    def _compared_with_float64(
        self, samples: tuple[Sample, ...], outputs: Outputs
    ) -> dict[str, Float64Check]:
        seconds = self._settings.float64_s
        if seconds is None or not float64.applies_to(self._path):
            return {}
        return float64.compared(
            self._path,
            self._contract,
            self.parts,
            float64.gates_of(self.parts, self._settings.tolerances, self._model),
            samples,
            outputs,
            seconds=seconds,
        )

    def _answers(self, usual: Runtime) -> dict[Target, Answers]:
        labelled, targets = self._settings.labelled, targets_of(self._contract)
        if not any(target in labelled for target in targets):
            return {}
        # Not in float64, which takes four times as long: float32 is off by 0.0001 years.
        with self._open(usual) as runner:
            return {
                target: answers_of(runner, labelled[target])
                for target in targets
                if target in labelled
            }

    @contextmanager
    def _open(self, runtime: Runtime) -> Iterator[ModelRunner]:
        with runtime_process(self._path, runtime, self._settings) as process:
            yield ModelRunner(process, self._contract)

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
    is missing. A reference that runs and outputs NaN or Inf, or what float64 does not, does fail
    the gate.
    """
    error: type[AgecompactError] = {
        "missing": BackendMissingError,
        "not-finite": GateError,
        "reference": GateError,
    }.get(failure.kind, UsageError)
    return error(
        f"{path.name} cannot be used as a reference",
        why=str(failure) if failure.kind == "reference" else f"{failure.kind}: {failure}",
        fix=f"check it with: agecompact inspect {path}",
    )
