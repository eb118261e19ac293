"""The reference runtime with float32 arithmetic throughout.

A float16 package's weights are used as they are stored, but nothing that an op writes is rounded:
what is left of the error is that of the weights alone.
"""

from __future__ import annotations

import torch

from agecompact.runtimes.coreml import describe, read_metadata
from agecompact.runtimes.mil import VERSION
from agecompact.runtimes.mil.session import MilSession

__all__ = ["describe", "open_session", "read_metadata", "version"]


def open_session(path: str, threads: int) -> MilSession:
    """Loads an `.mlpackage` and finds a kernel for each of its ops.

    Raises:
        UsageError: It is broken, or holds what the reference runtime does not run.
        BackendMissingError: coremltools is not installed.
    """
    torch.set_num_threads(threads)
    return MilSession(path, round_to_declared=False)


def version() -> str:
    """Version of the reference runtime."""
    return f"reference runtime {VERSION} (MIL, float32 arithmetic)"
