"""The reference runtime: runs Core ML's ML Programs on any platform, as MIL's documentation says.

It is not Core ML, and its results are not verified on Core ML: it shows what a package computes,
not what a device makes of it. Other packages use only the names in `__all__`; see README.md.
"""

from __future__ import annotations

from agecompact.runtimes.base import Session
from agecompact.runtimes.coreml import describe, read_metadata
from agecompact.runtimes.mil.graph import ActivationRef, ConstantRef, Graph, Node, read_graph
from agecompact.runtimes.mil.tensor_types import ConstantValue

__all__ = [
    "FLOAT32",
    "ActivationRef",
    "ConstantRef",
    "ConstantValue",
    "Graph",
    "Node",
    "describe",
    "open_session",
    "read_graph",
    "read_metadata",
    "version",
]

# Increased whenever the results of a kernel change.
_VERSION = "0.1"


def open_session(path: str, threads: int) -> Session:
    """Loads an `.mlpackage`; the output of each op is rounded to its declared type.

    Raises:
        UsageError: The package is broken, or not supported.
        BackendMissingError: coremltools is not installed.
    """
    return _open(path, threads, round_to_declared=True)


def _open(path: str, threads: int, *, round_to_declared: bool) -> Session:
    # Reading a graph needs neither torch nor the kernels.
    import torch

    from agecompact.runtimes.mil import session

    torch.set_num_threads(threads)
    return session.open_session(path, round_to_declared=round_to_declared)


def version() -> str:
    """Version of the reference runtime."""
    return f"reference runtime {_VERSION} (MIL)"


class _Float32:
    """This runtime with float32 arithmetic throughout.

    It uses the weights of a float16 package as they are stored, but rounds no output of an op. The
    remaining error is that of the weights alone.
    """

    read_metadata = staticmethod(read_metadata)
    describe = staticmethod(describe)

    def open_session(self, path: str, threads: int) -> Session:
        return _open(path, threads, round_to_declared=False)

    def version(self) -> str:
        return f"reference runtime {_VERSION} (MIL, float32 arithmetic)"


FLOAT32 = _Float32()
