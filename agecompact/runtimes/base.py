"""The interface that every runtime implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from agecompact.errors import UsageError

Array = npt.NDArray[np.generic]
Arrays = Mapping[str, Array]


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
    """

    shape: tuple[int | None, ...]
    dtype: str

    @property
    def sides(self) -> str:
        """The shape, for people: `(any, 3, 64, 64)`."""
        return f"({', '.join('any' if side is None else str(side) for side in self.shape)})"


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

    def differentiate(self, inputs: Arrays) -> tuple[dict[str, Array], dict[str, Array]]:
        """Runs one batch, and differentiates the sum of the outputs.

        Args:
            inputs: Tensors by input name.

        Returns:
            Tensors by output name, and gradients by input name, of the shapes of the inputs.

        Raises:
            UsageError: The runtime does not compute gradients.
        """
        names = ", ".join(inputs)
        raise UsageError(f"this runtime does not compute the gradients of {names}")

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
