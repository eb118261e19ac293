"""What an app can bind to in a Core ML package: the description, which the program must match.

The reference runtime runs the program. An app, and Core ML itself, go by the description.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from agecompact.runtimes.base import Declaration, Declared, Interface, Port, Ports

# The colour spaces of Core ML that are in colour.
RGB, BGR = 20, 30
_OTHER_SPACES = {0: "no colour space", 10: "greyscale", 40: "float16 greyscale"}
# The dtype of a tensor whose description has none.
UNDECLARED = "undeclared"
# ArrayFeatureType.ArrayDataType of Core ML's FeatureTypes.proto.
_DTYPES = {
    0: UNDECLARED,
    65552: "float16",
    65568: "float32",
    65600: "float64",
    131104: "int32",
    131080: "int8",
}

# Fields that packages of agecompact set. An app, Xcode or Vision acts on the others: a predicted
# feature makes a classifier, a state must be created, a function must be chosen.
_MODEL_FIELDS = frozenset({"specificationVersion", "description", "mlProgram"})
_DESCRIPTION_FIELDS = frozenset({"input", "output", "metadata"})


def is_image(feature: Any) -> bool:
    """Whether an input or output is an image, not a tensor."""
    return bool(feature.type.WhichOneof("Type") == "imageType")


def interface_of(specification: Any) -> Interface:
    """The described inputs and outputs; a colour image is uint8 NHWC, as in the contract."""
    description = specification.description
    return Interface(dict(_ports(description.input)), dict(_ports(description.output)))


def described(features: Sequence[Any]) -> dict[str, Any]:
    """Inputs or outputs as JSON values, by name, each with its description for people."""
    texts = {feature.name: feature.shortDescription for feature in features}
    return {name: port.described(description=texts[name]) for name, port in _ports(features)}


def declared(specification: Any) -> Declared:
    """The inputs and outputs of the description and of the program, and what else an app may see.

    Raises:
        UsageError: The program has no main function, or not with tensors as inputs and outputs.
    """
    # Not at the top: the reference runtime imports this module.
    from agecompact.runtimes.mil import read_main

    description = specification.description
    images = {feature.name for feature in description.input if is_image(feature)}
    main = read_main(specification)
    inputs = tuple((n, _as_image(p) if n in images else p) for n, p in main.inputs)
    return Declared(
        (
            Declaration("description", _ports(description.input), _ports(description.output)),
            Declaration("program", inputs, main.outputs),
        ),
        tuple(_oddities(specification)),
        int(specification.specificationVersion),
    )


def _ports(features: Sequence[Any]) -> Ports:
    return tuple((feature.name, _port(feature)) for feature in features)


def _port(feature: Any) -> Port:
    kind = feature.type.WhichOneof("Type")
    if kind == "imageType":
        return _image_port(feature.type.imageType)
    if kind != "multiArrayType":
        return Port((), str(kind).removesuffix("Type"))
    array = feature.type.multiArrayType
    sides = [int(side) for side in array.shape]
    others = [list(each.shape) for each in array.enumeratedShapes.shapes]
    ranges = array.shapeRange.sizeRanges
    if ranges:
        others += [[r.lowerBound for r in ranges], [r.upperBound for r in ranges]]
    return Port(_varying(sides, others), _DTYPES.get(array.dataType, f"type {array.dataType}"))


def _image_port(image: Any) -> Port:
    others = [[each.height, each.width] for each in image.enumeratedSizes.sizes]
    if image.HasField("imageSizeRange"):
        bounds = (image.imageSizeRange.heightRange, image.imageSizeRange.widthRange)
        others += [[b.lowerBound for b in bounds], [b.upperBound for b in bounds]]
    sides = _varying([int(image.height), int(image.width)], others)
    if image.colorSpace in (RGB, BGR):
        return Port((1, *sides, 3), "uint8")
    space = _OTHER_SPACES.get(image.colorSpace, str(image.colorSpace))
    return Port((1, *sides, 1), f"image in {space}")


def _varying(sides: Sequence[int], others: Sequence[Sequence[int]]) -> tuple[int | None, ...]:
    """A shape, with None for each side that has another size in one of the other shapes."""
    return tuple(
        side if all(len(o) == len(sides) and o[axis] == side for o in others) else None
        for axis, side in enumerate(sides)
    )


def _as_image(tensor: Port) -> Port:
    """An input of the program, NCHW, as the image that an app gives for it."""
    if len(tensor.shape) != 4 or not tensor.dtype.startswith("float"):
        return tensor
    batch, channels, height, width = tensor.shape
    return Port((batch, height, width, channels), "uint8")


def _oddities(specification: Any) -> Iterator[str]:
    description, program = specification.description, specification.mlProgram
    yield from _other_fields("it", specification, _MODEL_FIELDS)
    yield from _other_fields("its description", description, _DESCRIPTION_FIELDS)
    for side, features in (("input", description.input), ("output", description.output)):
        for feature in features:
            if feature.type.isOptional:
                yield f"{side} '{feature.name}' is optional, so an app may forget it"
            if feature.type.multiArrayType.WhichOneof("defaultOptionalValue"):
                yield f"{side} '{feature.name}' has a default value"
    blocks = [
        f"{name} ({opset})"
        for name, function in program.functions.items()
        for opset in function.block_specializations
    ]
    if len(blocks) > 1:
        yield f"its program has several functions, and one was checked: {', '.join(blocks)}"


def _other_fields(owner: str, message: Any, known: frozenset[str]) -> Iterator[str]:
    for field, value in message.ListFields():
        if field.name not in known:
            yield f"{owner} sets {field.name}" + (f" to '{value}'" if type(value) is str else "")
