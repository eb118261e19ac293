"""Lazy imports of modules and objects by name."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
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


def module_command(module: str, *, options: Sequence[str] = ()) -> list[str]:
    """The command that runs a module in a new process, to which arguments can be added.

    A module in the working folder does not replace an installed one there (`-P`).

    Args:
        module: Name of the module, which runs as `__main__`.
        options: Options of Python itself, such as `-W ignore`, each a text.
    """
    return [sys.executable, "-P", *options, "-m", module]
