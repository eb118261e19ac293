"""Runs one converter in a process of its own.

Converters import large packages that do not get along, and some end the process.
"""

from __future__ import annotations

import sys
from pathlib import Path

from agecompact.errors import AgecompactError, missing_extra
from agecompact.faults import machine_error
from agecompact.formats import EXPORTED
from agecompact.imports import resolve
from agecompact.serialization import read_versioned, write_versioned
from export.job import Job, Refusal, Reply


def run(format_: str, job: Job) -> Reply:
    """Runs the converter of a format."""
    made = EXPORTED[format_]
    assert made.converter is not None
    try:
        try:
            return Reply(resolve(made.converter.function)(job))
        except ModuleNotFoundError as error:
            if made.extra is None:
                raise
            raise missing_extra(made.extra, str(error.name)) from None
    except Exception as error:
        refusal = error if isinstance(error, AgecompactError) else machine_error(error)
        if refusal is None:
            raise
        return Reply(error=Refusal(int(refusal.exit_code), refusal.summary, refusal.fix))


def main() -> None:
    """`python -m export.worker FORMAT REQUEST REPLY`."""
    format_, request, reply = sys.argv[1:]
    job = read_versioned(Path(request), Job, what="job")
    write_versioned(Path(reply), run(format_, job))


if __name__ == "__main__":
    main()
