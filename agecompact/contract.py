"""The preprocessing contract: how an image becomes the model's input, as data inside the artefact.

Most age models that "do not work on the phone" do work, but get RGB for BGR, 0..1 for 0..255, or
another crop. The contract states all of this and applies it to an image. Every artefact contains
it, so that running an artefact never needs the Python model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from agecompact.errors import UsageError

Image = npt.NDArray[np.uint8]
Tensor = npt.NDArray[np.float32] | npt.NDArray[np.uint8]

ColorOrder = Literal["BGR", "RGB"]
Layout = Literal["NCHW", "NHWC"]
Interpolation = Literal["area", "linear"]
Dtype = Literal["float32", "uint8"]
Unit = Literal["years", "score"]

# Inputs are allocated by the contract in a foreign file. No face network for a phone needs more.
_MOST_PIXELS = 1024
_MOST_CROPS = 16


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
class Output:
    """The model's output.

    Attributes:
        name: Name of the output tensor, `(N, 1)` float32.
        unit: `years` for an age, `score` for a value from 0 to 1.
        minimum: Smallest value that the graph can output; None if it has no lower bound.
        maximum: Largest value that the graph can output; None if it has no upper bound.
    """

    name: str
    unit: Unit
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class Contract:
    """The inputs and the output of a model.

    A chip is a square image of an aligned face, framed as in UTKFace (`agecompact.faces` makes one
    from any photo). Each crop of it is resized to `height` x `width`, converted to `color_order`,
    scaled from 0..255 to `value_range`, normalised as (x - mean) / std per channel, and transposed
    to `layout`.

    Attributes:
        crops: The inputs, in the model's order.
        height: Input height in pixels.
        width: Input width in pixels.
        color_order: Channel order of the tensor.
        value_range: Values of 0 and 255 before mean and std are applied.
        mean: Per-channel mean in `color_order`, in units of `value_range`.
        std: Per-channel standard deviation, in the same order and units.
        layout: Axis order of the tensor.
        dtype: Element type of the tensor; `uint8` if the graph itself normalises the image.
        interpolation: Resampling filter, OpenCV's `INTER_AREA` or `INTER_LINEAR`.
        output: The output.
    """

    SCHEMA_VERSION: ClassVar[int] = 1

    crops: tuple[Crop, ...]
    height: int
    width: int
    color_order: ColorOrder
    output: Output
    value_range: tuple[float, float] = (0.0, 255.0)
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    layout: Layout = "NCHW"
    dtype: Dtype = "float32"
    interpolation: Interpolation = "area"

    def __post_init__(self) -> None:
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

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the input tensors, in the model's order."""
        return tuple(crop.name for crop in self.crops)

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Shape of each input tensor at batch 1, in `layout`."""
        if self.layout == "NCHW":
            return (1, 3, self.height, self.width)
        return (1, self.height, self.width, 3)

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
            float32 or uint8, as `dtype`, of shape `input_shape`.

        Raises:
            UsageError: The image is not uint8 HWC with three channels.
        """
        return np.ascontiguousarray(self.stack([image]))  # type: ignore[return-value]

    def stack(self, images: Sequence[Image]) -> Tensor:
        """Converts crops of many faces to one batch.

        Args:
            images: uint8 HWC, BGR, any size each; at least one.

        Returns:
            float32 or uint8, as `dtype`, of shape `input_shape` except for the first axis. Memory
            is always in NHWC order; for NCHW it is a transposed view.

        Raises:
            UsageError: An image is not uint8 HWC with three channels.
        """
        import cv2

        batch: Tensor = np.empty((len(images), self.height, self.width, 3), self.dtype)
        table = self.table()
        for place, image in zip(batch, images, strict=True):
            pixels = self.pixels(image)
            place[:] = pixels if self.dtype == "uint8" else cv2.LUT(pixels, table)
        return batch if self.layout == "NHWC" else np.transpose(batch, (0, 3, 1, 2))  # type: ignore[return-value]

    def pixels(self, image: Image) -> Image:
        """Resizes one crop and puts it into the model's colour order; `table` does the rest.

        Args:
            image: uint8 HWC, BGR, any size.

        Returns:
            uint8 HWC of the model's size.

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
        return resized  # type: ignore[return-value]

    def table(self) -> npt.NDArray[np.float32]:
        """Input values of the 256 pixel levels in each channel, `(1, 256, 3)` in `color_order`."""
        low, high = self.value_range
        levels = np.arange(256, dtype=np.float32)[np.newaxis, :, np.newaxis]
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
        crops = [self.crop(chip) for chip in chips]
        return {name: self.stack([crop[name] for crop in crops]) for name in self.input_names}
