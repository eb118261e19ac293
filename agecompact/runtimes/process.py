"""Runs a model file in a process of its own, so that a runtime's crash is an answer, not an end."""

from __future__ import annotations

import itertools
import json
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np

from agecompact.errors import UsageError
from agecompact.formats import Runtime
from agecompact.runtimes.base import Array, Arrays, Interface, Placement, Port, Step, Trace
from agecompact.runtimes.registry import runtime_of

FailureKind = Literal["missing", "load", "run", "crash", "timeout"]

_LAST_LINES = 3


class RuntimeFailure(Exception):  # noqa: N818 - a result to record, not a user's error.
    """A runtime did not answer.

    Attributes:
        kind: `missing` (no such runtime here), `load`, `run`, `crash` (the process died) or
            `timeout`.
        reason: What the runtime, or the operating system, said of it.
        fix: What mends it, where that is known.
    """

    def __init__(self, kind: FailureKind, reason: str, fix: str = "") -> None:
        super().__init__(f"{kind}: {reason}")
        self.kind = kind
        self.reason = reason
        self.fix = fix


@dataclass(frozen=True)
class Opened:
    """What opening a file told.

    Attributes:
        init_ms: Time to load the file and make it ready.
        version: The runtime and its version.
        placement: What the delegate took, or None where the runtime does not tell.
        fixed_batch: How many images one call takes, or None where it takes any number.
        interface: What the file takes and gives.
    """

    init_ms: float
    version: str
    placement: Placement | None
    fixed_batch: int | None
    interface: Interface


@dataclass(frozen=True)
class InferenceResult:
    """What running samples gave.

    Attributes:
        outputs: By output name, arrays whose leading axis counts samples.
        model_ms: Time in the runtime, without what brought the arrays there and back.
    """

    outputs: Mapping[str, Array]
    model_ms: float


@dataclass(frozen=True)
class Staged:
    """Samples in files that a worker maps, by input name."""

    files: Mapping[str, Path]

    def to_json(self) -> dict[str, str]:
        """The files as JSON values."""
        return {name: str(path) for name, path in self.files.items()}

    def remove(self) -> None:
        """Gives their space back."""
        for path in self.files.values():
            path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Memory:
    """Resident memory of the process, bytes.

    Attributes:
        peak_rss_bytes: The most it ever held, Python and the runtime's libraries included.
        rss_before_load_bytes: What it had held at most before the model was loaded.
    """

    peak_rss_bytes: int
    rss_before_load_bytes: int


