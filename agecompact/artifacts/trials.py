"""`optimise.json`: what was measured of each candidate, and what it depends on.

A later run takes over whatever still fits, part by part: the artefact, its errors, its count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from agecompact.artifacts.confined import FileName
from agecompact.checked import AtLeastOne, Checked, NotNegative, Sha256, Text
from agecompact.errors import UsageError
from agecompact.serialization import read_versioned, write_versioned

# In the folder of builds, with a folder for each model.
FOLDER = "optimise"
FILE_NAME = "optimise.json"


@dataclass(frozen=True, kw_only=True)
class Origin(Checked):
    """What an artefact is made from.

    Attributes:
        weights_sha256: Hash of the weights file.
        network_sha256: Hash of the contract, and of the code that a project file names.
        calibration_sha256: Hash of the faces that it is calibrated with; None if it needs none.
    """

    weights_sha256: Sha256
    network_sha256: Sha256
    calibration_sha256: Sha256 | None


@dataclass(frozen=True, kw_only=True)
class Made(Checked):
    """An artefact.

    Attributes:
        origin: What it was made from.
        versions: Versions of the tools that made it.
        file: Its file name.
        sha256: Its hash.
        bytes: Its size.
    """

    origin: Origin
    versions: Mapping[str, Text]
    file: FileName
    sha256: Sha256
    bytes: AtLeastOne


@dataclass(frozen=True, kw_only=True)
class Errors(Checked):
    """How far an artefact's answers are from those of the weights, on this machine.

    Attributes:
        faces_sha256: Hash of the faces, their labels and the name of the output.
        faces: Number of faces.
        p99: 99th percentile, in the unit of the answer.
        mean: Mean, likewise.
        greatest: Greatest, likewise.
        mae_cost: By how much its mean absolute error on labels exceeds that of the weights; None
            without labels.
    """

    faces_sha256: Sha256
    faces: AtLeastOne
    p99: NotNegative
    mean: NotNegative
    greatest: NotNegative
    mae_cost: float | None = None


@dataclass(frozen=True, kw_only=True)
class Count(Checked):
    """The instructions of one inference.

    Attributes:
        place: Where, as `--on` names it.
        machine: The processor and its emulator.
        instructions: How many.
        there: Errors of the answers that it gave there; None where they say no more than this
            machine's.
    """

    place: Text
    machine: Text
    instructions: AtLeastOne
    there: Errors | None = None


@dataclass(frozen=True, kw_only=True)
class Record(Checked):
    """What was measured of a candidate.

    Attributes:
        candidate: Its name.
        made: Its artefact.
        errors: Its errors; None if they were not measured yet.
        count: Its instructions, likewise.
    """

    candidate: Text
    made: Made
    errors: Errors | None = None
    count: Count | None = None


@dataclass(frozen=True, kw_only=True)
class Records(Checked):
    """The content of `optimise.json`.

    Attributes:
        model: Registered id.
        records: By no more than one record for each candidate.
    """

    SCHEMA_VERSION: ClassVar[int] = 1

    model: FileName
    records: tuple[Record, ...] = ()

    def of(self, candidate: str) -> Record | None:
        """The record of a candidate; None if there is none."""
        return next((each for each in self.records if each.candidate == candidate), None)

    def with_record(self, record: Record) -> Records:
        """These records with one added, or replaced."""
        return replace(self, records=(*self.without(record.candidate).records, record))

    def without(self, candidate: str) -> Records:
        """These records without that of a candidate."""
        left = tuple(each for each in self.records if each.candidate != candidate)
        return replace(self, records=left)


def read(folder: Path, model: str) -> Records:
    """The records of a folder; empty if there are none.

    Raises:
        UsageError: They cannot be read, or are another model's.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return Records(model=model)
    fix = f"remove it: rm {path}"
    found = read_versioned(path, Records, what="results", fix=fix)
    if found.model != model:
        raise UsageError(f"{path} has results of '{found.model}', not of '{model}'", fix=fix)
    return found


def write(folder: Path, records: Records) -> None:
    """Writes the records, atomically.

    Raises:
        OutputError: The folder cannot be written to, or the disk is full.
    """
    write_versioned(folder / FILE_NAME, records)
