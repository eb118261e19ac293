"""A ReLU that is always zero in calibration: its tiny int8 scale crashes LiteRT."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from agecompact.errors import ConversionError
from agecompact.formats import Format
from agecompact.runtimes.reading import read_metadata
from export import pipeline, targets, to_tflite
from export.job import Conversion, Job
from parity_tests.results import Result
from tests.parity_tests.editing import Edit, edited_build, in_bytes, unchanged
from tests.support import BuildOf, verdicts_on

pytestmark = pytest.mark.slow

# Biases that make the ReLU positive for some of the calibration images, or for none.
ALIVE, DEAD = 0.0, -1e4


def int8_file(bias: float, pieces: int) -> bytes:
    """A small network converted by TensorFlow, with float inputs and outputs.

    Args:
        bias: Bias of the Linear before the ReLU.
        pieces: 1, or 2 to add an op that XNNPACK does not support, which splits its graph.
    """
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    import numpy as np
    import tensorflow as tf

    random = np.random.default_rng(0)
    hidden, out, beside = (
        tf.constant(random.normal(0, 0.2, shape), tf.float32) for shape in ((3, 8), (8, 1), (3, 1))
    )

    @tf.function(input_signature=[tf.TensorSpec((1, 64, 64, 3), tf.float32, name="face")])  # type: ignore[untyped-decorator]
    def network(face: tf.Tensor) -> tf.Tensor:
        colour = tf.reshape(tf.nn.avg_pool2d(face, 64, 64, "VALID"), (1, 3))
        relu = tf.nn.relu(tf.matmul(colour, hidden) + tf.fill((8,), bias))
        rest = tf.floor(colour) if pieces == 2 else colour
        return tf.matmul(relu, out) + tf.matmul(rest, beside)

    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.representative_dataset = lambda: (
        [random.uniform(0, 255, (1, 64, 64, 3)).astype(np.float32)] for _ in range(10)
    )
    made: bytes = converter.convert()
    return made


# By file: the bias, the pieces, and the failure. The first is not the build's network, so it fails
# too, but only by its outputs.
FILES = {
    "alive.tflite": (ALIVE, 2, "mismatch"),
    "dead, one piece.tflite": (DEAD, 1, "load"),
    "dead, two pieces.tflite": (DEAD, 2, "crash"),
}


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    # TensorFlow is not imported in this process, which runs all tests.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        made = [pool.submit(int8_file, bias, pieces) for bias, pieces, _ in FILES.values()]
        return {name: each.result() for name, each in zip(FILES, made, strict=True)}


@pytest.fixture(scope="module")
def results(
    files: dict[str, bytes], build_of: BuildOf, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Result]:
    """The results for a build of a correct ONNX file and those files, with correct metadata."""
    good = build_of("ssrnet")
    replaced = "ssrnet_float32.tflite"
    described = read_metadata(good.folder / replaced)
    edits: dict[str, tuple[str, Edit]] = {
        name: (replaced, in_bytes(lambda _, c=content: to_tflite._finish(c, described)))
        for name, content in files.items()
    }
    edits["right.onnx"] = ("ssrnet_float32.onnx", unchanged)
    build = edited_build(good, tmp_path_factory.mktemp("dead"), edits, rehash=False)
    return {result.artifact: result for result in verdicts_on(build)}


@pytest.mark.parametrize("file", FILES)
def test_each_file_fails_with_its_kind(file: str, results: dict[str, Result]) -> None:
    assert (results[file].status, results[file].kind) == ("failed", FILES[file][2])


def test_a_crash_is_reported_with_its_signal_and_last_lines(results: dict[str, Result]) -> None:
    reason = results["dead, two pieces.tflite"].reason
    assert reason.startswith("its process ended with signal SIGABRT")
    assert "XNNPACK" in reason


def test_the_other_artefacts_of_the_build_pass(results: dict[str, Result]) -> None:
    other = results["right.onnx"]
    assert (other.status, other.kind) == ("passed", None)


@pytest.mark.parametrize("file", [name for name, (bias, *_) in FILES.items() if bias == DEAD])
def test_export_refuses_to_ship_it(
    file: str,
    files: dict[str, bytes],
    build_of: BuildOf,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    good = build_of("ssrnet")

    def convert(format_: Format, job: Job, _: Path) -> Conversion:
        """Copies the files of `good`, with one of those files for the TFLite one."""
        entry = next(e for e in good.manifest.artifacts if e.format == format_.name)
        path = job.folder / entry.file
        shutil.copy(good.path(entry), path)
        if format_.name == "tflite":
            described = read_metadata(path)
            path.write_bytes(to_tflite._finish(files[file], described))
        return Conversion(entry.converter, {}, entry.opset)

    monkeypatch.setattr(pipeline, "_convert", convert)
    request = pipeline.Request(good.weights, targets.select(["tflite"], ["fp32"]), tmp_path)
    with pytest.raises(ConversionError, match=r"ssrnet_float32\.tflite") as refused:
        pipeline.export(request)
    assert refused.value.why.startswith(FILES[file][2])
    assert not (tmp_path / "ssrnet").exists()
