"""A ReLU that is never above zero in calibration: its tiny int8 scale aborts LiteRT on load."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from agecompact.artifacts import manifest
from agecompact.errors import ConversionError
from agecompact.formats import Format
from agecompact.runtimes.registry import read_metadata
from export import pipeline, targets, to_tflite
from export.job import Artifact, Job
from parity_tests.results import Result
from tests.support import BuildOf, verdicts_on

# Above zero for some of the calibration images, or for none.
ALIVE, DEAD = 0.0, -1e4


def int8_file(bias: float, pieces: int) -> bytes:
    """What TensorFlow's converter makes of a small network, its inputs and outputs float.

    Args:
        bias: Of the Linear before the ReLU.
        pieces: 1, or 2 for an op between that XNNPACK does not take.
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


# By file: the bias, the pieces, and what becomes of it. The first is another network than the build
# says, so it fails too; but by its answers.
FILES = {
    "alive.tflite": (ALIVE, 2, "mismatch"),
    "dead, one piece.tflite": (DEAD, 1, "load"),
    "dead, two pieces.tflite": (DEAD, 2, "crash"),
}


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    # TensorFlow stays out of this process, which lives as long as the test run.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        made = [pool.submit(int8_file, bias, pieces) for bias, pieces, _ in FILES.values()]
        return {name: each.result() for name, each in zip(FILES, made, strict=True)}


@pytest.fixture(scope="module")
def verdicts(
    files: dict[str, bytes], build_of: BuildOf, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Result]:
    """The verdicts on a build of a right ONNX file and those files, with a right one's metadata."""
    good = build_of("ssrnet")
    folder = tmp_path_factory.mktemp("dead")
    right, replaced = good.manifest.artifacts[:2]
    assert (right.format, replaced.format) == ("onnx", "tflite")
    described = read_metadata(good.path(replaced))
    for name, content in files.items():
        (folder / name).write_bytes(to_tflite._finish(content, described))
    for kept in (good.path(right), good.weights):
        shutil.copy(kept, folder)
    entries = (right, *(replace(replaced, file=name) for name in files))
    manifest.write(folder, replace(good.manifest, artifacts=entries))
    return {result.artifact: result for result in verdicts_on(manifest.read_builds(folder)[0])}


@pytest.mark.parametrize("file", FILES)
def test_each_file_fails_with_its_kind(file: str, verdicts: dict[str, Result]) -> None:
    assert (verdicts[file].status, verdicts[file].kind) == ("failed", FILES[file][2])


def test_a_death_is_told_with_the_signal_and_the_last_lines(verdicts: dict[str, Result]) -> None:
    reason = verdicts["dead, two pieces.tflite"].reason
    print(reason)
    assert reason.startswith("signal SIGABRT: ")
    assert "XNNPACK" in reason


def test_what_lies_beside_it_passes(verdicts: dict[str, Result]) -> None:
    beside = verdicts["ssrnet_float32.onnx"]
    assert (beside.status, beside.kind) == ("passed", None)


@pytest.mark.parametrize("file", [name for name, (bias, *_) in FILES.items() if bias == DEAD])
def test_export_refuses_to_ship_it(
    file: str,
    files: dict[str, bytes],
    build_of: BuildOf,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    good = build_of("ssrnet")

    def convert(format_: Format, job: Job, _: Path) -> tuple[Artifact, ...]:
        """As the converters of `good` did, but that TensorFlow makes one of those files."""
        entry = next(e for e in good.manifest.artifacts if e.format == format_.name)
        path = job.folder / entry.file
        shutil.copy(good.path(entry), path)
        if format_.name == "tflite":
            described = read_metadata(path)
            path.write_bytes(to_tflite._finish(files[file], described))
        made = Artifact(entry.file, format_.name, "float32", entry.converter, {}, entry.opset)
        return (made,)

    monkeypatch.setattr(pipeline, "_convert", convert)
    request = pipeline.Request(good.weights, targets.select(["tflite"], ["fp32"]), tmp_path)
    with pytest.raises(ConversionError, match=r"ssrnet_float32\.tflite") as refused:
        pipeline.export(request)
    assert refused.value.why.startswith(FILES[file][2])
    assert not (tmp_path / "ssrnet").exists()
