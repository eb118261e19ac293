"""The preprocessing contract: what an input image must be, as data that travels with the model.

Most age models that "do not work on the phone" work: they are fed RGB for BGR, 0..1 for 0..255, or
another crop. The contract says all of it, applies itself to an image, and is written into every
artefact, so that running an artefact never needs the Python model.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args, get_type_hints

import numpy as np
import numpy.typing as npt

from agecompact.errors import UsageError
from agecompact.files import canonical_json

SCHEMA_VERSION = 1

Image = npt.NDArray[np.uint8]
Tensor = npt.NDArray[np.float32] | npt.NDArray[np.uint8]

ColorOrder = Literal["BGR", "RGB"]
Layout = Literal["NCHW", "NHWC"]
Interpolation = Literal["area", "linear"]
Dtype = Literal["float32", "uint8"]
Unit = Literal["years", "score"]

_T = TypeVar("_T")


@dataclass(frozen=True)
class Crop:
    """One input of the model, cut from the face chip.

    Attributes:
        name: Name of the model's input tensor.
        left: Left edge as a fraction of the chip's width; `top`, `right`, `bottom` likewise.
        top: Upper edge as a fraction of the chip's height.
        right: Right edge, greater than `left`.
        bottom: Lower edge, greater than `top`.
    """

    name: str
    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.left < self.right <= 1 and 0 <= self.top < self.bottom <= 1):
            raise UsageError(f"crop '{self.name}' is not a box inside the face chip")


@dataclass(frozen=True)
class Output:
    """The model's answer.

    Attributes:
        name: Name of the output tensor, `(N, 1)` float32.
        unit: `years` for an age, `score` for a 0..1 answer.
        minimum: Least value the graph can give, or None where nothing bounds it.
        maximum: Greatest value the graph can give, or None.
    """

    name: str
    unit: Unit
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class Contract:
    """What goes in and what comes out.

    A chip is a square image of an aligned face, framed as UTKFace frames it (`agecompact.faces`
    makes one from any photo). Each crop of it is resized to `height` x `width`, put in
    `color_order`, scaled from 0..255 to `value_range`, normalised as (x - mean) / std per channel,
    and laid out.

    Attributes:
        crops: The inputs, in the model's order.
        height: Input height in pixels.
        width: Input width in pixels.
        color_order: Channel order of the tensor.
        value_range: What 0 and 255 become before mean and std.
        mean: Per-channel mean in `color_order`, in units of `value_range`.
        std: Per-channel standard deviation, likewise.
        layout: Axis order of the tensor.
        dtype: Element type of the tensor; `uint8` is an image that the graph itself normalises.
        interpolation: Resampling filter, OpenCV's `INTER_AREA` or `INTER_LINEAR`.
        output: The answer.
    """

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
        if not self.crops or len({crop.name for crop in self.crops}) != len(self.crops):
            raise UsageError("a contract needs crops with different names")
        if min(self.height, self.width) < 1:
            raise UsageError("a contract's height and width are at least 1 pixel")
        if any(s <= 0 for s in self.std):
            raise UsageError("a contract's std is positive")

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
            chip: uint8 HWC, BGR, as `cv2.imread` gives it.

        Returns:
            The crops by input name, still uint8 HWC BGR and not resized.
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
        """One crop as the model takes it, batch 1.

        Args:
            image: uint8 HWC, BGR, any size.

        Returns:
            float32 (or uint8, as `dtype` says) of `input_shape`.

        Raises:
            UsageError: The image is not uint8 HWC with three channels.
        """
        return np.ascontiguousarray(self.stack([image]))  # type: ignore[return-value]

    def stack(self, images: Sequence[Image]) -> Tensor:
        """Crops of many faces as one batch.

        Args:
            images: uint8 HWC, BGR, any size each; at least one.

        Returns:
            float32 (or uint8, as `dtype` says) of `input_shape` but for its first axis. Memory is
            in NHWC order whatever the layout: a transposed view for NCHW.

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
        """One crop when only the table is left to apply: resized, in the model's colour order.

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
                "an input image is uint8 HWC with three channels",
                why=f"got {image.dtype} of shape {image.shape}",
            )
        filters = {"area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR}
        size = (self.width, self.height)
        resized = cv2.resize(image, size, interpolation=filters[self.interpolation])
        if self.color_order == "RGB":
            cv2.cvtColor(resized, cv2.COLOR_BGR2RGB, dst=resized)
        return resized  # type: ignore[return-value]

    def table(self) -> npt.NDArray[np.float32]:
        """What each of the 256 levels becomes in each channel, `(1, 256, 3)` in `color_order`."""
        low, high = self.value_range
        levels = np.arange(256, dtype=np.float32)[np.newaxis, :, np.newaxis]
        scaled = levels * np.float32((high - low) / 255.0) + np.float32(low)
        mean, std = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)
        table: npt.NDArray[np.float32] = (scaled - mean) / std
        return table

    def tensors(self, crops: Mapping[str, Image]) -> dict[str, Tensor]:
        """All crops, given by input name, as the model takes them."""
        return {name: self.tensor(crops[name]) for name in self.input_names}

    def apply(self, chip: Image) -> dict[str, Tensor]:
        """A face chip (uint8 HWC BGR) as named input tensors, batch 1."""
        return self.tensors(self.crop(chip))

    def batch(self, chips: Sequence[Image]) -> dict[str, Tensor]:
        """Face chips (uint8 HWC BGR) as named input tensors, `stack`ed; at least one."""
        crops = [self.crop(chip) for chip in chips]
        return {name: self.stack([crop[name] for crop in crops]) for name in self.input_names}

    def to_json(self) -> str:
        """Canonical JSON, the form that is written into artefacts."""
        return canonical_json({"schema_version": SCHEMA_VERSION, **dataclasses.asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> Contract:
        """Reads what `to_json` wrote.

        Raises:
            UsageError: Not JSON, another schema version, or a field missing, unknown or wrong.
        """
        try:
            value = json.loads(text)
        # Not only JSONDecodeError: an integer of thousands of digits is a plain ValueError.
        except ValueError as error:
            raise UsageError("the contract is not JSON", why=str(error)) from None
        if not isinstance(value, dict):
            raise UsageError("the contract is not a JSON object")
        version = value.pop("schema_version", None)
        if version != SCHEMA_VERSION:
            raise UsageError(
                f"the contract has schema version {version!r}",
                why=f"this agecompact reads version {SCHEMA_VERSION}",
            )
        try:
            crops = tuple(_build(Crop, crop) for crop in value.pop("crops"))
            output = _build(Output, value.pop("output"))
            return _build(cls, {**value, "crops": crops, "output": output})
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise UsageError("the contract cannot be read", why=str(error)) from None


def _build(kind: type[_T], fields: Any) -> _T:
    """Builds a frozen dataclass from JSON values, checking each against its annotation."""
    if not isinstance(fields, dict):
        raise TypeError(f"{kind.__name__} is {fields!r}")
    hints = get_type_hints(kind)
    if unknown := set(fields) - set(hints):
        raise ValueError(f"unknown fields: {', '.join(sorted(unknown))}")
    return kind(**{name: _coerce(name, hints[name], value) for name, value in fields.items()})


def _coerce(name: str, hint: Any, value: Any) -> Any:
    numbers = {float: (int, float), int: (int,)}
    if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"'{name}' is {value!r}")
    if hint in numbers and isinstance(value, numbers[hint]):
        return hint(value)
    if hint == float | None and (value is None or isinstance(value, int | float)):
        return None if value is None else float(value)
    if hint is str and isinstance(value, str):
        return value
    choices = get_args(hint)
    if choices and all(isinstance(choice, str) for choice in choices) and value in choices:
        return value
    if isinstance(value, list | tuple) and hint in (
        tuple[float, float],
        tuple[float, float, float],
    ):
        if len(value) != len(choices):
            raise ValueError(f"'{name}' is {value!r}")
        return tuple(_coerce(name, float, v) for v in value)
    if isinstance(value, tuple | Output):
        return value
    raise ValueError(f"'{name}' is {value!r}")
