"""The interface that every runtime implements."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from agecompact.contract import Quantization
from agecompact.errors import UsageError

_NS_PER_MS = 1e6

Array = npt.NDArray[np.generic]
Arrays = Mapping[str, Array]
# By output name, a number for each of its values.
Weights = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Placement:
    """Where a delegate placed the ops of a graph.

    Attributes:
        partitions: Number of pieces of the graph that the delegate runs; 1 is best.
        fallback_ops: Number of ops, by type, that run on the reference kernels instead.
    """

    partitions: int
    fallback_ops: Mapping[str, int]


@dataclass(frozen=True)
class Port:
    """One input or output, as the file declares it.

    Attributes:
        shape: Sizes, batch axis included; None for an axis of any size.
        dtype: Name of the NumPy dtype.
        quantization: What its integers stand for, as the file states it; None if they are not
            quantised, or not all alike.
    """

    shape: tuple[int | None, ...]
    dtype: str
    quantization: Quantization | None = None

    @property
    def values(self) -> int | None:
        """Number of values for each image; None if the file leaves it open."""
        sides = self.shape[1:]
        return None if None in sides else math.prod(side or 1 for side in sides)

    @property
    def sides(self) -> str:
        """The shape, for people: `(any, 3, 64, 64)`."""
        return f"({', '.join('any' if side is None else str(side) for side in self.shape)})"

    @property
    def kind(self) -> str:
        """The dtype and the quantisation, for people: `int8 (scale 0.1 and zero point 3)`."""
        return f"{self.dtype} ({self.quantization})" if self.quantization else self.dtype

    def described(self, **more: Any) -> dict[str, Any]:
        """The port as JSON values, for `Backend.describe`.

        Args:
            more: What else the format says, or says in another way.
        """
        made: dict[str, Any] = {"shape": list(self.shape), "dtype": self.dtype}
        if self.quantization:
            made["quantization"] = asdict(self.quantization)
        return {**made, **more}


@dataclass(frozen=True)
class Interface:
    """Inputs and outputs of a file, by name, in the file's order."""

    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]

    @property
    def fixed_batch(self) -> int | None:
        """Number of images that each call takes; None if any number."""
        first = next(iter(self.inputs.values()), None)
        return first.shape[0] if first and first.shape else None


# Names and ports, in order; a broken file may repeat a name.
Ports = tuple[tuple[str, Port], ...]


@dataclass(frozen=True)
class Declaration:
    """One of the places where a file declares its inputs and outputs. Apps bind by any of them.

    Attributes:
        where: The place, for people: `description`, `graph`, `signature 'serving_default'`.
        inputs: In the file's order.
        outputs: In the file's order.
    """

    where: str
    inputs: Ports
    outputs: Ports


@dataclass(frozen=True)
class Declared:
    """Everything that an app can bind to in a file.

    Attributes:
        places: All places where the file declares its inputs and outputs.
        oddities: What else an app may see or use that files of agecompact do not have, such as an
            optional input: a clause each, for people.
        opset: ONNX opset, or Core ML's specification version; None if the format has neither.
    """

    places: tuple[Declaration, ...]
    oddities: tuple[str, ...] = ()
    opset: int | None = None


@dataclass(frozen=True)
class Step:
    """One op of a model, as it ran.

    Attributes:
        op: Type of the op, as the runtime names it: `Conv`, `CONV_2D`, `conv`, `conv2d`.
        output: Name of the tensor that it wrote.
        inputs: Names of the activations that it read, without constants.
        scope: Path of the PyTorch module it comes from, such as `stage1.0.conv`; empty if unknown.
        value: The tensor that it wrote, batch axis included, in the runtime's layout and dtype.
        constants: The float constants that it read (weights and biases), in its own order. Those
            stored as integers are dequantised. Empty if the runtime does not expose them.
    """

    op: str
    output: str
    inputs: tuple[str, ...]
    scope: str
    value: Array
    constants: tuple[Array, ...] = ()


# The steps of one inference. Each step comes after the steps whose outputs it reads.
Trace = tuple[Step, ...]


class Session(ABC):
    """A loaded model. Inputs and outputs are bound by name."""

    @abstractmethod
    def infer(self, inputs: Arrays) -> dict[str, Array]:
        """Runs one batch.

        Args:
            inputs: Tensors by input name.

        Returns:
            Tensors by output name.
        """

    @abstractmethod
    def prepare(self, inputs: Arrays) -> Callable[[], object]:
        """Binds the inputs once and returns a function that only runs the model, for timing."""

    @abstractmethod
    def trace(self, inputs: Arrays) -> Trace:
        """Runs one batch and keeps the output of every op.

        Uses the same kernels as `infer`, as far as the runtime allows.
        """

    @abstractmethod
    def interface(self) -> Interface:
        """Inputs and outputs that the file declares."""

    def differentiate(
        self, inputs: Arrays, weights: Weights
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Runs one batch, and differentiates a weighted sum of the outputs.

        Args:
            inputs: Tensors by input name.
            weights: By output name, the weight of each of its values; others have the weight 0.

        Returns:
            Tensors by output name, and gradients by input name, of the shapes of the inputs.

        Raises:
            UsageError: The runtime does not compute gradients.
        """
        raise UsageError(f"it computes no gradients of {', '.join(weights)} by {', '.join(inputs)}")

    def times_ms(self, run: Callable[[], object], runs: int) -> list[float]:
        """Times of runs of a function that `prepare` returned, in ms."""
        times = []
        for _ in range(runs):
            started = time.perf_counter_ns()
            run()
            times.append((time.perf_counter_ns() - started) / _NS_PER_MS)
        return times

    def library_bytes(self) -> int | None:
        """Bytes that an app downloads for the runtime; None if it is not downloaded."""
        return None

    def placement(self) -> Placement | None:
        """Where the delegate placed the ops; None if the runtime does not report it."""
        return None


class Backend(ABC):
    """A runtime, which opens the files of one format."""

    @abstractmethod
    def read_metadata(self, path: str) -> str | None:
        """The agecompact JSON embedded in the file; None if there is none.

        Raises:
            UsageError: The file is broken or has another format.
        """

    @abstractmethod
    def describe(self, path: str) -> dict[str, Any]:
        """Other content of the file, as JSON values: ops, tensors, versions.

        Raises:
            UsageError: The file is broken or has another format.
        """

    def declared(self, path: str) -> Declared:
        """All that an app can bind to, read from the file without running it.

        By default, what a session reports.

        Raises:
            UsageError: The file is broken or has another format.
        """
        interface = self.open_session(path, 1).interface()
        inputs, outputs = tuple(interface.inputs.items()), tuple(interface.outputs.items())
        return Declared((Declaration("file", inputs, outputs),))

    @abstractmethod
    def open_session(self, path: str, threads: int) -> Session:
        """Loads the file.

        Raises:
            UsageError: The file is broken or has another format.
            BackendMissingError: The runtime is not installed, or does not run on this platform.
        """

    @abstractmethod
    def version(self) -> str:
        """Name and version of the runtime, such as `litert 2.3.0`."""
