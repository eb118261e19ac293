"""The record of what one artefact costs in one place. Unknown is None, never 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from agecompact.bench.circumstances import Conditions, Machine, Runtime
from agecompact.bench.figures import Instructions, Memory, Modelled, OpTime, OutputAccuracy
from agecompact.bench.timing import Latency, Ratio, Startup
from agecompact.checked import (
    AtLeastOne,
    Checked,
    Count,
    Sha256,
    Text,
)

# 1 was flat, knew the host alone, and held no verdict.
SCHEMA_VERSION = 2

Source = Literal["device", "host", "emulated-instructions", "modelled"]
Format = Literal["pytorch", "onnx", "tflite", "coreml"]


@dataclass(frozen=True, kw_only=True)
class Size(Checked):
    """What the bytes of an artefact are; the first three add up to its size.

    Attributes:
        weights_bytes: Constants that the graph computes with.
        graph_bytes: Ops, tensors, names and whatever holds them together.
        metadata_bytes: What describes the file to people and to agecompact.
        deflated_bytes: The file's data, deflated, as an APK or IPA carries it to a phone.
        bound_bytes: Folded parameters times the bytes of the precision: the least that stored
            weights can take without being compressed; None for a precision of no fixed width.
    """

    weights_bytes: Count
    graph_bytes: Count
    metadata_bytes: Count
    deflated_bytes: AtLeastOne
    bound_bytes: AtLeastOne | None = None


@dataclass(frozen=True, kw_only=True)
class Artifact(Checked):
    """The file.

    Attributes:
        model: Registered id.
        file: File name.
        format: Of the file; `pytorch` is the source weights.
        precision: `float32`, `float16`, ... as the manifest names it.
        sha256: Hash of the very file that was measured.
        file_bytes: Its size, of a package the sum over its files.
        parameters: Trainable parameters of the model.
        macs: Multiply-accumulates for one face.
        size: What its bytes are.
    """

    model: Text
    file: Text
    format: Format
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
    """Why a record may not be believed.

    Attributes:
        rule: The rule of `validity` that says so.
        text: What it found.
    """

    rule: Text
    text: Text


@dataclass(frozen=True, kw_only=True)
class Record(Checked):
    """What one artefact costs in one place.

    Attributes:
        source: What kind of figures these are, which settles which of the next three there are.
        artifact: The file.
        machine: Where.
        runtime: With what.
        latency: Wall time, of a `device` or a `host`; None where it did not run.
        instructions: Of `emulated-instructions`. An emulator's wall time is told nowhere.
        modelled: Of `modelled`.
        startup: Before the steady state.
        memory: Of the process.
        conditions: What the machine was doing.
        output_error: Against the golden pack, there and then; None if it was not compared.
        ratio: Latency over the reference's.
        profile: Time by op, the longest first.
        unknown: Why a figure is None, by its name, where there is more to say than "not asked for".
        failure: Why nothing was measured; None where something was.
        taken_at: When, UTC, as `2026-01-31T12:00:00Z`; None where the figure has no date.
        valid: Whether it may be believed; None until `validity.validated` has looked.
        reasons: Why it may not.
    """

    source: Source
    artifact: Artifact
    machine: Machine
    runtime: Runtime
    latency: Latency | None = None
    instructions: Instructions | None = None
    modelled: Modelled | None = None
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
        """Median latency a face; None where there is none."""
        p50_ms = self.latency.p50_ms if self.latency is not None else None
        return None if p50_ms is None else p50_ms / self.runtime.batch

    def __post_init__(self) -> None:
        super().__post_init__()
        own = _FIGURE[self.source]
        for name in _FIGURE.values():
            if name != own and getattr(self, name) is not None:
                self.refuse(f"'{name}' in a record of source '{self.source}'")
        if (getattr(self, own) is None) != (self.failure is not None):
            self.refuse(f"either its {own} or why there is none")
        if own != "latency" and self.ratio is not None:
            self.refuse("a ratio is of times that were taken")
        if own == "latency" and self.machine.emulator is not None:
            self.refuse("an emulator's time is no latency")
        if self.source == "emulated-instructions" and self.machine.emulator is None:
            self.refuse("counted instructions name their emulator")
        if (self.valid is False) != bool(self.reasons):
            self.refuse("it is invalid exactly where it has reasons")


_FIGURE: Mapping[str, str] = {
    "device": "latency",
    "host": "latency",
    "emulated-instructions": "instructions",
    "modelled": "modelled",
}


def now() -> str:
    """The time, as a record's `taken_at` has it: UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
