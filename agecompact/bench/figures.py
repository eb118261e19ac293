"""What else can be told of an artefact in use. Unknown is None, never 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agecompact.checked import (
    AtLeastOne,
    Checked,
    Count,
    Megahertz,
    Ms,
    NotNegative,
    Positive,
    Sha256,
    Text,
)
from agecompact.contract import Unit


@dataclass(frozen=True, kw_only=True)
class Instructions(Checked):
    """Instructions of an emulated processor, counted; all per inference unless said otherwise.

    Attributes:
        total: In the steady state; one of `totals`.
        totals: The same of every process that was run, in order.
        inferences: Steady-state inferences counted in each process; None if unknown.
        init: Of loading the model, in all.
        first: Of the first inference.
        load: Loads among `total`; `store`, `multiply_accumulate`, `simd` and `branch` likewise. A
            kind may hold another's: a SIMD load is both.
        store: Stores.
        multiply_accumulate: Multiply-accumulates, of whatever width.
        simd: SIMD instructions.
        branch: Branches.
        bound: The fewest instructions that the model's multiply-accumulates take; None if unknown.
        bound_basis: What the bound takes for granted, such as `4 float32 lanes an instruction`.
    """

    total: AtLeastOne
    totals: tuple[AtLeastOne, ...]
    inferences: AtLeastOne | None = None
    init: AtLeastOne | None = None
    first: AtLeastOne | None = None
    load: Count | None = None
    store: Count | None = None
    multiply_accumulate: Count | None = None
    simd: Count | None = None
    branch: Count | None = None
    bound: AtLeastOne | None = None
    bound_basis: Text | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.total not in self.totals:
            self.refuse(f"a total of {self.total} is none of its processes'", f"{self.totals}")
        for name in ("load", "store", "multiply_accumulate", "simd", "branch"):
            part = getattr(self, name)
            if part is not None and part > self.total:
                self.refuse(f"{part} of kind '{name}' are more than all {self.total}")
        if (self.bound is None) != (self.bound_basis is None):
            self.refuse("a bound and its basis are told together")

    @property
    def over_bound(self) -> float | None:
        """How many times the bound it takes; 1 cannot be beaten."""
        return self.total / self.bound if self.bound else None


@dataclass(frozen=True, kw_only=True)
class Modelled(Checked):
    """A time that was worked out, not taken.

    Attributes:
        kind: What the figure claims to be.
        inference_ms: The figure.
        low_ms: Least that the method's own error allows; None if unknown.
        high_ms: Greatest.
        clock_mhz: The clock it assumes; None where a calibration stands in for it.
        ms_per_million_instructions: Of the device's calibration run; None without one.
        method: What it was worked out with.
    """

    kind: Literal["lower bound", "estimate"]
    inference_ms: Ms
    method: Text
    low_ms: Ms | None = None
    high_ms: Ms | None = None
    clock_mhz: Megahertz | None = None
    ms_per_million_instructions: Positive | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.clock_mhz is None and self.ms_per_million_instructions is None:
            self.refuse("a modelled time says its clock or its calibration")


@dataclass(frozen=True, kw_only=True)
class Memory(Checked):
    """Memory of the process, bytes.

    Attributes:
        peak_rss_bytes: The most it held resident, libraries included.
        model_rss_bytes: How much the peak rose from before the model was loaded.
        peak_footprint_bytes: The most that the system charged to it, as Apple counts.
    """

    peak_rss_bytes: AtLeastOne | None = None
    model_rss_bytes: Count | None = None
    peak_footprint_bytes: AtLeastOne | None = None


@dataclass(frozen=True, kw_only=True)
class OutputAccuracy(Checked):
    """Error of the very runtime that was measured against PyTorch's answers in the golden pack.

    Attributes:
        unit: Of the errors: `years`, or `score` for a gender.
        samples: Inputs that were compared.
        max_error: Greatest error; None where an answer was no number.
        mean_error: Mean error, likewise.
        not_finite: Answers that were NaN or infinite.
        tolerance: What `max_error` must keep; None where nobody says.
        weights_sha256: The weights whose answers the pack holds.
    """

    unit: Unit
    samples: AtLeastOne
    not_finite: Count
    weights_sha256: Sha256
    max_error: NotNegative | None = None
    mean_error: NotNegative | None = None
    tolerance: NotNegative | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.max_error is None) != (self.not_finite > 0):
            self.refuse("an error is unknown exactly where answers are not finite")


@dataclass(frozen=True, kw_only=True)
class OpTime(Checked):
    """Time of one op, as the runtime's own profiler tells it; profiling slows the rest.

    Attributes:
        name: The op's or the node's name.
        kind: Its type in the runtime's words.
        runs: How often it ran in an inference.
        mean_ms: Mean time an inference.
        unit: Where it ran, such as `cpu` or `neuralEngine`; None if unknown.
    """

    name: Text
    kind: Text
    runs: AtLeastOne
    mean_ms: NotNegative
    unit: Text | None = None
