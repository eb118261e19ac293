"""Reads an `.mlpackage`: its manifest, its description, its program and its blob files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agecompact.errors import UsageError
from agecompact.runtimes.coreml import MODEL_FILE, not_a_package, read_specification
from agecompact.runtimes.mil.blobs import BlobFile
from agecompact.runtimes.mil.program import Program, read_program

_DATA = "Data"
_MANIFEST = "Manifest.json"
_MODEL_PATH = "@model_path/"


@dataclass(frozen=True)
class Package:
    """The content of a package.

    Attributes:
        specification: The `Model` message.
        program: The program, its constants decoded.
    """

    specification: Any
    program: Program


def read_package(path: str | Path) -> Package:
    """Reads a package.

    Raises:
        UsageError: The folder is not a package, its manifest names another model than the one
            inside, a file is missing or broken, or its program is not supported.
        BackendMissingError: coremltools is not installed.
    """
    folder = Path(path)
    _check_manifest(folder)
    specification = read_specification(str(folder))
    home = (folder / MODEL_FILE).parent
    blobs = {}
    for file in sorted(home.rglob("*.bin")):
        inside = file.relative_to(home).as_posix()
        try:
            blobs[_MODEL_PATH + inside] = BlobFile(f"{folder.name}: {inside}", file.read_bytes())
        except OSError as error:
            raise UsageError(
                f"cannot read {file}",
                why=error.strerror or str(error),
                fix="export the package again, or copy the whole folder",
            ) from None
    return Package(specification, read_program(specification, blobs))


def _check_manifest(folder: Path) -> None:
    try:
        manifest = json.loads((folder / _MANIFEST).read_text())
        root = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"]
    except OSError as error:
        raise not_a_package(folder, f"{_MANIFEST}: {error.strerror}") from None
    # UnicodeDecodeError and JSONDecodeError are ValueErrors.
    except (ValueError, KeyError, TypeError, RecursionError):
        raise not_a_package(folder, f"{_MANIFEST} does not name the model file") from None
    if root != MODEL_FILE.relative_to(_DATA).as_posix():
        raise not_a_package(folder, f"{_MANIFEST} names '{root}' as the model")
