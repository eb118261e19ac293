"""The measurement that the Swift runner is asked for, from the settings of every driver."""

from __future__ import annotations

from dataclasses import dataclass

from agecompact.bench.drivers import Settings
from agecompact.errors import unknown_name
from agecompact.formats import COMPUTE_UNITS

# Each process measures one artefact, so rounds only set the number of inferences. The default of
# 20 rounds gives the thousand inferences of MLPerf Mobile.
_RUNS_PER_ROUND = 50


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to measure and how.

    Attributes:
        compute_units: Core ML's names, each measured in a process of its own.
        device: Identifier, UDID or name of a phone; None for the only one.
        runs: Number of timed inferences.
        warmup_runs: Number of untimed inferences before.
        timeout_s: Limit for one compute unit.
    """

    compute_units: tuple[str, ...] = tuple(COMPUTE_UNITS)
    device: str | None = None
    runs: int = 20 * _RUNS_PER_ROUND
    warmup_runs: int = 10
    # GitHub's runners hang on some compute units; a model of this size finishes within seconds.
    timeout_s: int = 300

    def arguments(self, package: str, unit: str, *, out: str, golden: str | None) -> list[str]:
        """Returns the runner's arguments.

        Args:
            package: Path of the package.
            unit: Compute unit.
            out: Path of the record to write.
            golden: Path of the golden pack; None without one.
        """
        arguments = [package, "--out", out, "--compute-unit", unit, "--runs", str(self.runs)]
        arguments += ["--warmup", str(self.warmup_runs), "--timeout", str(self.timeout_s)]
        return arguments + (["--golden", golden] if golden else [])


def of_mac(settings: Settings) -> Request:
    """Returns the request of `--on mac[:UNIT,...]`.

    Raises:
        UsageError: An unknown compute unit.
    """
    return Request(
        compute_units=_units(settings.place or ""), runs=settings.rounds * _RUNS_PER_ROUND
    )


def of_device(settings: Settings) -> Request:
    """Returns the request of `--on ios[:DEVICE[/UNIT,...]]`.

    Raises:
        UsageError: An unknown compute unit.
    """
    device, _, units = (settings.place or "").partition("/")
    return Request(
        compute_units=_units(units),
        device=device or None,
        runs=settings.rounds * _RUNS_PER_ROUND,
    )


def _units(names: str) -> tuple[str, ...]:
    units = tuple(names.split(",")) if names else tuple(COMPUTE_UNITS)
    for unit in units:
        if unit not in COMPUTE_UNITS:
            raise unknown_name("compute unit", unit, COMPUTE_UNITS)
    return units
