"""How artefacts are checked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from parity_tests import tolerances
from parity_tests.search import Budget
from parity_tests.task import Labelled
from parity_tests.tolerances import Tolerances

if TYPE_CHECKING:
    from agecompact.data.face import Target

Localise = Literal["never", "mismatch", "always"]


@dataclass(frozen=True)
class Plan:
    """How to check.

    Attributes:
        tolerances: The gates.
        images: The user's own face chips, asked besides the standard inputs.
        budget: Of the search for the worst input; None leaves it out.
        localise: When to look for the op where an error is born.
        labelled: Labelled faces for the end-task gate, by what is known of them; none leave it out.
        compute_units: Of a real Core ML, keys of `formats.COMPUTE_UNITS`; a Mac without a Neural
            Engine may hang on what names one.
        timeout_s: Longest wait for any one answer of a runtime.
        threads: Threads for each runtime.
        jobs: Artefacts checked at once.
    """

    tolerances: Tolerances = field(default_factory=tolerances.load)
    images: tuple[Path, ...] = ()
    budget: Budget | None = Budget()  # noqa: RUF009 - frozen.
    localise: Localise = "mismatch"
    labelled: Mapping[Target, Labelled] = field(default_factory=dict)
    compute_units: tuple[str, ...] = ("cpuOnly",)
    timeout_s: float = 120.0
    threads: int = 1
    jobs: int = os.cpu_count() or 1
