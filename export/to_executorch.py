"""PyTorch to ExecuTorch, as `.pte` programs that XNNPACK runs as a whole.

int8 is written from the calibration of the TFLite graph, as the other int8 files are, and not by
ExecuTorch's own quantiser, whose files are off by up to 30 years.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from agecompact.artifacts import metadata
from agecompact.errors import ConversionError
from agecompact.formats import FORMATS, PRECISIONS, Target
from agecompact.models.complexity import example_inputs, fold_batch_norm
from agecompact.models.returned import conform
from agecompact.weights import checkpoints
from export import source as sources
from export.int8.qdq import XNNPACK
from export.job import Conversion, Job, metadata_for, versions_of
from export.onnx_int8 import calibrated_file, quantised
from export.torch_graph import simplify

_TOOLS = ("torch", "executorch")


def convert(job: Job) -> Conversion:
    """Converts the network of a weights file; inputs and outputs are float32, NCHW.

    Raises:
        ConversionError: The source is an ONNX file.
    """
    sources.require_network(job.weights, "ExecuTorch programs", "ExecuTorch")
    warnings.filterwarnings("ignore")
    logging.getLogger().setLevel(logging.ERROR)
    weights = checkpoints.read(job.weights)
    contract, source = weights.contract, sources.of_weights(weights)
    inputs = example_inputs(contract, 1)
    versions = versions_of(*_TOOLS)
    made = Conversion("executorch", versions)
    for precision in job.precisions:
        target = Target(FORMATS["executorch"], PRECISIONS[precision])
        network: nn.Module
        if target.precision.calibrated:
            tflite, record = calibrated_file(job, source)
            network = quantised(tflite, record, contract, XNNPACK)
            made = replace(made, notes=record.notes, calibration=record.origin.calibration)
        else:
            network = conform(fold_batch_norm(weights.network()), contract).eval()
        described = metadata_for(source, target, versions)
        path = job.folder / target.file_name(weights.model_id)
        path.write_bytes(_program(network, inputs, described))
    return made


def _program(
    network: nn.Module, inputs: Sequence[torch.Tensor], described: metadata.ArtifactMetadata
) -> bytes:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    graph = torch.export.export(network, tuple(inputs)).module()
    simplify(graph)
    program = torch.export.export(graph, tuple(inputs))
    # The exporter prints what it does.
    with contextlib.redirect_stdout(None):
        try:
            lowered = to_edge_transform_and_lower(
                program,
                partitioner=[XnnpackPartitioner()],
                # A method that returns the metadata: the format has no other place for it.
                constant_methods={metadata.KEY: described.to_json()},
            )
            made: bytes = lowered.to_executorch().buffer
        except (AssertionError, RuntimeError) as error:
            # Such as "Invalid partition, found dependency cycles", and "Missing out variants" of
            # an op that XNNPACK does not take.
            raise ConversionError(
                f"ExecuTorch cannot divide this network in {described.precision}",
                why=str(error),
                fix="leave this precision out; --format tflite has it",
            ) from None
    return made
