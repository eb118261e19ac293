"""Edits of artefacts, for tests that plant faults in them or vary them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnx import helper, numpy_helper

from agecompact.artifacts import manifest, metadata, tflite_metadata
from agecompact.artifacts.metadata import ArtifactMetadata, MetadataError
from agecompact.files import sha256_of, size_of
from agecompact.runtimes.coreml import MODEL_FILE, read_specification
from tests.weight_blobs import WEIGHT_FILE, blobs

# Changes a file, or a package, in place.
Edit = Callable[[Path], None]
OnnxEdit = Callable[[onnx.ModelProto], Any]
TfliteEdit = Callable[[Any], Any]
# Changes an array in place, or returns another.
ArrayEdit = Callable[[np.ndarray], Any]


def unchanged(_: Path) -> None:
    """No edit."""


def in_bytes(change: Callable[[bytes], bytes], inside: Path = MODEL_FILE) -> Edit:
    """Edits the bytes of a file, or of a file inside a package."""

    def edit(path: Path) -> None:
        file = path / inside if path.is_dir() else path
        file.write_bytes(change(file.read_bytes()))

    return edit


def truncated(inside: Path = MODEL_FILE) -> Edit:
    """Keeps the first half of a file."""
    return in_bytes(lambda content: content[: len(content) // 2], inside)


def in_onnx(change: OnnxEdit) -> Edit:
    """Edits an ONNX model in place, or replaces it by the model that `change` returns."""

    def edit(path: Path) -> None:
        model = onnx.load_model(path)
        made = change(model)
        onnx.save(made if isinstance(made, onnx.ModelProto) else model, path)

    return edit


def in_tflite(change: TfliteEdit) -> Edit:
    """Edits an unpacked TFLite model."""

    def edit(path: Path) -> None:
        import flatbuffers
        from ai_edge_litert import schema_py_generated as schema

        model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
        change(model)
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))

    return edit


def metadata_buffers(model: Any) -> tuple[Any, Any]:
    """The buffers of an unpacked TFLite model with our metadata and the standard ones."""
    places = {entry.name: model.buffers[entry.buffer] for entry in model.metadata}
    return places[metadata.KEY.encode()], places[tflite_metadata.KEY.encode()]


def in_tflite_metadata(change: Callable[[str], str]) -> Edit:
    """Edits the JSON in a TFLite file; its standard metadata then say the same, if it is valid."""

    def edit(model: Any) -> None:
        own, standard = metadata_buffers(model)
        text = change(bytes(own.data).decode())
        own.data = np.frombuffer(text.encode(), np.uint8)
        with suppress(MetadataError):
            same = tflite_metadata.encoded(ArtifactMetadata.from_json(text))
            standard.data = np.frombuffer(same, np.uint8)

    return in_tflite(edit)


def in_mlpackage(change: Callable[[Any], Any]) -> Edit:
    """Edits the specification of a Core ML package."""

    def edit(path: Path) -> None:
        specification = read_specification(str(path))
        change(specification)
        (path / MODEL_FILE).write_bytes(specification.SerializeToString())

    return edit


def mil_block(specification: Any) -> Any:
    """The block of a specification's program."""
    main = specification.mlProgram.functions["main"]
    return main.block_specializations[main.opset]


def in_largest_blob(change: ArrayEdit) -> Edit:
    """Edits the largest tensor in a package's weight file."""

    def plant(content: bytes) -> bytes:
        changed = bytearray(content)
        change(max(blobs(content), key=lambda blob: blob.bytes).within(changed))
        return bytes(changed)

    return in_bytes(plant, WEIGHT_FILE)


