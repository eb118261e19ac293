import numpy as np
import pytest

from agecompact.artifacts import golden
from agecompact.bench.accuracy import OutputMismatch, output_accuracy
from tests.golden_pack import write_pack

_SHA256 = "7" * 64


@pytest.fixture
def pack(tmp_path):
    images = {"face": np.zeros((3, 4, 4, 3))}
    outputs = {"age": [30.0, 40.0, 50.0]}
    table = np.zeros((3, 256))
    return golden.read(write_pack(tmp_path, _SHA256, images, table, outputs, {"a.onnx": 0.5}))


def test_the_error_is_that_of_all_values(pack):
    # A batch of two: two values for each sample.
    predicted = [[[30.0], [30.0]], [[41.0], [40.0]], [[50.0], [48.0]]]
    accuracy = output_accuracy({"age": predicted, "other": [0.0]}, pack, "a.onnx")
    assert (accuracy.samples, accuracy.not_finite, accuracy.unit) == (3, 0, "years")
    assert (accuracy.max_error, accuracy.mean_error) == (2.0, 0.5)
    assert (accuracy.tolerance, accuracy.weights_sha256) == (0.5, _SHA256)


def test_samples_that_are_not_finite_have_no_error(pack):
    predicted = [[30.0, 30.0], [np.nan, np.inf], [50.0, -np.inf]]
    accuracy = output_accuracy({"age": predicted}, pack, "b.onnx")
    assert (accuracy.samples, accuracy.not_finite) == (3, 2)
    assert accuracy.max_error is accuracy.mean_error is accuracy.tolerance is None


def test_the_first_samples_alone_are_compared(pack):
    accuracy = output_accuracy({"age": (31.0, 40.0)}, pack, "a.onnx", samples=2)
    assert (accuracy.samples, accuracy.max_error) == (2, 1.0)


@pytest.mark.parametrize(
    ("outputs", "reason"),
    [({"years": [1.0] * 3}, "no output 'age'"), ({"age": [1.0] * 2}, "2 samples, 3 were run")],
)
def test_outputs_that_do_not_match_the_pack_are_refused(pack, outputs, reason):
    with pytest.raises(OutputMismatch, match=reason):
        output_accuracy(outputs, pack, "a.onnx")
