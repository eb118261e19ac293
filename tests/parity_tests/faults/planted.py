"""A planted fault, as data: the file, the change, and what localisation may say of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from tests.parity_tests.editing import Edit

# The place of a fault in what the network reads.
INPUT = "input"

# Causes that are true of many faults.
REPLACED = ("activation replaced",)
WEIGHTS = ("weights differ",)
RANGE = ("value range / mean / std",)


@dataclass(frozen=True)
class Planted:
    """A fault in one artefact.

    Attributes:
        model: The model.
        file: The artefact, `<precision>.<suffix>`.
        name: What was planted.
        edit: Plants it.
        places: Where the error originates: any of these modules, or tensors of the candidate.
        causes: The causes that are true of it. Localisation may also describe what it observes, or
            say that it does not know; any other cause is wrong.
        kinds: The kinds of failure that are true of it.
    """

    model: str
    file: str
    name: str
    edit: Edit
    places: frozenset[str]
    causes: frozenset[str]
    kinds: frozenset[str]

    @property
    def id(self) -> str:
        """Identifies it among all faults."""
        return f"{self.model} {self.file}: {self.name}"


class Plant(Protocol):
    """Makes a fault of one artefact; `places` are separated by `|`."""

    def __call__(
        self,
        name: str,
        edit: Any,
        places: str,
        causes: tuple[str, ...],
        kinds: tuple[str, ...] = ("mismatch",),
        /,
    ) -> Planted: ...


def _itself(edit: Edit) -> Edit:
    return edit


def planter(model: str, file: str, wrap: Callable[[Any], Edit] = _itself) -> Plant:
    """What plants faults in one artefact.

    Args:
        model: The model.
        file: The artefact, `<precision>.<suffix>`.
        wrap: Makes an edit of a file of an edit of what it holds.
    """

    def plant(
        name: str,
        edit: Any,
        places: str,
        causes: tuple[str, ...],
        kinds: tuple[str, ...] = ("mismatch",),
        /,
    ) -> Planted:
        where = frozenset(places.split("|")) - {""}
        return Planted(model, file, name, wrap(edit), where, frozenset(causes), frozenset(kinds))

    return plant
