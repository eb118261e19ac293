"""Core ML, which runs on macOS only. Its packages can be read on every platform."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version as distribution_version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from agecompact.artifacts import metadata
from agecompact.errors import BackendMissingError, UsageError, missing_extra
from agecompact.filetypes import fix_for
from agecompact.imports import resolve
from agecompact.runtimes import coreml_declared
from agecompact.runtimes.base import Array, Arrays, Backend, Declared, Interface, Session, Trace

MODEL_FILE = Path("Data/com.apple.CoreML/model.mlmodel")


class _Session(Session):
    def __init__(self, model: Any, specification: Any) -> None:
        self._model = model
        self._interface = coreml_declared.interface_of(specification)
        self._image_inputs = frozenset(
            feature.name
            for feature in specification.description.input
            if coreml_declared.is_image(feature)
        )

    def _bind(self, inputs: Arrays) -> dict[str, Any]:
        from PIL import Image

        # Core ML takes RGB images and reorders the channels itself.
        return {
            name: Image.fromarray(np.asarray(value)[0]) if name in self._image_inputs else value
            for name, value in inputs.items()
        }

    def infer(self, inputs: Arrays) -> dict[str, Array]:
        outputs: dict[str, Array] = self._model.predict(self._bind(inputs))
        return outputs

    def prepare(self, inputs: Arrays) -> Callable[[], object]:
        return partial(self._model.predict, self._bind(inputs))

    def trace(self, inputs: Arrays) -> Trace:  # noqa: ARG002 - not supported.
        raise UsageError(
            "Core ML cannot be traced",
            why="it does not expose the outputs of single ops",
            fix="trace the package on the reference runtime, mil",
        )

    def interface(self) -> Interface:
        return self._interface


@cache
def model_proto() -> ModuleType:
    """The protobuf module of Core ML's model format.

    `import coremltools` also imports torch and TensorFlow, which takes seconds. The generated
    protobuf modules need neither, so they are imported under another package name.

    Raises:
        BackendMissingError: coremltools is not installed.
    """
    spec = find_spec("coremltools")
    if spec is None or not spec.submodule_search_locations:
        raise missing_extra("coreml", "coremltools")
    alias = "_coremltools_proto"
    package = ModuleType(alias)
    package.__path__ = [str(Path(place) / "proto") for place in spec.submodule_search_locations]
    sys.modules.setdefault(alias, package)
    module: ModuleType = resolve(f"{alias}.Model_pb2")
    return module


def read_specification(path: str) -> Any:
    """The `Model` message of an `.mlpackage`, on any platform.

    Raises:
        UsageError: The folder is not a package, or its model file is broken.
        BackendMissingError: coremltools is not installed.
    """
    proto = model_proto()
    try:
        content = (Path(path) / MODEL_FILE).read_bytes()
        specification = proto.Model()
        specification.ParseFromString(content)
    except Exception as error:  # protobuf's DecodeError has moved between versions.
        raise not_a_package(path, str(error)) from None
    return specification


def not_a_package(path: str | Path, why: str) -> UsageError:
    """The error for a folder or file that is not a complete package."""
    return UsageError(
        f"{path} is not a Core ML package", why=why, fix=fix_for(Path(path), wanted="coreml")
    )


class PackageBackend(Backend):
    """Reads packages, on every platform."""

    def read_metadata(self, path: str) -> str | None:
        """The agecompact entry of the user-defined metadata."""
        entries = read_specification(path).description.metadata.userDefined
        return str(entries[metadata.KEY]) if metadata.KEY in entries else None

    def describe(self, path: str) -> dict[str, Any]:
        """Description, inputs, outputs and ops."""
        specification = read_specification(path)
        description = specification.description
        main = specification.mlProgram.functions["main"]
        block = main.block_specializations[main.opset]
        ops = Counter(op.type for op in block.operations if op.type != "const")
        return {
            "specification_version": specification.specificationVersion,
            "short_description": description.metadata.shortDescription,
            "author": description.metadata.author,
            "licence": description.metadata.license,
            "version": description.metadata.versionString,
            "inputs": coreml_declared.described(description.input),
            "outputs": coreml_declared.described(description.output),
            "ops": dict(ops.most_common()),
        }

    def declared(self, path: str) -> Declared:
        """The description, and the program that it describes."""
        return coreml_declared.declared(read_specification(path))


@dataclass(frozen=True)
class _CoreML(PackageBackend):
    """Core ML on some compute units.

    Attributes:
        unit: Name of a `coremltools.ComputeUnit`.
    """

    unit: str

    def open_session(self, path: str, threads: int) -> Session:  # noqa: ARG002 - no such option.
        if sys.platform != "darwin":
            raise BackendMissingError(
                "Core ML cannot run here",
                why="Core ML predicts on macOS only",
                fix="run the same command on a Mac",
            )
        import coremltools as ct

        model = ct.models.MLModel(path, compute_units=ct.ComputeUnit[self.unit])
        return _Session(model, read_specification(path))

    def version(self) -> str:
        return f"coremltools {distribution_version('coremltools')}"


# The arithmetic of the CPU is the most exact.
CPU_ONLY = _CoreML("CPU_ONLY")
CPU_AND_GPU = _CoreML("CPU_AND_GPU")
CPU_AND_NE = _CoreML("CPU_AND_NE")
ALL = _CoreML("ALL")