def node(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    """The node of a name, or else the first of an op type."""
    named = [each for each in model.graph.node if each.name == name]
    return next(iter(named or [each for each in model.graph.node if each.op_type == name]))


def initializer(name: str, change: ArrayEdit, place: int = 1) -> OnnxEdit:
    """Edits the initializer that is an input of a node, the second one by default."""

    def edit(model: onnx.ModelProto) -> None:
        wanted = node(model, name).input[place]
        stored = next(i for i in model.graph.initializer if i.name == wanted)
        values = numpy_helper.to_array(stored).copy()
        made = change(values)
        stored.CopyFrom(numpy_helper.from_array(values if made is None else made, wanted))

    return edit


def renamed(model: onnx.ModelProto, names: Mapping[str, str], *, outputs: bool = True) -> None:
    """Renames what nodes read and, if wanted, write."""
    for each in model.graph.node:
        each.input[:] = [names.get(name, name) for name in each.input]
        if outputs:
            each.output[:] = [names.get(name, name) for name in each.output]


def renamed_port(side: Literal["input", "output"], name: str) -> OnnxEdit:
    """Renames a model's first input or output."""

    def edit(model: onnx.ModelProto) -> None:
        port = getattr(model.graph, side)[0]
        renamed(model, {port.name: name})
        port.name = name

    return edit


def reversed_channels(axis: int) -> ArrayEdit:
    """Reverses the order of the values along an axis."""
    return lambda values: np.copyto(values, np.flip(values, axis).copy())


def bypassed(name: str) -> OnnxEdit:
    """Removes a node; its readers read its input."""

    def edit(model: onnx.ModelProto) -> None:
        found = node(model, name)
        renamed(model, {found.output[0]: found.input[0]}, outputs=False)
        model.graph.node.remove(found)
        # The declared shapes of what follows may be others.
        del model.graph.value_info[:]

    return edit


def attributes(name: str, *dropped: str, **values: Any) -> OnnxEdit:
    """Sets attributes of a node and drops others."""

    def plant(model: onnx.ModelProto) -> None:
        found = node(model, name)
        kept = [a for a in found.attribute if a.name not in (*dropped, *values)]
        del found.attribute[:]
        found.attribute.extend([*kept, *(helper.make_attribute(k, v) for k, v in values.items())])

    return plant


def inputs_of(name: str, order: tuple[int, ...]) -> OnnxEdit:
    """Puts the inputs of a node into another order."""

    def plant(model: onnx.ModelProto) -> None:
        found = node(model, name)
        found.input[:] = [found.input[i] for i in order]

    return plant


def after(
    model: onnx.ModelProto, name: str, *ops: tuple[str, tuple[str, ...], dict[str, Any]]
) -> None:
    """Puts ops between a node and its readers; each is a type, constant inputs and attributes."""
    found = node(model, name)
    place, wrote = list(model.graph.node).index(found), found.output[0]
    read = found.output[0] = f"{wrote}/before"
    for number, (op, constants, options) in enumerate(ops):
        to = wrote if number == len(ops) - 1 else f"{wrote}/{number}"
        made = helper.make_node(op, [read, *constants], [to], f"put in {number}", **options)
        model.graph.node.insert(place + 1 + number, made)
        read = to


def tflite_weights(
    number: int, change: ArrayEdit, *, kind: str = "CONV_2D", bias: bool = False
) -> TfliteEdit:
    """Edits the weights, or the bias, of a TFLite model's n-th op of a kind."""

    def edit(model: Any) -> None:
        graph = model.subgraphs[0]
        index = tflite_ops(model, kind)[number].inputs[2 if bias else 1]
        # In a float16 file, an op restores them.
        stored = {op.outputs[0]: op.inputs[0] for op in tflite_ops(model, "DEQUANTIZE")}
        tensor = graph.tensors[stored.get(index, index)]
        buffer = model.buffers[tensor.buffer]
        buffer.data = np.array(buffer.data, np.uint8)
        dtype = np.float16 if index in stored else np.float32
        values = buffer.data.view(dtype).reshape(tensor.shape)
        made = change(values)
        if made is not None:
            np.copyto(values, made)

    return edit


def tflite_ops(model: Any, kind: str) -> list[Any]:
    """The ops of a kind in a TFLite model."""
    from ai_edge_litert import schema_py_generated as schema

    code = getattr(schema.BuiltinOperator, kind)
    return [
        op
        for op in model.subgraphs[0].operators
        if model.operatorCodes[op.opcodeIndex].builtinCode == code
    ]


def edited_build(
    good: manifest.Build,
    folder: Path,
    edits: Mapping[str, tuple[str, Edit]],
    *,
    rehash: bool,
    opsets: bool = True,
) -> manifest.Build:
    """A build of edited copies of another build's artefacts.

    Args:
        good: The other build.
        folder: An empty folder for it.
        edits: By new file name: the artefact to copy, and the edit.
        rehash: Whether the manifest has the hashes of the edited files, or still those of `good`.
        opsets: Whether a rehashed manifest also has the opsets of the edited files.
    """
    # Some edits need to know PyTorch's weights.
    shutil.copyfile(good.weights, folder / good.manifest.weights)
    entries = []
    for file, (source, edit) in edits.items():
        entry = next(each for each in good.manifest.artifacts if each.file == source)
        path = folder / file
        (shutil.copytree if good.path(entry).is_dir() else shutil.copyfile)(good.path(entry), path)
        edit(path)
        entry = replace(entry, file=file)
        if rehash:
            entry = replace(entry, sha256=sha256_of(path), bytes=size_of(path))
        if rehash and opsets and entry.format == "onnx":
            found = {o.domain: o.version for o in onnx.load_model(path).opset_import}
            entry = replace(entry, opset=found[""])
        entries.append(entry)
    manifest.write(folder, replace(good.manifest, artifacts=tuple(entries)))
    return manifest.read_builds(folder)[0]
