"""What a bench of Core ML is asked for, out of what every harness is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from agecompact.errors import unknown_name

COMPUTE_UNITS = ("cpuOnly", "cpuAndGPU", "cpuAndNeuralEngine", "all")

# Of one process, as no artefact is timed in turn with another here: with the host's 20 rounds,
# MLPerf Mobile's thousand inferences.
_RUNS_PER_ROUND = 50
_WARMUP_RUNS = 10
# Runners of GitHub hang on some compute units; a model of this size answers within seconds.
_TIMEOUT_S = 300


class Settings(Protocol):
    """What the verb `bench` hands to every harness, as far as this one looks at it."""

    @property
    def rounds(self) -> int:
        """Rounds of inferences."""
        ...

    @property
    def place(self) -> str | None:
        """What follows the colon of `--on`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to measure and how.

    Attributes:
        compute_units: Core ML's names, each measured in a process of its own.
        device: Identifier, UDID or name of a phone; None for the only one there is.
        runs: Timed inferences.
        warmup_runs: Untimed ones before.
        timeout_s: After which a compute unit is given up.
    """

    compute_units: tuple[str, ...] = COMPUTE_UNITS
    device: str | None = None
    runs: int = 20 * _RUNS_PER_ROUND
    warmup_runs: int = _WARMUP_RUNS
    timeout_s: int = _TIMEOUT_S


def of_mac(settings: Settings) -> Request:
    """The request of `--on mac[:UNIT,...]`.

    Raises:
        UsageError: An unknown compute unit.
    """
    return Request(compute_units=_units(settings, settings.place), runs=_runs(settings))


def of_device(settings: Settings) -> Request:
    """The request of `--on ios[:DEVICE[/UNIT,...]]`.

    Raises:
        UsageError: An unknown compute unit.
    """
    device, _, units = (settings.place or "").partition("/")
    return Request(
        compute_units=_units(settings, units or None),
        device=device or None,
        runs=_runs(settings),
    )


def _runs(settings: Settings) -> int:
    return settings.rounds * _RUNS_PER_ROUND


def _units(settings: Settings, named: str | None) -> tuple[str, ...]:
    # `--compute-unit` concerns Core ML alone, so the settings of other harnesses may lack it.
    asked: tuple[str, ...] = getattr(settings, "compute_units", ())
    if named is not None:
        asked = tuple(named.split(","))
    for unit in asked:
        if unit not in COMPUTE_UNITS:
            raise unknown_name("compute unit", unit, COMPUTE_UNITS)
    return asked or COMPUTE_UNITS
