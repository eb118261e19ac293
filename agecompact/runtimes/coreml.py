"""Core ML, which predicts on macOS only; elsewhere its packages can still be read."""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from collections.abc import Callable
from functools import cache
from importlib.metadata import version as distribution_version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from agecompact.artifacts import metadata
from agecompact.errors import BackendMissingError, UsageError, missing_extra
from agecompact.runtimes.base import Array, Arrays, Interface, Placement, Port, Trace

MODEL_FILE = Path("Data/com.apple.CoreML/model.mlmodel")

# ArrayFeatureType.ArrayDataType of Core ML's FeatureTypes.proto.
_DTYPES = {65552: "float16", 65568: "float32", 65600: "float64", 131104: "int32", 131080: "int8"}


class _Session:
    def __init__(self, model: Any, specification: Any) -> None:
        self._model = model
        self._interface = interface_of(specification)
        self._image_inputs = image_inputs(specification)

    def _bind(self, inputs: Arrays) -> dict[str, Any]:
        from PIL import Image

        # Core ML takes an image input as an RGB picture and reorders its channels itself.
        return {
            name: Image.fromarray(np.asarray(value)[0]) if name in self._image_inputs else value
            for name, value in inputs.items()
        }

    def infer(self, inputs: Arrays) -> dict[str, Array]:
        outputs: dict[str, Array] = self._model.predict(self._bind(inputs))
        return outputs

    def prepare(self, inputs: Arrays) -> Callable[[], None]:
        bound = self._bind(inputs)
        return lambda: self._model.predict(bound)

    def trace(self, inputs: Arrays) -> Trace:  # noqa: ARG002 - nothing can be told.
        raise UsageError(
            "Core ML does not tell what its ops write", fix="use the reference runtime"
        )

    def interface(self) -> Interface:
        return self._interface

    def fixed_batch(self) -> int | None:
        return 1

    def placement(self) -> Placement | None:
        return None


@cache
def model_proto() -> ModuleType:
    """The protobuf module of Core ML's model format.

    `import coremltools` pulls in torch and TensorFlow where they are installed, which takes
    seconds. The generated modules need none of it, so they are imported under a name of their own.

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
    return importlib.import_module(f"{alias}.Model_pb2")


def read_specification(path: str) -> Any:
    """The protobuf of an `.mlpackage`, on any platform.

    Raises:
        UsageError: The folder is no package, or its specification is broken.
        BackendMissingError: coremltools is not installed.
    """
    proto = model_proto()
    try:
        content = (Path(path) / MODEL_FILE).read_bytes()
        specification = proto.Model()
        specification.ParseFromString(content)
    except Exception as error:  # protobuf's DecodeError has moved between versions.
        raise UsageError(f"{path} is no Core ML package", why=str(error)) from None
    return specification


def image_inputs(specification: Any) -> frozenset[str]:
    """Names of the inputs that take pictures, not tensors."""
    return frozenset(
        feature.name
        for feature in specification.description.input
        if feature.type.WhichOneof("Type") == "imageType"
    )


def interface_of(specification: Any) -> Interface:
    """What a package declares; a picture counts as uint8, NHWC, as the contract has it."""

    def port(feature: Any) -> Port:
        if feature.type.WhichOneof("Type") == "imageType":
            image = feature.type.imageType
            return Port((1, int(image.height), int(image.width), 3), "uint8")
        array = feature.type.multiArrayType
        return Port(tuple(int(side) for side in array.shape), _DTYPES[array.dataType])

    description = specification.description
    return Interface(
        {feature.name: port(feature) for feature in description.input},
        {feature.name: port(feature) for feature in description.output},
    )


def read_metadata(path: str) -> str | None:
    """The entry of the user-defined metadata."""
    entries = read_specification(path).description.metadata.userDefined
    return str(entries[metadata.KEY]) if metadata.KEY in entries else None


def describe(path: str) -> dict[str, Any]:
    """Description, interface and ops."""
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
        "inputs": {f.name: f.shortDescription for f in description.input},
        "outputs": {f.name: f.shortDescription for f in description.output},
        "ops": dict(ops.most_common()),
    }


def open_session(path: str, threads: int) -> _Session:  # noqa: ARG001 - Core ML has no such knob.
    """Loads an `.mlpackage` on the CPU, where arithmetic is the most exact.

    Raises:
        BackendMissingError: This is no Mac.
    """
    return _open(path, "CPU_ONLY")


def _open(path: str, unit: str) -> _Session:
    if sys.platform != "darwin":
        raise BackendMissingError(
            "not run here",
            why="Core ML predicts on macOS only",
            fix="run the same command on a Mac",
        )
    import coremltools as ct

    model = ct.models.MLModel(path, compute_units=ct.ComputeUnit[unit])
    return _Session(model, read_specification(path))


def version() -> str:
    """Version of the package that drives Core ML."""
    return f"coremltools {distribution_version('coremltools')}"


class _OnUnit:
    """This backend on other compute units than the CPU.

    Args:
        unit: Name of a `coremltools.ComputeUnit`.
    """

    read_metadata = staticmethod(read_metadata)
    describe = staticmethod(describe)
    version = staticmethod(version)

    def __init__(self, unit: str) -> None:
        self._unit = unit

    def open_session(self, path: str, threads: int) -> _Session:  # noqa: ARG002 - as above.
        return _open(path, self._unit)


CPU_AND_GPU = _OnUnit("CPU_AND_GPU")
CPU_AND_NE = _OnUnit("CPU_AND_NE")
ALL = _OnUnit("ALL")
