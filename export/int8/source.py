"""Where a calibration comes from: a calibration file, the released one, the cache, or faces."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files as package_files
from pathlib import Path

from agecompact.contract import Image
from agecompact.errors import OutputError, UsageError
from agecompact.files import user_cache
from export.int8 import record
from export.int8.answers import answers_of
from export.int8.calibrate import calibrate
from export.int8.faces import MOST, as_batch, calibration_set, chosen, read_chips
from export.int8.graph import Graph
from export.int8.record import Origin, Record
from export.int8.selection import selected
from export.int8.span import span_of
from export.int8.steps import UNTOLD, Step
from export.source import Source


@dataclass(frozen=True)
class Faces:
    """Faces to choose from.

    Attributes:
        chips: uint8 `(200, 200, 3)` BGR.
    """

    chips: Sequence[Image]


def opened(given: Path | None, source: Source) -> Record | Faces:
    """Reads what a user named to calibrate with, or the released calibration of a network.

    Args:
        given: A folder of face chips, or a calibration file; None for the released calibration.
        source: The network.

    Raises:
        UsageError: The folder has too few faces, the file is of other weights, or there is no
            released calibration of the network.
    """
    if given is None:
        shipped = released(source)
        if shipped is None:
            raise no_faces()
        return shipped
    if given.is_dir():
        return Faces(read_chips(chosen(given), given))
    return of_file(given, source)


def of_file(path: Path, source: Source) -> Record:
    """Reads the calibration file of a network.

    Raises:
        UsageError: It cannot be read, or is of other weights.
    """
    found = record.read(path)
    if found.origin.weights_sha256 != source.sha256:
        raise UsageError(
            f"{path} is the calibration of other weights",
            why=f"its weights have the hash {found.origin.weights_sha256[:12]}, these have "
            f"{source.sha256[:12]}",
            fix=f"agecompact calibrate {source.model_id} --faces FOLDER",
        )
    return found


def released(source: Source) -> Record | None:
    """The calibration that comes with released weights; None for other weights."""
    path = Path(str(package_files("agecompact") / "weights" / f"{source.model_id}{record.SUFFIX}"))
    if not path.is_file():
        return None
    found = record.read(path)
    return found if found.origin.weights_sha256 == source.sha256 else None


def no_faces(flag: str = "int8") -> UsageError:
    """The error for a precision that is calibrated, without anything to calibrate with."""
    return UsageError(
        f"{flag} needs faces to calibrate with",
        why="its numbers are chosen on what the network sees",
        fix="name a folder of some hundred face chips of all ages with --calibration FOLDER",
    )


def calibrated(content: bytes, source: Source, found: Record | Faces) -> Record:
    """The calibration of a float file, from faces if it is not known yet.

    What faces gave is kept in the user's cache, by the content of all that it depends on.

    Args:
        content: The float file.
        source: The network.
        found: As `opened` gives it.

    Raises:
        ConversionError: No layer can be int8.
    """
    if isinstance(found, Record):
        return found
    path = user_cache() / "int8" / f"{_key(content, source, found)}{record.SUFFIX}"
    with suppress(UsageError):
        return record.read(path)
    made = from_faces(content, source, found)
    # A cache that cannot be written costs time, not the result.
    with suppress(OutputError):
        record.write(path, made)
    return made


def from_faces(
    content: bytes,
    source: Source,
    faces: Faces,
    step: Step = UNTOLD,
) -> Record:
    """Calibrates a float file.

    Args:
        content: The float file.
        source: The network.
        faces: The faces, of which some are chosen.
        step: Is told how many ops are done, and of how many.

    Raises:
        ConversionError: No layer can be int8.
    """
    contract = source.contract
    answers = answers_of(content, faces.chips, contract)
    places = selected(answers.get(contract.outputs[0].name), len(faces.chips), MOST)
    chips = [faces.chips[place] for place in places]
    made = calibrate(content, as_batch(chips, contract), step)
    span = span_of({name: each[places] for name, each in answers.items()}, contract)
    chosen_set = calibration_set(chips)
    origin = Origin(source.sha256, chosen_set, span.text, span.deviation, span.unit)
    return record.of(content, made, origin)


def _key(content: bytes, source: Source, faces: Faces) -> str:
    """Hash of what a calibration depends on: the graph, its weights, the faces and this code."""
    found = hashlib.sha256()
    found.update(record.structure_hash(Graph.parse(content)).encode())
    found.update(source.sha256.encode())
    found.update(calibration_set(faces.chips).faces_sha256.encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()
