"""Nothing imports upward: the one rule of the house that no type checker holds."""

import ast
from pathlib import Path

import pytest

_ROOT = Path(__file__).parent.parent
_MAY_IMPORT = {
    "agecompact": {"agecompact"},
    "export": {"agecompact", "export"},
    "parity_tests": {"agecompact", "export", "parity_tests"},
    "android_bench": {"agecompact", "android_bench"},
    "ios_bench": {"agecompact", "ios_bench"},
}


def _imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("stop", _MAY_IMPORT)
def test_a_stop_imports_only_what_stands_below_it(stop):
    forbidden = _MAY_IMPORT.keys() - _MAY_IMPORT[stop]
    files = sorted((_ROOT / stop).rglob("*.py"))
    assert files
    for path in files:
        assert not _imported(path) & forbidden, path
