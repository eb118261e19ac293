"""Neither stages nor packages of `agecompact` import from a higher level."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from agecompact.runtimes import mil

_ROOT = Path(__file__).parent.parent
_MAY_IMPORT = {
    "agecompact": {"agecompact"},
    "export": {"agecompact", "export"},
    "parity_tests": {"agecompact", "export", "parity_tests"},
    "android_bench": {"agecompact", "android_bench"},
    "ios_bench": {"agecompact", "ios_bench"},
}
# From the lowest level up; modules of one level may import each other.
_ORDER = (
    {"__init__", "errors", "imports", "text", "faults", "startup"},
    {"lifeline", "children", "exchange", "scratch", "files"},
    {"checked", "serialization", "json_schema", "tables", "isolation", "markdown", "web"},
    {"contract", "outputs", "precisions", "formats", "filetypes"},
    {"models"},
    {"weights"},
    {"artifacts"},
    {"faces"},
    {"data"},
    {"runtimes"},
    {"evaluation"},
    {"predict"},
    {"bench"},
    {"training"},
    {"diagnosis"},
    {"integrate", "lemur", "report"},
    {"console"},
    {"commands", "cli", "__main__"},
)
_LEVEL = {name: level for level, names in enumerate(_ORDER) for name in names}
# Registries name objects of higher levels, and import them when they are used.
_REGISTRIES = {
    Path("agecompact/__init__.py"),
    Path("agecompact/cli.py"),
    Path("agecompact/formats.py"),
    Path("agecompact/bench/drivers.py"),
}
_REFERENCE = re.compile(rf"(?:{'|'.join(_MAY_IMPORT)})(?:\.\w+)+(?::\w+)?")


def _imported(tree: ast.AST) -> Iterator[str]:
    """Modules that a file imports, or names for `imports.resolve`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and _REFERENCE.fullmatch(str(node.value)):
            yield str(node.value).partition(":")[0]


def _files(stage: str) -> list[Path]:
    files = sorted(path.relative_to(_ROOT) for path in (_ROOT / stage).rglob("*.py"))
    assert files
    return files


def _modules(path: Path) -> set[str]:
    names = set(_imported(ast.parse((_ROOT / path).read_text())))
    return {name for name in names if name.partition(".")[0] in _MAY_IMPORT}


@pytest.mark.parametrize("stage", _MAY_IMPORT)
def test_a_stage_imports_only_earlier_ones(stage: str) -> None:
    for path in _files(stage):
        if path not in _REGISTRIES:
            stages = {name.partition(".")[0] for name in _modules(path)}
            assert stages <= _MAY_IMPORT[stage], path


def test_a_package_imports_only_lower_ones() -> None:
    for path in _files("agecompact"):
        if path in _REGISTRIES:
            continue
        own = path.with_suffix("").parts[1]
        for name in _modules(path):
            package = name.split(".")[1] if "." in name else "__init__"
            # `from agecompact import __version__`.
            package = package if package in _LEVEL else "__init__"
            assert _LEVEL[package] <= _LEVEL[own], f"{path} imports {name}"
            if package != own and _LEVEL[package] == _LEVEL[own]:
                assert _LEVEL[own] in (0, 1, 2, 3, _LEVEL["cli"]), f"{path} imports {name}"


def test_only_public_names_of_the_reference_runtime_are_imported() -> None:
    inside = f"{mil.__name__}."
    for path in [path for stage in _MAY_IMPORT for path in _files(stage)]:
        if not path.is_relative_to("agecompact/runtimes/mil"):
            names = {name.removeprefix(inside) for name in _modules(path) if inside in name}
            assert names <= set(mil.__all__), path


def test_every_package_has_a_level() -> None:
    found = {path.parts[1].removesuffix(".py") for path in _files("agecompact")}
    assert found == set(_LEVEL)


def test_nothing_imports_a_verb() -> None:
    for stage in _MAY_IMPORT:
        for path in _files(stage):
            if path not in _REGISTRIES and path.parts[:2] != ("agecompact", "commands"):
                assert not any(n.startswith("agecompact.commands") for n in _modules(path)), path
