"""Two `latency.json` compared: what became slower, larger or wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from agecompact.bench.record import Record
from agecompact.bench.store import Subject, place_of, subject_of
from agecompact.bench.validity import validated

Verdict = Literal["same", "better", "regression", "refused", "only in A", "only in B"]

# A record that fails by one of these is broken, and one that was not before has regressed. The
# other rules find a bad measurement of a file that may be as good as ever.
BROKEN = frozenset({"not-measured", "wrong-output", "delegate-refused", "delegate-took-nothing"})


@dataclass(frozen=True)
class Row:
    """One figure of one subject.

    Attributes:
        subject: What it is of.
        figure: Its name, with its unit.
        before: In A; None where A does not know it.
        after: In B, likewise.
        verdict: What to make of it.
        reason: Why it was refused, or what failed; empty where the figures say it all.
    """

    subject: Subject
    figure: str
    before: float | None
    after: float | None
    verdict: Verdict
    reason: str = ""

    @property
    def change(self) -> float | None:
        """By what part it grew; negative is better. None where there are not two figures."""
        if self.before is None or self.after is None:
            return None
        return self.after / self.before - 1


@dataclass(frozen=True)
class _Figure:
    """A figure of a pair of records, both known.

    Attributes:
        name: With its unit.
        before: In A.
        after: In B.
        threshold: Growth beyond which it is a regression.
        refusal: Why the two must not be compared; empty if they may.
        noise: Whether their intervals overlap, so that a change tells nothing.
    """

    name: str
    before: float
    after: float
    threshold: float
    refusal: str = ""
    noise: bool = False


def compare(
    before: Iterable[Record], after: Iterable[Record], threshold: float, *, absolute: bool = False
) -> tuple[Row, ...]:
    """Compares what both hold.

    Sizes and ratios compare between any machines; so do instructions, and exactly, for the same
    file takes the same number every time. Times compare on one and the same device, and on one and
    the same host if `absolute` asks for them: a shared machine drifts more than a regression is.
    Nothing that was measured by an invalid record is compared.

    Args:
        before: Records of A.
        after: Records of B.
        threshold: Growth beyond which a figure is a regression, as a fraction.
        absolute: Whether to compare times of hosts too.

    Returns:
        A row for each figure of each subject, in the subjects' order.
    """
    rows: list[Row] = []
    old, new = _by_subject(before), _by_subject(after)
    for subject in sorted(old.keys() | new.keys()):
        pairs, only_old, only_new = _paired(old.get(subject, []), new.get(subject, []))
        rows += [Row(subject, "record", None, None, "only in A") for _ in only_old]
        rows += [Row(subject, "record", None, None, "only in B") for _ in only_new]
        for a, b in pairs:
            rows += _rows(subject, a, b, threshold, absolute=absolute)
    return tuple(rows)


def _by_subject(records: Iterable[Record]) -> Mapping[Subject, list[Record]]:
    found: dict[Subject, list[Record]] = defaultdict(list)
    for record in records:
        found[subject_of(record)].append(validated(record))
    return found


def _paired(
    old: list[Record], new: list[Record]
) -> tuple[list[tuple[Record, Record]], list[Record], list[Record]]:
    """Records of one subject, those of the same place first; a lone rest pairs across places."""
    pairs = []
    rest_old, rest_new = list(old), list(new)
    for a in old:
        b = next((b for b in rest_new if place_of(b.machine) == place_of(a.machine)), None)
        if b is not None:
            pairs.append((a, b))
            rest_old.remove(a)
            rest_new.remove(b)
    if len(rest_old) == len(rest_new) == 1:
        return [*pairs, (rest_old[0], rest_new[0])], [], []
    return pairs, rest_old, rest_new


def _rows(subject: Subject, a: Record, b: Record, threshold: float, *, absolute: bool) -> list[Row]:
    rows = []
    broken = [r for r in b.reasons if r.rule in BROKEN]
    if a.valid and broken:
        text = "; ".join(reason.text.splitlines()[0] for reason in broken)
        rows.append(Row(subject, "verdict", None, None, "regression", text))
    for f in _figures(a, b, threshold, absolute=absolute):
        rows.append(Row(subject, f.name, f.before, f.after, _verdict(f), f.refusal))
    return rows


def _verdict(figure: _Figure) -> Verdict:
    if figure.refusal:
        return "refused"
    change = figure.after / figure.before - 1
    if figure.noise or abs(change) <= figure.threshold:
        return "same"
    return "regression" if change > 0 else "better"


def _figures(a: Record, b: Record, threshold: float, *, absolute: bool) -> list[_Figure]:
    size_a, size_b = a.artifact.size, b.artifact.size
    figures = [_Figure("bytes", a.artifact.file_bytes, b.artifact.file_bytes, threshold)]
    if size_a and size_b:
        figures.append(
            _Figure("bytes, deflated", size_a.deflated_bytes, size_b.deflated_bytes, threshold)
        )
    return figures + _measured(a, b, threshold, absolute=absolute)


def _measured(a: Record, b: Record, threshold: float, *, absolute: bool) -> list[_Figure]:
    invalid = _invalid(a, b)
    figures = []
    if a.instructions and b.instructions:
        # With two threads the count is no longer exact.
        allowed = 0.0 if (a.runtime.threads or 1) == 1 else threshold
        counts = a.instructions.total, b.instructions.total
        refusal = invalid or ("other cores" if a.machine.cpu != b.machine.cpu else "")
        figures.append(_Figure("instructions", *counts, allowed, refusal))
    if a.ratio and b.ratio:
        apart = _apart(a, b)
        medians = a.ratio.median, b.ratio.median
        figures.append(_Figure("ratio", *medians, threshold, invalid, noise=not apart))
    if a.latency and b.latency and a.latency.p50_ms and b.latency.p50_ms:
        p50s_ms = a.latency.p50_ms, b.latency.p50_ms
        refusal = invalid or _no_absolute(a, b, absolute=absolute)
        figures.append(_Figure("p50 ms", *p50s_ms, threshold, refusal))
    return figures


def _invalid(a: Record, b: Record) -> str:
    for side, record in (("A", a), ("B", b)):
        if not record.valid:
            return f"{side} is invalid: {', '.join(r.rule for r in record.reasons)}"
    return ""


def _no_absolute(a: Record, b: Record, *, absolute: bool) -> str:
    if a.machine != b.machine:
        return "times of different machines"
    return "a host's time; --absolute compares it" if a.source == "host" and not absolute else ""


def _apart(a: Record, b: Record) -> bool:
    """Whether the ratios' intervals leave a gap."""
    assert a.ratio is not None
    assert b.ratio is not None
    old, new = a.ratio, b.ratio
    if old.low is None or old.high is None or new.low is None or new.high is None:
        return True
    return new.low > old.high or new.high < old.low
