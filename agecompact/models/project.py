"""A project file: a TOML file that makes anyone's network a model, without a package.

It names the factory, the weights and the contract. A verb that is given the file makes it active
for this process and for all that it starts: its model is then found by its name like any other.

A project file runs code, that of its factory. So only a user names one, on the command line or in
`AGECOMPACT_PROJECT`; no build and no weights file ever does.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from agecompact.contract import ColorOrder, Contract, Crop, Interpolation, Output
from agecompact.errors import UsageError
from agecompact.formats import EXPORTED
from agecompact.models.spec import ModelSpec
from agecompact.serialization import read_toml, structure

SUFFIX = ".toml"
VARIABLE = "AGECOMPACT_PROJECT"

_WHAT = "project file"
_FIX = "docs/project-file.md describes every field; agecompact init writes a file to start from"
_FACE = (Crop("face"),)


@dataclass(frozen=True)
class ProjectInput:
    """How an image becomes the network's input.

    Attributes:
        height: Height in pixels.
        width: Width in pixels.
        color_order: `RGB`, `BGR` or `GREY`.
        value_range: Values of the levels 0 and 255, before mean and std are applied.
        mean: Mean of each channel, in `color_order` and in units of `value_range`; empty for zeros.
        std: Standard deviation of each channel, likewise; empty for ones.
        interpolation: `area` or `linear`, OpenCV's filters.
        crops: Inputs of the network, in order, as fractions of the face chip; empty for the whole
            chip as one input named `face`.
    """

    height: int
    width: int
    color_order: ColorOrder
    value_range: tuple[float, float]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    interpolation: Interpolation = "area"
    crops: tuple[Crop, ...] = ()


@dataclass(frozen=True)
class ProjectFile:
    """The content of a project file. Paths in it are relative to it.

    Attributes:
        name: Name of the network, which files are named by: letters, digits, `.`, `_` and `-`.
        input: How an image becomes the network's input.
        outputs: The outputs, in the order in which the network returns them, or by the names under
            which it returns them.
        factory: The function or class that builds the network: `nets.py:build` in a file, or
            `package.module:build` in an installed package. Empty if `weights` is an ONNX file,
            which holds its network.
        weights: The trained weights: a state dict (.pth, .pt, .ckpt, .safetensors), a weights file
            of agecompact, or an ONNX file.
        arguments: Keyword arguments of the factory.
        title: Name for people; empty for `name`.
        source: Paper or code that the network follows.
        terms: Terms of the weights, which every artefact carries.
        tolerances: Your gates for parity: tables as in `tolerances.toml`.
    """

    SCHEMA_VERSION: ClassVar[int] = 1

    name: str
    input: ProjectInput
    outputs: tuple[Output, ...]
    factory: str = ""
    weights: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    source: str = ""
    terms: str = ""
    tolerances: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Project:
    """A project file, read.

    Attributes:
        path: The file, absolute.
        spec: Its model.
        weights: Its weights, absolute; None if it names none.
        terms: Terms of the weights.
        tolerances: Gates for parity, as tables of `tolerances.toml`.
    """

    path: Path
    spec: ModelSpec
    weights: Path | None
    terms: str
    tolerances: tuple[Mapping[str, Any], ...]

    @property
    def is_onnx(self) -> bool:
        """Whether the network is an ONNX file, not Python."""
        return not self.spec.factory


def read(path: Path) -> Project:
    """Reads a project file.

    Raises:
        UsageError: It is missing or is not TOML, a field is missing, unknown or invalid, or a file
            that it names is missing.
    """
    content = read_toml(path, what=_WHAT, fix=_FIX)
    file = structure(content, ProjectFile, where=f"{_WHAT} {path}", fix=_FIX)
    folder = path.resolve().parent
    weights = folder / file.weights if file.weights else None
    if weights is not None and not weights.exists():
        raise UsageError(
            f"{path} names weights that do not exist",
            why=f"there is no {weights}",
            fix="correct `weights`; the path is relative to the project file",
        )
    factory = _factory(file, path, folder)
    contract = Contract(
        crops=file.input.crops or _FACE,
        height=file.input.height,
        width=file.input.width,
        color_order=file.input.color_order,
        outputs=file.outputs,
        value_range=file.input.value_range,
        mean=file.input.mean,
        std=file.input.std,
        interpolation=file.input.interpolation,
    )
    spec = ModelSpec(
        id=file.name,
        title=file.title or file.name,
        factory=factory,
        contract=contract,
        source=file.source,
        config=file.arguments,
    )
    return Project(path.resolve(), spec, weights, file.terms, file.tolerances)


def _factory(file: ProjectFile, path: Path, folder: Path) -> str:
    """The factory, with an absolute path if it is in a file; empty for an ONNX file."""
    onnx = Path(file.weights).suffix == EXPORTED["onnx"].suffix
    if onnx and file.factory:
        raise UsageError(
            f"{path} names two networks: a factory, and an ONNX file",
            fix="remove one of them",
        )
    if onnx:
        return ""
    if not file.factory:
        raise UsageError(
            f"{path} names no network",
            why="it has no factory, and its weights are not an ONNX file",
            fix='add factory = "nets.py:build"',
        )
    module, separator, name = file.factory.rpartition(":")
    if not separator or not name.isidentifier():
        raise UsageError(
            f"{path} has a factory that cannot be read: '{file.factory}'",
            fix='write a file and a function, "nets.py:build", or "package.module:build"',
        )
    if not module.endswith(".py"):
        return file.factory
    code = folder / module
    if not code.is_file():
        raise UsageError(
            f"the code of the network of {path} is missing",
            why=f"there is no {code}",
            fix="put it there, or correct `factory`; the path is relative to the project file",
        )
    return f"{code}:{name}"


def activate(path: Path) -> Project:
    """Reads a project file and makes its model known to this process and all that it starts.

    Raises:
        UsageError: As `read` raises it.
    """
    project = read(path)
    named = dict.fromkeys([*_named(), str(project.path)])
    os.environ[VARIABLE] = os.pathsep.join(named)
    return project


def active() -> Mapping[str, Project]:
    """The active projects by the names of their models.

    Raises:
        UsageError: As `read` raises it, or two of them have one name.
    """
    found: dict[str, Project] = {}
    for name in _named():
        project = read(Path(name))
        if project.spec.id in found:
            raise UsageError(
                f"two project files have a model named '{project.spec.id}'",
                why=f"{found[project.spec.id].path} and {project.path}",
                fix="rename one of them",
            )
        found[project.spec.id] = project
    return found


def _named() -> list[str]:
    return [name for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name]


def is_project(text: str | Path) -> bool:
    """Whether what a user gave for a model or a build is a project file."""
    return Path(text).suffix == SUFFIX
