"""What a Core ML package says to people, in Xcode: the same as its metadata say to programs."""

from __future__ import annotations

from dataclasses import dataclass

from agecompact.artifacts.metadata import ArtifactMetadata
from agecompact.contract import Contract, Crop
from agecompact.outputs import Output, Reading

_LICENCE = "Code: Apache-2.0."


@dataclass(frozen=True)
class Texts:
    """The texts of a package that follow from its metadata.

    Attributes:
        licence: Terms of the code and of the weights.
        inputs: How an image becomes each input, by name.
        outputs: What each output is, by name.
    """

    licence: str
    inputs: dict[str, str]
    outputs: dict[str, str]


def texts_of(described: ArtifactMetadata) -> Texts:
    """The texts of a package with this metadata."""
    contract = described.contract
    return Texts(
        licence=" ".join(part for part in (_LICENCE, described.terms) if part),
        inputs={crop.name: _input_text(crop, contract) for crop in contract.crops},
        outputs={output.name: _output_text(output) for output in contract.outputs},
    )


def _input_text(crop: Crop, contract: Contract) -> str:
    low, high = contract.value_range
    return (
        f"{crop.name} crop, {contract.height}x{contract.width}, {contract.color_order}, "
        f"{low:g}..{high:g}, then (x - {list(contract.mean)}) / {list(contract.std)}"
    )


def _output_text(output: Output) -> str:
    text = output.unit
    if output.minimum is not None and output.maximum is not None:
        text += f", {output.minimum:g}..{output.maximum:g}"
    if output.reading != Reading():
        reading = output.reading
        text += f", the {reading.kind} times {reading.scale:g} plus {reading.offset:g}"
    if output.labels:
        text += f", of {', '.join(output.labels)}"
    return text
