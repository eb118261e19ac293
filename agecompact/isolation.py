"""Runs a function on foreign data in a process of its own, with limits.

A native parser may crash, hang or allocate without end on a damaged or hostile file. In a process
of its own that is only a failure to report. It is not a sandbox: the process has the user's rights.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from typing import IO, Any, Literal

from agecompact.children import child
from agecompact.errors import AgecompactError
from agecompact.imports import module_command, resolve
from agecompact.scratch import raise_if_full, temporary_files
from agecompact.serialization import unstructure

FailureKind = Literal["error", "crash", "timeout", "memory"]

_LAST_LINES = 3
_LOG_TAIL_BYTES = 4096
# What C++ prints when an allocation fails and nothing catches that.
_OUT_OF_MEMORY = "bad_alloc"


class IsolationFailure(Exception):  # noqa: N818 - a result to record, not a user's error.
    """A function failed in its process.

    Attributes:
        kind: `error` (it raised an exception), `crash` (its process died), `timeout` or `memory`
            (it reached a limit).
        reason: What happened, for people.
    """

    def __init__(self, kind: FailureKind, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


def limit_memory(limit_bytes: int) -> None:
    """Limits the memory that this process may allocate; further allocations fail.

    The limit covers the heap and private writable mappings of the whole process, libraries
    included, but not files that are mapped to be read. It cannot be raised again. Only Linux has
    such a limit: elsewhere this does nothing.

    Args:
        limit_bytes: Most bytes that may be allocated at a time.
    """
    if sys.platform == "linux":
        _lower(resource.RLIMIT_DATA, limit_bytes)


def limit(memory_bytes: int) -> None:
    """Limits the memory of this process, as `limit_memory`, and the size of a file it writes.

    A flood of messages must not fill the disk.
    """
    limit_memory(memory_bytes)
    _lower(resource.RLIMIT_FSIZE, memory_bytes)


def call(reference: str, *arguments: Any, seconds: float, memory_bytes: int) -> Any:
    """Calls a function in a new process.

    Args:
        reference: The function, `module:function`. What it prints is discarded.
        arguments: JSON values, dataclasses or paths; it receives paths as text.
        seconds: Longest time that it may take, its imports included.
        memory_bytes: As in `limit_memory`; also the most bytes that it may write to one file.

    Returns:
        What it returns, as JSON values.

    Raises:
        IsolationFailure: It raised an exception, crashed or reached a limit.
        AgecompactError: It raised this error.
    """
    request = json.dumps(unstructure([reference, list(arguments), memory_bytes]))
    with tempfile.TemporaryFile() as reply, tempfile.TemporaryFile() as log:
        with child(
            module_command(__name__),
            stdin=subprocess.PIPE,
            stdout=reply,
            stderr=log,
            # Threads of numerical libraries would take memory on a machine with many cores.
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        ) as process:
            try:
                process.communicate(request.encode(), seconds)
            except subprocess.TimeoutExpired:
                raise IsolationFailure("timeout", f"it took longer than {seconds:g} s") from None
        if process.returncode != 0:
            raise_if_full(temporary_files())
            raise death(process.returncode, log, memory_bytes)
        reply.seek(0)
        outcome = json.loads(reply.read())
    if "raised" in outcome:
        raise resolve(outcome["raised"])(outcome["what"], why=outcome["why"], fix=outcome["fix"])
    if "failure" in outcome:
        raise IsolationFailure(outcome["failure"], outcome["reason"])
    return outcome["result"]


def _lower(limit: int, value: int) -> None:
    _, highest = resource.getrlimit(limit)
    value = value if highest == resource.RLIM_INFINITY else min(value, highest)
    resource.setrlimit(limit, (value, value))


def death(code: int, log: IO[bytes], memory_bytes: int) -> IsolationFailure:
    """The failure of a process that ended by itself.

    Args:
        code: Its return code, as `subprocess` reports it.
        log: What it printed; the last lines are part of the reason.
        memory_bytes: Its limit.
    """
    log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
    text = log.read().decode(errors="replace")
    if _OUT_OF_MEMORY in text:
        return IsolationFailure("memory", _too_much(memory_bytes))
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    last = [line.strip() for line in text.splitlines() if line.strip()][-_LAST_LINES:]
    return IsolationFailure("crash", " | ".join([f"its process ended with {how}", *last]))


def _too_much(memory_bytes: int) -> str:
    return f"it needs more than {memory_bytes / 1e6:,.0f} MB of memory"


def _outcome(reference: str, arguments: list[Any], memory_bytes: int) -> dict[str, Any]:
    try:
        return {"result": unstructure(resolve(reference)(*arguments))}
    except AgecompactError as error:
        kind = type(error)
        reference = f"{kind.__module__}:{kind.__qualname__}"
        return {"raised": reference, "what": error.what, "why": error.why, "fix": error.fix}
    except MemoryError:
        return {"failure": "memory", "reason": _too_much(memory_bytes)}
    except Exception as error:  # Parsers raise exceptions of any class on damaged files.
        return {"failure": "error", "reason": f"{type(error).__name__}: {error}"}


def _main() -> None:
    # Libraries print to standard output, so the reply goes to a copy of it.
    reply = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    reference, arguments, memory_bytes = json.load(sys.stdin)
    limit(memory_bytes)
    with reply:
        json.dump(_outcome(reference, arguments, memory_bytes), reply)


if __name__ == "__main__":
    _main()
