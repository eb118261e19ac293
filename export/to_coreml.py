"""PyTorch to Core ML, as ML Program packages.

It converts the same network as the ONNX export, not the ONNX file, which coremltools no longer
reads. Parity checks both against the same PyTorch reference.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from agecompact import __version__
from agecompact.artifacts import metadata
from agecompact.artifacts.texts import texts_of
from agecompact.contract import Contract, Image
from agecompact.formats import FORMATS, Target
from agecompact.models import registry
from agecompact.models.complexity import example_inputs, fold_batch_norm
from agecompact.models.returned import conform
from agecompact.precisions import PRECISIONS
from agecompact.weights import checkpoints
from export import source as sources
from export.coreml_slim import slim
from export.coreml_weights import palettized, palettized_alike, quantised, weights_of
from export.int8.faces import MOST, as_batch, calibration_set, chosen, read_chips
from export.job import Conversion, Job, metadata_for, versions_of
from export.mixed_palettes import chosen_widths
from export.mixed_precision import computes_in_float16

_TOOLS = ("torch", "coremltools")
# Explicit, because for iOS 16 and newer coremltools would make inputs and outputs float16, whose
# steps above 64 years are 0.0625.
_FLOAT = np.float32

# The `compute_precision` of coremltools for each precision.
_COMPUTE: Mapping[str, Callable[[Any], Any]] = {
    "float32": lambda ct: ct.precision.FLOAT32,
    "float16": lambda ct: ct.transform.FP16ComputePrecision(op_selector=computes_in_float16()),
}

# How to compress the float16 program in the other precisions that need no faces.
_COMPRESS: Mapping[str, Callable[[Any], Any]] = {
    "int8-weights": quantised,
    "palette8": lambda model: palettized_alike(model, 8),
    "palette6": lambda model: palettized_alike(model, 6),
    "palette4": lambda model: palettized_alike(model, 4),
}


class _FromImage(nn.Module):
    """Normalises raw pixels inside the graph: Core ML image inputs only support a scalar scale."""

    def __init__(self, network: nn.Module, contract: Contract) -> None:
        super().__init__()
        self.network = network
        low, high = contract.value_range
        std = torch.tensor(contract.std).view(1, -1, 1, 1)
        mean = torch.tensor(contract.mean).view(1, -1, 1, 1)
        self.register_buffer("scale", (high - low) / 255.0 / std)
        self.register_buffer("bias", (low - mean) / std)

    def forward(self, *images: Tensor) -> Any:
        scale, bias = self.get_buffer("scale"), self.get_buffer("bias")
        return self.network(*(image * scale + bias for image in images))


def convert(job: Job) -> Conversion:
    """Converts the network of a weights file to `.mlpackage` folders with float32 input and output.

    With `input_kind="image"` the inputs are Core ML images of the contract's colour order. The
    contract inside then states uint8 and RGB, or grey: Core ML reorders the channels itself.
    """
    sources.require_network(job.weights, "Core ML packages", "Core ML")
    # coremltools imports TensorFlow if it is installed: seconds, for converters of Keras models.
    sys.modules.setdefault("tensorflow", None)  # type: ignore[arg-type]
    import coremltools as ct

    logging.getLogger("coremltools").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    weights = checkpoints.read(job.weights)
    contract = weights.contract
    # Before the conversion: a wrong folder is found at once.
    wanted = any(PRECISIONS[precision].calibrated for precision in job.precisions)
    chips: list[Image] = []
    if wanted and job.calibration is not None:
        chips = read_chips(chosen(job.calibration, MOST), job.calibration)
    # The package then holds exactly these constants, and parity compares them bit by bit.
    network = folded = conform(fold_batch_norm(weights.network()), contract)
    described = sources.of_weights(weights)
    if job.input_kind == "image":
        network = _FromImage(network, contract).eval()
        described = replace(described, contract=contract.of_images())
    with torch.no_grad():
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            network, example_inputs(contract), check_trace=False
        )
    programs = {
        precision: ct.convert(
            traced,
            convert_to="mlprogram",
            inputs=_inputs(ct, contract, job.input_kind == "image"),
            outputs=[ct.TensorType(name=name, dtype=_FLOAT) for name in contract.output_names],
            minimum_deployment_target=ct.target.iOS16,
            compute_precision=compute(ct),
            skip_model_load=True,
        )
        for precision, compute in _COMPUTE.items()
        if precision in map(_program_of, job.precisions)
    }
    versions = versions_of(*_TOOLS)
    for precision in job.precisions:
        target = Target(FORMATS["coreml"], PRECISIONS[precision])
        model = programs[_program_of(precision)]
        if precision in _COMPRESS:
            model = _COMPRESS[precision](model)
        elif target.precision.calibrated:
            faces = as_batch(chips, contract)
            model = palettized(model, chosen_widths(weights_of(model), folded, faces))
        _describe(model, metadata_for(described, target, versions))
        path = job.folder / target.file_name(weights.model_id)
        model.save(str(path))
        if precision not in _COMPUTE:
            slim(path)
    return Conversion(
        "coremltools",
        versions,
        model.get_spec().specificationVersion,
        calibration=calibration_set(chips) if chips else None,
    )


def _program_of(precision: str) -> str:
    """The precision of the program that is compressed, or saved as it is."""
    return precision if precision in _COMPUTE else "float16"


def _inputs(ct: Any, contract: Contract, as_image: bool) -> list[Any]:
    # New objects for each call, because ct.convert changes them.
    shape = (1, contract.channels, contract.height, contract.width)
    if not as_image:
        return [ct.TensorType(n, shape, dtype=_FLOAT) for n in contract.input_names]
    layouts = {
        "BGR": ct.colorlayout.BGR,
        "RGB": ct.colorlayout.RGB,
        "GREY": ct.colorlayout.GRAYSCALE,
    }
    layout = layouts[contract.color_order]
    return [ct.ImageType(n, shape, color_layout=layout) for n in contract.input_names]


def _describe(model: Any, described: metadata.ArtifactMetadata) -> None:
    contract = described.contract
    spec = registry.get(described.model)
    units = ", ".join(dict.fromkeys(output.unit for output in contract.outputs))
    model.short_description = f"{spec.title}, {described.precision}: {units} of a face."
    texts = texts_of(described)
    model.author = spec.source
    model.license = texts.licence
    model.version = __version__
    model.user_defined_metadata[metadata.KEY] = described.to_json()
    for name, text in texts.inputs.items():
        model.input_description[name] = text
    for name, text in texts.outputs.items():
        model.output_description[name] = text
