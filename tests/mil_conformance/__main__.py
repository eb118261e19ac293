"""Runs all suites, or those that the arguments name."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.mil_conformance.plugin import Conformance, redirected

_PER_TEST = 8
_SUITES = "converters/mil/mil/ops/tests"
# Ops without a kernel and without use in a face-age network: control flow, random numbers,
# recurrent layers and states.
_OTHER_SUITES = ("test_control_flow.py", "test_random.py", "test_recurrent.py", "test_states.py")


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
    folder = _folder()
    found = [path for path in folder.glob("iOS*/test_*.py") if path.name not in _OTHER_SUITES]
    paths = [str(folder / suite) for suite in chosen or sorted(found)]
    whole = not (rest or known.light) and known.per_test >= _PER_TEST
    if known.light:
        # Importing it fails from here on, as if it were not installed.
        sys.modules["tensorflow"] = None  # type: ignore[assignment]
    plugin = Conformance(per_test=known.per_test, whole=whole)
    settings = ["-c", str(Path(__file__).parent / "pytest.ini"), "--rootdir", str(folder)]
    with redirected(plugin):
        code = int(pytest.main([*settings, *options, *paths], plugins=[plugin]))
    return code or int(plugin.stale > 0)


def _folder() -> Path:
    """The folder of coremltools' tests of ops; does not import coremltools."""
    spec = find_spec("coremltools")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("coremltools")
    return Path(spec.submodule_search_locations[0]) / _SUITES


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
