"""The progress of a calibration."""

from __future__ import annotations

from collections.abc import Callable

# Is told how many ops are done, and of how many.
Step = Callable[[int, int], None]
UNTOLD: Step = lambda done, of: None  # noqa: ARG005, E731
