"""Finds the runtime that opens a file."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from agecompact.errors import BackendMissingError, UsageError, missing_extra
from agecompact.filetypes import describe, fix_for
from agecompact.formats import RUNTIMES, Format, Runtime, format_of, opened_by
from agecompact.imports import resolve
from agecompact.runtimes.base import Backend


def load(runtime: Runtime) -> Backend:
    """Imports the backend of a runtime.

    Raises:
        BackendMissingError: Its extra is not installed.
    """
    if found := missing(runtime):
        raise found
    extra = runtime.extra or opened_by(runtime.name).extra or "all"
    return cast(Backend, resolve(runtime.backend, extra=extra))


def missing(runtime: Runtime) -> BackendMissingError | None:
    """The error for a runtime whose own extra is not installed; None if it is, or has none."""
    if runtime.extra is None or find_spec(runtime.module) is not None:
        return None
    return missing_extra(runtime.extra, runtime.module)


def stand_in(format_: Format) -> Runtime | None:
    """What runs files of a format where its first runtime does not exist; None where it does.

    Core ML runs on a Mac only; elsewhere the reference runtime takes its place.
    """
    if format_.name == "coreml" and sys.platform != "darwin":
        return RUNTIMES["mil"]
    return None


def artifact_format(path: Path) -> Format:
    """The format of a file that runtimes open.

    Raises:
        UsageError: The file is missing, has an unknown suffix, or is a device or a pipe.
    """
    try:
        found = format_of(path)
    except UsageError as error:
        if not path.is_file():
            raise
        why = f"it is {describe(path)}, and {error.why}"
        raise UsageError(error.what, why=why, fix=fix_for(path, wanted="artefact")) from None
    if not path.exists():
        raise UsageError(f"no file at {path}", fix="check the path")
    if not (path.is_file() or path.is_dir()):
        raise UsageError(f"{path} is neither a file nor a folder", fix="name a regular file")
    return found


def runtime_of(path: Path) -> Runtime:
    """The default runtime for a file: the first one of its format.

    Raises:
        UsageError: As from `artifact_format`.
    """
    return artifact_format(path).runtimes[0]
