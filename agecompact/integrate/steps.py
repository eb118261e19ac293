"""A contract in words, for the README of a project."""

from __future__ import annotations

from collections.abc import Iterator

from agecompact.contract import Contract, Crop
from agecompact.outputs import Output

_COLOURS = {
    "BGR": "blue, green, red (BGR): cameras and most libraries give RGB",
    "RGB": "red, green, blue (RGB): OpenCV gives BGR",
    "GREY": "grey, 0.299 red + 0.587 green + 0.114 blue",
}
_FILTERS = {
    "area": "the mean of the area that each pixel covers (OpenCV's INTER_AREA); a bilinear filter "
    "skips pixels as it shrinks a picture",
    "linear": "bilinear interpolation (OpenCV's INTER_LINEAR)",
}
_LAYOUTS = {
    "NCHW": "planes: all of the first channel, then all of the next (NCHW)",
    "NHWC": "interleaved: the channels of a pixel side by side (NHWC)",
}
_READINGS = {
    "value": "the value",
    "sigmoid": "the sigmoid of the value",
    "expectation": "the sum of i times the share of bin i, from 0",
    "softmax-expectation": "the softmax of the values, then the sum of i times the share of bin i, "
    "from 0",
    "argmax": "the place of the greatest value, from 0",
}


def input_steps(contract: Contract) -> tuple[str, ...]:
    """What happens to a face chip, a sentence for each step."""
    return tuple(_input_steps(contract))


def _input_steps(contract: Contract) -> Iterator[str]:
    for crop in contract.crops:
        if crop != Crop(crop.name):
            yield (
                f"Input {crop.name} is a crop of the chip: {crop.left:g} to {crop.right:g} of its "
                f"width and {crop.top:g} to {crop.bottom:g} of its height."
            )
    size = f"{contract.width} x {contract.height} pixels"
    yield f"Resize to {size} by {_FILTERS[contract.interpolation]}."
    yield f"Channels: {_COLOURS[contract.color_order]}."
    if contract.takes_levels:
        yield "Values: the pixels' bytes, 0 to 255; the model normalises them itself."
    else:
        low, high = contract.value_range
        yield f"Values: {contract.dtype}, from {low:g} for black to {high:g} for white."
        if any(contract.mean) or set(contract.std) != {1.0}:
            mean, std = (", ".join(f"{v:g}" for v in x) for x in (contract.mean, contract.std))
            yield f"Then subtract the mean ({mean}) and divide by the deviation ({std})."
        if contract.quantization:
            yield (
                f"Then quantise: round(value / {contract.quantization.scale:g}) + "
                f"{contract.quantization.zero_point}, clipped to {contract.dtype}."
            )
    yield f"Order: {_LAYOUTS[contract.layout]}."


def output_step(output: Output) -> str:
    """How an answer is read, in a sentence."""
    reading = output.reading
    text = f"Output {output.name}, in {output.unit}: {_READINGS[reading.kind]}"
    if reading.scale != 1:
        text += f", times {reading.scale:g}"
    if reading.offset:
        text += f", plus {reading.offset:g}"
    return f"{text}."
