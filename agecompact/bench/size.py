"""Breakdown of an artefact's bytes, and a lower bound for them.

`formats` names the reader of each format, a function from a path to `Parts`.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agecompact.bench.record import Size
from agecompact.errors import UsageError
from agecompact.files import json_value, size_of
from agecompact.formats import format_of
from agecompact.imports import import_extra, resolve
from agecompact.isolation import IsolationFailure, call
from agecompact.precisions import PRECISIONS
from agecompact.runtimes.channel import MEMORY_BYTES
from agecompact.serialization import structure

# As Gradle and Xcode deflate the entries of an APK and an IPA.
_LEVEL = 9
_RAW_DEFLATE = -15

_TIMEOUT_S = 60.0
_EXPORT_AGAIN = "write the file again: agecompact export"


@dataclass(frozen=True)
class Parts:
    """Bytes by purpose; the rest of the file is graph.

    Attributes:
        weights: Constants that the graph computes with.
        metadata: Description of the file.
        with_graph: Whether `weights` includes the graph, which the format does not tell apart.
    """

    weights: int
    metadata: int
    with_graph: bool = False


def read_parts(path: Path) -> Parts:
    """Measures the parts of a file in a process of its own, since its parser may crash or hang.

    Raises:
        UsageError: The file is broken or of an unknown format.
        BackendMissingError: The extra that reads the format is not installed.
    """
    reader = "agecompact.bench.size:parts_of"
    try:
        found = call(reader, path, seconds=_TIMEOUT_S, memory_bytes=MEMORY_BYTES)
    except IsolationFailure as failure:
        raise UsageError(f"cannot read {path}", why=failure.reason, fix=_EXPORT_AGAIN) from None
    return structure(found, Parts, where=f"the parts of {path}")


def parts_of(path: str) -> Parts:
    """Measures the parts of a file in this process."""
    parts: Parts = resolve(format_of(Path(path)).size_reader)(Path(path))
    return parts


def measure(path: Path, precision: str, folded_parameters: int) -> Size:
    """Breaks the bytes of an artefact down.

    Args:
        path: The file, or the folder of a package.
        precision: Of its stored weights, as in the manifest.
        folded_parameters: Parameters after BN folding, which is what artefacts store.

    Raises:
        UsageError: The file is broken or of an unknown format.
        BackendMissingError: The extra that reads the format is not installed.
    """
    format_ = format_of(path)
    parts = read_parts(path)
    # A checkpoint stores unfolded BN in whatever precision its writer chose.
    bounded = format_.converter is not None and precision in PRECISIONS
    return Size(
        weights_bytes=parts.weights,
        graph_bytes=size_of(path) - parts.weights - parts.metadata,
        metadata_bytes=parts.metadata,
        deflated_bytes=sum(_deflated(file) for file in _files(path)),
        bound_bytes=bound_bytes(PRECISIONS[precision].stored_bits, folded_parameters)
        if bounded
        else None,
    )


def bound_bytes(stored_bits: int, folded_parameters: int) -> int:
    """The fewest bytes that uncompressed weights take."""
    return -(-folded_parameters * stored_bits // 8)


def onnx_parts(path: Path) -> Parts:
    """Returns the parts of an ONNX file."""
    import onnx

    try:
        model = onnx.load_model(path, load_external_data=False)
    except Exception as error:  # protobuf's DecodeError has moved between versions.
        raise UsageError(f"{path} is not an ONNX file", why=str(error), fix=_EXPORT_AGAIN) from None
    constants = [
        attribute.t
        for node in model.graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.HasField("t")
    ]
    weights = sum(_onnx_payload(tensor) for tensor in (*model.graph.initializer, *constants))
    properties = sum(len(p.SerializeToString()) for p in model.metadata_props)
    return Parts(weights, properties + len(model.doc_string.encode()))


def tflite_parts(path: Path) -> Parts:
    """Returns the parts of a TFLite file."""
    schema = import_extra("ai_edge_litert.schema_py_generated", "tflite")
    content = path.read_bytes()
    try:
        model = schema.Model.GetRootAs(content, 0)
        buffers = [model.Buffers(i).DataLength() for i in range(model.BuffersLength())]
        metadata = {model.Metadata(i).Buffer() for i in range(model.MetadataLength())}
        used = {
            graph.Tensors(i).Buffer()
            for graph in (model.Subgraphs(g) for g in range(model.SubgraphsLength()))
            for i in range(graph.TensorsLength())
        }
    except Exception as error:  # A truncated FlatBuffer fails in as many ways as it has fields.
        raise UsageError(
            f"{path} is not a TFLite file", why=str(error), fix=_EXPORT_AGAIN
        ) from None
    return Parts(
        weights=sum(buffers[i] for i in used - metadata),
        metadata=sum(buffers[i] for i in metadata),
    )


def mlpackage_parts(path: Path) -> Parts:
    """Returns the parts of a Core ML package."""
    from agecompact.runtimes import coreml

    description = coreml.read_specification(str(path)).description
    manifest = path / "Manifest.json"
    return Parts(
        weights=sum(size_of(p) for p in (path / "Data").rglob("weights/*") if p.is_file()),
        metadata=description.metadata.ByteSize() + (size_of(manifest) if manifest.exists() else 0),
    )


def aimodel_parts(path: Path) -> Parts:
    """Returns the parts of a Core AI model, whose program holds weights and graph."""
    from agecompact.runtimes import coreai

    about = path / coreai.METADATA_FILE
    return Parts(size_of(path) - size_of(about), size_of(about), with_graph=True)


def pte_parts(path: Path) -> Parts:
    """Returns the parts of an ExecuTorch program: XNNPACK's part holds weights and graph."""
    from agecompact.runtimes.reading import read_metadata

    metadata = len(read_metadata(path).to_json())
    return Parts(size_of(path) - metadata, metadata, with_graph=True)


def ncnn_parts(path: Path) -> Parts:
    """Returns the parts of an ncnn model, each of which is a file."""
    from agecompact.runtimes import ncnn_graph

    return Parts(
        weights=size_of(path / ncnn_graph.WEIGHTS_FILE),
        metadata=size_of(path / ncnn_graph.METADATA_FILE),
    )


def safetensors_parts(path: Path) -> Parts:
    """Returns the parts of a safetensors file."""
    content = path.read_bytes()
    header_bytes = int.from_bytes(content[:8], "little")
    try:
        header = json_value(content[8 : 8 + header_bytes])
        metadata = len(json.dumps(header.get("__metadata__", {}), separators=(",", ":")))
    except (ValueError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{path} is not a safetensors file",
            why=str(error),
            fix="write it again: agecompact train or agecompact export",
        ) from None
    return Parts(weights=len(content) - 8 - header_bytes, metadata=min(metadata, header_bytes))


def _onnx_payload(tensor: Any) -> int:
    """Bytes of the values alone, without name and shape."""
    typed = (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data)
    if any(typed):
        bare = type(tensor)()
        for field, values in zip(("float", "int32", "int64", "double"), typed, strict=True):
            getattr(bare, f"{field}_data").extend(values)
        return int(bare.ByteSize())
    return len(tensor.raw_data)


def _files(path: Path) -> list[Path]:
    return sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


def _deflated(path: Path) -> int:
    """Size of the file's data in a ZIP entry."""
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW_DEFLATE)
    return len(deflate.compress(path.read_bytes())) + len(deflate.flush())
