"""Messages between a worker process and its caller: one JSON object a line.

A request is `{"method": ..., <argument>: ...}`, with the methods of `worker.Worker`. The answer to
it is a `Reply`. Arrays are in files that the messages name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from agecompact.runtimes.base import Interface, Placement

# `missing`: the runtime is not installed or does not run here. `load`: it does not load the file.
# `metadata`: the file loads, but its metadata is unreadable. `run`: it fails on an input. `crash`:
# the process died, or sent something that is not a reply. `timeout`: it did not reply in time.
FailureKind = Literal["missing", "load", "metadata", "run", "crash", "timeout"]


@dataclass(frozen=True)
class Failed:
    """Why a request failed.

    Attributes:
        kind: As above.
        what: What failed, or the error message of the runtime or of the operating system.
        why: The cause; empty where `what` is enough.
        fix: What fixes it; empty if unknown.
    """

    kind: FailureKind
    what: str
    why: str = ""
    fix: str = ""


@dataclass(frozen=True)
class Reply:
    """The reply to a request.

    Attributes:
        result: What the method returned, as JSON values.
        failure: Why it failed; None if it succeeded.
    """

    result: Any = None
    failure: Failed | None = None


@dataclass(frozen=True)
class Opened:
    """A file that a runtime has loaded.

    Attributes:
        init_ms: Time to load the file and make it ready.
        version: Name and version of the runtime.
        placement: Where the delegate placed the ops; None if the runtime does not report it.
        interface: Inputs and outputs of the file.
        library_bytes: Bytes that an app downloads for the runtime; None if it is not downloaded.
    """

    init_ms: float
    version: str
    placement: Placement | None
    interface: Interface
    library_bytes: int | None = None


@dataclass(frozen=True)
class Ran:
    """A run on samples.

    Attributes:
        outputs: Names of the outputs; the array of the i-th is entry `i` of the file.
        model_ms: Time spent in the runtime.
    """

    outputs: tuple[str, ...]
    model_ms: float


@dataclass(frozen=True)
class Differentiated:
    """Outputs and gradients for samples.

    Attributes:
        outputs: Names of the outputs; the array of the i-th is entry `i` of their file.
        inputs: Names of the inputs; the gradient of the i-th is entry `i` of their file.
    """

    outputs: tuple[str, ...]
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class TracedStep:
    """A `base.Step` without its arrays; `constants` is their number."""

    op: str
    output: str
    inputs: tuple[str, ...]
    scope: str
    constants: int


@dataclass(frozen=True)
class Memory:
    """Resident memory of the worker process, in bytes.

    Attributes:
        peak_rss_bytes: Peak so far, Python and the runtime's libraries included.
        rss_before_load_bytes: Peak before the model was loaded.
    """

    peak_rss_bytes: int
    rss_before_load_bytes: int
