"""Modules of agecompact as one source text that imports no agecompact.

What LEMUR runs is copied from the modules that we run ourselves: a copy written by hand would drift
from them.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator
from types import ModuleType

_OURS = "agecompact"


def standalone(modules: Iterable[ModuleType]) -> str:
    """Returns the code of modules, without their docstrings, below the imports that it needs.

    Annotations are evaluated: the text has no `from __future__ import annotations`, because LEMUR
    runs a module outside `sys.modules`, where dataclasses cannot resolve annotations that are text.

    Args:
        modules: Each after the modules of agecompact that it imports. Their names must not clash,
            and all of their imports must stand at the top.
    """
    imports: set[str] = set()
    parts = []
    for module in modules:
        source = inspect.getsource(module)
        statements = [
            s for s in ast.parse(source).body if isinstance(s, ast.Import | ast.ImportFrom)
        ]
        imports.update(line for statement in statements for line in _import_lines(statement))
        end = statements[-1].end_lineno
        parts.append("\n".join(source.splitlines()[end:]).strip("\n"))
    return "\n\n\n".join(["\n".join(sorted(imports)), *parts])


def _import_lines(statement: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Yields one statement per imported name, so that equal ones of several modules are one."""
    if isinstance(statement, ast.Import):
        yield from (ast.unparse(ast.Import([alias])) for alias in statement.names)
        return
    module = statement.module or ""
    if module != "__future__" and module.partition(".")[0] != _OURS:
        for alias in statement.names:
            yield ast.unparse(ast.ImportFrom(module, [alias], statement.level))
