"""ONNX to TFLite, through onnx2tf.

The files of onnx2tf have no signature and no metadata; both are added here.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from agecompact.artifacts import metadata, onnx_source, tflite_metadata
from agecompact.contract import Contract
from agecompact.errors import ConversionError
from agecompact.formats import FORMATS, Target
from agecompact.precisions import PRECISIONS
from export import onnx2tf_run
from export import source as sources
from export.flatbuffer import pack_once
from export.float16 import store_half
from export.half_arithmetic import allow_half
from export.image_input import take_images
from export.int8.graph import Graph
from export.int8.slim import slim
from export.int8.source import calibrated, opened
from export.int8.writer import to_int8
from export.int8_weights import dynamic_range, weights_only
from export.job import Conversion, Job, metadata_for, versions_of
from export.passes import registry

_QUANTIZER = "ai-edge-quantizer"
_HALF_BITS = 16

# How the float32 graph is changed, in place, for precisions other than float32.
_CHANGES: Mapping[str, Callable[[Graph], None]] = {
    "float16": lambda graph: store_half(graph.model, graph.schema),
    "float16-arithmetic": allow_half,
}
# How the finished float32 file is written anew, without faces.
_REWRITES: Mapping[str, Callable[[bytes], bytes]] = {
    "int8-dynamic": dynamic_range,
    "int8-weights": weights_only,
}


def convert(job: Job) -> Conversion:
    """Converts the ONNX file of a job to NHWC TFLite files.

    All precisions are made from the float32 file of onnx2tf: `export.float16` stores weights in
    float16 with a smaller error than onnx2tf. With `input_kind="image"`, the finished files take
    pictures: see `export.image_input`.

    Raises:
        ConversionError: onnx2tf failed, or changed the inputs or outputs of the contract.
    """
    assert job.source is not None
    weights = sources.read(job.weights)
    # Before the conversion: it takes a minute, and a wrong folder is found at once.
    wanted = any(PRECISIONS[precision].calibrated for precision in job.precisions)
    calibration = opened(job.calibration, weights) if wanted else None
    converted = _converted(job, job.source)
    versions = versions_of(*onnx2tf_run.tools())
    record = None
    as_image = job.input_kind == "image"
    source = replace(weights, contract=weights.contract.of_images()) if as_image else weights
    for precision in job.precisions:
        target = Target(FORMATS["tflite"], PRECISIONS[precision])
        quantised = target.precision.stored_bits < _HALF_BITS
        tools = versions_of(*onnx2tf_run.tools(), _QUANTIZER) if quantised else versions
        described = metadata_for(source, target, tools, layout="NHWC")
        path = job.folder / target.file_name(weights.model_id)
        content = _finish(converted, described, job.without)
        if target.precision.calibrated:
            assert calibration is not None
            record = calibrated(content, weights, calibration)
            content = to_int8(content, record.calibration(content))
        elif rewrite := _REWRITES.get(precision):
            content = rewrite(content)
        if as_image:
            content = take_images(content, weights.contract)
        path.write_bytes(tflite_metadata.with_labels(content, described.contract))
    if record is None:
        return Conversion("onnx2tf", versions)
    faces = record.origin.calibration
    return Conversion("onnx2tf", versions, notes=record.notes, calibration=faces)


def float_file(job: Job) -> bytes:
    """The float32 file of a job's ONNX file, before it is written in other precisions.

    Raises:
        ConversionError: onnx2tf failed, or changed the inputs or outputs of the contract.
    """
    assert job.source is not None
    weights = sources.read(job.weights)
    target = Target(FORMATS["tflite"], PRECISIONS["float32"])
    described = metadata_for(weights, target, versions_of(*onnx2tf_run.tools()), layout="NHWC")
    return _finish(_converted(job, job.source), described, job.without)


def _converted(job: Job, source: Path) -> bytes:
    """What onnx2tf makes of the ONNX file of a job, or made of it for another format."""
    kept = job.shared / "onnx2tf.tflite" if job.shared else None
    if kept is not None and kept.is_file():
        return kept.read_bytes()
    # Of a file that somebody else exported, onnx2tf also clears shapes first.
    is_ours = job.weights.suffix != onnx_source.SUFFIX
    made = onnx2tf_run.run(_of_one_image(job, source), job.folder / "onnx2tf", simplified=is_ours)
    shutil.rmtree(job.folder / "onnx2tf")
    shutil.rmtree(job.folder / "one_image", ignore_errors=True)
    if kept is not None:
        kept.write_bytes(made)
    return made


def _of_one_image(job: Job, source: Path) -> Path:
    """The ONNX file of a job, or one that takes a single image if that one takes any number.

    A phone's accelerators refuse tensors of any size, and onnx2tf misreads some graphs of them.
    """
    if not job.dynamic_batch:
        return source
    from export import to_onnx

    folder = job.folder / "one_image"
    folder.mkdir()
    full = FORMATS["onnx"].precisions[0]
    to_onnx.convert(replace(job, precisions=(full,), folder=folder, dynamic_batch=False))
    return folder / source.name


def _finish(
    content: bytes, described: metadata.ArtifactMetadata, without: Collection[str] = ()
) -> bytes:
    """Stores the weights in their precision, and adds names, the signature and the metadata."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    if len(model.subgraphs) != 1:
        raise ConversionError(
            "the TFLite model has several subgraphs", why="models of agecompact have one"
        )
    graph = model.subgraphs[0]
    registry.run(Graph(model, schema), described.contract, described.precision, without)
    if change := _CHANGES.get(described.precision):
        change(Graph(model, schema))
    _check_inputs(graph, described.contract)
    _name_outputs(graph, described.contract)
    graph.name = described.model.encode()
    model.description = f"{described.model} {described.precision}, agecompact".encode()
    model.signatureDefs = [_signature(schema, graph)]
    Graph(model, schema).add_metadata(metadata.KEY, described.to_json().encode())
    Graph(model, schema).add_metadata(tflite_metadata.KEY, tflite_metadata.encoded(described))
    slim(model)
    return pack_once(model)


