"""Definitions of agecompact as source text that stands alone.

What another framework should run is cut out of the modules that we run ourselves, with all that it
refers to: a copy written by hand would drift from them.
"""

from __future__ import annotations

import ast
import importlib.util
import symtable
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agecompact.errors import ConversionError

_PACKAGE = "agecompact"


@dataclass(frozen=True)
class Flat:
    """Source text and what it imports.

    Attributes:
        imports: Import statements, none of agecompact.
        definitions: The definitions, a module's after those of the modules it imports.
    """

    imports: str
    definitions: str

    @property
    def text(self) -> str:
        """Both, spaced as formatters want it."""
        gap = "\n\n" if _is_constant(self.definitions) else "\n\n\n"
        return f"{self.imports}{gap}{self.definitions}"


@dataclass(frozen=True)
class _Module:
    """The top level of a source file.

    Attributes:
        lines: Its text.
        order: Line of each definition, the comment above it included, by the name it binds.
        statements: The definitions, likewise.
        imports: What each imported name stands for, as (module, name); name is empty for `import`.
    """

    lines: tuple[str, ...]
    order: Mapping[str, int]
    statements: Mapping[str, ast.stmt]
    imports: Mapping[str, tuple[str, str]]


@dataclass
class _Gathered:
    """What was met on the way.

    Attributes:
        modules: Parsed source files by module name.
        needed: The definitions wanted of each.
        imports: What names from outside agecompact stand for, as `_Module.imports`.
    """

    modules: dict[str, _Module] = field(default_factory=dict)
    needed: dict[str, set[str]] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)


def flatten(roots: Iterable[tuple[str, str]]) -> Flat:
    """Cuts out definitions with all that they refer to.

    Args:
        roots: (module, name) of what is wanted, e.g. `("agecompact.models.ssrnet", "SSRNet")`.

    Raises:
        ConversionError: A name is nowhere defined, is imported under another name, or means
            different things in two modules.
    """
    gathered = _Gathered()
    for module_name, name in roots:
        _need(gathered, module_name, name)
    owners: dict[str, str] = {}
    parts: list[str] = []
    for module_name in _below_first(gathered):
        module, names = gathered.modules[module_name], gathered.needed[module_name]
        for name in sorted(names, key=module.order.__getitem__):
            if owners.setdefault(name, module_name) != module_name or name in gathered.imports:
                raise ConversionError(
                    f"'{name}' of {module_name} cannot stand in one file with another '{name}'",
                    fix="rename one of the two",
                )
            parts.append(_segment(module, name))
    return Flat(_import_lines(gathered.imports), _joined(parts))


def _need(gathered: _Gathered, module_name: str, name: str) -> None:
    names = gathered.needed.setdefault(module_name, set())
    if name in names:
        return
    names.add(name)
    if module_name not in gathered.modules:
        gathered.modules[module_name] = _parse(module_name)
    module = gathered.modules[module_name]
    if name not in module.statements:
        raise ConversionError(f"{module_name} defines no '{name}'")
    for used in _names(_segment(module, name)):
        if used in module.statements:
            _need(gathered, module_name, used)
        elif used in module.imports:
            origin, original = module.imports[used]
            if origin.partition(".")[0] != _PACKAGE:
                if gathered.imports.setdefault(used, (origin, original)) != (origin, original):
                    raise ConversionError(f"'{used}' is imported from two places")
            elif original != used:
                raise ConversionError(f"{module_name} imports '{original}' as '{used}'")
            else:
                _need(gathered, origin, original)


def _below_first(gathered: _Gathered) -> list[str]:
    """The modules met, each after those it imports."""
    ordered: list[str] = []

    def visit(module_name: str) -> None:
        if module_name not in ordered:
            for origin, _ in gathered.modules[module_name].imports.values():
                if origin in gathered.needed:
                    visit(origin)
            ordered.append(module_name)

    for module_name in gathered.needed:
        visit(module_name)
    return ordered


def _parse(module_name: str) -> _Module:
    spec = importlib.util.find_spec(module_name)
    if spec is None or spec.origin is None:
        raise ConversionError(f"the source of {module_name} is not here")
    text = Path(spec.origin).read_text(encoding="utf-8")
    lines = tuple(text.splitlines())
    order: dict[str, int] = {}
    statements: dict[str, ast.stmt] = {}
    imports: dict[str, tuple[str, str]] = {}
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                imports[alias.asname or alias.name] = (statement.module or "", alias.name)
        elif isinstance(statement, ast.Import):
            for alias in statement.names:
                imports[alias.asname or alias.name] = (alias.name, "")
        else:
            for name in _bound(statement):
                order[name] = _first_line(statement, lines)
                statements[name] = statement
    return _Module(lines, order, statements, imports)


def _bound(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Assign):
        return [target.id for target in statement.targets if isinstance(target, ast.Name)]
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return [statement.target.id]
    return []


def _first_line(statement: ast.stmt, lines: tuple[str, ...]) -> int:
    first = statement.lineno
    if isinstance(statement, ast.FunctionDef | ast.ClassDef) and statement.decorator_list:
        first = statement.decorator_list[0].lineno
    while first > 1 and lines[first - 2].startswith("#"):
        first -= 1
    return first


def _names(definition: str) -> list[str]:
    """Names that a definition reads and does not bind itself, those in annotations too, sorted."""
    whole = symtable.symtable(definition, "definition", "exec")
    names: set[str] = set()
    tables = [whole]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        names |= {
            symbol.get_name()
            for symbol in table.get_symbols()
            if symbol.is_referenced() and (table is whole or symbol.is_global())
        }
    return sorted(names)


def _segment(module: _Module, name: str) -> str:
    statement = module.statements[name]
    return "\n".join(module.lines[module.order[name] - 1 : statement.end_lineno])


def _joined(parts: list[str]) -> str:
    """Constants close together, functions and classes two lines apart, as formatters want it."""
    text = ""
    constant = False
    for part in parts:
        before, constant = constant, _is_constant(part)
        text += part if not text else ("\n" if before and constant else "\n\n\n") + part
    return text


def _is_constant(part: str) -> bool:
    return isinstance(ast.parse(part).body[0], ast.Assign | ast.AnnAssign)


def _import_lines(imports: Mapping[str, tuple[str, str]]) -> str:
    """Import statements as isort orders them: the standard library's, a blank line, the others."""
    groups: dict[bool, list[tuple[bool, str]]] = {True: [], False: []}
    together: dict[str, list[str]] = {}
    for used, (module, name) in sorted(imports.items()):
        standard = module.partition(".")[0] in sys.stdlib_module_names
        if not name:
            alias = "" if used == module else f" as {used}"
            groups[standard].append((False, f"import {module}{alias}"))
        elif used != name:
            groups[standard].append((True, f"from {module} import {name} as {used}"))
        else:
            together.setdefault(module, []).append(name)
    for module, names in together.items():
        standard = module.partition(".")[0] in sys.stdlib_module_names
        groups[standard].append((True, f"from {module} import {', '.join(names)}"))
    blocks = ["\n".join(line for _, line in sorted(group)) for group in groups.values() if group]
    return "\n\n".join(blocks)
