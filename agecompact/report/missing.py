"""Which command makes what a section lacks."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def command(verb: str, root: Path, *more: str) -> str:
    """A command on the build folder, for people to copy."""
    return " ".join((verb, shlex.quote(str(root)), *more))


def lacking(files: Sequence[str], artifacts: Sequence[Any], fix: str) -> tuple[str, ...]:
    """A line about the artefacts that have no such figures; none if all have.

    Args:
        files: Names of those artefacts.
        artifacts: All artefacts.
        fix: The command that makes the figures.
    """
    if not files:
        return ()
    if len(files) == len(artifacts):
        return (f"Not measured yet: {fix}",)
    return (f"Not measured of {', '.join(files)}: {fix}",)
