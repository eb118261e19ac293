"""The mistakes that apps make when they prepare a face for a network.

Each is a pure function from face chips and a contract to the inputs that such an app gives. They
have the shape and dtype that the contract asks for, so no runtime notices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from agecompact.contract import Contract, Image, Tensor
from agecompact.evaluation import distortions

Kind = Literal["colour", "range", "layout", "resize", "framing", "picture"]
Inputs = dict[str, Tensor]
_Change = Callable[[Contract], Contract]

_SHARE = 0.1
_DEGREES = 10.0
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_RESIZE_TEXTS = {
    "area": "resizes by area",
    "linear": "resizes bilinearly, without anti-aliasing",
    "linear-antialiased": "resizes bilinearly, with anti-aliasing",
    "cubic": "resizes bicubically, without anti-aliasing",
    "nearest": "resizes by taking the nearest pixel",
}


@dataclass(frozen=True)
class Mistake:
    """A mistake.

    Attributes:
        name: Identifies it in records.
        kind: What it concerns.
        text: What an app with this contract does, to follow "if an app".
        inputs: The inputs that it gives for chips, uint8 HWC BGR and at least one: arrays by input
            name, as `Contract.batch` makes them.
        applies: Whether an app with this contract can make it, and it changes the inputs.
    """

    name: str
    kind: Kind
    text: Callable[[Contract], str]
    inputs: Callable[[Sequence[Image], Contract], Inputs]
    applies: Callable[[Contract], bool]


def of(contract: Contract) -> tuple[Mistake, ...]:
    """The mistakes that apps with a contract can make, in the order of the registry."""
    return tuple(each for each in MISTAKES if each.applies(contract))


def _has_colours(contract: Contract) -> bool:
    return contract.channels > 1


def _has_crops(contract: Contract) -> bool:
    return len(contract.crops) > 1


def _is_normalised(contract: Contract) -> bool:
    return any(contract.mean) or any(each != 1 for each in contract.std)


def _swapped(contract: Contract) -> Contract:
    return replace(contract, color_order="RGB" if contract.color_order == "BGR" else "BGR")


def _not_normalised(contract: Contract) -> Contract:
    return replace(contract, mean=(), std=())


def _scaled(contract: Contract, low: float, high: float) -> Contract:
    return replace(contract, value_range=(low, high))


def _only_scaled(contract: Contract, low: float, high: float) -> Contract:
    return _not_normalised(_scaled(contract, low, high))


def _like_imagenet(contract: Contract) -> Contract:
    return replace(contract, value_range=(0.0, 1.0), mean=_IMAGENET_MEAN, std=_IMAGENET_STD)


def _range(contract: Contract) -> str:
    return "{:g}..{:g}".format(*contract.value_range)


def _of_range(
    name: str,
    text: str,
    change: _Change,
    applies: Callable[[Contract], bool] = lambda _: True,
) -> Mistake:
    """A mistake in the numbers that stand for the levels of the picture."""

    def changes(contract: Contract) -> bool:
        # A tensor of bytes can only hold the levels themselves.
        if contract.takes_levels or not applies(contract):
            return False
        return not np.array_equal(change(contract).table(), contract.table())

    return Mistake(
        name,
        "range",
        lambda contract: text.format(right=_range(contract)),
        lambda chips, contract: change(contract).batch(chips),
        changes,
    )


def _of_resize(method: str) -> Mistake:
    resize = distortions.RESIZES[method]

    def inputs(chips: Sequence[Image], contract: Contract) -> Inputs:
        # What has the right size is not resized again.
        return contract.batch_of_crops(
            [distortions.resized(contract.crop(chip), contract, resize) for chip in chips]
        )

    return Mistake(
        f"resize-{method}",
        "resize",
        lambda _: _RESIZE_TEXTS[method],
        inputs,
        lambda contract: contract.interpolation != method,
    )


def _of_chip(
    name: str,
    kind: Kind,
    text: str,
    change: Callable[[Image], Image],
    applies: Callable[[Contract], bool] = lambda _: True,
) -> Mistake:
    """A mistake in the picture itself."""

    def inputs(chips: Sequence[Image], contract: Contract) -> Inputs:
        return contract.batch([change(chip) for chip in chips])

    return Mistake(name, kind, lambda _: text, inputs, applies)


def _reinterpreted(chips: Sequence[Image], contract: Contract) -> Inputs:
    """The values in the other layout's order, under the shape of the right one."""
    other = replace(contract, layout="NHWC" if contract.layout == "NCHW" else "NCHW")
    return {
        name: np.ascontiguousarray(values).reshape(len(chips), *contract.input_shape[1:])
        for name, values in other.batch(chips).items()
    }


