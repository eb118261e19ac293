"""The search space over a recipe: ranges and choices, parsed from `KEY=SPEC`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agecompact.errors import UsageError

if TYPE_CHECKING:
    from optuna import Trial

_FIX = (
    "write KEY=LOW..HIGH, KEY=log:LOW..HIGH, KEY=int:LOW..HIGH, KEY=int:log:LOW..HIGH or KEY=A|B|C"
)


@dataclass(frozen=True)
class Range:
    """A range of numbers.

    Attributes:
        key: Dotted key of a recipe.
        low: Lower bound.
        high: Upper bound.
        log: Whether to sample uniformly in the logarithm.
        whole: Whether only integers count; the bounds are then integers.
    """

    key: str
    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __str__(self) -> str:
        low, high = self.bounds()
        return f"{self.key}={'int:' * self.whole}{'log:' * self.log}{low}..{high}"

    def bounds(self) -> tuple[str, ...]:
        """Returns the bounds, as TOML."""
        return repr(self.low), repr(self.high)

    def suggest(self, trial: Trial) -> str:
        """Returns a value, as TOML."""
        if self.whole:
            low, high = int(self.low), int(self.high)
            return str(trial.suggest_int(self.key, low, high, log=self.log))
        return repr(float(trial.suggest_float(self.key, self.low, self.high, log=self.log)))


@dataclass(frozen=True)
class Choices:
    """One of several values.

    Attributes:
        key: Dotted key of a recipe.
        options: TOML values, as text: databases store text, and a TOML value may be a list.
    """

    key: str
    options: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.key}={'|'.join(self.options)}"

    def bounds(self) -> tuple[str, ...]:
        """Returns all values, as TOML."""
        return self.options

    def suggest(self, trial: Trial) -> str:
        """Returns a value, as TOML."""
        return str(trial.suggest_categorical(self.key, self.options))


Dimension = Range | Choices
Space = tuple[Dimension, ...]


def parse(texts: Iterable[str]) -> Space:
    """Parses a search space.

    Args:
        texts: `KEY=SPEC`, where the key is that of an override in `recipe.load`. The spec is
            `LOW..HIGH`, optionally after `log:`, `int:` or `int:log:`, or TOML values with `|`
            between them.

    Raises:
        UsageError: A text has another form, a range is empty, or a key occurs twice.
    """
    space = tuple(parse_dimension(text) for text in texts)
    keys = [dimension.key for dimension in space]
    for key in keys:
        if keys.count(key) > 1:
            raise UsageError(f"'{key}' is searched twice", fix="give each key one --search")
    return space


def parse_dimension(text: str) -> Dimension:
    """Parses one `KEY=SPEC`.

    Raises:
        UsageError: The text has another form, or the range is empty.
    """
    key, equals, spec = (part.strip() for part in text.partition("="))
    if not equals or not all(key.split(".")):
        raise _refused(text, "it has no key before a '='")
    if "|" in spec:
        options = tuple(option.strip() for option in spec.split("|"))
        if not all(options) or len(set(options)) < len(options):
            raise _refused(text, "two of its values are equal, or one is empty")
        return Choices(key, options)
    rest, whole = spec.removeprefix("int:"), spec.startswith("int:")
    rest, log = rest.removeprefix("log:"), rest.startswith("log:")
    low, dots, high = rest.partition("..")
    if not dots:
        raise _refused(text, "it is neither a range nor a choice of several values")
    try:
        number = int if whole else float
        dimension = Range(key, number(low), number(high), log, whole)
    except ValueError as error:
        raise _refused(text, str(error)) from None
    if not (math.isfinite(dimension.low) and math.isfinite(dimension.high)):
        raise _refused(text, "a bound is not finite")
    if not dimension.low < dimension.high:
        raise _refused(text, "its lower bound is not below its upper bound")
    if log and dimension.low <= 0:
        raise _refused(text, "a logarithmic range must begin above 0")
    return dimension


def suggest(trial: Trial, space: Space) -> tuple[str, ...]:
    """Returns a trial's overrides `KEY=VALUE`, for `recipe.load`."""
    return tuple(f"{dimension.key}={dimension.suggest(trial)}" for dimension in space)


def corners(space: Space) -> Iterator[tuple[str, ...]]:
    """Yields overrides that cover each bound and each choice, to check before a search begins."""
    columns = [dimension.bounds() for dimension in space]
    for row in range(max(map(len, columns), default=0)):
        yield tuple(
            f"{dimension.key}={column[row % len(column)]}"
            for dimension, column in zip(space, columns, strict=True)
        )


def _refused(text: str, why: str) -> UsageError:
    return UsageError(f"cannot search '{text}'", why=why, fix=_FIX)
