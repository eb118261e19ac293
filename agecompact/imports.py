"""Lazy imports of modules and objects by name, and what is installed for them."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import Any

from agecompact.errors import missing_extra

_PYTHON = ".py"
_IMPORTS = RLock()


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
        reference: `module:attribute`, or `module` for the module itself. The module may be the
            path of a `.py` file.
        extra: The extra in `pyproject.toml` that the module needs; None if it needs none.

    Raises:
        BackendMissingError: The extra is not installed.
    """
    name, _, attribute = reference.rpartition(":") if ":" in reference else (reference, "", "")
    if name.endswith(_PYTHON):
        module = import_file(Path(name))
    else:
        module = import_extra(name, extra) if extra else importlib.import_module(name)
    return getattr(module, attribute) if attribute else module


def import_file(path: Path) -> ModuleType:
    """Imports a Python file that is in no package, and that may import its neighbours.

    Its folder is searched last, so that no neighbour replaces an installed module.

    Args:
        path: The file.

    Raises:
        ImportError: It is not a Python file.
    """
    name = f"_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    # Another thread would find a module that has not run to its end.
    with _IMPORTS:
        if name in sys.modules:
            return sys.modules[name]
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} is not a Python file")
        module = importlib.util.module_from_spec(spec)
        if str(path.parent) not in sys.path:
            sys.path.append(str(path.parent))
        # Dataclasses and pickles look their module up.
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module


def module_command(
    module: str, *, options: Sequence[str] = (), python: Sequence[str] = (sys.executable,)
) -> list[str]:
    """The command that runs a module in a new process, to which arguments can be added.

    A module in the working folder does not replace an installed one there (`-P`).

    Args:
        module: Name of the module, which runs as `__main__`.
        options: Options of Python itself, such as `-W ignore`, each a text.
        python: The interpreter, with what runs it.
    """
    return [*python, "-P", *options, "-m", module]


def converts_without_tensorflow() -> bool:
    """Whether the installed onnx2tf is 2 or newer, which writes TFLite files by itself."""
    try:
        return not version("onnx2tf").startswith("1.")
    except PackageNotFoundError:
        return False
