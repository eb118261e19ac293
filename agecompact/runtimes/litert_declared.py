"""What an app can bind to in a TFLite file.

An app may bind by the names in a signature, by position in the graph, or by the names of tensors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from agecompact.artifacts import metadata, tflite_metadata
from agecompact.artifacts.metadata import ArtifactMetadata, MetadataError
from agecompact.contract import Quantization
from agecompact.runtimes.base import Declaration, Declared, Port, Ports

_DTYPES = {
    code: name.lower() for name, code in vars(schema.TensorType).items() if isinstance(code, int)
}


def declared(model: Any, key: str) -> Declared:
    """The inputs and outputs of the graph and of a signature, and what else an app may see.

    Args:
        model: The FlatBuffer as Python objects.
        key: Key of the signature.

    Raises:
        LookupError: The graph, or a tensor that it names, does not exist.
    """
    graph = model.subgraphs[0]
    signatures = list(model.signatureDefs or ())
    wanted = next((s for s in signatures if s.signatureKey == key.encode()), None)
    inputs = [int(index) for index in graph.inputs]
    outputs = [int(index) for index in graph.outputs]
    places = [Declaration("graph", _by_tensor(graph, inputs), _by_tensor(graph, outputs))]
    if wanted is not None:
        bound = (
            _by_signature(graph, wanted.inputs, inputs),
            _by_signature(graph, wanted.outputs, outputs),
        )
        places.append(Declaration(f"signature '{key}'", *bound))
    oddities = (*_signature_oddities(signatures, wanted, key, (inputs, outputs)), *_others(model))
    return Declared(tuple(places), oddities)


def _by_tensor(graph: Any, indices: Sequence[int]) -> Ports:
    tensors = [_tensor(graph, index) for index in indices]
    return tuple((_text(tensor.name), port(tensor)) for tensor in tensors)


def _by_signature(graph: Any, entries: Sequence[Any], order: Sequence[int]) -> Ports:
    """In the order of the graph: that of the entries means nothing."""
    found = _bindings(entries)
    last = len(order)
    ranked = sorted(found, key=lambda e: order.index(e[1]) if e[1] in order else last)
    return tuple((name, port(_tensor(graph, index))) for name, index in ranked)


def _bindings(entries: Sequence[Any]) -> list[tuple[str, int]]:
    return [(_text(entry.name), int(entry.tensorIndex)) for entry in entries or ()]


def _tensor(graph: Any, index: int) -> Any:
    # A negative index must not count from the end.
    if not 0 <= index < len(graph.tensors):
        raise LookupError(f"it names tensor {index}, and has {len(graph.tensors)}")
    return graph.tensors[index]


def port(tensor: Any) -> Port:
    """A tensor of a FlatBuffer, as a file declares it."""
    # The signature of a shape has -1 for a side of any size, where the shape has 1.
    signature = tensor.shapeSignature
    shape = tensor.shape if signature is None or not len(signature) else signature
    sides = (int(side) for side in (() if shape is None else shape))
    quantization = tensor.quantization
    given = () if quantization is None else (quantization.scale, quantization.zeroPoint)
    return Port(
        tuple(None if side < 0 else side for side in sides),
        _DTYPES[tensor.type],
        quantization_of(*given) if given else None,
    )


def quantization_of(
    scales: Sequence[float] | None, zeros: Sequence[int] | None
) -> Quantization | None:
    """The quantisation of a whole tensor; None if it has none, or one for each channel.

    Args:
        scales: As the file has them; a scale of 0 stands for none.
        zeros: The zero points; none stands for 0.
    """
    if scales is None or len(scales) != 1 or not 0 < float(scales[0]) < math.inf:
        return None
    zero = 0 if zeros is None or not len(zeros) else int(zeros[0])
    return Quantization(float(scales[0]), zero)


def _text(name: bytes | None) -> str:
    return (name or b"").decode(errors="replace")


def _signature_oddities(
    signatures: Sequence[Any],
    wanted: Any | None,
    key: str,
    ends: tuple[Sequence[int], Sequence[int]],
) -> Iterator[str]:
    if wanted is None:
        others = ", ".join(f"'{_text(each.signatureKey)}'" for each in signatures)
        yield f"it has no signature '{key}'" + (f", but {others}" if others else "")
        return
    index, *bound = _meaning(wanted)
    if index != 0 or [set(side.values()) for side in bound] != [set(end) for end in ends]:
        yield f"signature '{key}' is bound to other tensors than the inputs and outputs"
    for each in signatures:
        if _meaning(each) != _meaning(wanted):
            yield (
                f"signature '{_text(each.signatureKey)}' is bound to other tensors than '{key}', "
                "and was not checked"
            )


def _meaning(signature: Any) -> tuple[int, Mapping[str, int], Mapping[str, int]]:
    """What a signature means, whatever its key and the order of its entries."""
    return (
        int(signature.subgraphIndex),
        dict(_bindings(signature.inputs)),
        dict(_bindings(signature.outputs)),
    )


def _others(model: Any) -> Iterator[str]:
    if len(model.subgraphs) > 1:
        yield f"it has {len(model.subgraphs)} graphs, and only the first was checked"
    names = [entry.name for entry in model.metadata or ()]
    standard = _entries(model, tflite_metadata.KEY)
    if standard and standard != [_as_the_contract_says(model)]:
        yield (
            f"its {tflite_metadata.KEY} is not what its contract says, and apps may follow either"
        )
    if names.count(metadata.KEY.encode()) > 1:
        yield "it has several contracts, and readers may take any of them"


def _entries(model: Any, name: str) -> list[bytes]:
    """What the entries of a name hold; nothing for one whose buffer does not exist."""
    places = [entry.buffer for entry in model.metadata or () if entry.name == name.encode()]
    held = [model.buffers[i].data if 0 <= i < len(model.buffers) else None for i in places]
    return [b"" if data is None else bytes(bytearray(data)) for data in held]


def _as_the_contract_says(model: Any) -> bytes | None:
    """The standard metadata of a file with this file's contract; None if it has no contract."""
    try:
        (content,) = _entries(model, metadata.KEY)
        return tflite_metadata.encoded(ArtifactMetadata.from_json(content.decode()))
    except (MetadataError, ValueError):
        return None
