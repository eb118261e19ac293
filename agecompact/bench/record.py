"""The record of what one artefact costs in one place. Unknown is None, never 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from agecompact.bench.circumstances import Conditions, Machine, Runtime
from agecompact.bench.figures import Instructions, Memory, OpTime, OutputAccuracy
from agecompact.bench.timing import Latency, Ratio, Startup
from agecompact.checked import (
    AtLeastOne,
    Checked,
    Count,
    Sha256,
    Text,
)
from agecompact.formats import FORMATS

if TYPE_CHECKING:
    FormatName = str
else:
    # A Literal, so that reading a file, `Checked` and the JSON schema all know the table's names.
    FormatName = Literal[tuple(FORMATS)]

# Version 1 was flat and covered only the host; version 2 had a field for modelled times.
SCHEMA_VERSION = 3

Source = Literal["device", "host", "emulated-instructions"]


@dataclass(frozen=True, kw_only=True)
class Size(Checked):
    """Breakdown of an artefact's bytes; the first three parts add up to its size.

    Attributes:
        weights_bytes: Constants that the graph computes with.
        graph_bytes: Ops, tensors, names and the container format.
        metadata_bytes: Description of the file for people and for agecompact.
        deflated_bytes: The file's data, deflated as in an APK or IPA.
        bound_bytes: Folded parameters times the bytes of the precision: the least that weights
            take without compression; None for the source weights and an unknown precision.
    """

    weights_bytes: Count
    graph_bytes: Count
    metadata_bytes: Count
    deflated_bytes: AtLeastOne
    bound_bytes: AtLeastOne | None = None


@dataclass(frozen=True, kw_only=True)
class Artifact(Checked):
    """The file that was measured.

    Attributes:
        model: Registered id.
        file: File name.
        format: File format; `pytorch` is the source weights.
        precision: `float32`, `float16`, ... as in the manifest.
        sha256: Hash of the file that was measured.
        file_bytes: Size of the file, or of all files of a package.
        parameters: Trainable parameters of the model.
        macs: Multiply-accumulates per face.
        size: Breakdown of the file's bytes.
    """

    model: Text
    file: Text
    format: FormatName
    precision: Text
    sha256: Sha256
    file_bytes: AtLeastOne
    parameters: AtLeastOne | None = None
    macs: AtLeastOne | None = None
    size: Size | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size is not None:
            parts = self.size.weights_bytes + self.size.graph_bytes + self.size.metadata_bytes
            if parts != self.file_bytes:
                self.refuse(f"parts of {parts} bytes do not add up to {self.file_bytes}")


@dataclass(frozen=True, kw_only=True)
class Reason(Checked):
    """Why a record is not valid.

    Attributes:
        rule: Name of the rule in `validity`.
        text: What the rule found.
    """

    rule: Text
    text: Text


@dataclass(frozen=True, kw_only=True)
class Record(Checked):
    """What one artefact costs in one place.

    Attributes:
        source: Kind of measurement, which decides between `latency` and `instructions`.
        artifact: The file.
        machine: Where it ran.
        runtime: What ran it.
        latency: Wall time on a `device` or `host`; None if it did not run.
        instructions: Count of `emulated-instructions`. Emulator wall time is never reported.
        startup: Times before the steady state.
        memory: Memory of the process.
        conditions: State of the machine during the measurement.
        output_error: Error on the golden pack in the same process; None if not compared.
        ratio: Latency relative to the reference artefact.
        profile: Time per op, longest first.
        unknown: Why a figure is None, by field name, unless it was simply not requested.
        failure: Why nothing was measured; None otherwise.
        taken_at: Time of the measurement, UTC, such as `2026-01-31T12:00:00Z`; None if undated.
        valid: Whether every rule of `validity` holds; None before `validity.validated`.
        reasons: The rules that failed; `valid` is False if and only if there are any.
    """

    source: Source
    artifact: Artifact
    machine: Machine
    runtime: Runtime
    latency: Latency | None = None
    instructions: Instructions | None = None
    startup: Startup | None = None
    memory: Memory | None = None
    conditions: Conditions | None = None
    output_error: OutputAccuracy | None = None
    ratio: Ratio | None = None
    profile: tuple[OpTime, ...] | None = None
    unknown: Mapping[str, Text] | None = None
    failure: Text | None = None
    taken_at: Text | None = None
    valid: bool | None = None
    reasons: tuple[Reason, ...] = ()

    @property
    def p50_face_ms(self) -> float | None:
        """Median latency per face; None if unknown."""
        p50_ms = self.latency.p50_ms if self.latency is not None else None
        return None if p50_ms is None else p50_ms / self.runtime.batch

    def __post_init__(self) -> None:
        super().__post_init__()
        emulated = self.source == "emulated-instructions"
        wanted, other = ("instructions", "latency") if emulated else ("latency", "instructions")
        if getattr(self, other) is not None:
            self.refuse(f"'{other}' in a record of source '{self.source}'")
        if (getattr(self, wanted) is None) != (self.failure is not None):
            self.refuse(f"exactly one of '{wanted}' and 'failure' must be given")
        if emulated and self.ratio is not None:
            self.refuse("a ratio needs measured times")
        if not emulated and self.machine.emulator is not None:
            self.refuse("emulator wall time is not a latency")
        if emulated and self.machine.emulator is None:
            self.refuse("counted instructions need the name of the emulator")
        if (self.valid is False) != bool(self.reasons):
            self.refuse("'valid' is False if and only if 'reasons' is non-empty")


def now() -> str:
    """The current time in the form of `taken_at`: UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
