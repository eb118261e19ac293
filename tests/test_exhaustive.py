"""What CI leaves out is there, and other cases of its file stand for it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict

import pytest

from tests.exhaustive import CASES, is_exhaustive
from tests.support import REPOSITORY


@pytest.mark.slow
def test_every_pattern_names_a_case_and_leaves_others() -> None:
    """A test that was renamed would otherwise come back into CI unseen."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", *CASES],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    cases = defaultdict(list)
    for line in done.stdout.splitlines():
        file, found, case = line.partition("::")
        if found:
            cases[file].append(case)
    for file, patterns in CASES.items():
        for pattern in patterns:
            assert any(re.search(pattern, case) for case in cases[file]), (file, pattern)
        assert not all(is_exhaustive(file, case) for case in cases[file]), file


def test_a_case_is_left_out_by_its_file_and_name() -> None:
    file = "tests/own/test_own_int8.py"
    assert is_exhaustive(file, "test_it_becomes_int8_without_a_special_case[residual]")
    assert not is_exhaustive(file, "test_it_becomes_int8_without_a_special_case[bottlenecks]")
    assert not is_exhaustive("tests/own/nets.py", "test_anything[residual]")
