"""The preprocessing contract: how an image becomes the model's input, as data inside the artefact.

Most age models that "do not work on the phone" do work, but get RGB for BGR, 0..1 for 0..255, or
another crop. The contract states all of this and applies it to an image. Every artefact contains
it, so that running an artefact never needs the Python model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from agecompact.errors import UsageError
from agecompact.outputs import Output, Reading

__all__ = ["Contract", "Crop", "Image", "Output", "Quantization", "Reading", "Tensor"]

Image = npt.NDArray[np.uint8]
Tensor = npt.NDArray[np.float32 | np.float16 | np.uint8 | np.int8]

ColorOrder = Literal["BGR", "RGB", "GREY"]
Layout = Literal["NCHW", "NHWC"]
Interpolation = Literal["area", "linear"]
Dtype = Literal["float32", "float16", "uint8", "int8"]

# Inputs are allocated by the contract in a foreign file. No face network for a phone needs more.
_MOST_PIXELS = 1024
_MOST_CROPS = 16
_MOST_OUTPUTS = 16
_LEVELS = 256
_INTEGERS = frozenset({"uint8", "int8"})
# What version 1 can hold; a contract that needs no more is still written as version 1, so that
# programs which read it go on working.
OLD_UNITS = frozenset({"years", "score"})
_OLD_DTYPES = frozenset({"float32", "uint8"})
_OLD_OUTPUT = ("name", "unit", "minimum", "maximum")


@dataclass(frozen=True)
class Crop:
    """One input of the model, a crop of the face chip.

    Attributes:
        name: Name of the input tensor.
        left: Left edge, as a fraction of the chip's width.
        top: Top edge, as a fraction of the chip's height.
        right: Right edge, greater than `left`.
        bottom: Bottom edge, greater than `top`.
    """

    name: str
    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.left < self.right <= 1 and 0 <= self.top < self.bottom <= 1):
            raise UsageError(
                f"crop '{self.name}' is not a box inside the face chip",
                fix="choose 0 <= left < right <= 1 and 0 <= top < bottom <= 1",
            )


@dataclass(frozen=True)
class Quantization:
    """How a tensor of integers stands for real numbers: `scale` * (integer - `zero_point`)."""

    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        if not 0 < self.scale < math.inf:
            raise UsageError("the scale of a quantisation must be positive")

    def real(self, integers: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
        """The real numbers that integers stand for, of the same shape."""
        centred = np.asarray(integers, np.float64) - self.zero_point
        numbers: npt.NDArray[np.float64] = centred * self.scale
        return numbers

    def __str__(self) -> str:
        return f"scale {self.scale:g} and zero point {self.zero_point}"


@dataclass(frozen=True)
class Contract:
    """The inputs and the outputs of a model.

    A chip is a square image of an aligned face, framed as in UTKFace (`agecompact.faces` makes one
    from any photo). Each crop of it is resized to `height` x `width`, converted to `color_order`,
    scaled from 0..255 to `value_range`, normalised as (x - mean) / std per channel, quantised if
    the tensor is, and transposed to `layout`.

    Attributes:
        crops: The inputs, in the model's order.
        height: Input height in pixels.
        width: Input width in pixels.
        color_order: Channels of the tensor, in order; `GREY` is one, the luma of ITU-R BT.601.
        outputs: The outputs, in the model's order.
        value_range: Values of 0 and 255 before mean and std are applied.
        mean: Per-channel mean in `color_order`, in units of `value_range`; empty for zeros.
        std: Per-channel standard deviation, in the same order and units; empty for ones.
        layout: Axis order of the tensor.
        dtype: Element type of the tensor. Integers without a `quantization` are the levels of the
            image itself, which the graph normalises.
        interpolation: Resampling filter, OpenCV's `INTER_AREA` or `INTER_LINEAR`.
        quantization: Of tensors of integers, as the file has it; None if they are not quantised.
    """

    SCHEMA_VERSION: ClassVar[int] = 2

    crops: tuple[Crop, ...]
    height: int
    width: int
    color_order: ColorOrder
    outputs: tuple[Output, ...]
    value_range: tuple[float, float] = (0.0, 255.0)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    layout: Layout = "NCHW"
    dtype: Dtype = "float32"
    interpolation: Interpolation = "area"
    quantization: Quantization | None = None

    def __post_init__(self) -> None:
        for field, usual in (("mean", 0.0), ("std", 1.0)):
            given = getattr(self, field)
            object.__setattr__(self, field, tuple(given) or (usual,) * self.channels)
            if len(getattr(self, field)) != self.channels:
                raise UsageError(
                    f"a contract of {self.color_order} images needs {self.channels} numbers in its "
                    f"{field}",
                    why=f"this one has {len(given)}",
                )
        if not 1 <= len({crop.name for crop in self.crops}) == len(self.crops) <= _MOST_CROPS:
            raise UsageError(
                f"a contract needs 1 to {_MOST_CROPS} crops, and each crop its own name"
            )
        if not (1 <= self.height <= _MOST_PIXELS and 1 <= self.width <= _MOST_PIXELS):
            raise UsageError(
                f"a contract's height and width are from 1 to {_MOST_PIXELS} pixels",
                why=f"this one has {self.height} and {self.width}",
            )
        if any(s <= 0 for s in self.std):
            raise UsageError("a contract's std must be positive")
        if not 1 <= len({each.name for each in self.outputs}) == len(self.outputs) <= _MOST_OUTPUTS:
            raise UsageError(
                f"a contract needs 1 to {_MOST_OUTPUTS} outputs, and each output its own name"
            )
        if self.quantization is not None and self.dtype not in _INTEGERS:
            raise UsageError(
                f"a tensor of {self.dtype} is not quantised",
                fix="drop the quantization, or make the dtype uint8 or int8",
            )
        if self.dtype == "int8" and self.quantization is None:
            raise UsageError("a tensor of int8 needs its quantization: a scale and a zero point")

    @staticmethod
    def of_version(version: Any, fields: Mapping[str, Any]) -> dict[str, Any] | None:
        """The fields of an older version as those of the present one; None if it is not read."""
        if version != 1:
            return None
        kept = {name: value for name, value in fields.items() if name != "output"}
        return {**kept, "outputs": [fields["output"]]} if "output" in fields else kept

    def to_version(self, fields: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """The oldest version that holds this contract, which the most programs read."""
        first, *others = self.outputs
        plain = Output(first.name, first.unit, first.minimum, first.maximum)
        old = (
            first == plain
            and not others
            and first.unit in OLD_UNITS
            and self.dtype in _OLD_DTYPES
            and self.channels == 3
            and self.quantization is None
        )
        if not old:
            return self.SCHEMA_VERSION, dict(fields)
        output = {name: fields["outputs"][0][name] for name in _OLD_OUTPUT}
        kept = {n: value for n, value in fields.items() if n not in ("outputs", "quantization")}
        return 1, {**kept, "output": output}

    @property
    def channels(self) -> int:
        """Number of channels of an input tensor."""
        return 1 if self.color_order == "GREY" else 3

    @property
    def takes_levels(self) -> bool:
        """Whether the inputs are the levels of the image, 0 to 255, which the graph normalises."""
        return self.dtype == "uint8" and self.quantization is None

    def of_images(self) -> Contract:
        """The contract of a graph that takes pictures as they are, and does the rest itself.

        Its tensors are uint8, NHWC, of the levels 0 to 255 in RGB, or grey if this one's are.
        """
        return replace(
            self,
            color_order="GREY" if self.channels == 1 else "RGB",
            value_range=(0.0, 255.0),
            mean=(),
            std=(),
            layout="NHWC",
            dtype="uint8",
            quantization=None,
        )

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the output tensors, in the model's order."""
        return tuple(output.name for output in self.outputs)

    def only_output(self, verb: str) -> Output:
        """The output, for what works with one value.

        Args:
            verb: What needs it, for the error message.

        Raises:
            UsageError: There are several outputs, or it has several values.
        """
        first, *others = self.outputs
        if others or first.size != 1:
            values = ", ".join(f"{o.name} ({o.size})" for o in self.outputs)
            raise UsageError(f"{verb} needs a network with one value", why=f"it has {values}")
        return first

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the input tensors, in the model's order."""
        return tuple(crop.name for crop in self.crops)

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Shape of each input tensor at batch 1, in `layout`."""
        if self.layout == "NCHW":
            return (1, self.channels, self.height, self.width)
        return (1, self.height, self.width, self.channels)

    def crop(self, chip: Image) -> dict[str, Image]:
        """Cuts a face chip into the model's crops.

        Args:
            chip: uint8 HWC, BGR, as from `cv2.imread`.

        Returns:
            The crops by input name, uint8 HWC BGR, not resized.
        """
        height, width = chip.shape[:2]
        return {
            c.name: chip[
                round(c.top * height) : max(round(c.bottom * height), round(c.top * height) + 1),
                round(c.left * width) : max(round(c.right * width), round(c.left * width) + 1),
            ]
            for c in self.crops
        }

    def tensor(self, image: Image) -> Tensor:
        """Converts one crop to an input tensor with batch size 1.

        Args:
            image: uint8 HWC, BGR, any size.

        Returns:
            An array of `dtype`, of shape `input_shape`.

        Raises:
            UsageError: The image is not uint8 HWC with three channels.
        """
        return np.ascontiguousarray(self.stack([image]))

    def stack(self, images: Sequence[Image]) -> Tensor:
        """Converts crops of many faces to one batch.

        Args:
            images: uint8 HWC, BGR, any size each; at least one.

        Returns:
            An array of `dtype`, of shape `input_shape` except for the first axis. Memory is always
            in NHWC order; for NCHW it is a transposed view.

        Raises:
            UsageError: An image is not uint8 HWC with three channels.
        """
        import cv2

        shape = (self.height, self.width, self.channels)
        batch: Tensor = np.empty((len(images), *shape), self.dtype)
        table = self._quantized(self.table())
        for place, image in zip(batch, images, strict=True):
            pixels = self.pixels(image)
            place[:] = pixels if self.takes_levels else cv2.LUT(pixels, table).reshape(shape)
        return batch if self.layout == "NHWC" else np.transpose(batch, (0, 3, 1, 2))

    def _quantized(self, values: npt.NDArray[np.float32]) -> Tensor:
        """Values as the tensor holds them; float16 is made of float32, as OpenCV has none."""
        if self.quantization is None:
            return values
        limits = np.iinfo(self.dtype)
        steps = np.rint(values / np.float32(self.quantization.scale)) + self.quantization.zero_point
        made: Tensor = np.clip(steps, limits.min, limits.max).astype(self.dtype)
        return made

    def pixels(self, image: Image) -> Image:
        """Resizes one crop and puts it into the model's colour order; `table` does the rest.

        Args:
            image: uint8 HWC, BGR, any size.

        Returns:
            uint8 HWC of the model's size, C as `channels`.

        Raises:
            UsageError: The image is not uint8 HWC with three channels.
        """
        import cv2

        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise UsageError(
                "an input image must be uint8 HWC with three channels",
                why=f"got {image.dtype} of shape {image.shape}",
                fix="read the image with cv2.imread",
            )
        filters = {"area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR}
        size = (self.width, self.height)
        resized = cv2.resize(image, size, interpolation=filters[self.interpolation])
        if self.color_order == "RGB":
            cv2.cvtColor(resized, cv2.COLOR_BGR2RGB, dst=resized)
        if self.color_order == "GREY":
            resized = cv2.cvtColor(resized, cv2.COLOR_BGR2GRAY)[..., np.newaxis]
        return resized  # type: ignore[return-value]

    def table(self) -> npt.NDArray[np.float32]:
        """Input values of the 256 pixel levels in each channel, `(1, 256, C)` in `color_order`."""
        low, high = self.value_range
        levels = np.arange(_LEVELS, dtype=np.float32)[np.newaxis, :, np.newaxis]
        scaled = levels * np.float32((high - low) / 255.0) + np.float32(low)
        mean, std = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)
        table: npt.NDArray[np.float32] = (scaled - mean) / std
        return table

    def tensors(self, crops: Mapping[str, Image]) -> dict[str, Tensor]:
        """Converts crops, by input name, to input tensors with batch size 1."""
        return {name: self.tensor(crops[name]) for name in self.input_names}

    def apply(self, chip: Image) -> dict[str, Tensor]:
        """Converts a face chip (uint8 HWC BGR) to input tensors by name, with batch size 1."""
        return self.tensors(self.crop(chip))

    def batch(self, chips: Sequence[Image]) -> dict[str, Tensor]:
        """Converts face chips (uint8 HWC BGR, at least one) to batches by input name."""
        return self.batch_of_crops([self.crop(chip) for chip in chips])

    def batch_of_crops(self, crops: Sequence[Mapping[str, Image]]) -> dict[str, Tensor]:
        """Converts the crops of each chip, as from `crop`, to batches by input name."""
        return {name: self.stack([crop[name] for crop in crops]) for name in self.input_names}