def _check_inputs(graph: Any, contract: Contract) -> None:
    """Checks the graph's inputs, by name, against the contract."""
    found = {
        graph.tensors[i].name.decode(): tuple(int(d) for d in graph.tensors[i].shape)
        for i in graph.inputs
    }
    expected = dict.fromkeys(contract.input_names, contract.input_shape)
    if found != expected:
        raise ConversionError("onnx2tf changed the inputs", why=f"{found} instead of {expected}")


def _name_outputs(graph: Any, contract: Contract) -> None:
    """Puts the graph's outputs into the contract's order, with its names.

    onnx2tf loses their names, and TensorFlow calls them `Identity`, `Identity_1` and so on, in the
    order of the ONNX file. The graph may list them in another one.

    Raises:
        ConversionError: An output is missing, or has another shape.
    """
    outputs = [int(i) for i in graph.outputs]
    if len(outputs) > 1:
        outputs.sort(key=lambda i: _place(graph.tensors[i].name.decode("utf-8", "replace")))
    found = [tuple(int(d) for d in graph.tensors[i].shape) for i in outputs]
    expected = [(1, output.size) for output in contract.outputs]
    if found != expected:
        raise ConversionError("onnx2tf changed the outputs", why=f"{found} instead of {expected}")
    graph.outputs = np.array(outputs, np.int32)
    for i, name in zip(outputs, contract.output_names, strict=True):
        graph.tensors[i].name = name.encode()


def _place(name: str) -> int:
    """The place of an output, from TensorFlow's name for it."""
    numbered = re.fullmatch(r"(?:StatefulPartitionedCall:|.*Identity_)(\d+)", name)
    return int(numbered.group(1)) if numbered else 0


def _signature(schema: Any, graph: Any) -> Any:
    from agecompact.runtimes.litert import SIGNATURE

    def bound(index: int) -> Any:
        entry = schema.TensorMapT()
        entry.name = graph.tensors[index].name
        entry.tensorIndex = int(index)
        return entry

    signature = schema.SignatureDefT()
    signature.signatureKey = SIGNATURE.encode()
    signature.subgraphIndex = 0
    signature.inputs = [bound(i) for i in graph.inputs]
    signature.outputs = [bound(i) for i in graph.outputs]
    return signature