def _whole_chips(chips: Sequence[Image], contract: Contract) -> Inputs:
    return dict.fromkeys(contract.input_names, contract.stack(chips))


def _crops_reversed(chips: Sequence[Image], contract: Contract) -> Inputs:
    right = contract.batch(chips)
    return dict(zip(contract.input_names, reversed(right.values()), strict=True))


MISTAKES: tuple[Mistake, ...] = (
    Mistake(
        "colour-order",
        "colour",
        lambda contract: f"gives {_swapped(contract).color_order} for {contract.color_order}",
        lambda chips, contract: _swapped(contract).batch(chips),
        _has_colours,
    ),
    _of_chip("grey", "colour", "gives grey pictures for colours", distortions.grey, _has_colours),
    _of_range("range-0-1", "gives 0..1 for {right}", partial(_scaled, low=0.0, high=1.0)),
    _of_range("range-0-255", "gives 0..255 for {right}", partial(_scaled, low=0.0, high=255.0)),
    _of_range(
        "range-signed",
        "gives -1..1 for {right}",
        partial(_only_scaled, low=-1.0, high=1.0),
        lambda contract: not _is_normalised(contract),
    ),
    _of_range(
        "range-signed-for-normalised",
        "gives -1..1 in place of mean and std",
        partial(_only_scaled, low=-1.0, high=1.0),
        _is_normalised,
    ),
    _of_range("no-mean-std", "forgets mean and std", _not_normalised),
    _of_range(
        "raw-levels",
        "gives 0..255 for {right}, and forgets mean and std",
        partial(_only_scaled, low=0.0, high=255.0),
        lambda contract: _is_normalised(contract) and contract.value_range != (0.0, 255.0),
    ),
    _of_range("imagenet", "applies ImageNet's mean and std", _like_imagenet, _has_colours),
    _of_chip(
        "video-range",
        "range",
        "leaves the camera's levels at 16..235",
        distortions.in_video_range,
    ),
    Mistake(
        "layout",
        "layout",
        lambda c: (
            f"fills the {c.layout} tensor in {'NHWC' if c.layout == 'NCHW' else 'NCHW'} order"
        ),
        _reinterpreted,
        _has_colours,
    ),
    Mistake(
        "crops-whole",
        "layout",
        lambda _: "gives the whole face for each crop",
        _whole_chips,
        _has_crops,
    ),
    Mistake(
        "crops-reversed",
        "layout",
        lambda _: "gives the crops in reverse",
        _crops_reversed,
        _has_crops,
    ),
    *map(_of_resize, distortions.RESIZES),
    _of_chip(
        "tight",
        "framing",
        "frames the face 10 % too tight",
        partial(distortions.tighter, share=_SHARE),
    ),
    _of_chip(
        "wide", "framing", "frames the face 10 % too wide", partial(distortions.wider, share=_SHARE)
    ),
    _of_chip(
        "right",
        "framing",
        "frames the face 10 % too far right",
        partial(distortions.moved, right=_SHARE),
    ),
    _of_chip(
        "low", "framing", "frames the face 10 % too low", partial(distortions.moved, down=_SHARE)
    ),
    _of_chip(
        "turned",
        "framing",
        "turns the face by 10 degrees",
        partial(distortions.turned, degrees=_DEGREES),
    ),
    _of_chip("lying", "framing", "ignores the camera's rotation of 90 degrees", distortions.lying),
    _of_chip(
        "jpeg-75",
        "picture",
        "compresses the face as JPEG, quality 75",
        partial(distortions.as_jpeg, quality=75),
    ),
    _of_chip(
        "jpeg-50",
        "picture",
        "compresses the face as JPEG, quality 50",
        partial(distortions.as_jpeg, quality=50),
    ),
)
