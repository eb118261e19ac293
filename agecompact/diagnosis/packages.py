"""Python and the packages of `pyproject.toml`, as the installed agecompact declares them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from agecompact.diagnosis import importing
from agecompact.diagnosis.checks import Check, Settings
from agecompact.errors import BackendMissingError, install_command
from agecompact.formats import FORMATS
from agecompact.imports import converts_without_tensorflow

_NAME = "agecompact"
# What does not work without an extra, beyond the formats that need it.
_COSTS: Mapping[str, tuple[str, ...]] = {
    "tflite": ("export --precision int8", "calibrate", "optimise"),
    "coreml": (),
    "coreai": (),
    "executorch": (),
    "ncnn": (),
    "gpu": ("parity --runtime litert-gpu",),
    "npu": ("parity --runtime htp-v75",),
    "web": ("parity in browsers", "bench --on web"),
    "sign": ("sign", "verify --key"),
    "train": ("train", "tune", "weights import of Keras files", "data --dataset imdb-wiki"),
    "report": ("report --html",),
    "dev": ("make test", "python -m parity_tests"),
}
_FULL, _LEAN = "tflite", "tflite-lean"
_TORCH = "https://download.pytorch.org/whl/cpu"
_PACKAGE = re.compile(r"^([A-Za-z]\w*)/__init__\.py,", re.MULTILINE)


def checks(settings: Settings) -> Iterator[Check]:
    """Yields the checks of Python, of the packages that every verb needs, and of each extra."""
    yield Check("Python", python, ("every verb",), core=True)
    yield Check("packages", partial(installed, None, imports=True), ("every verb",), core=True)
    for extra, more in _COSTS.items():
        costs = (*_formats(extra), *more)
        # No extra can ask for onnx2tf 2, which pins older versions than agecompact needs.
        chosen = _LEAN if extra == _FULL and converts_without_tensorflow() else extra
        yield Check(extra, partial(installed, chosen, imports=settings.thorough), costs)


def _formats(extra: str) -> Iterator[str]:
    for each in FORMATS.values():
        if each.extra == extra:
            yield f"export --format {each.name}"
            yield f"predict, parity, inspect and bench of *{each.suffix}"


def python() -> str:
    """Python's version.

    Raises:
        BackendMissingError: agecompact is not made for it.
    """
    needed = _ours().metadata["Requires-Python"]
    version = ".".join(map(str, sys.version_info[:3]))
    if not SpecifierSet(needed).contains(version, prereleases=True):
        raise BackendMissingError(
            f"Python {version} is not supported",
            why=f"agecompact needs Python {needed}",
            fix="make a virtual environment with a supported Python, and install agecompact there",
        )
    return f"{version}, {needed} is needed"


def installed(extra: str | None, *, imports: bool) -> str:
    """The packages of an extra, with their versions.

    Args:
        extra: Its name in `pyproject.toml`; None for the packages that every verb needs.
        imports: Whether to import them, in another process.

    Raises:
        BackendMissingError: One is not installed, has another version than those allowed, is
            incomplete or cannot be imported.
    """
    needed = requirements(extra)
    found = {each.name: _found(each.name) for each in needed}
    faults = {each.name: fault for each in needed if (fault := _fault(each, found[each.name]))}
    present = {name: each for name, each in found.items() if each is not None}
    if imports and not faults:
        faults = _import_faults(present)
    if not faults:
        versions = ", ".join(f"{name} {each.version}" for name, each in present.items())
        return f"{versions}; all can be imported" if imports else versions
    # pip leaves alone what has the right version, whatever is left of it.
    right = {each.name for each in needed if _fits(each, found[each.name])}
    cure = install_command(extra)
    if faults.keys() <= right:
        cure = _reinstall([present[name] for name in faults])
    title = f"the '{extra}' extra" if extra else "agecompact"
    raise BackendMissingError(
        f"{len(faults)} of {len(needed)} packages of {title} cannot be used",
        why="\n".join(faults.values()),
        fix=cure,
    )


def requirements(extra: str | None) -> tuple[Requirement, ...]:
    """What an extra needs on this machine.

    Args:
        extra: Its name; None for what every verb needs.

    Raises:
        BackendMissingError: agecompact itself is not installed.
    """
    every = [Requirement(line) for line in _ours().requires or ()]
    always = [r for r in every if r.marker is None or r.marker.evaluate({"extra": ""})]
    if extra is None:
        return tuple(always)
    return tuple(
        r for r in every if r not in always and r.marker and r.marker.evaluate({"extra": extra})
    )


def _ours() -> Distribution:
    found = _found(_NAME)
    if found is None:
        raise BackendMissingError(
            "agecompact is not installed",
            why="its sources run, but Python knows no such package, and not what it needs",
            fix=install_command(None),
        )
    return found


def _found(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _fault(needed: Requirement, found: Distribution | None) -> str:
    """What is wrong with a package, without importing it; empty if nothing is."""
    if found is None:
        return f"{needed.name} is not installed"
    if not _fits(needed, found):
        return f"{needed.name} {found.version} is installed, and {needed.specifier} is needed"
    gone = [module for module in modules_of(found) if find_spec(module) is None]
    return f"{needed.name} is incomplete: there is no module {', '.join(gone)}" if gone else ""


def _fits(needed: Requirement, found: Distribution | None) -> bool:
    return found is not None and needed.specifier.contains(found.version, prereleases=True)


def _import_faults(found: Mapping[str, Distribution]) -> dict[str, str]:
    """Why packages cannot be imported, by the name that is required."""
    names = {module: name for name, d in found.items() for module in modules_of(d)}
    failed = importing.failures(tuple(names))
    return {names[module]: f"cannot import {module}: {why}" for module, why in failed.items()}


def modules_of(found: Distribution) -> tuple[str, ...]:
    """The importable packages of a distribution; only the one of its own name, if there is one.

    Empty if it has no list of its files, as those of a Linux distribution may not.
    """
    modules = tuple(dict.fromkeys(_PACKAGE.findall(found.read_text("RECORD") or "")))
    own = [m for m in modules if canonicalize_name(m) == canonicalize_name(found.name)]
    return tuple(own) or modules


def _reinstall(broken: Iterable[Distribution]) -> str:
    pins = " ".join(f"{each.name}=={each.version}" for each in broken)
    # PyPI has no CPU build of torch for Linux.
    index = f" --extra-index-url {_TORCH}" if "+cpu" in pins else ""
    return f"pip install --force-reinstall --no-deps {pins}{index}"
