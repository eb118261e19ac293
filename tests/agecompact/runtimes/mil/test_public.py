"""The public names of the package."""

from __future__ import annotations

import ast

import pytest

from agecompact.runtimes import mil
from tests.support import REPOSITORY

PACKAGE = REPOSITORY / "agecompact" / "runtimes" / "mil"


@pytest.mark.parametrize("folder", ["agecompact", "export", "parity_tests"])
def test_other_packages_import_public_names_only(folder: str) -> None:
    for path in (REPOSITORY / folder).rglob("*.py"):
        if path.is_relative_to(PACKAGE):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                assert not node.module.startswith("agecompact.runtimes.mil."), path
                if node.module == "agecompact.runtimes.mil":
                    assert {alias.name for alias in node.names} <= set(mil.__all__), path
