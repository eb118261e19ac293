"""Messages between a worker process and its caller: one JSON object a line.

A request is `{"method": ..., <argument>: ...}`, with the methods of `worker.Worker`. A reply is
`{"result": ...}`, or `{"failure": ...}` with the arguments of a `RuntimeFailure`. Arrays are in
files that the messages name.
"""

from __future__ import annotations

from dataclasses import dataclass

from agecompact.runtimes.base import Interface, Placement


@dataclass(frozen=True)
class Opened:
    """A file that a runtime has loaded.

    Attributes:
        init_ms: Time to load the file and make it ready.
        version: Name and version of the runtime.
        placement: Where the delegate placed the ops; None if the runtime does not report it.
        interface: Inputs and outputs of the file.
    """

    init_ms: float
    version: str
    placement: Placement | None
    interface: Interface


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
