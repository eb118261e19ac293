"""The tests of coremltools to run."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

_OPS = "converters/mil/mil/ops/tests"
# Ops without a kernel and without use in a face-age network: control flow, random numbers,
# recurrent layers and states.
_OTHER_SUITES = ("test_control_flow.py", "test_random.py", "test_recurrent.py", "test_states.py")

# This test times coremltools itself, and fails on a busy machine.
EXCLUDED = ("test_efficient_type_inference",)


def suites() -> list[Path]:
    """The files of tests to run."""
    found = sorted(folder().glob("iOS*/test_*.py"))
    return [path for path in found if path.name not in _OTHER_SUITES]


def folder() -> Path:
    """The folder of coremltools' tests of ops; does not import coremltools.

    Raises:
        ModuleNotFoundError: coremltools is not installed.
    """
    spec = find_spec("coremltools")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("coremltools")
    return Path(spec.submodule_search_locations[0]) / _OPS
