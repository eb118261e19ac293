"""The ways to export a network that are tried."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agecompact.formats import FORMATS, Format, Target
from agecompact.precisions import PRECISIONS
from export import pipeline, targets
from export.int8.fallback import SHARES
from export.passes.registry import PASSES

# The only format whose instructions are counted, and whose graphs have passes.
COUNTED = FORMATS["tflite"]
# The precision whose calibrations are files, which may be released.
_INT8 = PRECISIONS["int8"]


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
        float_share: Of the multiplications of its int8, the most that compute in float32.
        without: Name of a pass of the graph that it is made without; empty for none.
    """

    name: str
    target: Target
    calibration: Path | None = None
    float_share: float = 0.0
    without: str = ""

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
        without = (self.without,) if self.without else ()
        return pipeline.Request(
            weights, wanted, out, given=given, calibration=self.calibration, without=without
        )


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
    flags: Iterable[str],
    calibration: Path | None,
    *,
    is_calibrated: bool = False,
    format_: Format = COUNTED,
) -> Candidates:
    """The candidates of a run.

    Args:
        flags: Flags of precisions, such as `fp16`; empty for all.
        calibration: Folder of face chips to calibrate with, or calibration file, absolute.
        is_calibrated: Whether the weights have a calibration without the faces: a file, or the
            released one.
        format_: The format of their files.

    Raises:
        UsageError: A flag is unknown, or the format has none of the precisions.
    """
    flags = tuple(flags) or tuple(PRECISIONS[name].flag for name in format_.offered)
    wanted = [t for t in targets.select([format_.name], flags) if t.format == format_]
    tried, left_out = [], []
    for target in wanted:
        precision = target.precision
        # Some need the faces themselves.
        known = is_calibrated and precision.calibration == "file"
        if precision.calibrated and not known and (calibration is None or is_calibrated):
            left_out.append(precision.name)
            continue
        faces = calibration if precision.calibrated else None
        tried.append(Candidate(precision.name, target, faces))
        if precision == _INT8:
            tried += _with_float(target, faces)
    if format_ == COUNTED:
        tried += _without_passes(wanted)
    return Candidates(tuple(tried), tuple(left_out))


def _with_float(target: Target, calibration: Path | None) -> Iterator[Candidate]:
    """int8 with its costliest maps in float32."""
    for share in SHARES:
        yield Candidate(f"int8, {share:.0%} float32", target, calibration, float_share=share)


def _without_passes(wanted: Iterable[Target]) -> Iterator[Candidate]:
    """Each pass left out, in the precision that shows what it buys."""
    by_name = {target.precision.name: target for target in wanted}
    for name, each in PASSES.items():
        if target := by_name.get(each.only or "float32"):
            yield Candidate(f"{target.precision.name} without {name}", target, without=name)
