"""The worker process behind `agecompact.runtimes.process`: serves one file with one runtime.

Reads requests from standard input and writes replies to standard output; see `messages`. Runtimes
print to standard output too, so replies go to a copy of it that is made before a runtime loads.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agecompact.artifacts.metadata import MetadataError
from agecompact.errors import AgecompactError, BackendMissingError, UsageError
from agecompact.formats import RUNTIMES
from agecompact.isolation import limit
from agecompact.runtimes.base import Array, Declared, Session, Weights
from agecompact.runtimes.messages import (
    Differentiated,
    Failed,
    FailureKind,
    Memory,
    Opened,
    Ran,
    Reply,
    TracedStep,
)
from agecompact.runtimes.registry import load
from agecompact.serialization import unstructure

_NS_PER_MS = 1e6
_LINUX_STATUS = Path("/proc/self/status")
# Kinds of NumPy dtypes.
_NUMERIC = "biuf"
# Requests that read the file; the others run it.
_LOADING = frozenset({"read_metadata", "describe", "declared", "open"})
# Of a runtime's message, which may quote the file.
_LONGEST_REASON = 1000


class Worker:
    """Holds the session between requests. Every public method is a request."""

    _session: Session
    _run: Callable[[], object]
    _rss_before_bytes: int

    def read_metadata(self, path: str, runtime: str) -> str | None:
        """See `base.Backend`."""
        return load(RUNTIMES[runtime]).read_metadata(path)

    def describe(self, path: str, runtime: str) -> dict[str, Any]:
        """See `base.Backend`."""
        return load(RUNTIMES[runtime]).describe(path)

    def declared(self, path: str, runtime: str) -> Declared:
        """See `base.Backend`."""
        return load(RUNTIMES[runtime]).declared(path)

    def open(self, path: str, runtime: str, threads: int) -> Opened:
        """Loads the file."""
        backend = load(RUNTIMES[runtime])
        self._rss_before_bytes = _peak_rss_bytes()
        started = time.perf_counter_ns()
        self._session = backend.open_session(path, threads)
        init_ms = _ms_since(started)
        return Opened(
            init_ms,
            backend.version(),
            self._session.placement(),
            self._session.interface(),
            self._session.library_bytes(),
        )

    def infer(self, inputs: Mapping[str, str], outputs: str) -> Ran:
        """Runs every sample.

        Args:
            inputs: `.npy` files by input name; the leading axis counts samples.
            outputs: The `.npz` file to write: entry `i` for the i-th output.
        """
        results = []
        model_ms = 0.0
        for sample in _samples(inputs):
            started = time.perf_counter_ns()
            result = self._session.infer(sample)
            model_ms += _ms_since(started)
            results.append({name: np.array(value) for name, value in result.items()})
        stacked = _stacked(results)
        for name, value in stacked.items():
            if value.dtype.kind not in _NUMERIC:
                raise UsageError(f"output '{name}' is not a tensor of numbers")
        _save(outputs, _numbered(stacked))
        return Ran(tuple(stacked), model_ms)

    def differentiate(
        self, inputs: Mapping[str, str], outputs: str, gradients: str, weights: Weights
    ) -> Differentiated:
        """Runs every sample, and differentiates a weighted sum of its outputs.

        Args:
            inputs: As in `infer`.
            outputs: The `.npz` file to write the outputs to, as in `infer`.
            gradients: The `.npz` file to write the gradients to: entry `i` for the i-th input.
            weights: The weights, as in `Session.differentiate`.
        """
        results = [self._session.differentiate(sample, weights) for sample in _samples(inputs)]
        made = _stacked([outputs for outputs, _ in results])
        slopes = _stacked([gradients for _, gradients in results])
        _save(outputs, _numbered(made))
        _save(gradients, _numbered(slopes))
        return Differentiated(tuple(made), tuple(slopes))

    def trace(self, inputs: Mapping[str, str], values: str) -> list[TracedStep]:
        """Runs the first sample and keeps the output and the constants of every op.

        Args:
            inputs: As in `infer`.
            values: The `.npz` file to write: output `i`, its constants `i.0`, `i.1`, ...
        """
        steps = self._session.trace(next(_samples(inputs)))
        arrays = {str(i): step.value for i, step in enumerate(steps)}
        for i, step in enumerate(steps):
            arrays |= {f"{i}.{k}": constant for k, constant in enumerate(step.constants)}
        _save(values, arrays)
        return [TracedStep(s.op, s.output, s.inputs, s.scope, len(s.constants)) for s in steps]

    def prepare(self, inputs: Mapping[str, str]) -> float:
        """Binds the first sample and returns the time of its first inference, in ms."""
        sample = next(_samples(inputs))
        # Copied into memory, so that the timed runs read no file.
        self._run = self._session.prepare({name: np.array(sample[name]) for name in sample})
        return self.time(1)[0]

    def time(self, runs: int) -> list[float]:
        """Runs the bound sample and returns the time of each run, in ms."""
        return self._session.times_ms(self._run, runs)

    def memory(self) -> Memory:
        """Resident memory so far."""
        return Memory(_peak_rss_bytes(), self._rss_before_bytes)


def _ms_since(started_ns: int) -> float:
    return (time.perf_counter_ns() - started_ns) / _NS_PER_MS


def _peak_rss_bytes() -> int:
    if not _LINUX_STATUS.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Not ru_maxrss: on Linux it starts from the size of the parent at the fork.
    line = next(x for x in _LINUX_STATUS.read_text().splitlines() if x.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _samples(paths: Mapping[str, str]) -> Iterator[dict[str, Array]]:
    # Mapped to avoid copies; copy-on-write because PyTorch rejects read-only arrays.
    loaded = {
        name: np.load(path, mmap_mode="c", allow_pickle=False) for name, path in paths.items()
    }
    for i in range(len(next(iter(loaded.values())))):
        yield {name: np.ascontiguousarray(array[i]) for name, array in loaded.items()}


def _stacked(results: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    return {name: np.stack([result[name] for result in results]) for name in results[0]}


def _numbered(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Arrays under their places: their names may not fit an archive."""
    return {str(i): value for i, value in enumerate(arrays.values())}


