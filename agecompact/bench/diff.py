"""Comparison of two `latency.json`: what became slower, larger or wrong."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from agecompact.bench.record import Record
from agecompact.bench.store import MeasurementKey, machine_key, measurement_key
from agecompact.bench.timing import Ratio
from agecompact.bench.validity import validated

# `refused`: nobody knows, because a record is invalid, noise hides the answer, or no cost of a
# measurement can be compared. `not comparable`: the machines or the kind of figure do not allow a
# comparison of this figure, however well it was measured.
Verdict = Literal[
    "same", "better", "regression", "refused", "not comparable", "only in A", "only in B"
]

# A record that newly fails one of these rules is a regression: the artefact is broken. The other
# rules find a bad measurement of an artefact that may be as good as ever.
BROKEN = frozenset({"not-measured", "wrong-output", "delegate-refused", "delegate-took-nothing"})


@dataclass(frozen=True)
class Comparison:
    """One figure of one measurement in both files.

    Attributes:
        subject: What was measured and how.
        figure: Name of the figure, with its unit.
        before: Its value in A; None if A does not have it.
        after: Its value in B; None if B does not have it.
        verdict: The result.
        reason: Why there is no other verdict, or what failed; else empty.
    """

    subject: MeasurementKey
    figure: str
    before: float | None
    after: float | None
    verdict: Verdict
    reason: str = ""

    @property
    def change(self) -> float | None:
        """Relative growth, negative for better; None unless both values are known."""
        if self.before is None or self.after is None:
            return None
        return self.after / self.before - 1


def compare(
    before: Iterable[Record], after: Iterable[Record], threshold: float, *, absolute: bool = False
) -> tuple[Comparison, ...]:
    """Compares the records of A and B.

    Sizes, ratios and instructions are comparable between any machines; instructions exactly, since
    a file takes the same number every time. Times are comparable on the same device, and on the
    same host only with `absolute`: a shared machine drifts by more than a regression. Figures
    measured in an invalid record are not compared. A ratio is refused where its intervals cannot
    show a growth beyond the threshold, or cannot tell whether there was one. A measurement whose
    every cost is not comparable has a refused `cost`, so that equal bytes alone never pass.

    Args:
        before: Records of A.
        after: Records of B.
        threshold: Relative growth beyond which a figure is a regression.
        absolute: Whether to compare times of hosts too.

    Returns:
        A comparison for each figure of each measurement, sorted by measurement.
    """
    comparisons: list[Comparison] = []
    old, new = _by_key(before), _by_key(after)
    for key in sorted(old.keys() | new.keys()):
        pairs, only_old, only_new = _paired(old.get(key, []), new.get(key, []))
        comparisons += [Comparison(key, "record", None, None, "only in A") for _ in only_old]
        comparisons += [Comparison(key, "record", None, None, "only in B") for _ in only_new]
        for a, b in pairs:
            comparisons += _compared(key, a, b, threshold, absolute=absolute)
    return tuple(comparisons)


def _by_key(records: Iterable[Record]) -> Mapping[MeasurementKey, list[Record]]:
    by_key: dict[MeasurementKey, list[Record]] = defaultdict(list)
    for record in records:
        by_key[measurement_key(record)].append(validated(record))
    return by_key


def _paired(
    old: list[Record], new: list[Record]
) -> tuple[list[tuple[Record, Record]], list[Record], list[Record]]:
    """Pairs records of one measurement by machine; if one is left on each side, those two too.

    Returns:
        The pairs, and what is left of the old and of the new records.
    """
    pairs = []
    rest_old, rest_new = list(old), list(new)
    for a in old:
        b = next((b for b in rest_new if machine_key(b.machine) == machine_key(a.machine)), None)
        if b is not None:
            pairs.append((a, b))
            rest_old.remove(a)
            rest_new.remove(b)
    if len(rest_old) == len(rest_new) == 1:
        return [*pairs, (rest_old[0], rest_new[0])], [], []
    return pairs, rest_old, rest_new


def _compared(
    key: MeasurementKey, a: Record, b: Record, threshold: float, *, absolute: bool
) -> Iterator[Comparison]:
    def figure(
        name: str,
        before: float,
        after: float,
        *,
        allowed: float = threshold,
        invalid: str = "",
        unlike: str = "",
        noise: str = "",
        overlap: bool = False,
    ) -> Comparison:
        growth = after / before - 1
        verdict: Verdict = "regression" if growth > 0 else "better"
        reason = unlike or invalid or noise
        if reason:
            verdict = "not comparable" if unlike else "refused"
        elif abs(growth) <= allowed:
            verdict = "same"
        elif overlap:
            # A fall that may be noise is no proof of an improvement.
            verdict, reason = "same", "the intervals of A and B overlap"
        return Comparison(key, name, before, after, verdict, reason)

    broken = [r for r in b.reasons if r.rule in BROKEN]
    if a.valid and broken:
        text = "; ".join(reason.text.splitlines()[0] for reason in broken)
        yield Comparison(key, "verdict", None, None, "regression", text)
    yield figure("bytes", a.artifact.file_bytes, b.artifact.file_bytes)
    size_a, size_b = a.artifact.size, b.artifact.size
    if size_a and size_b:
        yield figure("bytes, deflated", size_a.deflated_bytes, size_b.deflated_bytes)
    invalid = _invalid(a, b)
    costs: list[Comparison] = []
    if a.instructions and b.instructions:
        # With two threads the count is no longer exact.
        allowed = 0.0 if (a.runtime.threads or 1) == 1 else threshold
        unlike = "other cores" if a.machine.cpu != b.machine.cpu else ""
        counts = a.instructions.total, b.instructions.total
        costs.append(
            figure("instructions", *counts, allowed=allowed, invalid=invalid, unlike=unlike)
        )
    if a.ratio and b.ratio:
        medians = a.ratio.median, b.ratio.median
        noise, overlap = _noise(a.ratio, b.ratio, threshold), _overlap(a.ratio, b.ratio)
        costs.append(figure("ratio", *medians, invalid=invalid, noise=noise, overlap=overlap))
    if a.latency and b.latency and a.latency.p50_ms and b.latency.p50_ms:
        unlike = _unlike(a, b, absolute=absolute)
        medians = a.latency.p50_ms, b.latency.p50_ms
        costs.append(figure("p50 ms", *medians, invalid=invalid, unlike=unlike))
    yield from costs
    if not (a.valid and broken) and all(cost.verdict == "not comparable" for cost in costs):
        reasons = [invalid, *(cost.reason for cost in costs)]
        why = next(filter(None, reasons), "A and B have no figure of its cost in common")
        yield Comparison(key, "cost", None, None, "refused", why)


def _invalid(a: Record, b: Record) -> str:
    for side, record in (("A", a), ("B", b)):
        if not record.valid:
            return f"{side} is invalid: {'; '.join(f'{r.rule}, {r.text}' for r in record.reasons)}"
    return ""


def _unlike(a: Record, b: Record, *, absolute: bool) -> str:
    """Why two absolute times are not comparable; empty if they are."""
    if a.machine != b.machine:
        return "times of different machines"
    return "host times; compare them with --absolute" if a.source == "host" and not absolute else ""


def _noise(old: Ratio, new: Ratio, threshold: float) -> str:
    """Why the ratios' intervals do not show whether it grew by more than the threshold; or empty.

    A growth is known to about the root of the sum of squares of both relative uncertainties.
    """
    if old.low is None or old.high is None or new.low is None or new.high is None:
        return ""
    growth = new.median / old.median - 1
    if growth > threshold:
        return "the intervals of A and B overlap" if _overlap(old, new) else ""
    uncertainty = math.hypot(
        (old.high - old.low) / 2 / old.median, (new.high - new.low) / 2 / new.median
    )
    if uncertainty + min(growth, 0) <= threshold:
        return ""
    return f"noise of {uncertainty:.1%} either way would hide a growth of {threshold:.1%}"


def _overlap(old: Ratio, new: Ratio) -> bool:
    """Whether the ratios' intervals overlap, so that a difference means nothing."""
    if old.low is None or old.high is None or new.low is None or new.high is None:
        return False
    return new.low <= old.high and new.high >= old.low
