"""What a reader finds in a data set's folder, before any image is opened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agecompact.data.face import Label
from agecompact.errors import UsageError

NO_FILE = "no such file"
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
        label: What the data set says of it.
    """

    name: str
    path: Path
    label: Label


@dataclass(frozen=True)
class Listing:
    """What a reader found in a folder.

    Attributes:
        dataset: Key of `registry.DATASETS`.
        records: The labelled files, sorted by name, no name twice.
        rejected: Names of entries that the reader leaves out, by reason.
    """

    dataset: str
    records: tuple[Record, ...]
    rejected: Mapping[str, tuple[str, ...]]

    @property
    def rejections(self) -> int:
        """How many entries the reader left out."""
        return sum(map(len, self.rejected.values()))


class Collector:
    """Gathers entries one by one into a `Listing`, each as a record or under a reason."""

    def __init__(self, dataset: str) -> None:
        self._dataset = dataset
        self._records: dict[str, Record] = {}
        self._contradicted: set[str] = set()
        self._rejected: dict[str, list[str]] = defaultdict(list)

    def add(self, name: str, path: Path, label: Label) -> None:
        """Takes a labelled entry; of entries for one file, one, or none if they disagree."""
        known = self._records.get(name)
        if name in self._contradicted:
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

    def add_existing(self, name: str, path: Path, label: Label) -> None:
        """Takes an entry of a table, whose file may be missing."""
        if path.is_file():
            self.add(name, path, label)
        else:
            self.reject(name, NO_FILE)

    def reject(self, name: str, reason: str) -> None:
        """Leaves an entry out."""
        self._rejected[reason].append(name)

    def listing(self, folder: Path, layout: str) -> Listing:
        """All entries.

        Args:
            folder: Where they lie, for the error message.
            layout: What an entry should look like there, for the error message.

        Raises:
            UsageError: There is no labelled entry.
        """
        if not self._records:
            counts = (f"{len(names)}: {reason}" for reason, names in self._rejected.items())
            raise UsageError(
                f"no labelled face in {folder}",
                why="; ".join(counts) or "no entry of this data set",
                fix=f"its layout should be {layout}",
            )
        return Listing(
            self._dataset,
            tuple(sorted(self._records.values(), key=lambda record: record.name)),
            {reason: tuple(sorted(names)) for reason, names in sorted(self._rejected.items())},
        )


def contents(folder: Path, title: str) -> list[Path]:
    """The entries of a data set's folder, sorted.

    Args:
        folder: The folder.
        title: The data set, for the error message.

    Raises:
        UsageError: No such folder, or it cannot be listed.
    """
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(
            f"no data at {folder}",
            why=error.strerror or str(error),
            fix=f"name the {title} folder with --data or AGECOMPACT_DATA",
        ) from None


def read_text(path: Path) -> str:
    """A table's text, whatever bytes are in it.

    Raises:
        UsageError: It cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise UsageError(f"cannot read {path}", why=error.strerror or str(error)) from None


def parse_age(text: str) -> int | None:
    """A whole number of years from 0 to 120, written as one or as `23.0`; None if it is none."""
    try:
        years = float(text)
    except ValueError:
        return None
    # NaN fails the comparison.
    return int(years) if 0 <= years <= MAXIMUM_AGE and years == int(years) else None
