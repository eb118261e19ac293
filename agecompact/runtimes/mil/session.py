"""A session of the reference runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agecompact.errors import UsageError
from agecompact.runtimes.base import Array, Arrays, Interface, Port, Ports, Session, Step, Trace
from agecompact.runtimes.coreml_declared import BGR, RGB, UNDECLARED, declared, is_image
from agecompact.runtimes.mil import kernels  # noqa: F401 - importing registers them.
from agecompact.runtimes.mil.execute import prepare, run, to_array, to_tensor
from agecompact.runtimes.mil.package import read_package
from agecompact.runtimes.mil.parameters import Value
from agecompact.runtimes.mil.program import Source
from agecompact.runtimes.mil.tensor_types import TensorType


def open_session(path: str, *, round_to_declared: bool) -> Session:
    """Loads a package.

    Args:
        path: The package.
        round_to_declared: Whether to round the output of each op to its declared type.

    Raises:
        UsageError: The package is broken, or not supported.
        BackendMissingError: coremltools is not installed.
    """
    return _Session(path, round_to_declared=round_to_declared)


class _Session(Session):
    def __init__(self, path: str, *, round_to_declared: bool) -> None:
        package = read_package(path)
        program, types = package.program, package.program.types()
        self._prepared = prepare(program)
        self._rounds = round_to_declared
        self._inputs = {variable.name: variable.type for variable in program.inputs}
        self._outputs = {name: types[name] for name in program.outputs}
        self._images = _image_inputs(package.specification, self._inputs)

    def infer(self, inputs: Arrays) -> dict[str, Array]:
        return self._run(self._bind(inputs))

    def prepare(self, inputs: Arrays) -> Callable[[], object]:
        return partial(self._run, self._bind(inputs))

    def trace(self, inputs: Arrays) -> Trace:
        # Scopes are unknown: the names in a converted program are those of PyTorch's trace, which
        # do not contain the modules.
        values = self._values(self._bind(inputs))
        steps = []
        for op, _ in self._prepared.calls:
            names = [source for source in op.sources() if isinstance(source, str)]
            read = tuple(name for name in names if name not in self._prepared.constants)
            constants = tuple(
                value.numpy()
                for value in (self._prepared.constants.get(name) for name in names)
                if isinstance(value, Tensor) and value.is_floating_point()
            )
            for output in op.outputs:
                value = to_array(values[output.name], output.type, as_declared=self._rounds)
                steps.append(Step(op.kind, output.name, read, "", value, constants))
        return tuple(steps)

    def interface(self) -> Interface:
        return Interface(
            {name: self._port(name, type_) for name, type_ in self._inputs.items()},
            {name: self._port(name, type_) for name, type_ in self._outputs.items()},
        )

    def _port(self, name: str, type_: TensorType) -> Port:
        if image := self._images.get(name):
            return Port((1, int(image.height), int(image.width), 3), "uint8")
        return Port(type_.shape or (), type_.dtype.numpy.name)

    def _values(self, bound: Mapping[str, Tensor]) -> Mapping[Source, Value]:
        with torch.inference_mode():
            return run(self._prepared, bound, round_to_declared=self._rounds)

    def _run(self, bound: Mapping[str, Tensor]) -> dict[str, Array]:
        values = self._values(bound)
        # Outputs have their declared types in either arithmetic: they are the file's interface.
        return {
            name: to_array(values[name], type_, as_declared=True)
            for name, type_ in self._outputs.items()
        }

    def _bind(self, inputs: Arrays) -> dict[str, Tensor]:
        if set(inputs) != set(self._inputs):
            raise UsageError(
                "the names of the inputs do not match",
                why=f"got {', '.join(sorted(inputs)) or 'none'}; "
                f"the package takes {', '.join(self._inputs)}",
            )
        return {name: self._bind_one(name, inputs[name]) for name in self._inputs}

    def _bind_one(self, name: str, value: Array) -> Tensor:
        array, type_ = np.asarray(value), self._inputs[name]
        port, image = self._port(name, type_), self._images.get(name)
        expected = TensorType(type_.dtype, port.shape) if image else type_
        if array.dtype.name != port.dtype or not expected.admits(array.shape):
            raise UsageError(
                f"input '{name}' has the wrong type or shape",
                why=f"got {array.dtype} of {list(array.shape)}; "
                f"the package takes {port.dtype} of {list(port.shape)}",
            )
        if image is None:
            return to_tensor(array)
        rgb = to_tensor(array).float().permute(0, 3, 1, 2)
        return (rgb.flip(1) if image.colorSpace == BGR else rgb).contiguous()


def _image_inputs(specification: Any, inputs: Mapping[str, TensorType]) -> dict[str, Any]:
    """The `ImageFeatureType` messages of the image inputs of a package; the others are tensors.

    An image is uint8 NHWC RGB for the caller, and NCHW in its colour space for the program.

    Raises:
        UsageError: The description and the program differ, as Core ML would find too, or an input
            or output is of a kind that the reference runtime does not support.
    """
    description = specification.description
    described, program = declared(specification).places
    _check_names("inputs", described.inputs, program.inputs)
    _check_names("outputs", described.outputs, program.outputs)
    if description.state:
        raise UsageError("the reference runtime does not support a state")
    for feature in description.output:
        if feature.type.WhichOneof("Type") != "multiArrayType":
            raise UsageError(f"output '{feature.name}' is not a tensor")
    found: dict[str, Any] = {}
    for feature in description.input:
        if feature.type.WhichOneof("Type") == "multiArrayType":
            continue
        image, type_ = feature.type.imageType, inputs[feature.name]
        if not is_image(feature) or image.colorSpace not in (RGB, BGR):
            raise UsageError(f"input '{feature.name}' is neither a tensor nor a colour image")
        if not type_.admits((1, 3, image.height, image.width)):
            raise UsageError(
                f"the description of image '{feature.name}' does not match the program",
                why=f"it is {image.height}x{image.width}, but the program takes {type_}",
                fix="export the package again",
            )
        found[feature.name] = image
    computed = dict((*program.inputs, *program.outputs))
    for name, port in (*described.inputs, *described.outputs):
        if name not in found and not _agree(port, computed[name]):
            raise UsageError(
                f"the description of '{name}' does not match the program",
                why=f"it is {port.dtype} {port.sides}, but the program has "
                f"{computed[name].dtype} {computed[name].sides}",
                fix="export the package again",
            )
    return found


def _check_names(side: str, described: Ports, computed: Ports) -> None:
    if sorted(name for name, _ in described) != sorted(name for name, _ in computed):
        raise UsageError(
            f"the package's description and its program have different {side}",
            why=f"the program has {', '.join(name for name, _ in computed)}",
            fix="export the package again",
        )


def _agree(described: Port, computed: Port) -> bool:
    """Whether a tensor is what its description says, as far as that says anything.

    A description has one type for all integers.
    """
    if computed.dtype.startswith("float") and described.dtype not in (computed.dtype, UNDECLARED):
        return False
    return not described.shape or (
        len(described.shape) == len(computed.shape)
        and all(
            None in sides or len(set(sides)) == 1
            for sides in zip(described.shape, computed.shape, strict=True)
        )
    )
