"""The reference runtime: runs Core ML's ML Programs anywhere, as MIL's documentation defines them.

It is not Core ML, and what it finds is not verified on Core ML: it shows what a package means, not
what a device makes of it. What an op writes is rounded to the type that the file declares of it.
"""

from __future__ import annotations

import torch

from agecompact.runtimes.coreml import describe, read_metadata
from agecompact.runtimes.mil.session import MilSession

__all__ = ["FLOAT32", "VERSION", "describe", "open_session", "read_metadata", "version"]

# Counts up when a kernel's results change.
VERSION = "0.1"


def open_session(path: str, threads: int) -> MilSession:
    """Loads an `.mlpackage` and finds a kernel for each of its ops.

    Raises:
        UsageError: It is broken, or holds what the reference runtime does not run.
        BackendMissingError: coremltools is not installed.
    """
    return _open(path, threads, round_to_declared=True)


def _open(path: str, threads: int, *, round_to_declared: bool) -> MilSession:
    torch.set_num_threads(threads)
    return MilSession(path, round_to_declared=round_to_declared)


def version() -> str:
    """Version of the reference runtime."""
    return f"reference runtime {VERSION} (MIL)"


class _Float32:
    """This runtime with float32 arithmetic throughout.

    A float16 package's weights are used as they are stored, but nothing that an op writes is
    rounded: what is left of the error is that of the weights alone.
    """

    read_metadata = staticmethod(read_metadata)
    describe = staticmethod(describe)

    def open_session(self, path: str, threads: int) -> MilSession:
        return _open(path, threads, round_to_declared=False)

    def version(self) -> str:
        return f"reference runtime {VERSION} (MIL, float32 arithmetic)"


FLOAT32 = _Float32()
