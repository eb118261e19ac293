"""Anyone's network, from a project file to parity, by the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from agecompact.models import project
from tests.own.projects import OWN, write
from tests.support import Agecompact


def with_wrong_bias(path: Path) -> None:
    """Changes one value of the head: what is added to all, a softmax ignores."""
    model = onnx.load_model(str(path))
    stored = {each.name: each for each in model.graph.initializer}
    (head,) = (node for node in model.graph.node if node.op_type == "Gemm")
    weight, bias = (numpy_helper.to_array(stored[name]) for name in head.input[1:])
    wrong = bias.copy()
    wrong[-1] += 0.1 * np.abs(weight).max()
    stored[head.input[2]].CopyFrom(numpy_helper.from_array(wrong, head.input[2]))
    onnx.save_model(model, str(path))


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in ("heads", "mobile") else [pytest.mark.slow]) for n in OWN],
)
def test_check_runs_the_network_on_faces(name: str, agecompact: Agecompact, tmp_path: Path) -> None:
    file = write(tmp_path, name)
    done = agecompact("check", file, "--json", "-")
    assert done.returncode == 0, done.stderr
    assert "unwrapped 'state_dict'" in done.stderr
    outputs = json.loads(done.stdout)
    spec = project.read(file).spec
    assert [each["output"] for each in outputs] == list(spec.contract.output_names)
    assert not any(each["faults"] for each in outputs)


# The other two have no op that these lack.
_CONVERTED = [name for name in OWN if name not in ("residual", "bottlenecks")]


@pytest.mark.slow
@pytest.mark.parametrize("formats", [("--format", "onnx"), ()], ids=["ONNX", "every format"])
@pytest.mark.parametrize("name", _CONVERTED)
def test_it_passes_parity_and_a_fault_fails_in_its_unit(
    name: str, formats: tuple[str, ...], agecompact: Agecompact, tmp_path: Path
) -> None:
    file = write(tmp_path, name)
    out = tmp_path / "build"
    done = agecompact("export", file, *formats, "--out", out)
    assert done.returncode == 0, done.stderr
    environment = {project.VARIABLE: str(file)}
    passed = parity(agecompact, out, environment)
    outputs = {result["output"] for result in passed}
    names = project.read(file).spec.contract.output_names
    assert outputs == ({""} if len(names) == 1 else set(names)) | ({""} & outputs)
    # Core ML itself is skipped where there is no Mac.
    assert {result["status"] for result in passed} - {"skipped"} == {"passed"}

    artifact = out / name / f"{name}_float32.onnx"
    with_wrong_bias(artifact)
    broken = [
        result
        for result in parity(agecompact, out, environment, 1)
        if result["status"] == "failed" and result["kind"] == "mismatch"
    ]
    assert {result["artifact"] for result in broken} == {artifact.name}
    assert broken[0]["unit"] == OWN[name].unit
    assert OWN[name].unit in broken[0]["reason"]
    assert broken[0]["localisation"]["originates_at"]["scope"] == "head"


def parity(
    agecompact: Agecompact, build: Path, environment: dict[str, str], code: int = 0
) -> list[dict[str, Any]]:
    done = agecompact("parity", build, "--json", "-", env=environment)
    assert done.returncode == code, done.stderr
    results: list[dict[str, Any]] = json.loads(done.stdout)["results"]
    return results


@pytest.mark.slow
def test_a_build_whose_code_is_absent_says_so(agecompact: Agecompact, tmp_path: Path) -> None:
    file = write(tmp_path, "pose")
    done = agecompact("export", file, "--format", "onnx", "--out", tmp_path / "build")
    assert done.returncode == 0, done.stderr
    done = agecompact("parity", tmp_path / "build")
    assert done.returncode == 1
    assert "unknown model 'pose'" in done.stderr
    assert project.VARIABLE in done.stderr


def test_a_wrong_mean_is_found_by_check(agecompact: Agecompact, tmp_path: Path) -> None:
    file = write(tmp_path, "mobile")
    shutil.copy(file, tmp_path / "wrong.toml")
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(
        wrong.read_text().replace("value_range = [0.0, 1.0]", "value_range = [0.0, 0.001]")
    )
    done = agecompact("check", wrong)
    assert done.returncode == 1
    assert "different faces: is the preprocessing the one" in done.stderr


@pytest.mark.slow
def test_it_trains(agecompact: Agecompact, tmp_path: Path, tiny_utkface: Path) -> None:
    """A recipe names the project file instead of a model."""
    file = write(tmp_path, "bins")
    content = file.read_text().replace("size = 101\n", "").replace("Bins", "Pooled")
    file.write_text(content.replace('kind = "softmax-expectation"', 'kind = "value"'))
    code = tmp_path / "nets.py"
    code.write_text(
        code.read_text() + "\n\nclass Pooled(Bins):\n    def forward(self, face):\n"
        "        return super().forward(face).mean(1, keepdim=True)\n"
    )
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'model = "bins.toml"\nsource = "mine"\nepochs = 1\nbatch = 8\nloss = "smooth_l1"\n'
        "stages = [{ share = 1.0, rate = 0.01 }]\n"
    )
    out = tmp_path / "out"
    done = agecompact(
        *("train", "--recipe", recipe, "--data", tiny_utkface, "--out", out),
        *("--accelerator", "cpu", "--threads", 1),
    )
    assert done.returncode == 0, done.stderr
    done = agecompact("inspect", file)
    assert done.returncode == 0, done.stderr
    assert "weights of 'bins'" in done.stdout
    done = agecompact("check", file, "--weights", out / "bins.safetensors")
    assert "nothing is wrong" in done.stdout or "different faces" in done.stderr, done.stderr
