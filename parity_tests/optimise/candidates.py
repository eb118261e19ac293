"""The ways to export a network that are tried."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agecompact.formats import FORMATS, PRECISIONS, Target
from export import pipeline, targets

# Instructions are counted for its files only.
FORMAT = FORMATS["tflite"]


@dataclass(frozen=True)
class Candidate:
    """One way to export a network.

    What else an export may be asked for becomes a field here, part of `name`, and a part of the
    request: everything else knows a candidate by its name.

    Attributes:
        name: Its name in tables, results and folders.
        target: The artefact that it makes.
        calibration: Folder of face chips, or calibration file, that it is made with; None if it
            needs none, or for the released calibration.
    """

    name: str
    target: Target
    calibration: Path | None = None

    @property
    def is_inexact_here(self) -> bool:
        """Whether a phone computes it less exactly than this machine, which uses float32."""
        return self.target.precision.arithmetic == "float16"

    def request(self, weights: Path, out: Path, given: Path | None) -> pipeline.Request:
        """The export that makes it.

        Args:
            weights: The weights file.
            out: The build root.
            given: The file that the user named for the weights; None for released weights.
        """
        wanted = targets.select([self.target.format.name], [self.target.precision.flag])
        return pipeline.Request(weights, wanted, out, given=given, calibration=self.calibration)


@dataclass(frozen=True)
class Candidates:
    """The candidates, and what was left out.

    Attributes:
        tried: The candidates, in the order in which they are measured.
        left_out: Names of precisions that need faces to calibrate with, and there are none.
    """

    tried: tuple[Candidate, ...]
    left_out: tuple[str, ...]


def listed(
    flags: Iterable[str], calibration: Path | None, *, is_calibrated: bool = False
) -> Candidates:
    """The candidates of a run.

    Args:
        flags: Flags of precisions, such as `fp16`; empty for all.
        calibration: Folder of face chips to calibrate with, or calibration file, absolute.
        is_calibrated: Whether the weights have a released calibration.

    Raises:
        UsageError: A flag is unknown, or the format has none of the precisions.
    """
    flags = tuple(flags) or tuple(PRECISIONS[name].flag for name in FORMAT.offered)
    wanted = [t for t in targets.select([FORMAT.name], flags) if t.format == FORMAT]
    tried, left_out = [], []
    for target in wanted:
        precision = target.precision
        if precision.calibrated and calibration is None and not is_calibrated:
            left_out.append(precision.name)
            continue
        faces = calibration if precision.calibrated else None
        tried.append(Candidate(precision.name, target, faces))
    return Candidates(tuple(tried), tuple(left_out))
