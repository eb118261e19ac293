"""The side that artefacts are held to: of a build, PyTorch."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from threading import Lock

from agecompact.artifacts.manifest import Build
from agecompact.contract import Contract
from agecompact.errors import GateError
from agecompact.evaluation.evaluate import target_of_contract
from agecompact.formats import RUNTIMES, Runtime, format_of
from parity_tests import inputs
from parity_tests.compare import Answers
from parity_tests.inputs import Sample
from parity_tests.plan import Plan
from parity_tests.results import Failure
from parity_tests.side import Side
from parity_tests.task import mean_absolute_error
from parity_tests.weights import Named


class Reference:
    """Answers to the fixed inputs, asked for once whichever thread needs them first.

    Args:
        path: The model file: of a build, its copy of the weights.
        contract: How images become its inputs.
        plan: Says the inputs.
        values: Values of an answer; None takes any number.
    """

    def __init__(
        self, path: Path, contract: Contract, plan: Plan, *, values: int | None = 1
    ) -> None:
        self.contract = contract
        self._path = path
        self._plan = plan
        self._values = values
        self._stack = ExitStack()
        self._lock = Lock()

    @classmethod
    def of_build(cls, build: Build, plan: Plan) -> Reference:
        """PyTorch in float64, on the weights that a build was made from."""
        return cls(build.weights, build.manifest.contract, plan)

    def __enter__(self) -> Reference:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """The fixed inputs."""
        return inputs.fixed(self.contract, self._plan.images)

    @property
    def weights(self) -> Path | None:
        """The weights file of its PyTorch network; None of a foreign model."""
        return self._path if self._path.suffix == ".safetensors" else None

    @property
    def parameters(self) -> Named:
        """What Core ML's converter was given: its network's, with batch norms folded."""
        with self._lock:
            return self._parameters

    @property
    def side(self) -> Side:
        """The model itself."""
        with self._lock:
            return self._side

    @property
    def answers(self) -> Answers:
        """Its answers to the fixed inputs."""
        with self._lock:
            return self._answers

    @property
    def mae(self) -> float:
        """Its mean absolute error on the labelled faces."""
        with self._lock:
            return self._mae

    @cached_property
    def _parameters(self) -> Named:
        from agecompact.models.complexity import folded_weights
        from agecompact.weights import checkpoints

        return folded_weights(checkpoints.read(self._path).network())

    def _opened_by(self, runtime: Runtime) -> Side:
        return Side(
            self._path,
            runtime,
            self.contract,
            values=self._values,
            threads=self._plan.threads,
            timeout_s=self._plan.timeout_s,
        )

    @cached_property
    def _side(self) -> Side:
        usual = format_of(self._path).runtimes[0]
        exact = RUNTIMES["pytorch-float64"]
        try:
            return self._stack.enter_context(self._opened_by(exact if self.weights else usual))
        except Failure as failure:
            raise useless(self._path, failure) from None

    @cached_property
    def _answers(self) -> Answers:
        try:
            return self._side.answers(self.samples)
        except Failure as failure:
            raise useless(self._path, failure) from None

    @cached_property
    def _mae(self) -> float:
        labelled = self._plan.labelled[target_of_contract(self.contract)]
        usual = format_of(self._path).runtimes[0]
        try:
            # Float64 takes four times as long, and moves a mean over thousands by nothing.
            with self._opened_by(usual) as side:
                return mean_absolute_error(side, labelled)
        except Failure as failure:
            raise useless(self._path, failure) from None


def useless(path: Path, failure: Failure) -> GateError:
    """The error for a reference that gives nothing to hold anything to."""
    return GateError(
        f"{path.name} gives no reference to hold anything to",
        why=f"{failure.kind}: {failure}",
        fix="check it with: agecompact verify, or agecompact inspect",
    )
