"""Candidates and their figures, made up."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from agecompact.errors import AgecompactError
from parity_tests.optimise import candidates
from parity_tests.optimise.candidates import Candidate
from parity_tests.optimise.records import Count, Errors, Made, Origin


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def tried(*flags: str) -> tuple[Candidate, ...]:
    """The candidates of these precisions, as they are by default."""
    found = candidates.listed(flags, None).tried
    return tuple(each for each in found if not each.without and not each.float_share)


@dataclass
class Bench:
    """Measures candidates by tables, and remembers what it was asked for."""

    p99: Mapping[str, float]
    instructions: Mapping[str, int]
    sizes: Mapping[str, int]
    weights: str = "weights"
    place: str | None = "emulated:cortex-a76"
    faces: str = "faces"
    tool: str = "1"
    there: Errors | None = None
    contents: Mapping[str, str] = field(default_factory=dict)
    fails: Mapping[tuple[str, str], AgecompactError] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)

    @property
    def faces_sha256(self) -> str:
        return sha256(self.faces)

    def origin(self, candidate: Candidate) -> Origin:
        return Origin(
            weights_sha256=sha256(self.weights),
            network_sha256=sha256("network"),
            calibration_sha256=sha256("faces") if candidate.calibration else None,
        )

    def stale(self, candidate: Candidate, made: Made) -> str:
        if made.origin != self.origin(candidate):
            return "other weights"
        return "" if made.versions == {"tool": self.tool} else "another tool"

    def make(self, candidate: Candidate) -> Made:
        self._called("make", candidate)
        return Made(
            origin=self.origin(candidate),
            versions={"tool": self.tool},
            file=f"{candidate.name}.tflite",
            sha256=sha256(self.contents.get(candidate.name, candidate.name)),
            bytes=self.sizes[candidate.name],
        )

    def errors(self, candidate: Candidate) -> Errors:
        self._called("errors", candidate)
        p99 = self.p99[candidate.name]
        return Errors(
            faces_sha256=self.faces_sha256, faces=9, p99=p99, mean=p99 / 4, greatest=2 * p99
        )

    def count(self, candidate: Candidate) -> Count:
        self._called("count", candidate)
        assert self.place is not None
        return Count(
            place=self.place,
            machine="made up",
            instructions=self.instructions[candidate.name],
            there=self.there,
        )

    def _called(self, step: str, candidate: Candidate) -> None:
        self.calls.append((step, candidate.name))
        if error := self.fails.get((step, candidate.name)):
            raise error

    def again(self, **changes: object) -> Bench:
        """The same with changes, which nobody has asked yet."""
        return replace(self, calls=[], **changes)  # type: ignore[arg-type]


def bench() -> Bench:
    return Bench(
        p99={"float32": 1e-5, "float16": 0.01, "int8-weights": 0.3},
        instructions={"float32": 900, "float16": 900, "int8-weights": 800},
        sizes={"float32": 100, "float16": 50, "int8-weights": 30},
    )
