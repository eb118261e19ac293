"""Runs the command line where no process of it can allocate a gigabyte."""

from __future__ import annotations

import os
import subprocess
import sys

_CODE = """
from agecompact.isolation import limit_memory
limit_memory(10**9)
from agecompact.cli import main
main()
"""


def run_limited(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs a verb; one that allocates a gigabyte at a time ends in a traceback or a crash."""
    return subprocess.run(
        [sys.executable, "-c", _CODE, *map(str, arguments)],
        capture_output=True,
        text=True,
        # A thread takes memory, and some machines have many cores.
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        timeout=120,
        check=False,
    )
