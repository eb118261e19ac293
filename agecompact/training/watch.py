"""How a training is followed: its lines, its progress and its history."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from agecompact.training.history import Epoch

Step = Callable[[str], None]
Progress = Callable[[str, int], AbstractContextManager[Step]]


@dataclass(frozen=True)
class Watch:
    """How a training is followed.

    Attributes:
        say: Takes a line for people after each epoch.
        progress: Opens a display, from a title and its number of steps.
        report: Takes the history after each epoch; it may raise to stop the training.
    """

    say: Callable[[str], None]
    progress: Progress
    report: Callable[[Sequence[Epoch]], None]


@contextmanager
def _silent(_title: str, _total: int) -> Iterator[Step]:
    yield lambda _: None


QUIET = Watch(say=lambda _: None, progress=_silent, report=lambda _: None)
