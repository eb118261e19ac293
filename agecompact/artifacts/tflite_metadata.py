"""The standard metadata of TFLite files, which Android Studio and MediaPipe's tools read.

Tables and slots are those of `tensorflow_lite_support/metadata/metadata_schema.fbs` in
github.com/tensorflow/tflite-support, version 1.0.0. Labels lie in a ZIP archive behind the model,
where those tools look for them.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from agecompact.artifacts.metadata import ArtifactMetadata
from agecompact.artifacts.texts import texts_of
from agecompact.contract import Contract
from agecompact.outputs import Output

if TYPE_CHECKING:
    from flatbuffers import Builder

KEY = "TFLITE_METADATA"
_IDENTIFIER = b"M001"
_VERSION = "1.0.0"
# Of the schema: `ContentProperties`, `ColorSpaceType`, `ProcessUnitOptions`, `AssociatedFileType`.
_FEATURE, _IMAGE = 1, 2
_COLOUR_SPACES = {"RGB": 1, "GREY": 2}
_NORMALISATION = 1
_AXIS_LABELS = 2
# ZIP archives begin in 1980.
_ARCHIVE_DATE = (1980, 1, 1, 0, 0, 0)


def encoded(described: ArtifactMetadata) -> bytes:
    """The metadata of a file, as a FlatBuffer.

    The schema knows RGB and grey, and no BGR. An input in BGR is therefore described as numbers,
    not as an image: a tool that made it of a picture would swap red and blue.

    Args:
        described: The file's own metadata.
    """
    import flatbuffers

    texts, contract = texts_of(described), described.contract
    builder = flatbuffers.Builder(1024)
    inputs = [_input(builder, name, texts.inputs[name], contract) for name in contract.input_names]
    outputs = [_output(builder, output, texts.outputs[output.name]) for output in contract.outputs]
    graph = _table(builder, {2: _tables(builder, inputs), 3: _tables(builder, outputs)})
    words = {
        0: described.model,
        1: f"{described.model}, {described.precision}. {described.source}".rstrip(". "),
        2: described.weights_sha256[:12],
        5: texts.licence,
        7: _VERSION,
    }
    slots = {slot: builder.CreateString(text) for slot, text in words.items()}
    builder.Finish(_table(builder, {**slots, 3: _tables(builder, [graph])}), _IDENTIFIER)
    return bytes(builder.Output())


def with_labels(content: bytes, contract: Contract) -> bytes:
    """A TFLite file with the labels of its outputs behind it; unchanged if they have none."""
    labelled = [output for output in contract.outputs if output.labels]
    if not labelled:
        return content
    file = io.BytesIO(content)
    with zipfile.ZipFile(file, "a") as archive:
        for output in labelled:
            entry = zipfile.ZipInfo(_labels_file(output), _ARCHIVE_DATE)
            archive.writestr(entry, "\n".join(output.labels) + "\n")
    return file.getvalue()


def _labels_file(output: Output) -> str:
    return f"{output.name}_labels.txt"


def _input(builder: Builder, name: str, text: str, contract: Contract) -> int:
    space = _COLOUR_SPACES.get(contract.color_order)
    properties = _table(builder, {}, {0: space} if space else {})
    kind = _IMAGE if space else _FEATURE
    slots = {
        0: builder.CreateString(name),
        1: builder.CreateString(text),
        3: _table(builder, {1: properties}, {0: kind}),
        4: _tables(builder, [_normalisation(builder, contract)]),
    }
    return _table(builder, slots)


def _normalisation(builder: Builder, contract: Contract) -> int:
    """(x - mean) / std of the levels 0 to 255."""
    low, high = contract.value_range
    level = (high - low) / 255
    means = [(mean - low) / level for mean in contract.mean]
    deviations = [std / level for std in contract.std]
    options = _table(builder, {0: _floats(builder, means), 1: _floats(builder, deviations)})
    return _table(builder, {1: options}, {0: _NORMALISATION})


def _output(builder: Builder, output: Output, text: str) -> int:
    slots = {
        0: builder.CreateString(output.name),
        1: builder.CreateString(text),
        3: _table(builder, {1: _table(builder, {})}, {0: _FEATURE}),
    }
    if output.minimum is not None and output.maximum is not None:
        ends = _floats(builder, [output.maximum]), _floats(builder, [output.minimum])
        slots[5] = _table(builder, {0: ends[0], 1: ends[1]})
    if output.labels:
        name = builder.CreateString(_labels_file(output))
        slots[6] = _tables(builder, [_table(builder, {0: name}, {2: _AXIS_LABELS})])
    return _table(builder, slots)


def _table(builder: Builder, offsets: dict[int, int], numbers: dict[int, int] | None = None) -> int:
    """A table of what was written before, and of bytes, by slot."""
    numbers = numbers or {}
    builder.StartObject(max((*offsets, *numbers), default=-1) + 1)
    for slot, written in offsets.items():
        builder.PrependUOffsetTRelativeSlot(slot, written, 0)
    for slot, number in numbers.items():
        builder.PrependUint8Slot(slot, number, 0)
    offset: int = builder.EndObject()
    return offset


def _tables(builder: Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    vector: int = builder.EndVector()
    return vector


def _floats(builder: Builder, values: Sequence[float]) -> int:
    vector: int = builder.CreateNumpyVector(np.array(values, np.float32))
    return vector
