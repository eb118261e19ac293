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

from agecompact.errors import AgecompactError, BackendMissingError, UsageError
from agecompact.formats import RUNTIMES
from agecompact.runtimes.base import Array, Session
from agecompact.runtimes.messages import Memory, Opened, TracedStep
from agecompact.runtimes.registry import load
from agecompact.serialization import unstructure

_NS_PER_MS = 1e6
_LINUX_STATUS = Path("/proc/self/status")


class Worker:
    """Holds the session between requests. Every public method is a request."""

    _session: Session
    _run: Callable[[], object]
    _rss_before_bytes: int

    def open(self, path: str, runtime: str, threads: int) -> Opened:
        """Loads the file."""
        backend = load(RUNTIMES[runtime])
        self._rss_before_bytes = _peak_rss_bytes()
        started = time.perf_counter_ns()
        self._session = backend.open_session(path, threads)
        init_ms = _ms_since(started)
        return Opened(
            init_ms, backend.version(), self._session.placement(), self._session.interface()
        )

    def infer(self, inputs: Mapping[str, str], outputs: str) -> float:
        """Runs every sample and returns the time spent in the runtime, in ms.

        Args:
            inputs: `.npy` files by input name; the leading axis counts samples.
            outputs: The `.npz` file to write.
        """
        results = []
        model_ms = 0.0
        for sample in _samples(inputs):
            started = time.perf_counter_ns()
            result = self._session.infer(sample)
            model_ms += _ms_since(started)
            results.append({name: np.array(value) for name, value in result.items()})
        _save(outputs, _stacked(results))
        return model_ms

    def differentiate(self, inputs: Mapping[str, str], outputs: str, gradients: str) -> None:
        """Runs every sample, and differentiates the sum of its outputs.

        Args:
            inputs: As in `infer`.
            outputs: The `.npz` file to write the outputs to.
            gradients: The `.npz` file to write the gradients to, by input name.
        """
        results = [self._session.differentiate(sample) for sample in _samples(inputs)]
        _save(outputs, _stacked([made for made, _ in results]))
        _save(gradients, _stacked([slopes for _, slopes in results]))

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
        times_ms = []
        for _ in range(runs):
            started = time.perf_counter_ns()
            self._run()
            times_ms.append(_ms_since(started))
        return times_ms

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


def _save(path: str, arrays: Mapping[str, Array]) -> None:
    with Path(path).open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]


def _reply(worker: Worker, request: dict[str, Any]) -> dict[str, Any]:
    method = request.pop("method")
    try:
        return {"result": getattr(worker, method)(**request)}
    except BackendMissingError as error:
        return _failure("missing", error.summary, error.fix)
    except AgecompactError as error:
        kind = "load" if isinstance(error, UsageError) and method == "open" else "run"
        return _failure(kind, error.summary, error.fix)
    except Exception as error:  # Runtimes raise exceptions of any class.
        return _failure("run", f"{type(error).__name__}: {error}")


def _failure(kind: str, reason: str, fix: str = "") -> dict[str, Any]:
    return {"failure": {"kind": kind, "reason": reason, "fix": fix}}


def main() -> None:
    """Serves requests from standard input until it closes."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    worker = Worker()
    for line in sys.stdin:
        reply = _reply(worker, json.loads(line))
        print(json.dumps(unstructure(reply)), file=replies, flush=True)


if __name__ == "__main__":
    main()
