"""Runs all suites, or those that the arguments name."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.mil_conformance.plugin import Conformance, redirected
from tests.mil_conformance.suites import folder, suites

_PER_TEST = 8


def main(arguments: Sequence[str]) -> int:
    """Runs suites.

    Args:
        arguments: Suites or parts of them, such as `iOS14/test_pool.py::TestMaxPool`; all by
            default. `--per-test=N` draws N parameter sets of each test instead of 8. `--light` runs
            without TensorFlow and the tests that need it. Other options go to pytest.

    Returns:
        The exit code: 0 if every failure is explained and every explanation was needed.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.mil_conformance")
    parser.add_argument("--per-test", type=int, default=_PER_TEST)
    parser.add_argument("--light", action="store_true")
    known, rest = parser.parse_known_args(arguments)
    options = [argument for argument in rest if argument.startswith("-")]
    chosen = [argument for argument in rest if not argument.startswith("-")]
    paths = [str(folder() / suite) for suite in chosen] or [str(path) for path in suites()]
    whole = not (rest or known.light) and known.per_test >= _PER_TEST
    if known.light:
        # Importing it fails from here on, as if it were not installed.
        sys.modules["tensorflow"] = None  # type: ignore[assignment]
    plugin = Conformance(per_test=known.per_test, whole=whole)
    settings = ["-c", str(Path(__file__).parent / "pytest.ini"), "--rootdir", str(folder())]
    with redirected(plugin):
        code = int(pytest.main([*settings, *options, *paths], plugins=[plugin]))
    return code or int(plugin.stale > 0)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
