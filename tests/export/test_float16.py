"""What `export.float16` stores in float16, read back from the files."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from tests.marks import by_model
from tests.support import verdicts_on


def _weights(path):
    """Constants with at least two axes by tensor name, in their stored shape and dtype."""
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    types = {schema.TensorType.FLOAT32: "<f4", schema.TensorType.FLOAT16: "<f2"}
    return {
        tensor.name.decode(): model.buffers[tensor.buffer]
        .data.view(types[tensor.type])
        .reshape(tensor.shape)
        for tensor in model.subgraphs[0].tensors
        if tensor.type in types
        and len(tensor.shape) > 1
        and model.buffers[tensor.buffer].data is not None
    }


@pytest.fixture(params=by_model("ssrnet", "c3ae", "mobileagenet"))
def stored(request, build_of):
    """The model's id, the weights in its float32 file, and those in its float16 file."""
    folder = build_of(request.param).folder
    full = _weights(folder / f"{request.param}_float32.tflite")
    half = _weights(folder / f"{request.param}_float16.tflite")
    return request.param, full, half


def test_every_weight_is_unchanged_or_rounded_to_the_nearest_float16(stored):
    _, full, half = stored
    assert len(half) == len(full)
    for name, values in half.items():
        original = full[name.removesuffix("_float16")]
        np.testing.assert_array_equal(values, original.astype(values.dtype))


def test_the_first_layers_stay_float32_and_little_else(stored):
    model, full, half = stored
    whole = [values for values in half.values() if values.dtype == np.float32]
    # The convolutions that read the three colours: one, or in SSR-Net one per stream.
    stems = [values for values in full.values() if values.ndim == 4 and values.shape[3] == 3]
    stems = [v for v in stems if v.shape[0] != 1]
    assert len(stems) == (2 if model == "ssrnet" else 1)
    for stem in stems:
        assert any(np.array_equal(stem, values) for values in whole)
    total = sum(values.size for values in full.values())
    beyond = sum(v.size for v in whole) - sum(v.size for v in stems)
    assert beyond <= 0.02 * total


@pytest.mark.parametrize("model", by_model("ssrnet", "c3ae", "c3ae-plain"))
def test_the_error_is_far_below_the_gate(copy_build, model):
    build = copy_build(model, "float16.tflite")
    (result,) = verdicts_on(build)
    assert result.max_error < 0.03
