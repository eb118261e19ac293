"""What was measured on a device already, so that an interrupted run can resume.

There is one file per device, with one line for each round of an artefact and one for the record of
all its rounds. Each line is appended in a single write and synced, so a crash leaves at most the
last line incomplete, which is skipped.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from agecompact.bench.record import SCHEMA_VERSION, Record
from agecompact.files import canonical_json, json_value, make_folder, output_errors
from agecompact.serialization import VERSION_KEY, structure, unstructure


@dataclass(frozen=True)
class LedgerKey:
    """What identifies a measurement. Only the reference is measured twice with the same key.

    Attributes:
        serial: Serial of the device.
        sha256: Hash of the artefact.
        runtime: Runtime and version.
        threads: Threads.
        cores: Mask of the cores; empty if it was not pinned.
        delegate: The requested delegate.
        runs: Timed inferences in a round.
        rounds: Rounds.
    """

    serial: str
    sha256: str
    runtime: str
    threads: int
    cores: str
    delegate: str
    runs: int
    rounds: int


@dataclass(frozen=True)
class _Line:
    """A line: a round, a record of all rounds (`round` is None), or a discard (no `record`)."""

    SCHEMA_VERSION: ClassVar[int] = SCHEMA_VERSION

    key: LedgerKey
    round: int | None
    record: Record | None


class Ledger:
    """Records of one device.

    Args:
        folder: Folder of the ledgers of all devices.
        serial: The device's serial.

    Raises:
        UsageError: The existing ledger cannot be read.
        OutputError: The folder cannot be written.
    """

    def __init__(self, folder: Path, serial: str) -> None:
        self.path = make_folder(folder) / f"{re.sub(r'[^A-Za-z0-9.-]', '_', serial)}.jsonl"
        self._records: dict[LedgerKey, Record] = {}
        self._rounds: dict[LedgerKey, list[Record]] = {}
        if self.path.exists():
            self._read()

    def find(self, key: LedgerKey) -> Record | None:
        """The record of a finished measurement; None if there is none."""
        return self._records.get(key)

    def rounds(self, key: LedgerKey) -> tuple[Record, ...]:
        """The rounds of an unfinished measurement; the last may have a failure."""
        return tuple(self._rounds.get(key, ()))

    def add(self, key: LedgerKey, record: Record) -> None:
        """Adds the record of a finished measurement, and discards its rounds.

        Raises:
            OutputError: It cannot be written.
        """
        self._append(_Line(key, None, record))

    def add_round(self, key: LedgerKey, number: int, record: Record) -> None:
        """Adds a round, from 0; it replaces those of its number and higher.

        Raises:
            OutputError: It cannot be written.
        """
        self._append(_Line(key, number, record))

    def discard_rounds(self, key: LedgerKey) -> None:
        """Discards the rounds of a measurement, which then starts again.

        Raises:
            OutputError: It cannot be written.
        """
        if key in self._rounds:
            self._append(_Line(key, None, None))

    def _append(self, line: _Line) -> None:
        content = canonical_json(unstructure(line))
        with output_errors(self.path), self.path.open("ab") as stream:
            # An incomplete line before it must not absorb this one.
            incomplete = stream.tell() > 0 and not self.path.read_bytes().endswith(b"\n")
            stream.write(("\n" if incomplete else "").encode() + content.encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        self._apply(line)

    def _apply(self, line: _Line) -> None:
        if line.record is not None and line.round is not None:
            earlier = self._rounds.get(line.key, ())[: line.round]
            self._rounds[line.key] = [*earlier, line.record]
            return
        self._rounds.pop(line.key, None)
        if line.record is not None:
            self._records[line.key] = line.record

    def _read(self) -> None:
        lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        for number, text in enumerate(lines, start=1):
            try:
                content = json_value(text)
            except (ValueError, RecursionError):
                # A crash left it incomplete.
                continue
            if isinstance(content, dict) and content.get(VERSION_KEY) == SCHEMA_VERSION:
                fix = f"remove {self.path} and measure everything again"
                self._apply(structure(content, _Line, where=f"{self.path}: line {number}", fix=fix))