class RuntimeProcess:
    """A context manager around one worker process, which serves one model file.

    Args:
        path: The model file.
        runtime: What opens it; the one that users mean by such a file where none is given.
        threads: Threads for the runtime.
        timeout_s: Longest wait for any one reply.
    """

    def __init__(
        self,
        path: Path,
        runtime: Runtime | None = None,
        *,
        threads: int = 1,
        timeout_s: float = 120.0,
    ) -> None:
        self._path = path
        self._runtime = runtime
        self._threads = threads
        self._timeout_s = timeout_s
        self._numbers = itertools.count()

    def __enter__(self) -> RuntimeProcess:
        self._folder = tempfile.TemporaryDirectory(prefix="agecompact-")
        self._log = (Path(self._folder.name) / "stderr").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "agecompact.runtimes.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()
        self._folder.cleanup()

    def open(self) -> Opened:
        """Loads the file.

        Raises:
            RuntimeFailure: The runtime is missing, refused the file, died or took too long.
        """
        try:
            runtime = self._runtime or runtime_of(self._path)
        except UsageError as error:
            raise RuntimeFailure("load", str(error)) from None
        reply = self._ask("open", path=str(self._path), runtime=runtime.name, threads=self._threads)
        placement = Placement(**reply["placement"]) if reply["placement"] else None
        return Opened(
            reply["init_ms"],
            reply["version"],
            placement,
            reply["fixed_batch"],
            Interface(_ports(reply["interface"]["inputs"]), _ports(reply["interface"]["outputs"])),
        )

    def infer(self, samples: Arrays) -> Mapping[str, Array]:
        """Runs many samples.

        Args:
            samples: As `stage` takes them.

        Returns:
            By output name, arrays with the same leading axis.

        Raises:
            RuntimeFailure: The runtime failed, died or took too long.
        """
        return self.run(self.stage(samples)).outputs

    def stage(self, samples: Arrays) -> Staged:
        """Puts samples where `run` takes them from; any thread may, while another batch runs.

        Args:
            samples: By input name, arrays whose leading axis counts samples and whose other axes
                are those of the input, batch axis included.
        """
        files = {}
        for name, array in samples.items():
            # Numbered: an input's name may be no file's.
            path = Path(self._folder.name) / f"{next(self._numbers)}.npy"
            np.save(path, array, allow_pickle=False)
            files[name] = path
        return Staged(files)

    def run(self, staged: Staged) -> InferenceResult:
        """Runs staged samples, once.

        Raises:
            RuntimeFailure: The runtime failed, died or took too long.
        """
        outputs = Path(self._folder.name) / "outputs.npz"
        try:
            reply = self._ask("infer", inputs=staged.to_json(), outputs=str(outputs))
        finally:
            staged.remove()
        with np.load(outputs, allow_pickle=False) as arrays:
            return InferenceResult({name: arrays[name] for name in arrays.files}, reply["model_ms"])

    def trace(self, sample: Arrays) -> Trace:
        """What every op wrote on the first sample (as `stage` takes it).

        Raises:
            RuntimeFailure: The runtime failed, died or took too long.
        """
        values = Path(self._folder.name) / "values.npz"
        staged = self.stage(sample)
        try:
            reply = self._ask("trace", inputs=staged.to_json(), values=str(values))
        finally:
            staged.remove()
        with np.load(values, allow_pickle=False) as arrays:
            return tuple(
                Step(
                    op,
                    output,
                    tuple(inputs),
                    scope,
                    arrays[str(i)],
                    tuple(arrays[f"{i}.{k}"] for k in range(constants)),
                )
                for i, (op, output, inputs, scope, constants) in enumerate(reply["steps"])
            )

    def prepare(self, sample: Arrays) -> float:
        """Binds one sample (as `stage` takes it) for `time`; returns the first inference in ms."""
        staged = self.stage(sample)
        try:
            reply = self._ask("prepare", inputs=staged.to_json())
        finally:
            staged.remove()
        first_ms: float = reply["first_inference_ms"]
        return first_ms

    def time(self, runs: int) -> list[float]:
        """Latencies of `runs` inferences of the bound sample, in ms."""
        samples_ms: list[float] = self._ask("time", runs=runs)["samples_ms"]
        return samples_ms

    def memory(self) -> Memory:
        """Resident memory so far."""
        reply = self._ask("memory")
        return Memory(reply["peak_rss_bytes"], reply["rss_before_load_bytes"])

    def _ask(self, method: str, **arguments: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(json.dumps({"method": method, **arguments}), file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise self._crash() from None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(self._timeout_s):
                raise RuntimeFailure("timeout", f"no answer within {self._timeout_s:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise self._crash()
        reply: dict[str, Any] = json.loads(line)
        if not reply.pop("ok"):
            reason = ": ".join(part for part in (reply["what"], reply["why"]) if part)
            raise RuntimeFailure(reply["kind"], reason, reply["fix"])
        return reply

    def _crash(self) -> RuntimeFailure:
        code = self._process.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self._log.seek(0)
        lines = [line for line in self._log.read().splitlines() if line.strip()]
        return RuntimeFailure("crash", f"{how}: {' | '.join(lines[-_LAST_LINES:])}")


def _ports(told: Mapping[str, Any]) -> dict[str, Port]:
    return {name: Port(tuple(port["shape"]), port["dtype"]) for name, port in told.items()}
