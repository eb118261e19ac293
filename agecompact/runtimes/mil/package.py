"""Opens an `.mlpackage`: its manifest, its model's protobuf and its blob files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agecompact.errors import UsageError
from agecompact.runtimes.coreml import MODEL_FILE, read_specification
from agecompact.runtimes.mil.blobs import BlobFile

_DATA = "Data"
_MANIFEST = "Manifest.json"
_MODEL_PATH = "@model_path/"


@dataclass(frozen=True)
class Package:
    """An opened package.

    Attributes:
        path: The folder.
        specification: The `Model` message.
        blobs: Blob files, by the name that the program calls them: `@model_path/...`.
    """

    path: Path
    specification: Any
    blobs: Mapping[str, BlobFile]

    def blob_file(self, name: str) -> BlobFile:
        """A blob file.

        Args:
            name: As the program says it.

        Raises:
            UsageError: The package holds no such file.
        """
        if name not in self.blobs:
            raise UsageError(
                f"{self.path} is not complete",
                why=f"its program reads {name}, which is not there",
                fix="export the package again, or copy the whole folder",
            )
        return self.blobs[name]


def read_package(path: str | Path) -> Package:
    """Opens a package.

    Raises:
        UsageError: The folder is no package, its manifest names another model than the one inside,
            or a file is broken.
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
            raise UsageError(f"cannot read {file}", why=error.strerror or str(error)) from None
    return Package(folder, specification, blobs)


def _check_manifest(folder: Path) -> None:
    def broken(why: str) -> UsageError:
        return UsageError(f"{folder} is no Core ML package", why=why, fix="export it again")

    try:
        manifest = json.loads((folder / _MANIFEST).read_text())
        root = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"]
    except OSError as error:
        raise broken(f"{_MANIFEST}: {error.strerror}") from None
    # UnicodeDecodeError and JSONDecodeError are ValueErrors.
    except (ValueError, KeyError, TypeError, RecursionError):
        raise broken(f"{_MANIFEST} does not say which file is the model") from None
    if root != MODEL_FILE.relative_to(_DATA).as_posix():
        raise broken(f"{_MANIFEST} names '{root}' as the model")
