"""Workers that have imported torch, for one test after another.

Most tests of parity and evaluation run a small network of PyTorch for a moment, in a worker that
takes two seconds to import torch. Here a worker that is done with one file is kept for the next.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

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
    """Workers without a task, by all that they inherited."""

    def __init__(self) -> None:
        self._idle: dict[_Key, list[tuple[Channel, ExitStack]]] = defaultdict(list)

    def take(self, key: _Key, fresh: Channel) -> tuple[Channel, ExitStack]:
        """An idle worker; else the given one, started."""
        while self._idle[key]:
            channel, stack = self._idle[key].pop()
            if _is_running(channel):
                return channel, stack
            stack.close()
        stack = ExitStack()
        return stack.enter_context(fresh), stack

    def give_back(self, key: _Key, channel: Channel, stack: ExitStack) -> None:
        if _is_running(channel) and sum(map(len, self._idle.values())) < _KEPT:
            self._idle[key].append((channel, stack))
        else:
            stack.close()

    def close(self) -> None:
        for kept in self._idle.values():
            for _, stack in kept:
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
        def __enter__(self) -> RuntimeProcess:
            if opener(self._path, self._runtime).name not in _RUNTIMES:
                return super().__enter__()
            inherited = frozenset((k, v) for k, v in os.environ.items() if k not in _IGNORED)
            key = (inherited, self._channel._timeout_s, self._channel._memory_bytes)
            self._channel, kept = pool.take(key, self._channel)
            self._folder = self._channel.folder
            self._stack = ExitStack()
            self._stack.callback(pool.give_back, key, self._channel, kept)
            return self

    try:
        with pytest.MonkeyPatch.context() as patch:
            for module in (prediction, runner):
                patch.setattr(module, "RuntimeProcess", Reusing)
            yield
    finally:
        pool.close()
