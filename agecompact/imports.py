"""Lazy imports of modules and objects by name."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from agecompact.errors import missing_extra


def import_extra(module: str, extra: str) -> ModuleType:
    """Imports a module of an extra; the error names the command that installs the extra.

    Raises:
        BackendMissingError: The module, or one of its own imports, is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise missing_extra(extra, error.name or module) from None


def resolve(reference: str, *, extra: str | None = None) -> Any:
    """Imports the object that a registry entry names.

    Args:
        reference: `module:attribute`, or `module` for the module itself.
        extra: The extra in `pyproject.toml` that the module needs; None if it needs none.

    Raises:
        BackendMissingError: The extra is not installed.
    """
    name, _, attribute = reference.partition(":")
    module = import_extra(name, extra) if extra else importlib.import_module(name)
    return getattr(module, attribute) if attribute else module
