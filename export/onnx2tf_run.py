"""Runs onnx2tf: 1.x, which builds a TensorFlow graph, or 2.x, which writes the TFLite file itself.

2.x needs Python 3.12 and neither TensorFlow nor Keras.
"""

from __future__ import annotations

import os
import shutil
from contextlib import chdir
from pathlib import Path

import numpy as np

from agecompact.errors import ConversionError
from agecompact.imports import converts_without_tensorflow

# As often as onnx2tf does it: one may uncover what the next one removes.
_SIMPLIFICATIONS = 3


def tools() -> tuple[str, ...]:
    """The distributions whose versions decide what a TFLite file is.

    Those of an onnx2tf that is not installed are named as well, and fail where they are imported.
    """
    builder = () if converts_without_tensorflow() else ("tensorflow",)
    return ("onnx2tf", *builder, "ai-edge-litert")


def run(source: Path, folder: Path, *, simplified: bool) -> bytes:
    """Converts an ONNX file to a float32 TFLite file.

    Args:
        source: The ONNX file.
        folder: A folder for what onnx2tf writes, which is made.
        simplified: Whether the graph is simplified in this process. onnx2tf would start three
            others for that, which takes longer than the rest.

    Raises:
        ConversionError: onnx2tf failed.
    """
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    import onnx2tf
    from onnx2tf import onnx2tf as implementation

    if not converts_without_tensorflow():
        # onnx2tf downloads sample images to check its own work and would crash offline. Parity
        # checks the files, so any array of that shape will do.
        implementation.download_test_image_data = lambda: np.zeros((20, 128, 128, 3), np.float32)
        # It also writes a SavedModel, which nothing here reads.
        implementation.tf.saved_model.save = lambda *_, **__: None
    folder.mkdir()
    # onnx2tf overwrites its input file.
    copied = folder / "model.onnx"
    shutil.copyfile(source, copied)
    if simplified:
        _simplify(copied)
    try:
        with chdir(folder):
            onnx2tf.convert(
                input_onnx_file_path=copied.name,
                output_folder_path="out",
                copy_onnx_input_output_names_to_tflite=True,
                not_use_onnxsim=simplified,
                non_verbose=True,
            )
    except SystemExit as error:
        raise ConversionError("onnx2tf failed", why=f"it exited with {error.code}") from None
    made = folder / "out" / "model_float32.tflite"
    if not made.is_file():
        raise ConversionError("onnx2tf wrote no file", why=f"{made.name} is missing")
    return made.read_bytes()


def _simplify(path: Path) -> None:
    """Simplifies an ONNX file in place, as onnx2tf does by starting onnxsim three times.

    Without it, onnx2tf 1.x misreads a graph in which weights are shared: an Identity gives it those
    of another layer.
    """
    import onnx
    import onnxsim

    model = onnx.load(path)
    for _ in range(_SIMPLIFICATIONS):
        before = model.SerializeToString(deterministic=True)
        model, _ = onnxsim.simplify(model)
        if model.SerializeToString(deterministic=True) == before:
            break
    onnx.save(model, path)
