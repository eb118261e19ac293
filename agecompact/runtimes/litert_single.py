"""Takes a TFLite file apart into files of one op each."""

from __future__ import annotations

from collections.abc import Iterator

from ai_edge_litert import schema_py_generated as schema

from agecompact.runtimes.litert import op_name, packed


def single_ops(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields every op of a file by its type, as a file that has this op alone.

    What other ops write is an input of it. The ops that restore its stored weights stay with it.
    """
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    model.signatureDefs = []
    restoring = {int(op.outputs[0]): op for op in graph.operators if not _reads(model, op)}
    for op in list(graph.operators):
        reads = _reads(model, op)
        if not reads:
            continue
        graph.operators = [*(restoring[i] for i in reads if i in restoring), op]
        graph.inputs = [i for i in reads if i not in restoring]
        graph.outputs = [int(i) for i in op.outputs]
        yield op_name(model.operatorCodes[op.opcodeIndex]), packed(model)


def _reads(model: schema.ModelT, op: schema.OperatorT) -> list[int]:
    """The tensors that an op reads and that the file does not store."""
    tensors = model.subgraphs[0].tensors
    stored = [model.buffers[tensors[i].buffer].data if i >= 0 else () for i in op.inputs]
    return [
        int(i)
        for i, data in zip(op.inputs, stored, strict=True)
        if data is None or (i >= 0 and not len(data))
    ]
