"""A worker process with limits, and its messages: one request, one reply.

The worker holds foreign files in native code, so what it sends is foreign too: a reply that is cut
short, malformed or too long is a failure, like a crash.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from agecompact.artifacts.metadata import MetadataError
from agecompact.children import child
from agecompact.errors import AgecompactError, BackendMissingError, UsageError
from agecompact.isolation import death
from agecompact.runtimes.launching import HERE, Launcher
from agecompact.runtimes.messages import FailureKind, Reply
from agecompact.scratch import raise_if_full, scratch_folder
from agecompact.serialization import parse_json, structure, unstructure

# The largest legitimate use is PyTorch in float64 on a batch of 64 faces, which takes 1.5 GB.
MEMORY_BYTES = 4 << 30

WORKER = "agecompact.runtimes.worker"
_REPLY = "the reply of the worker process"
# A trace of thousands of ops takes less than a megabyte.
_LONGEST_REPLY_BYTES = 16 << 20
_CHUNK_BYTES = 1 << 16
# From the end of its output to the end of the process.
_GRACE_S = 5.0

_T = TypeVar("_T")


class RuntimeFailure(Exception):  # noqa: N818 - a result to record, not a user's error.
    """A runtime failed.

    Args:
        kind: See `messages.FailureKind`.
        what: What failed, or the error message of the runtime or of the operating system.
        why: The cause; empty where `what` is enough.
        fix: What fixes it; empty if unknown.

    Attributes:
        kind: As above.
        reason: What failed and why, in one line.
        fix: As above.
    """

    def __init__(self, kind: FailureKind, what: str, *, why: str = "", fix: str = "") -> None:
        self.kind = kind
        self.reason = f"{what}: {why}" if why else what
        self.fix = fix
        self._parts = what, why
        super().__init__(f"{kind}: {self.reason}")

    def as_error(self, path: object) -> AgecompactError:
        """The error for a user who named the file at `path`."""
        what, why = self._parts
        fix = self.fix or "export it again, then check it with: agecompact parity"
        if self.kind == "missing":
            return BackendMissingError(f"cannot run {path}", why=self.reason, fix=self.fix)
        if self.kind == "metadata":
            return MetadataError(what, why=why, fix=fix)
        if self.kind == "load":
            return UsageError(what, why=why, fix=fix)
        return UsageError(f"cannot run {path}", why=str(self), fix=fix)


class Channel:
    """A context manager around one worker process.

    Args:
        timeout_s: Longest wait for any one reply.
        memory_bytes: Most memory that the process may allocate, where the platform can limit it.
        launcher: The Python that runs it.

    Attributes:
        folder: For files that this process and the worker exchange; removed at the end.
    """

    folder: Path

    def __init__(
        self, *, timeout_s: float, memory_bytes: int = MEMORY_BYTES, launcher: Launcher = HERE
    ) -> None:
        self._timeout_s = timeout_s
        self._memory_bytes = memory_bytes
        self._launcher = launcher

    def __enter__(self) -> Channel:
        with ExitStack() as stack:
            self.folder = stack.enter_context(scratch_folder())
            self._log = stack.enter_context((self.folder / "stderr").open("w+b"))
            self._process = stack.enter_context(
                child(
                    [*self._launcher.module(WORKER), str(self._memory_bytes)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._log,
                    # What libraries leave there goes with the folder.
                    env={**os.environ, "TMPDIR": str(self.folder), **self._launcher.environment},
                )
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def kill(self) -> None:
        """Ends the process at once; a request that waits for it fails. Any thread may call this."""
        self._process.kill()

    def request(self, kind: type[_T], method: str, **arguments: Any) -> _T:
        """Sends a request and waits for its reply.

        Args:
            kind: Type of the result.
            method: A method of `worker.Worker`.
            arguments: Its arguments, as `unstructure` takes them.

        Raises:
            RuntimeFailure: The method failed, or no such reply came in time. Unless the worker
                itself replied, its process has ended.
        """
        message = json.dumps(unstructure({"method": method, **arguments}))
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{message}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None
        line = self._line()
        try:
            reply = parse_json(line, Reply, where=_REPLY)
            if reply.failure is None:
                return structure(reply.result, kind, where=_REPLY)
        except UsageError as error:
            raise self._broken(error.summary) from None
        raise_if_full(self.folder)
        failed = reply.failure
        raise RuntimeFailure(failed.kind, failed.what, why=failed.why, fix=failed.fix)

    def _line(self) -> bytes:
        """One reply."""
        assert self._process.stdout is not None
        deadline = time.monotonic() + self._timeout_s
        line = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    self.kill()
                    raise RuntimeFailure("timeout", f"no answer within {self._timeout_s:g} s")
                chunk = os.read(self._process.stdout.fileno(), _CHUNK_BYTES)
                if not chunk:
                    raise self._ended()
                line += chunk
                if len(line) > _LONGEST_REPLY_BYTES:
                    raise self._broken(f"{_REPLY} is longer than {_LONGEST_REPLY_BYTES:,} bytes")
        return bytes(line)

    def _broken(self, why: str) -> RuntimeFailure:
        # What it sends next would not belong to the next request.
        self.kill()
        return RuntimeFailure("crash", why)

    def _ended(self) -> RuntimeFailure:
        try:
            code = self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            return self._broken("it closed its output and still runs")
        raise_if_full(self.folder)
        return RuntimeFailure("crash", death(code, self._log, self._memory_bytes).reason)