def _save(path: str, arrays: Mapping[str, Array]) -> None:
    with Path(path).open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def _reply(worker: Worker, line: str) -> str:
    """The reply to a request, as JSON."""
    request = json.loads(line)
    method = request.pop("method")
    try:
        return _json(Reply(unstructure(getattr(worker, method)(**request))))
    except Exception as error:  # Runtimes and parsers raise exceptions of any class.
        return _json(Reply(failure=_failed(error, method, request.get("path", ""))))


def _json(reply: Reply) -> str:
    # Not sorted: inputs and outputs are in the file's order.
    return json.dumps(unstructure(reply), allow_nan=False)


def _failed(error: Exception, method: str, path: str) -> Failed:
    loading = method in _LOADING
    kind: FailureKind = "load" if loading else "run"
    if isinstance(error, AgecompactError):
        if isinstance(error, BackendMissingError):
            kind = "missing"
        elif isinstance(error, MetadataError):
            kind = "metadata"
        what, why = error.what[:_LONGEST_REASON], error.why[:_LONGEST_REASON]
        return Failed(kind, what, why, error.fix)
    reason = f"{type(error).__name__}: {error}"[:_LONGEST_REASON].removesuffix(": ")
    return Failed(kind, f"cannot read {path}", reason) if loading else Failed(kind, reason)


def main() -> None:
    """`python -m agecompact.runtimes.worker MEMORY_BYTES`: serves requests until stdin closes."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    limit(int(sys.argv[1]))
    worker = Worker()
    for line in sys.stdin:
        print(_reply(worker, line), file=replies, flush=True)


if __name__ == "__main__":
    main()
