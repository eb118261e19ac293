"""The reference runtime: runs Core ML's ML Programs on any platform, as MIL's documentation says.

It is not Core ML, and its results are not verified on Core ML: it shows what a package computes,
not what a device makes of it. Other packages use only the names in `__all__`; see README.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from agecompact.runtimes.base import Session
from agecompact.runtimes.coreml import PackageBackend
from agecompact.runtimes.mil.constants import ConstantRef
from agecompact.runtimes.mil.graph import ActivationRef, Graph, Node, read_graph
from agecompact.runtimes.mil.program import read_main
from agecompact.runtimes.mil.tensor_types import ConstantValue

__all__ = [
    "FLOAT32",
    "MIL",
    "ActivationRef",
    "ConstantRef",
    "ConstantValue",
    "Graph",
    "Node",
    "read_graph",
    "read_main",
]

# Increased whenever the results of a kernel change.
_VERSION = "0.1"


@dataclass(frozen=True)
class _ReferenceRuntime(PackageBackend):
    """The reference runtime.

    Attributes:
        round_to_declared: Whether to round the output of each op to its declared type.
        label: The arithmetic, for people.
    """

    round_to_declared: bool
    label: str

    def open_session(self, path: str, threads: int) -> Session:
        # Reading a graph needs neither torch nor the kernels.
        import torch

        from agecompact.runtimes.mil import session

        torch.set_num_threads(threads)
        return session.open_session(path, round_to_declared=self.round_to_declared)

    def version(self) -> str:
        return f"reference runtime {_VERSION} ({self.label})"


MIL = _ReferenceRuntime(round_to_declared=True, label="MIL")
# Uses the weights of a float16 package as they are stored, but rounds no output of an op. The
# remaining error is that of the weights alone.
FLOAT32 = _ReferenceRuntime(round_to_declared=False, label="MIL, float32 arithmetic")
