"""Why a test of coremltools may fail on the reference runtime: a list that is kept honest.

An explanation is of an op without a kernel, or of certain tests. Either holds only for a failure: a
test that is explained and passes, or an explanation that no failure needed, is a fault of the list.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

FILE = Path(__file__).parent / "explained.toml"


@dataclass(frozen=True)
class Explanation:
    """Why some tests fail.

    Attributes:
        tests: Patterns of test ids, `iOS14/test_pool.py::TestMaxPool::*`; `[` stands for itself.
        error: A text that the failure must hold; empty where any will do.
        reason: In words.
        strict: Whether every test of the pattern must fail.
    """

    tests: tuple[str, ...]
    error: str
    reason: str
    strict: bool

    def covers(self, test: str) -> bool:
        """Whether it is about a test."""
        return any(fnmatchcase(test, pattern.replace("[", "[[]")) for pattern in self.tests)


@dataclass
class Ledger:
    """The explanations, and what they explained so far.

    Attributes:
        explanations: All of them.
        used: How many failures each one explained, by its place.
    """

    explanations: tuple[Explanation, ...]
    used: Counter[int] = field(default_factory=Counter)

    def explain(self, test: str, error: str) -> str | None:
        """The reason for a failure, or None; a reason given counts as used."""
        for place, explanation in enumerate(self.explanations):
            if explanation.covers(test) and explanation.error in error:
                self.used[place] += 1
                return explanation.reason
        return None

    def should_fail(self, test: str) -> str | None:
        """The reason why a test should have failed, or None."""
        for explanation in self.explanations:
            if explanation.strict and explanation.covers(test):
                return explanation.reason
        return None

    def unused(self) -> tuple[Explanation, ...]:
        """Explanations that no failure needed."""
        return tuple(e for place, e in enumerate(self.explanations) if not self.used[place])

    def by_reason(self) -> Counter[str]:
        """How many failures each reason explained."""
        counts: Counter[str] = Counter()
        for place, count in self.used.items():
            counts[self.explanations[place].reason] += count
        return counts


def read(path: Path = FILE) -> Ledger:
    """Reads the list.

    Args:
        path: TOML with `[kernels]`, reason by tables of op names, and `[[tests]]`.
    """
    content = tomllib.loads(path.read_text())
    found = [
        Explanation(("*",), f"no kernel for '{kind}'", group["reason"], False)
        for group in content.get("kernels", [])
        for kind in group["ops"]
    ]
    found += [
        Explanation(
            tuple(entry["ids"]), entry.get("error", ""), entry["reason"], entry.get("strict", True)
        )
        for entry in content.get("tests", [])
    ]
    return Ledger(tuple(found))
