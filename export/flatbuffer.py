"""Writes TFLite models."""

from __future__ import annotations

from typing import Any

import numpy as np

# Constants in a TFLite file start at multiples of 16 bytes (schema.fbs, `Buffer.data`).
_BUFFER_ALIGNMENT = 16


def pack(model: Any) -> bytes:
    """The file of a `schema.ModelT`."""
    return _packed(model, _aligned_builder())


def pack_once(model: Any) -> bytes:
    """The file of a `schema.ModelT`; equal vectors, such as zero points, are stored once."""
    _as_arrays(model)
    builder = _aligned_builder()
    vectors: dict[tuple[str, bytes], int] = {}
    create = builder.CreateNumpyVector

    def created(values: Any) -> int:
        key = (values.dtype.str, values.tobytes())
        if key not in vectors:
            vectors[key] = create(values)
        return vectors[key]

    builder.CreateNumpyVector = created
    return _packed(model, builder)


def _packed(model: Any, builder: Any) -> bytes:
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _aligned_builder() -> Any:
    import flatbuffers

    class AlignedBuilder(flatbuffers.Builder):  # type: ignore[misc]
        """Aligns byte vectors as the schema demands, which the generated Python code does not."""

        def StartVector(self, elem_size: int, count: int, alignment: int) -> int:  # noqa: N802
            wanted = _BUFFER_ALIGNMENT if elem_size == 1 else alignment
            offset: int = super().StartVector(elem_size, count, wanted)
            return offset

    return AlignedBuilder(1 << 20)


def _as_arrays(model: Any) -> None:
    """Makes arrays of lists, since only arrays are written as a whole."""
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            if tensor.shape is not None:
                tensor.shape = np.asarray(tensor.shape, np.int32)
            if (held := tensor.quantization) is not None:
                if held.scale is not None:
                    held.scale = np.asarray(held.scale, np.float32)
                if held.zeroPoint is not None:
                    held.zeroPoint = np.asarray(held.zeroPoint, np.int64)
        for op in graph.operators:
            op.inputs = np.asarray(op.inputs, np.int32)
            op.outputs = np.asarray(op.outputs, np.int32)
