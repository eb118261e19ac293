"""Runs a model file in a separate process, so that a crash of its runtime is just a result."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar
from zipfile import BadZipFile

import numpy as np

from agecompact.artifacts.metadata import ArtifactMetadata
from agecompact.errors import BackendMissingError, first_line
from agecompact.files import save_array
from agecompact.formats import Runtime
from agecompact.runtimes.base import Array, Arrays, Declared, Step, Trace, Weights
from agecompact.runtimes.channel import MEMORY_BYTES, Channel, RuntimeFailure
from agecompact.runtimes.launching import launcher_of
from agecompact.runtimes.messages import Differentiated, Memory, Opened, Ran, TracedStep
from agecompact.runtimes.reading import description_in, metadata_in, opener

__all__ = ["InferenceResult", "RuntimeFailure", "RuntimeProcess", "Staged"]

# Samples in files that a worker maps, by input name.
Staged = Mapping[str, Path]

# What NumPy raises for a file that is not a whole archive of plain arrays.
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, MemoryError, BadZipFile, zlib.error)

# NumPy parses the header of an array with `ast`. In CPython 3.11 that fails at random while another
# thread does the same: it counts its depth in one place for all threads (python/cpython#106905).
_HEADERS = Lock()

_T = TypeVar("_T")


@dataclass(frozen=True)
class InferenceResult:
    """Outputs of a run.

    Attributes:
        outputs: Arrays by output name; the leading axis counts samples.
        model_ms: Time spent in the runtime, without the transfer of the arrays.
    """

    outputs: Mapping[str, Array]
    model_ms: float


class RuntimeProcess:
    """A context manager around one worker process, which serves one model file.

    Args:
        path: The model file.
        runtime: The runtime to open it with; by default the first one of the file's format.
        threads: Threads for the runtime.
        timeout_s: Longest wait for any one reply.
        memory_bytes: Most memory that the process may allocate, where the platform can limit it.

    Every method that sends a request raises `RuntimeFailure` if the runtime is missing, fails,
    crashes, takes too long or sends what is not a reply.

    Raises:
        RuntimeFailure: The runtime needs another Python, which was not made.
    """

    def __init__(
        self,
        path: Path,
        runtime: Runtime | None = None,
        *,
        threads: int = 1,
        timeout_s: float = 120.0,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        self._path = path
        self._runtime = runtime
        self._threads = threads
        try:
            launcher = launcher_of(runtime)
        except BackendMissingError as error:
            raise RuntimeFailure("missing", error.what, why=error.why, fix=error.fix) from None
        self._channel = Channel(timeout_s=timeout_s, memory_bytes=memory_bytes, launcher=launcher)
        self._numbers = itertools.count()

    def __enter__(self) -> RuntimeProcess:
        with ExitStack() as stack:
            self._folder = stack.enter_context(self._channel).folder
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def is_slow(self) -> bool:
        """Whether it may take seconds for one image."""
        return self._runtime is not None and self._runtime.slow

    @property
    def _reader(self) -> Runtime | None:
        """What reads the file unopened; another Python may lack the default runtime."""
        return self._runtime if self._runtime is not None and self._runtime.launcher else None

    def kill(self) -> None:
        """Ends the process at once; a request that waits for it fails. Any thread may call this."""
        self._channel.kill()

    def metadata(self) -> ArtifactMetadata:
        """The metadata inside the file, which need not be open."""
        return metadata_in(self._channel, self._path, self._reader)

    def describe(self) -> dict[str, Any]:
        """Other content of the file, which need not be open; see `base.Backend.describe`."""
        return description_in(self._channel, self._path, self._reader)

    def declared(self) -> Declared:
        """All that an app can bind to; the file need not be open. See `base.Backend.declared`."""
        runtime = opener(self._path, self._runtime).name
        return self._channel.request(Declared, "declared", path=self._path, runtime=runtime)

    def open(self) -> Opened:
        """Loads the file."""
        runtime = opener(self._path, self._runtime).name
        return self._channel.request(
            Opened, "open", path=self._path, runtime=runtime, threads=self._threads
        )

    def infer(self, samples: Arrays) -> Mapping[str, Array]:
        """Runs many samples.

        Args:
            samples: As in `stage`.

        Returns:
            Arrays by output name, with the same leading axis.
        """
        return self.run(self.stage(samples)).outputs

    def stage(self, samples: Arrays) -> Staged:
        """Writes samples to files for `run`. Any thread may call this while another batch runs.

        Args:
            samples: Arrays by input name. The leading axis counts samples; the other axes are those
                of the input, batch axis included.
        """
        files = {}
        for name, array in samples.items():
            # Numbered, because an input's name may not be a valid file name.
            path = self._folder / f"{next(self._numbers)}.npy"
            with path.open("wb") as stream:
                save_array(stream, array)
            files[name] = path
        return files

    def run(self, staged: Staged) -> InferenceResult:
        """Runs staged samples and deletes their files."""
        file = self._folder / "outputs.npz"
        ran = self._request_with(staged, Ran, "infer", outputs=file)
        return InferenceResult(_named(file, ran.outputs), ran.model_ms)

    def differentiate(
        self, samples: Arrays, weights: Weights
    ) -> tuple[Mapping[str, Array], Mapping[str, Array]]:
        """Runs many samples (as in `stage`), and differentiates a weighted sum of their outputs.

        Args:
            samples: As in `stage`.
            weights: By output name, the weight of each of its values; others have the weight 0.

        Returns:
            Arrays by output name, and gradients by input name, all with the same leading axis.
        """
        outputs, gradients = self._folder / "outputs.npz", self._folder / "gradients.npz"
        done = self._request_with(
            self.stage(samples),
            Differentiated,
            "differentiate",
            outputs=outputs,
            gradients=gradients,
            weights={name: list(values) for name, values in weights.items()},
        )
        return _named(outputs, done.outputs), _named(gradients, done.inputs)

    def trace(self, sample: Arrays) -> Trace:
        """The steps of one inference, on the first sample (as in `stage`)."""
        file = self._folder / "values.npz"
        steps = self._request_with(self.stage(sample), list[TracedStep], "trace", values=file)
        names = [
            (str(i), *(f"{i}.{k}" for k in range(step.constants))) for i, step in enumerate(steps)
        ]
        arrays = iter(_arrays(file, [name for each in names for name in each]))
        return tuple(
            Step(
                step.op,
                step.output,
                step.inputs,
                step.scope,
                next(arrays),
                tuple(next(arrays) for _ in range(step.constants)),
            )
            for step in steps
        )

    def prepare(self, sample: Arrays) -> float:
        """Binds one sample (as in `stage`) for `time`; returns the first inference in ms."""
        return self._request_with(self.stage(sample), float, "prepare")

    def time(self, runs: int) -> list[float]:
        """Latencies of `runs` inferences of the bound sample, in ms."""
        return self._channel.request(list[float], "time", runs=runs)

    def memory(self) -> Memory:
        """Resident memory so far."""
        return self._channel.request(Memory, "memory")

    def _request_with(self, staged: Staged, kind: type[_T], method: str, **arguments: Any) -> _T:
        try:
            return self._channel.request(kind, method, inputs=staged, **arguments)
        finally:
            for path in staged.values():
                path.unlink(missing_ok=True)


def _named(path: Path, names: Sequence[str]) -> dict[str, Array]:
    """Arrays that a worker wrote in the order of their names."""
    return dict(zip(names, _arrays(path, list(map(str, range(len(names))))), strict=True))


def _arrays(path: Path, names: Sequence[str]) -> list[Array]:
    """Arrays that a worker wrote.

    Raises:
        RuntimeFailure: The file lacks one, or is broken.
    """
    try:
        with _HEADERS, np.load(path, allow_pickle=False) as arrays:
            return [arrays[name] for name in names]
    except _UNREADABLE as error:
        raise RuntimeFailure("crash", f"its arrays cannot be read: {first_line(error)}") from None
