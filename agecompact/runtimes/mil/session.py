"""A session of the reference runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agecompact.errors import UsageError
from agecompact.runtimes.base import Array, Arrays, Interface, Placement, Port, Step, Trace
from agecompact.runtimes.mil import kernels  # noqa: F401 - importing registers them.
from agecompact.runtimes.mil.execute import Plan, prepare, run, to_array, to_tensor
from agecompact.runtimes.mil.package import read_package
from agecompact.runtimes.mil.program import Named, Op, TensorType, read_program

_COLORS = {10: "gray", 20: "RGB", 30: "BGR"}


@dataclass(frozen=True)
class _Picture:
    """An image input: uint8 NHWC RGB goes in, `color_order` NCHW reaches the program."""

    color_order: str
    height: int
    width: int


class MilSession:
    """A loaded package.

    Args:
        path: The package.
        round_to_declared: Whether what an op writes is rounded to the type that the file declares.

    Raises:
        UsageError: The package is broken, or holds what the reference runtime does not run.
        BackendMissingError: coremltools is not installed.
    """

    def __init__(self, path: str, *, round_to_declared: bool) -> None:
        package = read_package(path)
        self._plan: Plan = prepare(read_program(package.specification), package)
        self._rounds = round_to_declared
        self._inputs: Mapping[str, Named] = {n.name: n for n in self._plan.program.inputs}
        self._outputs = self._plan.output_types
        self._pictures = _pictures(package.specification.description, self._inputs)

    def infer(self, inputs: Arrays) -> dict[str, Array]:
        """Runs one batch: tensors by input name in, tensors by output name out.

        Args:
            inputs: Of the declared shape and type each; a picture is uint8 NHWC RGB.

        Returns:
            Of the types that the file declares.

        Raises:
            UsageError: An input is missing, unknown or of another shape or type.
        """
        return self._run(self._bind(inputs))

    def prepare(self, inputs: Arrays) -> Callable[[], None]:
        """Binds the inputs once and returns the bare inference, for timing."""
        bound = self._bind(inputs)

        def infer() -> None:
            self._run(bound)

        return infer

    def trace(self, inputs: Arrays) -> Trace:
        """Runs one batch and keeps what every op that is no constant wrote.

        Scopes are empty: the names in a converted program are those of PyTorch's trace, which do
        not tell modules.
        """
        steps: list[Step] = []
        activations = set(self._inputs)

        def watch(op: Op, results: tuple[Tensor, ...]) -> None:
            bindings = [b for given in op.inputs.values() for b in given if isinstance(b, str)]
            read = tuple(name for name in bindings if name in activations)
            given = (self._plan.constants.get(b) for b in bindings if b not in activations)
            fixed = tuple(
                value.numpy()
                for value in given
                if isinstance(value, Tensor) and value.is_floating_point()
            )
            for output, result in zip(op.outputs, results, strict=True):
                value = to_array(result, output.type, as_stored=self._rounds)
                steps.append(Step(op.kind, output.name, read, "", np.array(value), fixed))
                activations.add(output.name)

        bound = self._bind(inputs)
        with torch.inference_mode():
            run(self._plan, bound, round_to_declared=self._rounds, watch=watch)
        return tuple(steps)

    def interface(self) -> Interface:
        """What the file declares that it takes and gives; a picture is uint8 NHWC."""
        return Interface(
            {name: self._port(name, named.type) for name, named in self._inputs.items()},
            {name: self._port(name, type_) for name, type_ in self._outputs.items()},
        )

    def fixed_batch(self) -> int | None:
        """How many images one call takes, or None where the file leaves it open."""
        first = next(iter(self._inputs.values()), None)
        shape = first.type.shape if first else None
        return shape[0] if shape else None

    def placement(self) -> Placement | None:
        """None: there is no delegate."""
        return None

    def _port(self, name: str, type_: TensorType) -> Port:
        if name in self._pictures:
            picture = self._pictures[name]
            return Port((1, picture.height, picture.width, 3), "uint8")
        return Port(type_.shape or (), type_.dtype.numpy.name)

    def _run(self, bound: Mapping[str, Tensor]) -> dict[str, Array]:
        with torch.inference_mode():
            values = run(self._plan, bound, round_to_declared=self._rounds)
        # Outputs keep their declared types in either arithmetic: they are the file's interface.
        return {
            name: to_array(value, self._outputs[name], as_stored=True)
            for name, value in values.items()
        }

    def _bind(self, inputs: Arrays) -> dict[str, Tensor]:
        if set(inputs) != set(self._inputs):
            raise UsageError(
                f"the inputs are named {', '.join(sorted(inputs)) or 'nothing'}",
                why=f"the package takes {', '.join(self._inputs)}",
            )
        return {name: self._bind_one(name, inputs[name]) for name in self._inputs}

    def _bind_one(self, name: str, value: Array) -> Tensor:
        array, type_ = np.asarray(value), self._inputs[name].type
        port = self._port(name, type_)
        expected = TensorType(type_.dtype, port.shape if name in self._pictures else type_.shape)
        if array.dtype.name != port.dtype or not expected.admits(array.shape):
            raise UsageError(
                f"input '{name}' does not fit",
                why=f"it is {array.dtype} of {list(array.shape)}, "
                f"the package takes {port.dtype} of {list(port.shape)}",
            )
        if name not in self._pictures:
            return to_tensor(array)
        rgb = to_tensor(array).float().permute(0, 3, 1, 2)
        ordered = rgb.flip(1) if self._pictures[name].color_order == "BGR" else rgb
        return ordered.contiguous()


def _pictures(description: Any, inputs: Mapping[str, Named]) -> dict[str, _Picture]:
    """The image inputs of a package, and that the rest are tensors.

    Raises:
        UsageError: The description and the program tell different inputs, or an input or output is
            of a kind that the reference runtime does not bind.
    """
    if {feature.name for feature in description.input} != set(inputs) or description.state:
        raise UsageError(
            "the package's description and its program take different inputs",
            why=f"the program takes {', '.join(inputs)}",
        )
    for feature in description.output:
        if feature.type.WhichOneof("Type") != "multiArrayType":
            raise UsageError(f"output '{feature.name}' is no tensor", why="only tensors are read")
    found: dict[str, _Picture] = {}
    for feature in description.input:
        kind = feature.type.WhichOneof("Type")
        if kind == "multiArrayType":
            continue
        image = feature.type.imageType
        color = _COLORS.get(image.colorSpace)
        if kind != "imageType" or color not in ("RGB", "BGR"):
            raise UsageError(f"input '{feature.name}' is no tensor and no colour image")
        size = (int(image.height), int(image.width))
        if not inputs[feature.name].type.admits((1, 3, *size)):
            raise UsageError(
                f"image '{feature.name}' is {size[0]}x{size[1]}",
                why=f"its program takes {inputs[feature.name].type}",
            )
        found[feature.name] = _Picture(color, *size)
    return found
