"""The interface of every backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class Placement:
    """Where a delegate put the graph's ops.

    Attributes:
        partitions: How many pieces of the graph the delegate took; 1 is best.
        fallback_ops: Ops left to the reference kernels, with how often each stands in the graph.
    """

    partitions: int
    fallback_ops: Mapping[str, int]


@dataclass(frozen=True)
class Port:
    """One input or output, as the file declares it.

    Attributes:
        shape: Batch axis included; None where an axis is open.
        dtype: Name of the NumPy dtype.
    """

    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True)
class Interface:
    """What a file takes and gives, by name, in the file's own order."""

    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]


@dataclass(frozen=True)
class Step:
    """One op of a model, as it ran.

    Attributes:
        op: Its type in the runtime's own words: `Conv`, `CONV_2D`, `conv`, `Conv2d`.
        output: Name of the tensor it wrote.
        inputs: Names of the activations it read, constants left out.
        scope: Path of the PyTorch module it comes from, such as `stage1.0.conv`; empty if unknown.
        value: What it wrote, batch axis kept, in the runtime's own layout and dtype.
        constants: The floats that it read and that no input changes, in its own order: weights and
            biases, as the file stores them or, if as integers, what those stand for. Empty where
            the runtime does not tell.
    """

    op: str
    output: str
    inputs: tuple[str, ...]
    scope: str
    value: Array
    constants: tuple[Array, ...] = ()


# The steps of one inference, each after those it reads.
Trace = tuple[Step, ...]


class Session(Protocol):
    """A loaded model, inputs and outputs bound by name."""

    def infer(self, inputs: Arrays) -> dict[str, Array]:
        """Runs one batch: tensors by input name in, tensors by output name out."""

    def prepare(self, inputs: Arrays) -> Callable[[], None]:
        """Binds the inputs once and returns the bare inference, for timing."""

    def trace(self, inputs: Arrays) -> Trace:
        """Runs one batch and keeps what every op wrote.

        The kernels are those of `infer`, as far as the runtime allows.
        """

    def interface(self) -> Interface:
        """What the file declares that it takes and gives."""

    def fixed_batch(self) -> int | None:
        """How many images one call takes, or None where it takes as many as it is given."""

    def placement(self) -> Placement | None:
        """What the delegate took, or None where the runtime does not tell."""


class Backend(Protocol):
    """What each module of this package provides."""

    def read_metadata(self, path: str) -> str | None:
        """The agecompact JSON inside the file, or None when it holds none.

        Raises:
            UsageError: The file is not of this format, or is broken.
        """

    def describe(self, path: str) -> dict[str, Any]:
        """What the file holds besides: ops, tensors, versions, as JSON values.

        Raises:
            UsageError: The file is not of this format, or is broken.
        """

    def open_session(self, path: str, threads: int) -> Session:
        """Loads the file.

        Raises:
            UsageError: The file is not of this format, or is broken.
            BackendMissingError: The runtime is not installed or not of this platform.
        """

    def version(self) -> str:
        """Version of the runtime, such as `litert 2.3.0`."""
