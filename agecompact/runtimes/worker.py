"""The far side of `agecompact.runtimes.process`: one file, one runtime, in a process of its own.

Requests and replies are JSON objects, one a line; arrays travel as files. The runtimes print to
standard output as they please, so the replies go through a copy of it made before they load.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from agecompact.errors import AgecompactError, BackendMissingError, UsageError
from agecompact.formats import RUNTIMES
from agecompact.runtimes.base import Array, Session
from agecompact.runtimes.registry import load

_NS_PER_MS = 1e6
_LINUX_STATUS = Path("/proc/self/status")


def _peak_rss_bytes() -> int:
    if not _LINUX_STATUS.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Not ru_maxrss: on Linux that starts from the parent's size at the fork.
    line = next(x for x in _LINUX_STATUS.read_text().splitlines() if x.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


class _Worker:
    """Holds the session between requests."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._run: Callable[[], None] | None = None
        self._rss_before_bytes = 0

    def open(self, path: str, runtime: str, threads: int) -> dict[str, Any]:
        backend = load(RUNTIMES[runtime])
        self._rss_before_bytes = _peak_rss_bytes()
        started = time.perf_counter_ns()
        self._session = backend.open_session(path, threads)
        init_ms = (time.perf_counter_ns() - started) / _NS_PER_MS
        placement = self._session.placement()
        return {
            "init_ms": init_ms,
            "version": backend.version(),
            "fixed_batch": self._session.fixed_batch(),
            "placement": asdict(placement) if placement else None,
            "interface": asdict(self._session.interface()),
        }

    def infer(self, inputs: Mapping[str, str], outputs: str) -> dict[str, Any]:
        """Runs every sample of `.npy` files, whose arrays carry the samples on a leading axis."""
        assert self._session is not None
        collected: dict[str, list[Array]] = {}
        spent_ns = 0
        for sample in _samples(inputs):
            started = time.perf_counter_ns()
            answers = self._session.infer(sample)
            spent_ns += time.perf_counter_ns() - started
            for name, value in answers.items():
                collected.setdefault(name, []).append(np.array(value))
        with Path(outputs).open("wb") as stream:
            np.savez(stream, **{name: np.stack(values) for name, values in collected.items()})  # type: ignore[arg-type]
        return {"model_ms": spent_ns / _NS_PER_MS}

    def trace(self, inputs: Mapping[str, str], values: str) -> dict[str, Any]:
        """Runs the first sample and keeps what every op wrote."""
        assert self._session is not None
        steps = self._session.trace(next(_samples(inputs)))
        arrays = {str(i): step.value for i, step in enumerate(steps)}
        for i, step in enumerate(steps):
            arrays |= {f"{i}.{k}": constant for k, constant in enumerate(step.constants)}
        with Path(values).open("wb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]
        told = [(s.op, s.output, s.inputs, s.scope, len(s.constants)) for s in steps]
        return {"steps": told}

    def prepare(self, inputs: Mapping[str, str]) -> dict[str, Any]:
        """Binds the first sample and runs it once: the first inference, with its lazy set-up."""
        assert self._session is not None
        sample = next(_samples(inputs))
        # In memory: what is timed must not read a file.
        self._run = self._session.prepare({name: np.array(sample[name]) for name in sample})
        return {"first_inference_ms": self.time(1)["samples_ms"][0]}

    def time(self, runs: int) -> dict[str, Any]:
        assert self._run is not None
        samples_ms = []
        for _ in range(runs):
            started = time.perf_counter_ns()
            self._run()
            samples_ms.append((time.perf_counter_ns() - started) / _NS_PER_MS)
        return {"samples_ms": samples_ms}

    def memory(self) -> dict[str, Any]:
        return {
            "peak_rss_bytes": _peak_rss_bytes(),
            "rss_before_load_bytes": self._rss_before_bytes,
        }


def _samples(paths: Mapping[str, str]) -> Iterator[dict[str, Array]]:
    # Mapped, so that no image is copied; copy on write, because PyTorch refuses what is read-only.
    loaded = {
        name: np.load(path, mmap_mode="c", allow_pickle=False) for name, path in paths.items()
    }
    for i in range(len(next(iter(loaded.values())))):
        yield {name: np.ascontiguousarray(array[i]) for name, array in loaded.items()}


def _serve(requests: TextIO, replies: TextIO) -> None:
    worker = _Worker()
    for line in requests:
        request = json.loads(line)
        name = request.pop("method")
        method = getattr(worker, name)
        try:
            reply = {"ok": True, **method(**request)}
        except AgecompactError as error:
            reply = {
                "ok": False,
                "kind": _kind_of(error, name),
                "what": error.what,
                "why": error.why,
                "fix": error.fix,
            }
        except Exception as error:  # Runtimes raise what they like; the far side names the failure.
            reply = {
                "ok": False,
                "kind": "run",
                "what": f"{type(error).__name__}: {error}",
                "why": "",
                "fix": "",
            }
        print(json.dumps(reply), file=replies, flush=True)


def _kind_of(error: AgecompactError, method: str) -> str:
    if isinstance(error, BackendMissingError):
        return "missing"
    return "load" if isinstance(error, UsageError) and method == "open" else "run"


def main() -> None:
    """Serves requests from standard input until it closes."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    _serve(sys.stdin, replies)


if __name__ == "__main__":
    main()
