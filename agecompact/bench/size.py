"""What the bytes of an artefact are, and how few they could be."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agecompact.bench.record import Size
from agecompact.errors import UsageError
from agecompact.files import size_of
from agecompact.imports import import_extra

# As Gradle and Xcode deflate the entries of an APK and an IPA.
_LEVEL = 9
_RAW_DEFLATE = -15

# Bits of a stored weight, by the manifest's name of the precision.
_BITS: Mapping[str, int] = {
    "float32": 32,
    "float16": 16,
    "dynamic_range_quant": 8,
    "full_integer_quant": 8,
    "int8": 8,
    "palettized_8bit": 8,
    "palettized_4bit": 4,
}


@dataclass(frozen=True)
class _Parts:
    """Bytes by what they are for; the rest of the file is graph."""

    weights: int
    metadata: int


def measure(path: Path, precision: str, folded_parameters: int) -> Size:
    """What the bytes of an artefact are.

    Args:
        path: An `.onnx`, `.tflite` or `.safetensors` file, or an `.mlpackage` folder.
        precision: Of its stored weights, as the manifest names it.
        folded_parameters: Parameters with BN folded, which is what artefacts store.

    Raises:
        UsageError: The file is broken, or of no known kind.
        BackendMissingError: The extra that reads such files is not installed.
    """
    if path.suffix not in _READERS:
        raise UsageError(f"cannot tell what {path} is made of", why=f"known: {', '.join(_READERS)}")
    parts = _READERS[path.suffix](path)
    return Size(
        weights_bytes=parts.weights,
        graph_bytes=size_of(path) - parts.weights - parts.metadata,
        metadata_bytes=parts.metadata,
        deflated_bytes=sum(_deflated(file) for file in _files(path)),
        # A checkpoint stores BN unfolded, in whatever precision its writer chose.
        bound_bytes=None
        if path.suffix == ".safetensors"
        else bound_bytes(precision, folded_parameters),
    )


def bound_bytes(precision: str, folded_parameters: int) -> int | None:
    """The least that stored weights take uncompressed; None for a precision not known here."""
    bits = _BITS.get(precision)
    return None if bits is None else -(-folded_parameters * bits // 8)


def _files(path: Path) -> list[Path]:
    return sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


def _deflated(path: Path) -> int:
    """The size of a ZIP entry's data."""
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW_DEFLATE)
    return len(deflate.compress(path.read_bytes())) + len(deflate.flush())


def _onnx(path: Path) -> _Parts:
    import onnx

    try:
        model = onnx.load_model(path, load_external_data=False)
    except Exception as error:  # protobuf's DecodeError has moved between versions.
        raise UsageError(f"{path} is no ONNX file", why=str(error)) from None
    constants = [
        attribute.t
        for node in model.graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.HasField("t")
    ]
    weights = sum(_onnx_payload(tensor) for tensor in (*model.graph.initializer, *constants))
    described = sum(len(p.SerializeToString()) for p in model.metadata_props)
    return _Parts(weights, described + len(model.doc_string.encode()))


def _onnx_payload(tensor: Any) -> int:
    """Bytes of the values alone, without name and shape."""
    typed = (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data)
    if any(typed):
        bare = type(tensor)()
        for field, values in zip(("float", "int32", "int64", "double"), typed, strict=True):
            getattr(bare, f"{field}_data").extend(values)
        return int(bare.ByteSize())
    return len(tensor.raw_data)


def _tflite(path: Path) -> _Parts:
    schema = import_extra("ai_edge_litert.schema_py_generated", "tflite")
    content = path.read_bytes()
    try:
        model = schema.Model.GetRootAs(content, 0)
        buffers = [model.Buffers(i).DataLength() for i in range(model.BuffersLength())]
        named = {model.Metadata(i).Buffer() for i in range(model.MetadataLength())}
        used = {
            graph.Tensors(i).Buffer()
            for graph in (model.Subgraphs(g) for g in range(model.SubgraphsLength()))
            for i in range(graph.TensorsLength())
        }
    except Exception as error:  # A truncated FlatBuffer fails in as many ways as it has fields.
        raise UsageError(f"{path} is a broken TFLite file", why=str(error)) from None
    return _Parts(
        weights=sum(buffers[i] for i in used - named), metadata=sum(buffers[i] for i in named)
    )


def _mlpackage(path: Path) -> _Parts:
    from agecompact.runtimes import coreml

    description = coreml.read_specification(str(path)).description
    manifest = path / "Manifest.json"
    return _Parts(
        weights=sum(size_of(p) for p in (path / "Data").rglob("weights/*") if p.is_file()),
        metadata=description.metadata.ByteSize() + (size_of(manifest) if manifest.exists() else 0),
    )


def _safetensors(path: Path) -> _Parts:
    content = path.read_bytes()
    header_bytes = int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8 : 8 + header_bytes])
        described = len(json.dumps(header.get("__metadata__", {}), separators=(",", ":")))
    except (ValueError, AttributeError) as error:
        raise UsageError(f"{path} is no safetensors file", why=str(error)) from None
    return _Parts(weights=len(content) - 8 - header_bytes, metadata=min(described, header_bytes))


_READERS: Mapping[str, Callable[[Path], _Parts]] = {
    ".onnx": _onnx,
    ".tflite": _tflite,
    ".mlpackage": _mlpackage,
    ".safetensors": _safetensors,
}
