"""Explanations of failures of coremltools' tests on the reference runtime.

An explanation only holds for a failure: an explained test that passes, or an explanation that no
failure needed, is an error in the list.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from agecompact.serialization import read_toml, structure

FILE = Path(__file__).parent / "explained.toml"


@dataclass(frozen=True)
class Explanation:
    """Why some tests fail.

    Attributes:
        ids: Patterns of test ids, `iOS14/test_pool.py::TestMaxPool::*`; `[` is literal.
        reason: For people.
        error: Text that the failure must contain; empty for any failure.
        strict: Whether every matching test must fail.
    """

    ids: tuple[str, ...]
    reason: str
    error: str = ""
    strict: bool = True

    def covers(self, test: str) -> bool:
        """Whether a test id matches."""
        return any(fnmatchcase(test, pattern.replace("[", "[[]")) for pattern in self.ids)


@dataclass
class Ledger:
    """All explanations, and how often each one was used.

    Attributes:
        explanations: All of them.
        used: Number of failures that each one explained.
    """

    explanations: tuple[Explanation, ...]
    used: Counter[Explanation] = field(default_factory=Counter)

    def explain(self, test: str, error: str) -> str | None:
        """Returns the reason for a failure, which then counts as used; None if there is none."""
        for explanation in self.explanations:
            if explanation.covers(test) and explanation.error in error:
                self.used[explanation] += 1
                return explanation.reason
        return None

    def should_fail(self, test: str) -> str | None:
        """Returns the reason why a test must fail; None if it need not."""
        return next((e.reason for e in self.explanations if e.strict and e.covers(test)), None)

    def unused(self) -> tuple[Explanation, ...]:
        """Explanations that no failure needed."""
        return tuple(e for e in self.explanations if e not in self.used)

    def by_reason(self) -> Counter[str]:
        """Number of explained failures by reason."""
        counts: Counter[str] = Counter()
        for explanation, count in self.used.items():
            counts[explanation.reason] += count
        return counts


def read(path: Path = FILE) -> Ledger:
    """Reads the explanations in a TOML file.

    Args:
        path: With `[[kernels]]`, ops that have no kernel by reason, and `[[tests]]`.
    """
    content = read_toml(path, what="explanations")
    entries = structure(content["tests"], tuple[Explanation, ...], where=str(path))
    missing = tuple(
        Explanation(("*",), group["reason"], f"no kernel for '{op}'", strict=False)
        for group in content["kernels"]
        for op in group["ops"]
    )
    return Ledger(missing + entries)
