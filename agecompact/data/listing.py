"""The labelled files in a data set's folder, before any image is opened."""

from __future__ import annotations

import os.path
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from agecompact.data.face import Label
from agecompact.errors import UsageError
from agecompact.files import read_bytes

NO_FILE = "no such file"
OUTSIDE = "the path leaves the data folder"
BAD_NAME = "the name is not UTF-8"
BAD_AGE = "the age is missing or impossible"
LISTED_TWICE = "listed twice"
LISTED_DIFFERENTLY = "listed twice with different labels"

MAXIMUM_AGE = 120


@dataclass(frozen=True)
class Record:
    """A labelled file, not read yet.

    Attributes:
        name: Path inside the data set, POSIX.
        path: The file.
        label: Its label.
    """

    name: str
    path: Path
    label: Label


@dataclass(frozen=True)
class Listing:
    """The labelled files in a folder, and the entries that a reader rejected.

    Attributes:
        dataset: Key of `registry.DATASETS`.
        records: The labelled files, sorted by name, without duplicate names.
        rejected: Names of rejected entries, by reason.
    """

    dataset: str
    records: tuple[Record, ...]
    rejected: Mapping[str, tuple[str, ...]]

    @property
    def rejections(self) -> int:
        """Number of rejected entries."""
        return sum(map(len, self.rejected.values()))


class Collector:
    """Builds a `Listing` from entries: each becomes a record, or is rejected for a reason.

    Every file must be inside the data set's folder, also after symbolic links are followed: a table
    or an archive cannot add other files of the machine to a data set. The folder itself may be a
    link.

    Args:
        dataset: Key of `registry.DATASETS`.
        folder: The data set's folder.
    """

    def __init__(self, dataset: str, folder: Path) -> None:
        self._dataset = dataset
        root = Path(os.path.realpath(folder))
        # Thousands of files share a folder.
        self._contains = cache(lambda path: Path(os.path.realpath(path)).is_relative_to(root))
        self._records: dict[str, Record] = {}
        self._contradicted: set[str] = set()
        self._rejected: dict[str, list[str]] = defaultdict(list)

    def add(self, name: str, path: Path, label: Label) -> None:
        """Adds a labelled file. Of several for one name one is kept, or none if labels differ.

        Args:
            name: Its name in the data set.
            path: The file, wherever it is.
            label: Its label.
        """
        known = self._records.get(name)
        if not _is_utf8(name):
            self.reject(name, BAD_NAME)
        elif not self._contains(path if path.is_symlink() else path.parent):
            self.reject(name, OUTSIDE)
        elif name in self._contradicted:
            self.reject(name, LISTED_DIFFERENTLY)
        elif known is None:
            self._records[name] = Record(name, path, label)
        elif known.label == label:
            self.reject(name, LISTED_TWICE)
        else:
            del self._records[name]
            self._contradicted.add(name)
            self.reject(name, LISTED_DIFFERENTLY)
            self.reject(name, LISTED_DIFFERENTLY)

    def add_listed(self, name: str, path: Path, label: Label) -> None:
        """Adds an entry of a table, or rejects it if its file is missing."""
        if is_file(path):
            self.add(name, path, label)
        else:
            self.reject(name, NO_FILE)

    def add_named(self, path: Path, label: Label | None, reason: str) -> None:
        """Adds a file whose name holds its label, or rejects it for a reason if there is none."""
        if label is None:
            self.reject(path.name, reason)
        else:
            self.add(path.name, path, label)

    def reject(self, name: str, reason: str) -> None:
        """Rejects an entry."""
        self._rejected[reason].append(name)

    def listing(self, folder: Path, layout: str) -> Listing:
        """The listing of all entries.

        Args:
            folder: The data set's folder, for the error message.
            layout: The expected layout, for the error message.

        Raises:
            UsageError: No entry is labelled.
        """
        if not self._records:
            counts = (f"{len(names)}: {reason}" for reason, names in self._rejected.items())
            raise UsageError(
                f"no labelled face in {folder}",
                why="; ".join(counts) or "it has no entry of this data set",
                fix=f"give a folder with this layout: {layout}",
            )
        return Listing(
            self._dataset,
            tuple(sorted(self._records.values(), key=lambda record: record.name)),
            {reason: tuple(sorted(names)) for reason, names in sorted(self._rejected.items())},
        )


def is_file(path: Path) -> bool:
    """Whether a path that a table names is a file."""
    try:
        return path.is_file()
    except OSError:
        # A name in a table can be longer than the system allows.
        return False


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def contents(folder: Path, title: str) -> list[Path]:
    """The sorted entries of a data set's folder.

    Args:
        folder: The folder.
        title: The data set, for the error message.

    Raises:
        UsageError: The folder does not exist or cannot be listed.
    """
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(
            f"no data at {folder}",
            why=error.strerror or str(error),
            fix=f"give the {title} folder with --data or AGECOMPACT_DATA",
        ) from None


def read_text(path: Path) -> str:
    """The text of a table; invalid bytes are replaced.

    Raises:
        UsageError: The file cannot be read.
    """
    content = read_bytes(path, fix="unpack the published archive again")
    return content.decode("utf-8-sig", errors="replace")


def parse_age(text: str) -> int | None:
    """An age from 0 to 120, written as `23` or `23.0`; None for any other text."""
    try:
        years = float(text)
    except ValueError:
        return None
    # NaN fails the comparison.
    return int(years) if 0 <= years <= MAXIMUM_AGE and years == int(years) else None
