"""Everything measured apart from latency. Unknown is None, never 0."""

from __future__ import annotations

from dataclasses import dataclass

from agecompact.checked import (
    AtLeastOne,
    Checked,
    Count,
    NotNegative,
    Sha256,
    Text,
)


@dataclass(frozen=True, kw_only=True)
class Instructions(Checked):
    """Instructions that an emulated processor executed, per inference unless noted otherwise.

    Attributes:
        total: Steady-state count; one of `totals`.
        totals: Steady-state count of each process, in the order they ran.
        inferences: Steady-state inferences counted in each process; None if unknown.
        init: Count for loading the model, not per inference.
        first: Count for the first inference.
        load: Load instructions in `total`. Kinds overlap: a SIMD load counts in both.
        store: Store instructions in `total`.
        multiply_accumulate: Multiply-accumulate instructions in `total`, of any width.
        simd: SIMD instructions in `total`.
        branch: Branch instructions in `total`.
        bound: The fewest instructions that the model's multiply-accumulates need; None if unknown.
        bound_basis: The assumption behind the bound, such as `4 float32 lanes an instruction`.
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
            self.refuse(f"the total {self.total} is not one of the totals", f"{self.totals}")
        for name in ("load", "store", "multiply_accumulate", "simd", "branch"):
            part = getattr(self, name)
            if part is not None and part > self.total:
                self.refuse(f"'{name}' is {part}, more than the total {self.total}")
        if (self.bound is None) != (self.bound_basis is None):
            self.refuse("'bound' and 'bound_basis' are given together or not at all")

    @property
    def over_bound(self) -> float | None:
        """Ratio of the count to the bound, at least 1 in theory; None without a bound."""
        return self.total / self.bound if self.bound else None


@dataclass(frozen=True, kw_only=True)
class Memory(Checked):
    """Memory of the process, bytes.

    Attributes:
        peak_rss_bytes: Peak resident set size, libraries included.
        model_rss_bytes: Increase of the peak since before the model was loaded.
        peak_footprint_bytes: Peak footprint as Apple's systems account for it.
    """

    peak_rss_bytes: AtLeastOne | None = None
    model_rss_bytes: Count | None = None
    peak_footprint_bytes: AtLeastOne | None = None


@dataclass(frozen=True, kw_only=True)
class OutputAccuracy(Checked):
    """Error of the measured runtime's outputs against PyTorch's in the golden pack.

    Attributes:
        unit: Unit of the errors: such as `years`.
        samples: Number of inputs compared.
        max_error: Largest error; None if an output was not finite.
        mean_error: Mean error; None if an output was not finite.
        not_finite: Number of samples with a NaN or infinite output.
        tolerance: Largest `max_error` that is allowed; None if no limit is set.
        weights_sha256: Hash of the weights that produced the golden pack.
    """

    unit: Text
    samples: AtLeastOne
    not_finite: Count
    weights_sha256: Sha256
    max_error: NotNegative | None = None
    mean_error: NotNegative | None = None
    tolerance: NotNegative | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.max_error is None) != (self.not_finite > 0):
            self.refuse("'max_error' is None if and only if an output is not finite")


@dataclass(frozen=True, kw_only=True)
class OpTime(Checked):
    """Time of one op under the runtime's own profiler, which slows the inference down.

    Attributes:
        name: Name of the op or node.
        kind: Its type, as the runtime names it.
        runs: How often it ran per inference.
        mean_ms: Mean time per inference.
        unit: Where it ran, such as `cpu` or `neuralEngine`; None if unknown.
    """

    name: Text
    kind: Text
    runs: AtLeastOne
    mean_ms: NotNegative
    unit: Text | None = None
