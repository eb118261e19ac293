"""`inspect` of model files that agecompact did not make."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import Agecompact
from tests.tiny_files import Head, Network, write_onnx, write_tflite


def shown(output: str) -> list[list[str]]:
    """The names and values on a screen."""
    return [line.split(maxsplit=1) for line in output.splitlines()]


def test_an_onnx_file_is_described(agecompact: Agecompact, tmp_path: Path) -> None:
    network = Network({"age": Head(), "gender": Head(((1.0, 0.0, 0.0),) * 2)}, batch=None)
    path = write_onnx(tmp_path / "theirs.onnx", network)
    run = agecompact("inspect", path, "--json", "-")
    assert run.returncode == 0, run.stderr
    record = json.loads(run.stdout)
    assert record["refused"] is None
    assert record["content"] == {
        "ir_version": 9,
        "opsets": {"ai.onnx": 18},
        "producer": "",
        "inputs": {"image": {"shape": ["N", 3, 16, 16], "dtype": "float32"}},
        "outputs": {
            "age": {"shape": ["N", 1], "dtype": "float32"},
            "gender": {"shape": ["N", 2], "dtype": "float32"},
        },
        "ops": {"MatMul": 2, "Add": 2, "ReduceMean": 1},
    }
    assert f"{path}: onnx model that agecompact did not make" in run.stderr


def test_a_tflite_file_is_described(agecompact: Agecompact, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    network = Network({"age": Head(scale=(0.5, -100))}, "int8", (0.25, 7), channels_last=True)
    path = write_tflite(tmp_path / "theirs.tflite", network)
    run = agecompact("inspect", path)
    assert run.returncode == 0, run.stderr
    image = '{"shape": [1, 16, 16, 3], "dtype": "int8", '
    quantization = '"quantization": {"scale": 0.25, "zero_point": 7}}'
    assert ["inputs.image", image + quantization] in shown(run.stdout)
    assert ["ops.QUANTIZE", "1"] in shown(run.stdout)


def test_a_refused_ir_version_is_told_with_its_cure(agecompact: Agecompact, tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "new.onnx", Network(), ir_version=99)
    run = agecompact("inspect", path)
    assert run.returncode == 0, run.stderr
    assert ["ir_version", "99"] in shown(run.stdout)
    warning = run.stdout[run.stdout.index("warning: ONNX Runtime cannot load") :]
    assert "its IR version is 99, and onnxruntime" in warning
    assert f"import onnx; model = onnx.load({str(path)!r})" in warning
    assert "model.ir_version = " in warning


def test_a_pair_tells_how_to_learn_more(agecompact: Agecompact, tmp_path: Path) -> None:
    old = write_onnx(tmp_path / "old.onnx", Network())
    new = write_onnx(tmp_path / "new.onnx", Network(), ir_version=99)
    contract = tmp_path / "contract.json"
    contract.write_text(
        json.dumps(
            {
                "schema_version": 1,
                "crops": [{"name": "face", "left": 0.0, "top": 0.0, "right": 1.0, "bottom": 1.0}],
                "height": 16,
                "width": 16,
                "color_order": "RGB",
                "value_range": [0.0, 1.0],
                "output": {"name": "y", "unit": "years", "minimum": None, "maximum": None},
            }
        )
    )
    pair = ("parity", "--reference", old, "--candidate", new, "--reference-contract", contract)
    missing = agecompact(*pair)
    assert missing.returncode == 2
    assert "new.onnx does not contain a contract" in missing.stderr
    assert "--candidate-contract" in missing.stderr
    run = agecompact(*pair, "--candidate-contract", contract)
    assert run.returncode == 1
    assert "old.onnx: output 'age' taken for 'y': the only one" in run.stdout
    assert "its IR version is 99" in run.stderr
    assert f"agecompact inspect {new}" in run.stderr
    assert "Traceback" not in run.stderr
