"""PyTorch to ExecuTorch, as `.pte` programs that XNNPACK runs as a whole.

int8 is written from the calibration of the TFLite graph, as the other int8 files are, and not by
ExecuTorch's own quantiser, whose files are off by up to 30 years.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from agecompact.artifacts import metadata
from agecompact.errors import ConversionError
from agecompact.formats import FORMATS, Target
from agecompact.models.complexity import example_inputs, fold_batch_norm
from agecompact.models.returned import conform
from agecompact.precisions import PRECISIONS
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
    """The program of a network.

    XNNPACK refuses some int8 layers, such as a dense one that reads several rows, and ExecuTorch
    has no kernel that restores their weights. Those become float, and the program is made again.
    """
    restored: frozenset[str] = frozenset()
    while True:
        try:
            lowered = _lowered(network, inputs, described, restored)
            if left := _restored_outside(lowered) - restored:
                restored |= left
                continue
            with contextlib.redirect_stdout(None):
                made: bytes = lowered.to_executorch().buffer
        except (AssertionError, RuntimeError) as error:
            # Such as "Invalid partition, found dependency cycles".
            raise ConversionError(
                f"ExecuTorch cannot divide this network in {described.precision}",
                why=str(error),
                fix="leave this precision out; --format tflite has it",
            ) from None
        return made


def _lowered(
    network: nn.Module,
    inputs: Sequence[torch.Tensor],
    described: metadata.ArtifactMetadata,
    restored: Collection[str],
) -> Any:
    """A network with the parts that XNNPACK takes."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    graph = torch.export.export(network, tuple(inputs)).module()
    simplify(graph, restored)
    program = torch.export.export(graph, tuple(inputs))
    # The exporter prints what it does.
    with contextlib.redirect_stdout(None):
        return to_edge_transform_and_lower(
            program,
            partitioner=[XnnpackPartitioner()],
            # A method that returns the metadata: the format has no other place for it.
            constant_methods={metadata.KEY: described.to_json()},
        )


def _restored_outside(lowered: Any) -> frozenset[str]:
    """Names of the int8 weights that are restored outside of XNNPACK's parts."""
    program = lowered.exported_program()
    buffers = program.graph_signature.inputs_to_buffers
    return frozenset(
        buffers[node.args[0].name]
        for node in program.graph.nodes
        if "dequantize_per_channel" in str(node.target)
    )
