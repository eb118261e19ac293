import zipfile
import zlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from agecompact.bench import size
from agecompact.bench.files import described, measured_files
from agecompact.errors import UsageError
from agecompact.files import size_of
from agecompact.precisions import PRECISIONS


def _described(build):
    return {file.path.name: (file, described(file)) for file in measured_files(build)}


def test_the_parts_of_every_file_add_up_to_its_size(build_of):
    build = build_of("ssrnet")
    artifacts = _described(build)
    assert len(artifacts) == 1 + len(build.manifest.artifacts)
    for file, artifact in artifacts.values():
        parts = artifact.size
        total = parts.weights_bytes + parts.graph_bytes + parts.metadata_bytes
        assert total == artifact.file_bytes == size_of(file.path)
        assert 0 < parts.deflated_bytes < artifact.file_bytes
        assert parts.metadata_bytes > 300


def test_weights_take_the_bytes_of_the_precision(build_of):
    build = build_of("ssrnet")
    folded = build.manifest.folded_parameters
    artifacts = _described(build)
    for entry in build.manifest.artifacts:
        _, artifact = artifacts[entry.file]
        bytes_each = {"float32": 4, "float16": 2}[entry.precision]
        assert artifact.size.bound_bytes == folded * bytes_each
        # float16 files keep 2 % of the weights, and what reads the input, in float32.
        assert 1 <= artifact.size.weights_bytes / artifact.size.bound_bytes < 1.1


def test_the_source_weights_have_no_bound(build_of):
    _, artifact = _described(build_of("ssrnet"))["ssrnet.safetensors"]
    assert artifact.format == "pytorch"
    assert artifact.size.bound_bytes is None


@pytest.mark.parametrize(
    ("bits", "bound"),
    [
        (PRECISIONS["float32"].stored_bits, 404),
        (PRECISIONS["float16"].stored_bits, 202),
        (8, 101),
        (4, 51),
    ],
)
def test_the_bound_is_parameters_times_bits(bits, bound):
    assert size.bound_bytes(bits, 101) == bound


def test_an_unknown_precision_has_no_bound(build_of):
    path = build_of("ssrnet").folder / "ssrnet_float32.onnx"
    assert size.measure(path, "int3", 101).bound_bytes is None


def test_a_file_deflates_as_in_a_zip(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc" * 1000 + bytes(range(256)))
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        file.write(path)
        assert size._deflated(path) == file.infolist()[0].compress_size
    assert size._deflated(path) < len(zlib.compress(path.read_bytes(), 9))


@pytest.mark.parametrize("raw", [True, False])
def test_onnx_weights_are_its_values_however_they_are_stored(tmp_path, raw):
    values = np.arange(1, 9, dtype=np.float32)
    stored = (
        numpy_helper.from_array(values, "w")
        if raw
        else helper.make_tensor("w", TensorProto.FLOAT, [8], values.tolist())
    )
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [8]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [x], [y], [stored])
    path = tmp_path / "a.onnx"
    onnx.save(helper.make_model(graph), path)
    # A field of packed floats has a tag and a length before its values.
    assert size.measure(path, "float32", 8).weights_bytes == (32 if raw else 34)


@pytest.mark.parametrize("name", ["a.onnx", "a.tflite", "a.safetensors", "a.mlpackage", "a.txt"])
def test_a_broken_file_is_refused(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"\xff" * 64)
    with pytest.raises(UsageError):
        size.measure(Path(path), "float32", 1)
