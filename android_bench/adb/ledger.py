"""What was measured on a device already, so that a run that was cut off goes on where it stopped.

One file a device, one line for each round of an artefact as it ends, and one for the record of all
its rounds. A line is appended in a single write and then synced: a crash leaves at most its last
line torn, which is passed over.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from agecompact.bench.record import SCHEMA_VERSION, Record
from agecompact.errors import UsageError
from agecompact.files import canonical_json, make_folder, output_errors
from agecompact.serialization import structure, unstructure


@dataclass(frozen=True)
class Key:
    """What a measurement is of; the same key is not measured twice but as a reference.

    Attributes:
        serial: Of the device.
        sha256: Of the artefact.
        runtime: Runtime and its version.
        threads: Threads.
        cores: Mask of the cores; empty where they were left to the system.
        delegate: What was asked to compute the graph.
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
    rounds: int = 1


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
        self._records: dict[Key, Record] = {}
        self._rounds: dict[Key, list[Record]] = {}
        self._read()

    def find(self, key: Key) -> Record | None:
        """The record of a measurement that was made; None if it was not."""
        return self._records.get(key)

    def rounds(self, key: Key) -> tuple[Record, ...]:
        """The rounds of a measurement that was cut off; the last may have a failure."""
        return tuple(self._rounds.get(key, ()))

    def add(self, key: Key, record: Record) -> None:
        """Appends the record of a measurement that was made; its rounds are done with.

        Raises:
            OutputError: It cannot be written.
        """
        self._append(key, None, record)

    def add_round(self, key: Key, number: int, record: Record) -> None:
        """Appends a round, from 0; those that had its number or a higher one no longer count.

        Raises:
            OutputError: It cannot be written.
        """
        self._append(key, number, record)

    def forget(self, key: Key) -> None:
        """Gives up the rounds of a measurement, which starts anew next time.

        Raises:
            OutputError: It cannot be written.
        """
        if key in self._rounds:
            self._append(key, None, None)

    def _append(self, key: Key, number: int | None, record: Record | None) -> None:
        content = {
            "schema_version": SCHEMA_VERSION,
            "key": asdict(key),
            "round": number,
            "record": None if record is None else unstructure(record),
        }
        line = canonical_json(content)
        with output_errors(self.path), self.path.open("ab") as stream:
            # A torn line before must not swallow this one.
            torn = stream.tell() > 0 and not self.path.read_bytes().endswith(b"\n")
            stream.write(("\n" if torn else "").encode() + line.encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        self._hold(key, number, record)

    def _hold(self, key: Key, number: int | None, record: Record | None) -> None:
        if record is not None and number is not None:
            self._rounds[key] = [*self._rounds.get(key, ())[:number], record]
            return
        self._rounds.pop(key, None)
        if record is not None:
            self._records[key] = record

    def _read(self) -> None:
        if not self.path.exists():
            return
        text = self.path.read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(keepends=True), start=1):
            try:
                content = json.loads(line)
            except json.JSONDecodeError:
                # Torn by a crash, now or before the lines that follow it.
                continue
            if content.get("schema_version") == SCHEMA_VERSION:
                key = self._key(content, number)
                self._hold(key, content.get("round"), self._record(content, number))

    def _key(self, content: dict[str, object], number: int) -> Key:
        try:
            return Key(**content["key"])  # type: ignore[arg-type]
        except (KeyError, TypeError) as error:
            raise self._unreadable(number, str(error)) from None

    def _record(self, content: dict[str, object], number: int) -> Record | None:
        told = content.get("record")
        try:
            return None if told is None else structure(told, Record, where="ledger")
        except UsageError as error:
            raise self._unreadable(number, f"{error.what} {error.why}") from None

    def _unreadable(self, number: int, why: str) -> UsageError:
        return UsageError(
            f"cannot read {self.path}: line {number}",
            why=why,
            fix=f"remove {self.path}, and everything is measured again",
        )
