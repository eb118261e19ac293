"""Imports modules in another process, which a broken library may end.

Run as `python -m agecompact.diagnosis.importing MODULE ...`, it prints a line for each module that
it has tried: the name, and why it cannot be imported if it cannot.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence

from agecompact import children
from agecompact.errors import first_line
from agecompact.imports import module_command

# Before each line, since modules print as well.
_MARK = "@agecompact-imported"
_TIMEOUT_S = 300.0


def failures(modules: Sequence[str], timeout_s: float = _TIMEOUT_S) -> dict[str, str]:
    """Why modules cannot be imported, by name; those that can are left out.

    Args:
        modules: Names of the modules.
        timeout_s: Longest that all together may take.
    """
    failed: dict[str, str] = {}
    left = list(modules)
    while left:
        try:
            done = children.run([*module_command(__name__), *left], timeout_s=timeout_s)
            printed, end = done.stdout, _end(done.returncode, done.stderr)
        except children.TimedOut as expired:
            printed, end = expired.stdout, f"its import takes more than {timeout_s:g} s"
        tried = dict(_reports(printed))
        failed |= {name: why for name, why in tried.items() if why}
        left = left[len(tried) :]
        if left:
            # The process ended while it imported this one; the rest is tried in a new one.
            failed[left.pop(0)] = end
    return failed


def _reports(printed: str) -> Iterator[tuple[str, str]]:
    for line in printed.splitlines():
        if line.startswith(_MARK):
            name, _, why = line.removeprefix(f"{_MARK} ").partition(" ")
            yield name, why


def _end(code: int, log: str) -> str:
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    last = (log.strip().splitlines() or [""])[-1]
    return f"its import ends the process with {how}" + (f": {last}" if last else "")


def _main(modules: Sequence[str]) -> None:
    for name in modules:
        why = ""
        try:
            importlib.import_module(name)
        # Libraries raise anything at all if they do not fit together.
        except BaseException as error:
            why = f"{type(error).__name__}: {first_line(error)}"
        print(f"\n{_MARK} {name} {why}", flush=True)


if __name__ == "__main__":
    _main(sys.argv[1:])
    # What libraries do as Python ends says nothing about their import.
    os._exit(0)
