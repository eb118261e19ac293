"""An ONNX file in int8, with QuantizeLinear and DequantizeLinear (QDQ).

It computes as the int8 TFLite file does, op by op: both are written from one calibration of the
TFLite graph. ONNX Runtime makes one int8 kernel of each op between a DequantizeLinear and a
QuantizeLinear.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from agecompact.contract import Contract
from agecompact.errors import ConversionError, missing_extra
from agecompact.formats import FORMATS, Target
from agecompact.models.complexity import example_inputs
from agecompact.precisions import PRECISIONS
from export import torch_onnx
from export.int8.qdq import ONNX, Integers, Quantised
from export.int8.source import calibrated, opened
from export.int8.twin import UnknownOpError
from export.job import Job
from export.source import Source

if TYPE_CHECKING:
    import onnx

    from export.int8.record import Record


def calibrated_onnx(job: Job, content: bytes, source: Source) -> tuple[bytes, Record]:
    """The float32 TFLite file of a float32 ONNX file, and its calibration.

    Args:
        job: The job.
        content: The float32 ONNX file.
        source: The network.

    Raises:
        UsageError: As `int8.source.opened` raises it.
        BackendMissingError: The extra of TFLite is not installed.
        ConversionError: No layer can be int8.
    """
    folder = job.folder / "int8"
    folder.mkdir()
    path = folder / Target(FORMATS["onnx"], PRECISIONS["float32"]).file_name(source.model_id)
    path.write_bytes(content)
    try:
        return calibrated_file(replace(job, source=path, folder=folder), source)
    finally:
        shutil.rmtree(folder)


def calibrated_file(job: Job, source: Source) -> tuple[bytes, Record]:
    """The float32 TFLite file of a job's ONNX file, and its calibration.

    Raises:
        UsageError: As `int8.source.opened` raises it.
        BackendMissingError: The extra of TFLite is not installed.
        ConversionError: No layer can be int8.
    """
    found = opened(job.calibration, source)
    try:
        from export.to_tflite import float_file

        tflite = float_file(job)
    except ModuleNotFoundError as error:
        raise missing_extra("tflite", str(error.name)) from None
    return tflite, calibrated(tflite, source, found)


def exported(content: bytes, record: Record, contract: Contract, opset: int) -> onnx.ModelProto:
    """The int8 model of a calibrated TFLite file.

    Args:
        content: The float32 TFLite file.
        record: Its calibration.
        contract: Of the network, float32 NCHW.
        opset: ONNX opset to write.

    Raises:
        ConversionError: The graph has an op that the twin does not know.
    """
    inputs = example_inputs(contract, 1)
    network = quantised(content, record, contract, ONNX)
    return torch_onnx.exported(network, inputs, contract, opset)


def quantised(content: bytes, record: Record, contract: Contract, integers: Integers) -> Quantised:
    """The network of a calibrated TFLite file, for an exporter of torch.

    Args:
        content: The float32 TFLite file.
        record: Its calibration.
        contract: Of the network, float32 NCHW.
        integers: How the runtime wants the integers.

    Raises:
        ConversionError: The graph has an op that the twin does not know.
    """
    made = record.calibration(content)
    network = Quantised.of(content, made, contract.input_names, integers)
    try:
        # An exporter would hide the reason.
        network(*example_inputs(contract, 1))
    except UnknownOpError as unknown:
        raise ConversionError(
            "this network cannot be written in int8",
            why=f"{unknown} is unknown here",
            fix="add --format tflite: there, what follows the op stays float",
        ) from None
    return network
