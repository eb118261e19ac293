"""`optimise.json`, as the report reads it too."""

from agecompact.artifacts.trials import (
    FILE_NAME,
    FOLDER,
    Count,
    Errors,
    Made,
    Origin,
    Record,
    Records,
    read,
    write,
)

__all__ = [
    "FILE_NAME",
    "FOLDER",
    "Count",
    "Errors",
    "Made",
    "Origin",
    "Record",
    "Records",
    "read",
    "write",
]
