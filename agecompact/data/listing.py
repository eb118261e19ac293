"""The labelled files in a data set's folder, before any image is opened."""

from __future__ import annotations

import os.path
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from agecompact.data.face import Label
from agecompact.errors import UsageError
from agecompact.faces.detection import FaceBox
from agecompact.files import read_bytes

NO_FILE = "no such file"
OUTSIDE = "the path leaves the data folder"
BAD_NAME = "the name is not UTF-8"
BAD_AGE = "the age is missing or impossible"
LISTED_TWICE = "listed twice"
LISTED_DIFFERENTLY = "listed twice with different labels"

MAXIMUM_AGE = 120

_DIGITS = re.compile("[0-9]+")
_LONGEST_NUMBER = 20


@dataclass(frozen=True)
class Record:
    """A labelled file, not read yet.

    Attributes:
        name: Path inside the data set, POSIX, and the box if it has one.
        path: The file.
        label: Its label.
        box: Where the face is, if the data set says.
        at: Where a table lists it, such as `line 7`; empty if no table does.
    """

    name: str
    path: Path
    label: Label
    box: FaceBox | None = None
    at: str = ""

    @property
    def entry(self) -> str:
        """What a person finds the entry by."""
        return f"{self.at}: {self.name}" if self.at else self.name


@dataclass(frozen=True)
class Listing:
    """The labelled files in a folder, and the entries that a reader rejected.

    Attributes:
        dataset: Key of `registry.DATASETS`.
        records: The labelled files, sorted by name, without duplicate names.
        rejected: Names of rejected entries, by reason.
        notes: Lines on how the reader understood the data, which a person should see.
    """

    dataset: str
    records: tuple[Record, ...]
    rejected: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...] = ()

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
        self.add_record(Record(name, path, label))

    def add_record(self, record: Record) -> None:
        """Like `add`, with all that a data set may say about a file."""
        name, path = record.name, record.path
        known = self._records.get(name)
        if not _is_utf8(name):
            self.reject(record.entry, BAD_NAME)
        elif not self._contains(path if path.is_symlink() else path.parent):
            self.reject(record.entry, OUTSIDE)
        elif name in self._contradicted:
            self.reject(record.entry, LISTED_DIFFERENTLY)
        elif known is None:
            self._records[name] = record
        elif known.label == record.label:
            self.reject(record.entry, LISTED_TWICE)
        else:
            del self._records[name]
            self._contradicted.add(name)
            self.reject(known.entry, LISTED_DIFFERENTLY)
            self.reject(record.entry, LISTED_DIFFERENTLY)

    def add_listed(self, name: str, path: Path, label: Label) -> None:
        """Adds an entry of a table, or rejects it if its file is missing."""
        self.add_listed_record(Record(name, path, label))

    def add_listed_record(self, record: Record) -> None:
        """Like `add_listed`, with all that a table may say about a file."""
        if is_file(record.path):
            self.add_record(record)
        else:
            self.reject(record.entry, NO_FILE)

    def add_named(self, path: Path, label: Label | None, reason: str) -> None:
        """Adds a file whose name holds its label, or rejects it for a reason if there is none."""
        if label is None:
            self.reject(path.name, reason)
        else:
            self.add(path.name, path, label)

    def reject(self, name: str, reason: str) -> None:
        """Rejects an entry."""
        self._rejected[reason].append(name)

    def listing(self, source: Path, layout: str, notes: tuple[str, ...] = ()) -> Listing:
        """The listing of all entries.

        Args:
            source: The data set's folder or table, for the error message.
            layout: The expected layout, for the error message.
            notes: `Listing.notes`.

        Raises:
            UsageError: No entry is labelled.
        """
        if not self._records:
            raise UsageError(
                f"no labelled face in {source}",
                why="; ".join(self.reasons) or "it has no entry of this data set",
                fix=f"give data with this layout: {layout}",
            )
        return Listing(
            self._dataset,
            tuple(sorted(self._records.values(), key=lambda record: record.name)),
            {
                reason: tuple(sorted(names, key=_natural))
                for reason, names in sorted(self._rejected.items())
            },
            notes,
        )

    @property
    def reasons(self) -> tuple[str, ...]:
        """How many entries were rejected, a line for each reason, with the first such entry."""
        return tuple(
            f"{len(names)}: {reason} ({names[0]}{', …' if len(names) > 1 else ''})"
            for reason, names in self._rejected.items()
        )


def is_file(path: Path) -> bool:
    """Whether a path that a table names is a file."""
    try:
        return path.is_file()
    except OSError:
        # A name in a table can be longer than the system allows.
        return False


def _natural(name: str) -> str:
    """A sort key that puts line 9 before line 10."""
    return _DIGITS.sub(lambda match: match[0].zfill(_LONGEST_NUMBER), name)


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
        fix = f"give the {title} folder with --data or AGECOMPACT_DATA"
        if is_file(folder):
            fix += "; a table of your own needs --dataset csv or --dataset jsonl"
        raise UsageError(
            f"no data at {folder}", why=error.strerror or str(error), fix=fix
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
