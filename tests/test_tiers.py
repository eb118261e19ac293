"""What the tiers leave out is there, and other cases of its file stand for what CI leaves out."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict

import pytest

from tests.support import REPOSITORY
from tests.tiers import EXHAUSTIVE, SLOW, has


@pytest.mark.slow
def test_every_pattern_names_a_case_and_ci_has_others() -> None:
    """A test that was renamed would otherwise change its tier unseen."""
    files = {*SLOW, *EXHAUSTIVE}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", *sorted(files)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    found = defaultdict(list)
    for line in done.stdout.splitlines():
        file, is_case, case = line.partition("::")
        if is_case:
            found[file].append(case)
    for cases in (SLOW, EXHAUSTIVE):
        for file, patterns in cases.items():
            for pattern in patterns:
                assert any(re.search(pattern, case) for case in found[file]), (file, pattern)
    for file in EXHAUSTIVE:
        assert not all(has(EXHAUSTIVE, file, case) for case in found[file]), file


def test_a_case_is_named_by_its_file_and_name() -> None:
    file = "tests/own/test_own_int8.py"
    name = "test_it_becomes_int8_without_a_special_case"
    assert has(EXHAUSTIVE, file, f"{name}[residual]")
    assert not has(EXHAUSTIVE, file, f"{name}[bottlenecks]")
    assert not has(EXHAUSTIVE, "tests/own/nets.py", f"{name}[residual]")
