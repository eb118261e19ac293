"""A check, what it finds, and the registry of all checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from agecompact.errors import AgecompactError, BackendMissingError, first_line
from agecompact.imports import resolve


@dataclass(frozen=True)
class Check:
    """A part of the machine that some verbs need.

    Attributes:
        name: Its name.
        probe: Says in a few words what is there; raises the `AgecompactError` that a verb would
            raise if something is missing.
        costs: What does not work without it.
        core: Whether `export`, `parity` and `predict` need it, whatever the format.
    """

    name: str
    probe: Callable[[], str]
    costs: tuple[str, ...]
    core: bool = False


@dataclass(frozen=True)
class Settings:
    """How closely to look.

    Attributes:
        thorough: Whether to import the packages of extras too, which takes half a minute.
    """

    thorough: bool = False


@dataclass(frozen=True)
class Finding:
    """The result of a check.

    Attributes:
        check: The check.
        found: What is there; empty if something is missing.
        problem: What is missing, why, and the command that cures it; None if nothing is.
    """

    check: Check
    found: str = ""
    problem: AgecompactError | None = None


# `module:function` of what makes checks for `Settings`. The places of `bench` bring their own: see
# `agecompact.bench.drivers`.
SOURCES = (
    "agecompact.diagnosis.packages:checks",
    "agecompact.diagnosis.pictures:checks",
    "agecompact.diagnosis.places:checks",
)


def checks(settings: Settings) -> Iterator[Check]:
    """Yields all checks, the core ones first.

    A source that a broken installation keeps from being imported is a check that fails.
    """
    for source in SOURCES:
        try:
            yield from resolve(source)(settings)
        except ImportError as error:
            yield Check(source.partition(":")[0], _failing(error), ("what it would check",))


def examine(check: Check) -> Finding:
    """Runs a check."""
    try:
        return Finding(check, check.probe())
    except AgecompactError as error:
        return Finding(check, problem=error)
    except ImportError as error:
        return Finding(check, problem=_unchecked(error))


def _failing(error: ImportError) -> Callable[[], str]:
    def probe() -> str:
        raise _unchecked(error)

    return probe


def _unchecked(error: ImportError) -> BackendMissingError:
    return BackendMissingError(
        "it cannot be checked", why=first_line(error), fix="cure the packages above first"
    )
