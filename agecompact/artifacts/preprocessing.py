"""`preprocessing.json`: how far answers move if an app prepares faces wrongly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from agecompact.artifacts.confined import FileName, regular
from agecompact.checked import AtLeastOne, Checked, Count, NotNegative, Sha256, Text
from agecompact.files import pretty_json, updated_path
from agecompact.serialization import read_versioned, structure, unstructure

FILE_NAME = "preprocessing.json"
# In the card of weights: a `Record`.
CARD_SECTION = "preprocessing"

_FIX = "measure it again: agecompact preprocessing"

Figure = Literal["mae", "accuracy"]


@dataclass(frozen=True, kw_only=True)
class Cost(Checked):
    """What a mistake costs.

    Attributes:
        mistake: Its name, see `agecompact.evaluation.mistakes`.
        kind: What it concerns.
        text: What the app does, to follow "if an app".
        mean: Mean distance from the right answer, in its unit; None if no answer is finite.
        p99: 99th percentile, likewise.
        greatest: Greatest, likewise.
        change: Change of the figure on labels; None without labels, or with `not_finite` answers.
        not_finite: Number of faces whose answer is NaN or infinite, which the others leave out.
    """

    mistake: Text
    kind: Text
    text: Text
    mean: NotNegative | None
    p99: NotNegative | None
    greatest: NotNegative | None
    change: float | None = None
    not_finite: Count = 0


@dataclass(frozen=True, kw_only=True)
class Record(Checked):
    """What was measured of a file.

    Attributes:
        file: Its name: weights, or an artefact.
        sha256: Its hash.
        weights_sha256: Hash of the weights that it was made from.
        contract_sha256: Hash of its contract.
        runtime: What ran it, with its version.
        versions: Versions of the libraries that made the inputs.
        output: Name of the output that was compared.
        unit: Unit of the distances.
        dataset: Id of the data set; None for a folder of face chips without labels.
        part: The part of its split, or `all`, likewise.
        split_sha256: Hash of the split; None for a folder, or the whole of a data set with several
            folds.
        faces: Number of faces.
        faces_sha256: Hash of the faces and their labels.
        figure: What the labels say: the mean absolute error, or the accuracy of genders; None
            without labels.
        right: That figure with the right inputs, likewise.
        costs: What each mistake costs.
    """

    SCHEMA_VERSION: ClassVar[int] = 1

    file: FileName
    sha256: Sha256
    weights_sha256: Sha256
    contract_sha256: Sha256
    runtime: Text
    versions: Mapping[str, Text]
    output: Text
    unit: Text
    dataset: Text | None
    part: Text | None
    split_sha256: Sha256 | None
    faces: AtLeastOne
    faces_sha256: Sha256
    figure: Figure | None
    right: NotNegative | None
    costs: tuple[Cost, ...]

    @property
    def worst_first(self) -> tuple[Cost, ...]:
        """The costs, the greatest mean first; mistakes without a finite answer come before all."""
        return tuple(
            sorted(self.costs, key=lambda each: (each.mean is not None, -(each.mean or 0.0)))
        )

    @property
    def digits(self) -> int:
        """Digits after the point that tell costs apart: fewer for years than for a score."""
        return 2 if max((each.greatest or 0.0 for each in self.costs), default=0.0) >= 1.5 else 3

    @property
    def place(self) -> str:
        """The faces, in words."""
        if self.dataset is None:
            return f"{self.faces:,} faces"
        part = "" if self.part == "all" else f"the {self.part} part of "
        return f"{self.faces:,} faces of {part}{self.dataset}"


@dataclass(frozen=True, kw_only=True)
class Records(Checked):
    """The content of `preprocessing.json`.

    Attributes:
        model: Registered id.
        records: By no more than one record for each file name.
    """

    SCHEMA_VERSION: ClassVar[int] = 1

    model: FileName
    records: tuple[Record, ...] = ()


def read(folder: Path, model: str) -> Records:
    """The records in a build's folder; empty if there are none, or they are another model's.

    Raises:
        UsageError: They cannot be read.
    """
    path = folder / FILE_NAME
    empty = Records(model=model)
    if not path.exists():
        return empty
    found = read_versioned(regular(path), Records, what="preprocessing record", fix=_FIX)
    return found if found.model == model else empty


def add(folder: Path, model: str, record: Record) -> Path:
    """Adds a record to those in a build's folder; it replaces that of a file of the same name.

    Returns:
        The path of the records.

    Raises:
        UsageError: Those which are there cannot be read.
        OutputError: They cannot be written.
    """
    with updated_path(folder / FILE_NAME) as temporary:
        others = (each for each in read(folder, model).records if each.file != record.file)
        made = Records(model=model, records=(*others, record))
        temporary.write_text(pretty_json(unstructure(made)), encoding="utf-8")
    return folder / FILE_NAME


def of_card(card: Mapping[str, Any]) -> Record | None:
    """The record in a card; None if there is none.

    Raises:
        UsageError: It is not one.
    """
    if CARD_SECTION not in card:
        return None
    return structure(card[CARD_SECTION], Record, where="the preprocessing of a card", fix=_FIX)
