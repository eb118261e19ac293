"""An ONNX file as the source: its artefacts are compared with it, in the unit of its answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from agecompact.artifacts import onnx_source
from agecompact.errors import UsageError
from agecompact.models import project
from tests.support import Agecompact

FILE = """
schema_version = 1
name = "given"
weights = "net.onnx"

[input]
height = 32
width = 24
color_order = "RGB"
value_range = [0.0, 1.0]

[[outputs]]
name = "age"
unit = "years"
reading = { scale = 100.0 }
"""
CHANNELS = 4


def network(
    path: Path,
    batch: int | str = 1,
    size: int = 1,
    inside: str = "maps",
    tail: Sequence[onnx.NodeProto] = (),
) -> Path:
    """A convolution, its mean, and a Linear, with the names that some exporter gave.

    A tail goes from `years` to `37`, and may read `great`, beside which float32 loses an age.
    """
    random = np.random.default_rng(0)
    kernel = random.normal(size=(CHANNELS, 3, 3, 3)).astype(np.float32)
    weight = random.normal(size=(CHANNELS, size)).astype(np.float32)
    constants = {"k": kernel, "w": weight, "b": np.full(size, 0.3, np.float32)}
    constants |= {"great": np.array(1e8, np.float32)} if tail else {}
    nodes = [
        helper.make_node("Conv", ["input.1", "k"], [inside], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", [inside], ["relu"]),
        helper.make_node("GlobalAveragePool", ["relu"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "b"], ["years" if tail else "37"]),
        *tail,
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("input.1", TensorProto.FLOAT, [batch, 3, 32, 24])],
        [value("37", TensorProto.FLOAT, [batch, size])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save_model(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    network(tmp_path / "net.onnx")
    path = tmp_path / "given.toml"
    path.write_text(FILE)
    return path


def parity(agecompact: Agecompact, build: Path, code: int) -> Sequence[dict]:
    done = agecompact("parity", build, "--json", "-")
    assert done.returncode == code, done.stderr
    assert "Error against ONNX Runtime (float32) in years" in done.stderr
    return json.loads(done.stdout)["results"]


def test_its_artefact_passes_and_a_fault_fails_in_years(
    file: Path, agecompact: Agecompact, tmp_path: Path
) -> None:
    out = tmp_path / "build"
    done = agecompact("check", file)
    assert done.returncode == 0, done.stderr
    done = agecompact("export", file, "--format", "onnx", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "'input.1' is 'face' from here on" in done.stdout
    # The build needs neither the project file nor any code.
    assert agecompact("verify", out).returncode == 0
    (good,) = parity(agecompact, out, 0)
    assert good["max_error"] == 0.0
    assert (good["float64"]["inputs"], good["float64"]["reason"]) == (4, "")
    assert 0 < good["float64"]["error"] < good["tolerance"]["max"]
    artifact = out / "given" / "given_float32.onnx"
    model = onnx.load_model(str(artifact))
    (bias,) = (each for each in model.graph.initializer if each.name == "b")
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(0.02), "b"))
    onnx.save_model(model, str(artifact))
    (bad,) = parity(agecompact, out, 1)
    assert (bad["kind"], bad["unit"]) == ("mismatch", "years")
    assert bad["max_error"] == pytest.approx(2.0, rel=1e-3)


@pytest.mark.slow
def test_a_source_whose_float32_loses_the_digits_fails(
    file: Path, agecompact: Agecompact, tmp_path: Path
) -> None:
    out = tmp_path / "build"
    tail = (
        helper.make_node("Add", ["years", "great"], ["sum"]),
        helper.make_node("Sub", ["sum", "great"], ["37"]),
    )
    network(tmp_path / "net.onnx", tail=tail)
    done = agecompact("export", file, "--format", "onnx", "--out", out)
    assert done.returncode == 0, done.stderr
    # The artefact repeats its source to the last digit.
    (bad,) = parity(agecompact, out, 1)
    assert bad["kind"] == "reference"
    assert "given.onnx cannot be used as a reference" in bad["reason"]
    assert "ONNX Runtime's float32 is off float64 by" in bad["reason"]
    assert "years on 'face'" in bad["reason"]


def test_core_ml_is_refused_with_the_reason(
    file: Path, agecompact: Agecompact, tmp_path: Path
) -> None:
    done = agecompact("export", file, "--format", "coreml", "--out", tmp_path / "build")
    assert done.returncode == 4
    assert "made of PyTorch networks" in done.stderr


def test_a_frozen_batch_is_refused(file: Path, agecompact: Agecompact, tmp_path: Path) -> None:
    network(tmp_path / "net.onnx", batch=4)
    done = agecompact("export", file, "--format", "onnx", "--out", tmp_path / "build")
    assert done.returncode == 4
    assert "takes 4 images at a time" in done.stderr


def test_it_is_counted(tmp_path: Path) -> None:
    found = onnx_source.counts(network(tmp_path / "net.onnx"))
    assert found.parameters == CHANNELS * 27 + CHANNELS + 1
    assert found.macs == CHANNELS * 27 * 32 * 24 + CHANNELS
    assert (found.opset, found.batch) == (17, 1)
    assert onnx_source.counts(network(tmp_path / "open.onnx", batch="N")).batch is None


@pytest.mark.parametrize(
    ("changes", "part", "instead", "message"),
    [
        ({}, "height = 32", "height = 64", "input 'input.1' has shape (1, 3, 32, 24)"),
        ({}, '"RGB"', '"GREY"', "the contract (1, 1, 32, 24)"),
        ({"size": 3}, "", "", "output '37' has shape (1, 3), the contract (1, 1)"),
        (
            {},
            "[[outputs]]",
            '[[outputs]]\nname = "b"\nunit = "score"\n[[outputs]]',
            "has 1 outputs",
        ),
        ({"inside": "age"}, "", "", "the name 'age' of the contract is taken inside the file"),
    ],
)
def test_a_file_that_does_not_fit_the_contract_is_refused(
    changes: dict, part: str, instead: str, message: str, file: Path, tmp_path: Path
) -> None:
    network(tmp_path / "net.onnx", **changes)
    file.write_text(FILE.replace(part, instead) if part else FILE)
    with (
        pytest.raises(UsageError) as refused,
        onnx_source.source_file(project.read(file)),
    ):
        pass
    assert message in refused.value.why


def test_a_damaged_file_is_refused(file: Path, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"no model" * 100)
    with pytest.raises(UsageError, match="cannot use"), onnx_source.source_file(project.read(file)):
        pass


def test_two_networks_in_one_file_are_refused(file: Path) -> None:
    file.write_text(FILE.replace("weights =", 'factory = "nets.py:build"\nweights ='))
    with pytest.raises(UsageError, match="names two networks"):
        project.read(file)
