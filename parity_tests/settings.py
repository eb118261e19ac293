"""How artefacts are checked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from parity_tests import tolerances
from parity_tests.search import Budget
from parity_tests.tolerances import Tolerances

if TYPE_CHECKING:
    from agecompact.data.face import Target
    from parity_tests.task import LabelledFaces

Localise = Literal["never", "mismatch", "always"]


@dataclass(frozen=True)
class CheckSettings:
    """How to check.

    Attributes:
        tolerances: The gates.
        images: The user's own face chips, checked in addition to the standard inputs.
        budget: How long to search for a worse input; None skips the search.
        localise: When to look for the op where an error originates.
        labelled: Labelled faces for the end-task gate, by target; empty skips the gate.
        compute_units: Compute units for Core ML, keys of `formats.COMPUTE_UNITS`. On a Mac without
            a Neural Engine, a unit that includes it may hang.
        runtimes: Names of the runtimes to check in, keys of `formats.RUNTIMES`; empty for the usual
            ones.
        everywhere: Whether the usual ones include those of other processors and of browsers.
        timeout_s: Longest wait for one reply of a runtime.
        float64_s: Longest time that float64 may take for one input of an ONNX reference, and after
            which it starts no other; None skips it.
        threads: Threads for each runtime.
        jobs: How many artefacts are checked at once.
    """

    tolerances: Tolerances = field(default_factory=tolerances.load)
    images: tuple[Path, ...] = ()
    budget: Budget | None = Budget()  # noqa: RUF009 - frozen.
    localise: Localise = "mismatch"
    labelled: Mapping[Target, LabelledFaces] = field(default_factory=dict)
    compute_units: tuple[str, ...] = ("cpuOnly",)
    runtimes: tuple[str, ...] = ()
    everywhere: bool = False
    timeout_s: float = 120.0
    float64_s: float | None = 30.0
    threads: int = 1
    jobs: int = os.cpu_count() or 1
