"""How each tool makes its file, as its own documentation shows it.

Runs in a process for each file: `python -m tests.bench_peers.makers FUNCTION JOB`.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agecompact.contract import Contract
from agecompact.imports import resolve
from agecompact.serialization import read_versioned


@dataclass(frozen=True)
class Job:
    """What to make.

    Attributes:
        model: Id of the model.
        weights: Its weights.
        contract: Of the network: float32 NCHW.
        calibration: Folder of face chips.
        out: The file to make.
        source: The file to convert; None for the weights.
    """

    model: str
    weights: Path
    contract: Contract
    calibration: Path
    out: Path
    source: Path | None = None

    @property
    def given(self) -> Path:
        """The file to convert, of a tool that has one."""
        assert self.source is not None
        return self.source


def agecompact_onnx(job: Job) -> None:
    """`agecompact export --format onnx`."""
    _export(job, "onnx", "fp32")


def agecompact_float32(job: Job) -> None:
    """`agecompact export --format tflite --precision fp32`."""
    _export(job, "tflite", "fp32")


def agecompact_float16_arithmetic(job: Job) -> None:
    """`agecompact export --format tflite --precision fp16-arith`."""
    _export(job, "tflite", "fp16-arith")


def agecompact_int8(job: Job) -> None:
    """`agecompact export --format tflite --precision int8 --calibration FOLDER`."""
    _export(job, "tflite", "int8", job.calibration)


def agecompact_onnx_int8(job: Job) -> None:
    """`agecompact export --format onnx --precision int8 --calibration FOLDER`."""
    _export(job, "onnx", "int8", job.calibration)


def _export(job: Job, format_: str, precision: str, calibration: Path | None = None) -> None:
    from export import pipeline, targets

    chosen = targets.select([format_], [precision])
    request = pipeline.Request(job.weights, chosen, Path.cwd(), calibration=calibration)
    pipeline.export(request)
    (wanted,) = (t for t in chosen if (t.format.name, t.precision.flag) == (format_, precision))
    shutil.move(Path(job.model) / wanted.file_name(job.model), job.out)


def onnx2tf_float32(job: Job) -> None:
    """`onnx2tf -i MODEL -coion`."""
    shutil.move(_onnx2tf(job) / "model_float32.tflite", job.out)


def onnx2tf_int8(job: Job) -> None:
    """`onnx2tf -i MODEL -coion -oiqt -cind INPUT FACES 0 1`, with float inputs and outputs.

    In the one with int8 outputs, an age moves in steps of half a year.
    """
    named = []
    for name, faces in _calls(job, channels_last=True).items():
        # Values as the network takes them, so that nothing is left to normalise.
        np.save(f"{name}.npy", faces)
        named.append([name, f"{name}.npy", [[[[0.0] * 3]]], [[[[1.0] * 3]]]])
    made = _onnx2tf(
        job, output_integer_quantized_tflite=True, custom_input_op_name_np_data_path=named
    )
    shutil.move(made / "model_integer_quant.tflite", job.out)


def _onnx2tf(job: Job, **options: Any) -> Path:
    import onnx2tf
    from onnx2tf import onnx2tf as implementation

    # It downloads pictures to check its own work with, and ends where there is no network.
    implementation.download_test_image_data = lambda: np.zeros((20, 128, 128, 3), np.float32)
    # It overwrites its input.
    shutil.copyfile(job.given, "model.onnx")
    onnx2tf.convert(
        input_onnx_file_path="model.onnx",
        output_folder_path="onnx2tf",
        copy_onnx_input_output_names_to_tflite=True,
        non_verbose=True,
        **options,
    )
    return Path("onnx2tf")


def litert_torch_float32(job: Job) -> None:
    """`litert_torch.convert`, with inputs in NHWC as its documentation advises for phones."""
    import litert_torch  # type: ignore[import-not-found]
    import torch

    from agecompact.weights import checkpoints

    network, contract = checkpoints.read(job.weights).network().eval(), job.contract
    sample = torch.zeros((1, contract.height, contract.width, contract.channels))
    count = len(contract.crops)
    network = litert_torch.to_channel_last_io(network, args=list(range(count)))
    litert_torch.convert(network, (sample,) * count).export(str(job.out))


def quantizer_static(job: Job) -> None:
    """The recipe `static_wi8_ai8` over the whole graph, between float inputs and outputs."""
    from ai_edge_quantizer import qtyping, recipe, recipe_manager
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    manager = recipe_manager.RecipeManager()
    manager.load_quantization_recipe(recipe.static_wi8_ai8())
    for end in ("INPUT", "OUTPUT"):
        manager.add_quantization_config(
            ".*", qtyping.TFLOperationName(end), algorithm_key=AlgorithmName.NO_QUANTIZE
        )
    _quantized(job, manager.get_quantization_recipe())


def quantizer_convolutions(job: Job) -> None:
    """Static int8 of the convolutions alone, for networks that do not survive the whole."""
    from ai_edge_quantizer import qtyping, recipe_manager

    manager = recipe_manager.RecipeManager()
    for kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        manager.add_static_config(
            regex=".*",
            operation_name=qtyping.TFLOperationName(kind),
            activation_num_bits=8,
            weight_num_bits=8,
        )
    _quantized(job, manager.get_quantization_recipe())


def _quantized(job: Job, wanted: Any) -> None:
    """Quantises by a static recipe, calibrated to the least and greatest values.

    The default calibration, a moving average, clips an age by decades.
    """
    from ai_edge_quantizer import calibrator, quantizer, recipe_manager
    from ai_edge_quantizer.utils import qsv_utils

    from agecompact.runtimes.litert import SIGNATURE

    content = _signed(job)
    manager = recipe_manager.RecipeManager()
    manager.load_quantization_recipe(wanted)
    watching = calibrator.Calibrator(
        content, num_threads=1, qsv_update_func=qsv_utils.min_max_update
    )
    # A list: its progress bar would exhaust a generator, and nothing would be calibrated.
    calls = list(_single(_calls(job, channels_last=True)))
    watching.calibrate({SIGNATURE: calls}, manager)
    maker = quantizer.Quantizer(bytearray(content))
    maker.load_quantization_recipe(wanted)
    job.out.write_bytes(maker.quantize(watching.get_model_qsvs()).quantized_model)


def quantizer_dynamic(job: Job) -> None:
    """The recipe `dynamic_wi8_afp32`, which needs no faces."""
    from ai_edge_quantizer import quantizer, recipe

    maker = quantizer.Quantizer(bytearray(_signed(job)))
    maker.load_quantization_recipe(recipe.dynamic_wi8_afp32())
    job.out.write_bytes(maker.quantize().quantized_model)


def _signed(job: Job) -> bytes:
    """The file to quantise, with the signature that the quantiser demands."""
    from tests.bench_peers.signature import signed

    return signed(job.given.read_bytes(), job.contract.output_names[0])


def onnxruntime_static(job: Job) -> None:
    """`quantize_static`: QDQ, per channel, calibrated to the least and greatest value."""
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    calls = _single(_calls(job, channels_last=False))

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        """Gives one face at a time."""

        def get_next(self) -> dict[str, Any] | None:
            return next(calls, None)

    quant_pre_process(str(job.given), "prepared.onnx", skip_symbolic_shape=True)
    quantization.quantize_static(
        "prepared.onnx",
        str(job.out),
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        calibrate_method=quantization.CalibrationMethod.MinMax,
    )


def _calls(job: Job, *, channels_last: bool) -> dict[str, Any]:
    """The calibration faces, the same for every tool: by input name, float32 `(faces, ...)`."""
    from export.int8.faces import read_faces

    found = read_faces(job.calibration, job.contract)
    axes = (0, 2, 3, 1) if channels_last else (0, 1, 2, 3)
    return {name: np.ascontiguousarray(faces.transpose(axes)) for name, faces in found.items()}


def _single(faces: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Batches of one face."""
    for index in range(len(next(iter(faces.values())))):
        yield {name: each[index : index + 1] for name, each in faces.items()}


def main() -> None:
    """Makes a file in the working folder, which is empty."""
    function, job = sys.argv[1:]
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    resolve(function)(read_versioned(Path(job), Job, what="job"))


if __name__ == "__main__":
    main()
