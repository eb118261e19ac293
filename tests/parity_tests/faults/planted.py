"""A planted fault, as data: the file, the change, and what localisation may say of it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.parity_tests.editing import Edit

INPUT = "the input"


@dataclass(frozen=True)
class Planted:
    """A fault in one artefact.

    Attributes:
        model: The model.
        file: The artefact, `<precision>.<suffix>`.
        name: What was planted.
        edit: Plants it.
        places: Where the error originates: any of these modules, or tensors of the candidate.
        causes: The causes that are true of it. Localisation may also say that it does not know;
            any other cause is wrong.
        kinds: The kinds of failure that are true of it.
    """

    model: str
    file: str
    name: str
    edit: Edit
    places: tuple[str, ...]
    causes: tuple[str, ...]
    kinds: tuple[str, ...] = ("mismatch",)

    @property
    def id(self) -> str:
        """Identifies it among all faults."""
        return f"{self.model}-{self.file}-{self.name}"
