"""Runs a model file in a separate process, so that a crash of its runtime is just a result."""

from __future__ import annotations

import itertools
import json
import os
import selectors
import signal
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from agecompact.children import child
from agecompact.errors import UsageError
from agecompact.files import save_array
from agecompact.formats import Runtime
from agecompact.imports import module_command
from agecompact.runtimes.base import Array, Arrays, Step, Trace
from agecompact.runtimes.messages import Memory, Opened, TracedStep
from agecompact.runtimes.registry import runtime_of
from agecompact.scratch import raise_if_full, scratch_folder
from agecompact.serialization import structure, unstructure

# Samples in files that a worker maps, by input name.
Staged = Mapping[str, Path]

FailureKind = Literal["missing", "load", "run", "crash", "timeout"]

_LAST_LINES = 3
_REPLY = "the reply of the worker process"


class RuntimeFailure(Exception):  # noqa: N818 - a result to record, not a user's error.
    """A runtime failed.

    Attributes:
        kind: `missing` (the runtime is not installed or does not run here), `load`, `run`, `crash`
            (the process died) or `timeout`.
        reason: The error message of the runtime or of the operating system.
        fix: What fixes it; empty if unknown.
    """

    def __init__(self, kind: FailureKind, reason: str, fix: str = "") -> None:
        super().__init__(f"{kind}: {reason}")
        self.kind = kind
        self.reason = reason
        self.fix = fix


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

    Every method that sends a request raises `RuntimeFailure` if the runtime is missing, fails,
    crashes or takes too long.
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
        with ExitStack() as stack:
            self._folder = stack.enter_context(scratch_folder())
            self._log = stack.enter_context((self._folder / "stderr").open("w+"))
            self._process = stack.enter_context(
                child(
                    module_command("agecompact.runtimes.worker"),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._log,
                    text=True,
                    # What libraries leave there goes with the folder.
                    env={**os.environ, "TMPDIR": str(self._folder)},
                )
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def open(self) -> Opened:
        """Loads the file."""
        try:
            runtime = self._runtime or runtime_of(self._path)
        except UsageError as error:
            raise RuntimeFailure("load", str(error)) from None
        result = self._request("open", path=self._path, runtime=runtime.name, threads=self._threads)
        return structure(result, Opened, where=_REPLY)

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
        outputs = self._folder / "outputs.npz"
        model_ms = self._request_with(staged, "infer", outputs=outputs)
        with np.load(outputs, allow_pickle=False) as arrays:
            return InferenceResult({name: arrays[name] for name in arrays.files}, model_ms)

    def differentiate(self, samples: Arrays) -> tuple[Mapping[str, Array], Mapping[str, Array]]:
        """Runs many samples (as in `stage`), and differentiates the sum of each one's outputs.

        Returns:
            Arrays by output name, and gradients by input name, all with the same leading axis.
        """
        folder = Path(self._folder.name)
        outputs, gradients = folder / "outputs.npz", folder / "gradients.npz"
        self._request_with(
            self.stage(samples), "differentiate", outputs=outputs, gradients=gradients
        )
        with np.load(outputs, allow_pickle=False) as made:
            results = {name: made[name] for name in made.files}
        with np.load(gradients, allow_pickle=False) as made:
            return results, {name: made[name] for name in made.files}

    def trace(self, sample: Arrays) -> Trace:
        """The steps of one inference, on the first sample (as in `stage`)."""
        values = self._folder / "values.npz"
        result = self._request_with(self.stage(sample), "trace", values=values)
        steps = structure(result, list[TracedStep], where=_REPLY)
        with np.load(values, allow_pickle=False) as arrays:
            return tuple(
                Step(
                    step.op,
                    step.output,
                    step.inputs,
                    step.scope,
                    arrays[str(i)],
                    tuple(arrays[f"{i}.{k}"] for k in range(step.constants)),
                )
                for i, step in enumerate(steps)
            )

    def prepare(self, sample: Arrays) -> float:
        """Binds one sample (as in `stage`) for `time`; returns the first inference in ms."""
        return float(self._request_with(self.stage(sample), "prepare"))

    def time(self, runs: int) -> list[float]:
        """Latencies of `runs` inferences of the bound sample, in ms."""
        return list(self._request("time", runs=runs))

    def memory(self) -> Memory:
        """Resident memory so far."""
        return structure(self._request("memory"), Memory, where=_REPLY)

    def _request_with(self, staged: Staged, method: str, **arguments: Any) -> Any:
        try:
            return self._request(method, inputs=staged, **arguments)
        finally:
            for path in staged.values():
                path.unlink(missing_ok=True)

    def _request(self, method: str, **arguments: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = json.dumps(unstructure({"method": method, **arguments}))
        try:
            print(request, file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise self._crash() from None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(self._timeout_s):
                raise RuntimeFailure("timeout", f"no answer within {self._timeout_s:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise self._crash()
        reply = json.loads(line)
        if "failure" in reply:
            raise_if_full(self._folder)
            raise RuntimeFailure(**reply["failure"])
        return reply["result"]

    def _crash(self) -> RuntimeFailure:
        code = self._process.wait()
        raise_if_full(self._folder)
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self._log.seek(0)
        lines = [line for line in self._log.read().splitlines() if line.strip()]
        return RuntimeFailure("crash", f"{how}: {' | '.join(lines[-_LAST_LINES:])}")
