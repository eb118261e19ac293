"""PyTorch to ONNX, through `torch.export`."""

from __future__ import annotations

import ast
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING

from agecompact import __version__
from agecompact.artifacts import metadata, onnx_source
from agecompact.contract import Contract
from agecompact.errors import ConversionError
from agecompact.formats import FORMATS, Target
from agecompact.models.complexity import example_inputs
from agecompact.precisions import PRECISIONS
from agecompact.weights import checkpoints
from export import int16, onnx2tf_run, onnx_int8
from export import source as sources
from export.exact_folding import fold_exactly
from export.job import Conversion, Job, metadata_for, versions_of
from export.onnx_float16 import store_half
from export.torch_onnx import exported

if TYPE_CHECKING:
    import onnx

    from export.int8.record import Record

# The exporter's native minimum; for older opsets it silently falls back to a version converter.
OPSET = 18
MAX_BATCH = 64

# The metadata key under which the exporter lists the modules of a node.
_SCOPES = "pkg.torch.onnx.name_scopes"

_TOOLS = ("torch", "onnx", "onnxscript")

# How to store the weights of a float32 model in each precision, in place.
_STORE: Mapping[str, Callable[[onnx.ModelProto], None]] = {
    "float32": lambda model: None,  # noqa: ARG005
    "float16": store_half,
}


@dataclass(frozen=True)
class _Calibrated:
    """How a calibrated precision is written.

    Attributes:
        exported: Makes the model of a float32 TFLite file and its calibration.
        opset: The opset that it writes.
    """

    exported: Callable[[bytes, Record, Contract], onnx.ModelProto]
    opset: int


def _in_int8(content: bytes, record: Record, contract: Contract) -> onnx.ModelProto:
    return onnx_int8.exported(content, record, contract, OPSET)


_CALIBRATED: Mapping[str, _Calibrated] = {
    "int8": _Calibrated(_in_int8, OPSET),
    "int16": _Calibrated(int16.exported, int16.OPSET),
}


def convert(job: Job) -> Conversion:
    """Exports the network of a weights file, NCHW, with the names of its contract.

    Raises:
        ConversionError: The graph fails ONNX's checker, or has another opset than requested.
    """
    if job.weights.suffix == onnx_source.SUFFIX:
        return _as_given(job)
    import torch

    # The exporter warns that torchvision is missing, whose operators are not in these graphs.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    weights = checkpoints.read(job.weights)
    contract = weights.contract
    shapes = None
    if job.dynamic_batch:
        batch = torch.export.Dim("batch", min=1, max=MAX_BATCH)
        shapes = tuple({0: batch} for _ in contract.crops)
    network = weights.network()
    # With batch size 1 the exporter would take the open axis for a constant.
    inputs = example_inputs(contract, 2 if job.dynamic_batch else 1)
    model = exported(network, inputs, contract, OPSET, shapes)
    _name_nodes(model)
    fold_exactly(model, network)
    _strip_traces(model)
    model.producer_name = "agecompact"
    model.producer_version = __version__
    _check(model, OPSET)
    versions = versions_of(*_TOOLS)
    made = Conversion("torch.onnx", versions, OPSET, None if job.dynamic_batch else 1)
    return _written(job, model, sources.of_weights(weights), made)


def _as_given(job: Job) -> Conversion:
    """Copies a source that is an ONNX file, with the metadata of an artefact.

    Raises:
        ConversionError: It takes several images at a time.
    """
    import onnx

    counts = onnx_source.counts(job.weights)
    if counts.batch not in (None, 1):
        raise ConversionError(
            f"the ONNX file takes {counts.batch} images at a time",
            why="its batch is frozen",
            fix="export it again with a batch of 1, or with an open batch axis",
        )
    source = sources.of_onnx(job.weights)
    versions = versions_of("onnx")
    model = onnx.load_model(str(job.weights))
    made = Conversion("as given", versions, counts.opset, counts.batch)
    return _written(job, model, source, made)


def _written(
    job: Job, model: onnx.ModelProto, source: sources.Source, made: Conversion
) -> Conversion:
    """Writes a file for each precision of a job; says what they were calibrated with."""
    import onnx

    content = model.SerializeToString()
    calibrated = cache(partial(onnx_int8.calibrated_onnx, job, content, source))
    for precision in job.precisions:
        target = Target(FORMATS["onnx"], PRECISIONS[precision])
        versions = made.versions
        if target.precision.calibrated:
            writer = _CALIBRATED[precision]
            tflite, record = calibrated()
            stored = writer.exported(tflite, record, source.contract)
            _strip_traces(stored)
            _check(stored, writer.opset)
            versions = {**versions, **versions_of(*_TOOLS, *onnx2tf_run.tools())}
            made = replace(
                made,
                # The others are about int8.
                notes=record.notes if "int8" in job.precisions else (record.origin.span,),
                calibration=record.origin.calibration,
                opsets={**made.opsets, precision: writer.opset},
            )
        else:
            stored = onnx.load_model_from_string(content)
            _STORE[precision](stored)
        described = metadata_for(source, target, versions)
        onnx.helper.set_model_props(stored, {metadata.KEY: described.to_json()})
        # Deterministic serialisation: the same weights and versions give the same bytes.
        path = job.folder / target.file_name(source.model_id)
        path.write_bytes(stored.SerializeToString(deterministic=True))
    return made


def _name_nodes(model: onnx.ModelProto) -> None:
    """Names each node after its module: `trunk.0.bn/Conv`, or `Concat` at the root.

    A node made from several modules, such as a convolution with BN folded into it, has the name of
    the last one. Localisation reports faults by these names.
    """
    count: Counter[str] = Counter()
    for node in model.graph.node:
        scopes = next((p.value for p in node.metadata_props if p.key == _SCOPES), "[]")
        # The repr of a list: the enclosing modules, outermost first, then the function.
        path = next(reversed(ast.literal_eval(scopes)[:-1]), "")
        name = f"{path}/{node.op_type}" if path else node.op_type
        count[name] += 1
        node.name = name if count[name] == 1 else f"{name}:{count[name]}"


def _strip_traces(model: onnx.ModelProto) -> None:
    """Removes the stack traces and local paths that the exporter adds to nodes and values."""
    graph = model.graph
    for item in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del item.metadata_props[:]
        item.doc_string = ""
    del graph.metadata_props[:]
    graph.doc_string = ""


def _check(model: onnx.ModelProto, wanted: int) -> None:
    import onnx

    try:
        onnx.checker.check_model(model, full_check=True)
    except onnx.checker.ValidationError as error:
        raise ConversionError("the ONNX graph is not valid", why=str(error)) from None
    opset = next(e.version for e in model.opset_import if e.domain in ("", "ai.onnx"))
    if opset != wanted:
        raise ConversionError(
            f"the ONNX graph has opset {opset}", why=f"opset {wanted} was requested"
        )
