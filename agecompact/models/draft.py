"""Drafts a project file by looking at a network: what it takes, and what it returns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import Template
from typing import Any

import torch
from torch import Tensor, nn

from agecompact.errors import UsageError, failure_text

# Sides that face networks take, the likeliest first. A network that takes any size takes the first.
_SIDES = (224, 64, 112, 128, 96, 160, 256, 48, 32, 192, 299)
_CHANNELS = {1: "GREY", 3: "RGB"}

_FILE = Template("""# The project file of $name: docs/project-file.md describes every field.
# Paths are relative to this file. Lines marked with "check" are guesses.
schema_version = 1
name = "$name"
factory = $factory
weights = $weights
# The paper or the code that the network follows, and the terms of its weights.
source = ""
terms = ""

# Keyword arguments of the factory.
[arguments]
$arguments
[input]
height = $height # check: the size that it was trained with
width = $width
color_order = "$color_order" # check: RGB or BGR; images that cv2.imread reads are BGR
# The values of the levels 0 and 255, and then (x - mean) / std for each channel.
value_range = [0.0, 1.0] # check: [0.0, 255.0] if the image was not divided by 255
mean = $mean # check
std = $std
$crops
$outputs""")

_OUTPUT = Template("""[[outputs]]
name = "$name"
size = $size
unit = "$unit" # check: years, score, degrees, logits, or any text
# How the answer is read: value, sigmoid, expectation (of shares), softmax-expectation (of logits),
# argmax; times scale, plus offset.
reading = { kind = "$kind", scale = 1.0, offset = 0.0 } # check
""")


@dataclass(frozen=True)
class Seen:
    """What a network takes and returns.

    Attributes:
        inputs: Number of images.
        channels: Channels of each.
        side: Height and width.
        outputs: Size of each output by name, in order.
    """

    inputs: int
    channels: int
    side: int
    outputs: Mapping[str, int]


def look_at(network: nn.Module, inputs: int = 1, side: int | None = None) -> Seen:
    """Runs a network on noise of likely sizes.

    Args:
        network: In evaluation mode.
        inputs: Number of images that it takes.
        side: Height and width; None to try the likely ones.

    Raises:
        UsageError: It takes none of them, or returns something other than tensors.
    """
    channels = _channels(network)
    problem = ""
    for each in (side,) if side else _SIDES:
        images = [torch.rand(2, channels, each, each) for _ in range(inputs)]
        try:
            with torch.inference_mode():
                returned = network(*images)
        except Exception as error:  # The network is the user's own.
            problem = problem or f"of {each} x {each}: {failure_text(error)}"
            continue
        return Seen(inputs, channels, each, dict(_sizes(returned)))
    raise UsageError(
        f"the network takes no image of {channels} channels",
        why=problem,
        fix="give its size with --side, and the number of its images with --inputs",
    )


def _channels(network: nn.Module) -> int:
    first = next((m for m in network.modules() if isinstance(m, nn.Conv2d)), None)
    return first.in_channels if first is not None and first.in_channels in _CHANNELS else 3


def _sizes(returned: Any) -> Iterator[tuple[str, int]]:
    if isinstance(returned, Mapping):
        named = [(str(name), tensor) for name, tensor in returned.items()]
    elif isinstance(returned, Sequence):
        named = [(f"output{i}", tensor) for i, tensor in enumerate(returned)]
    else:
        named = [("output", returned)]
    for name, tensor in named:
        if not isinstance(tensor, Tensor) or tensor.ndim == 0:
            raise UsageError(
                f"the network returns a {type(tensor).__name__} as '{name}'",
                fix="return a tensor (N, size), or several in a tuple or a dict",
            )
        yield name, tensor[0].numel()


def draft(name: str, factory: str, weights: str, arguments: Mapping[str, Any], seen: Seen) -> str:
    """A commented project file.

    Args:
        name: Name of the network.
        factory: As in the file.
        weights: As in the file; empty for none.
        arguments: Keyword arguments of the factory.
        seen: What the network takes and returns.
    """
    single = len(seen.outputs) == 1
    outputs = [
        _OUTPUT.substitute(
            name="age" if single and size == 1 else output,
            size=size,
            unit="years" if single and size == 1 else "logits",
            kind="value",
        )
        for output, size in seen.outputs.items()
    ]
    crops = [
        f'\n[[input.crops]] # check: the part of the face chip\nname = "input{i}"\n'
        "left = 0.0\ntop = 0.0\nright = 1.0\nbottom = 1.0\n"
        for i in range(seen.inputs if seen.inputs > 1 else 0)
    ]
    # JSON's texts, numbers and lists are TOML's.
    return _FILE.substitute(
        name=name,
        factory=json.dumps(factory),
        weights=json.dumps(weights),
        arguments="".join(f"{key} = {json.dumps(value)}\n" for key, value in arguments.items()),
        height=seen.side,
        width=seen.side,
        color_order=_CHANNELS[seen.channels],
        mean=json.dumps([0.0] * seen.channels),
        std=json.dumps([1.0] * seen.channels),
        crops="".join(crops),
        outputs="\n".join(outputs),
    )
