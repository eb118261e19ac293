"""What was measured on a device already, so that a run that was cut off goes on where it stopped.

One file a device, one record a line. A line is appended in a single write and then synced: a crash
leaves at most its last line torn, which is passed over.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from agecompact.checked import decode, encode
from agecompact.errors import UsageError
from agecompact.files import canonical_json, make_folder, output_errors
from agecompact.latency.record import SCHEMA_VERSION, Record


@dataclass(frozen=True)
class Key:
    """What a measurement is of; the same key is not measured twice.

    Attributes:
        serial: Of the device.
        sha256: Of the artefact.
        runtime: Runtime and its version.
        threads: Threads.
        cores: Mask of the cores; empty where they were left to the system.
        delegate: What was asked to compute the graph.
        runs: Timed inferences.
    """

    serial: str
    sha256: str
    runtime: str
    threads: int
    cores: str
    delegate: str
    runs: int


class Ledger:
    """Records of one device by what they are of.

    Args:
        folder: Of the ledgers of all devices.
        serial: Of the device.

    Raises:
        UsageError: The ledger that is there cannot be read.
        OutputError: The folder cannot be written to.
    """

    def __init__(self, folder: Path, serial: str) -> None:
        self.path = make_folder(folder) / f"{re.sub(r'[^A-Za-z0-9.-]', '_', serial)}.jsonl"
        self._records = self._read()

    def find(self, key: Key) -> Record | None:
        """The record of a measurement that was made; None if it was not."""
        return self._records.get(key)

    def add(self, key: Key, record: Record) -> None:
        """Appends a record.

        Raises:
            OutputError: It cannot be written.
        """
        line = canonical_json(
            {"schema_version": SCHEMA_VERSION, "key": asdict(key), "record": encode(record)}
        )
        with output_errors(self.path), self.path.open("ab") as stream:
            # A torn line before must not swallow this one.
            torn = stream.tell() > 0 and not self.path.read_bytes().endswith(b"\n")
            stream.write(("\n" if torn else "").encode() + line.encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        self._records[key] = record

    def _read(self) -> dict[Key, Record]:
        if not self.path.exists():
            return {}
        text = self.path.read_text(encoding="utf-8", errors="replace")
        records: dict[Key, Record] = {}
        for number, line in enumerate(text.splitlines(keepends=True), start=1):
            try:
                content = json.loads(line)
            except json.JSONDecodeError:
                # Torn by a crash, now or before the lines that follow it.
                continue
            if content.get("schema_version") == SCHEMA_VERSION:
                records[self._key(content, number)] = self._record(content, number)
        return records

    def _key(self, content: dict[str, object], number: int) -> Key:
        try:
            return Key(**content["key"])  # type: ignore[arg-type]
        except (KeyError, TypeError) as error:
            raise self._unreadable(number, str(error)) from None

    def _record(self, content: dict[str, object], number: int) -> Record:
        try:
            return decode(Record, content.get("record"))
        except UsageError as error:
            raise self._unreadable(number, f"{error.what} {error.why}") from None

    def _unreadable(self, number: int, why: str) -> UsageError:
        return UsageError(
            f"cannot read {self.path}: line {number}",
            why=why,
            fix=f"remove {self.path}, and everything is measured again",
        )
