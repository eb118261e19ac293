"""Workers that have imported torch, for one test after another.

Most tests of parity and evaluation run a small network of PyTorch for a moment, in a worker that
takes two seconds to import torch. Here a worker that is done with one file is kept for the next.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock

import pytest

from agecompact.evaluation import prediction
from agecompact.runtimes.channel import Channel
from agecompact.runtimes.process import RuntimeProcess
from agecompact.runtimes.reading import opener
from parity_tests import runner

_RUNTIMES = frozenset({"pytorch", "pytorch-float64"})
# What pytest changes from test to test, and no worker reads.
_IGNORED = frozenset({"PYTEST_CURRENT_TEST"})
_KEPT = 3

_Key = tuple[frozenset[tuple[str, str]], float, int]


class _Pool:
    """Workers without a task, by all that they inherited; the oldest first."""

    def __init__(self) -> None:
        self._idle: list[tuple[_Key, Channel, ExitStack]] = []
        self._lock = Lock()

    def take(self, key: _Key, fresh: Channel) -> tuple[Channel, ExitStack]:
        """An idle worker; else the given one, started."""
        while (found := self._pop(key)) is not None:
            channel, stack = found
            if _is_running(channel):
                return channel, stack
            stack.close()
        stack = ExitStack()
        return stack.enter_context(fresh), stack

    def _pop(self, key: _Key) -> tuple[Channel, ExitStack] | None:
        with self._lock:
            for place, (other, channel, stack) in enumerate(self._idle):
                if other == key:
                    del self._idle[place]
                    return channel, stack
        return None

    def give_back(self, key: _Key, channel: Channel, stack: ExitStack) -> None:
        """Keeps a worker, and ends the one that has waited longest if there are too many."""
        with self._lock:
            self._idle.append((key, channel, stack))
            last = self._idle.pop(0)[2] if len(self._idle) > _KEPT else None
        if last is not None:
            last.close()

    def close(self) -> None:
        for _, _, stack in self._idle:
            stack.close()


def _is_running(channel: Channel) -> bool:
    return channel._process.poll() is None


@contextmanager
def reused() -> Iterator[None]:
    """Lets parity and evaluation reuse workers of PyTorch, for the block.

    A benchmark still starts its own: it measures the start.
    """
    pool = _Pool()

    class Reusing(RuntimeProcess):
        _is_over = False

        def __enter__(self) -> RuntimeProcess:
            self._key: _Key | None = None
            if opener(self._path, self._runtime).name not in _RUNTIMES:
                return super().__enter__()
            inherited = frozenset((k, v) for k, v in os.environ.items() if k not in _IGNORED)
            self._key = (inherited, self._channel._timeout_s, self._channel._memory_bytes)
            self._channel, self._stack = pool.take(self._key, self._channel)
            self._folder = self._channel.folder
            return self

        def __exit__(self, *raised: object) -> None:
            # After a failure it may be busy, or about to end.
            if self._key is None or raised[0] is not None or not _is_running(self._channel):
                super().__exit__(*raised)
            else:
                self._is_over = True
                pool.give_back(self._key, self._channel, self._stack)

        def kill(self) -> None:
            # By now its worker may serve another.
            if not self._is_over:
                super().kill()

    try:
        with pytest.MonkeyPatch.context() as patch:
            for module in (prediction, runner):
                patch.setattr(module, "RuntimeProcess", Reusing)
            yield
    finally:
        pool.close()
