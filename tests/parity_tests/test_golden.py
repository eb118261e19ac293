"""The golden pack contains, bit for bit, the contract's tensors, and PyTorch's outputs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from agecompact.artifacts import golden
from agecompact.artifacts.manifest import Build
from agecompact.contract import Layout
from agecompact.errors import UsageError
from agecompact.files import size_of
from agecompact.weights import checkpoints
from parity_tests import inputs
from parity_tests.golden import freeze
from parity_tests.reference import Reference
from parity_tests.settings import CheckSettings
from tests.agecompact.data import synthetic
from tests.parity_tests.editing import edited_build, unchanged
from tests.support import Agecompact, BuildOf, CopyBuild


@pytest.fixture(scope="module", params=["ssrnet", "c3ae"])
def frozen(
    request: pytest.FixtureRequest, build_of: BuildOf, tmp_path_factory: pytest.TempPathFactory
) -> Build:
    """A build with its pack; tests must not change it."""
    files = [f"{request.param}_float32.onnx", f"{request.param}_float16.tflite"]
    edits = {file: (file, unchanged) for file in files}
    folder = tmp_path_factory.mktemp(request.param)
    build = edited_build(build_of(request.param), folder, edits, rehash=False)
    freeze(build, CheckSettings())
    return build


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_its_tensors_are_the_contracts(frozen: Build, layout: Layout) -> None:
    pack = golden.read(frozen.folder / golden.FOLDER)
    contract = replace(frozen.manifest.contract, layout=layout)
    known = {sample.name: sample for sample in inputs.standard(contract)}
    tensors = pack.tensors(layout)
    fixed = [name for name in pack.samples if name in known]
    assert {"face", "noise 0", "face, dark", "white"} <= set(fixed)
    for name in fixed:
        for crop, wanted in contract.tensors(known[name].crops).items():
            np.testing.assert_array_equal(tensors[crop][pack.samples.index(name)], wanted)


def test_it_says_its_colours_and_holds_pictures(frozen: Build) -> None:
    folder, contract = frozen.folder / golden.FOLDER, frozen.manifest.contract
    assert json.loads((folder / "golden.json").read_text())["color_order"] == "BGR"
    assert "colors BGR" in (folder / "golden.txt").read_text().splitlines()
    pack = golden.read(folder)
    known = {sample.name: sample for sample in inputs.standard(contract)}
    pictures = pack.inputs(contract.of_images())
    for crop, images in pictures.items():
        wanted = contract.pixels(known["face"].crops[crop])[..., ::-1]
        np.testing.assert_array_equal(images[pack.samples.index("face"), 0], wanted)


def test_its_first_inputs_reach_the_ends_of_the_output(frozen: Build) -> None:
    pack = golden.read(frozen.folder / golden.FOLDER)
    outputs = pack.outputs["age"][:, 0]
    contract = frozen.manifest.contract
    with Reference(frozen.weights, contract, CheckSettings()) as reference:
        compared = reference.outputs[reference.outputs <= 100]
        fixed = reference.outputs[: reference.fixed]
    assert outputs[:3].min() == outputs.min() == np.float32(compared.min())
    assert outputs[:3].max() == outputs.max() == np.float32(compared.max())
    # Which the fixed inputs do not.
    assert outputs.min() <= fixed.min()
    assert outputs.max() > fixed.max() + 30
    # Nor is the range between them empty.
    assert np.diff(np.sort(outputs)).max() < np.ptp(outputs) / 2


def test_its_outputs_are_the_networks(frozen: Build) -> None:
    pack = golden.read(frozen.folder / golden.FOLDER)
    network = checkpoints.read(frozen.weights).network()
    tensors = pack.tensors("NCHW")
    names = frozen.manifest.contract.input_names
    with torch.inference_mode():
        outputs = [
            float(network(*(torch.from_numpy(tensors[n][i]) for n in names)))
            for i in range(len(pack.samples))
        ]
    np.testing.assert_allclose(pack.outputs["age"][:, 0], outputs, atol=1e-4)


def test_it_is_small_and_its_lines_repeat_its_json(frozen: Build) -> None:
    folder = frozen.folder / golden.FOLDER
    index = json.loads((folder / golden.FILE_NAME).read_text())
    lines = [line.split() for line in (folder / "golden.txt").read_text().splitlines()]
    assert lines[0] == ["agecompact-golden", "1"]
    assert lines[-1] == ["end"]
    assert [line[1:] for line in lines if line[0] == "input"] == [
        [each["name"], each["file"]] for each in index["inputs"]
    ]
    assert ["samples", str(len(index["samples"]))] in lines
    # Small enough for an app's test bundle.
    assert size_of(folder) < 350_000


def test_every_artefact_has_its_gate(frozen: Build) -> None:
    pack = golden.read(frozen.folder / golden.FOLDER)
    assert set(pack.tolerances) == {entry.file for entry in frozen.manifest.artifacts}


@pytest.mark.parametrize("of_faces", [False, True])
def test_a_calibrated_file_has_a_wide_gate_unless_all_inputs_are_faces(
    of_faces: bool, copy_build: CopyBuild
) -> None:
    build = copy_build("ssrnet", ".tflite")
    (first, *_) = build.manifest.artifacts
    entries = [replace(first, file=f"ssrnet_{p}.tflite", precision=p) for p in ("float32", "int8")]
    build = replace(build, manifest=replace(build.manifest, artifacts=tuple(entries)))
    settings = CheckSettings()
    faces = (
        [s for s in inputs.fixed(build.manifest.contract) if s.kind == "face"] if of_faces else []
    )
    freeze(build, settings, faces)
    pack = golden.read(build.folder / golden.FOLDER)
    gates = [
        settings.tolerances.of(
            width=100.0, format="tflite", precision=p, runtime="litert", model="ssrnet"
        )
        for p in ("float32", "int8")
    ]
    assert pack.tolerances["ssrnet_float32.tflite"] == {"age": gates[0].max}
    assert pack.tolerances["ssrnet_int8.tflite"] == {
        "age": gates[1].max if of_faces else gates[1].searched
    }


def test_the_command_packs_faces(
    copy_build: CopyBuild, agecompact: Agecompact, tmp_path: Path
) -> None:
    build = copy_build("ssrnet", ".onnx")
    for i in range(20):
        synthetic.write(tmp_path / f"{i:02}.png", i)
    done = agecompact("parity", "freeze", build.folder, "--images", tmp_path)
    assert done.returncode == 0, done.stderr
    pack = golden.read(build.folder / golden.FOLDER)
    assert pack.samples == ("face", *(f"{i * 20 // 16:02}.png" for i in range(16)))


def test_the_command_packs_views_of_its_own_face(
    copy_build: CopyBuild, agecompact: Agecompact
) -> None:
    build = copy_build("ssrnet", ".onnx")
    done = agecompact("parity", "freeze", build.folder, "--faces")
    assert done.returncode == 0, done.stderr
    pack = golden.read(build.folder / golden.FOLDER)
    faces = [s.name for s in inputs.fixed(build.manifest.contract) if s.kind == "face"]
    assert pack.samples == tuple(faces)
    done = agecompact("parity", "freeze", build.folder, "--faces", "--images", build.folder)
    assert done.returncode == 2
    assert "exclude each other" in done.stderr


def test_the_command_freezes_every_build_and_says_so(
    copy_build: CopyBuild, agecompact: Agecompact
) -> None:
    build = copy_build("ssrnet", ".onnx")
    done = agecompact("parity", "freeze", build.folder.parent, "--json", "-")
    assert done.returncode == 0, done.stderr
    (written,) = json.loads(done.stdout)
    assert Path(written["folder"]) == build.folder / golden.FOLDER
    pack = golden.read(Path(written["folder"]))
    assert f"{written['folder']}: {len(pack.samples)} inputs, " in done.stderr


@pytest.mark.parametrize("name", ["../../outside", "/outside", "a/b"])
def test_an_input_whose_name_is_a_path_writes_nothing(
    name: str, copy_build: CopyBuild, tmp_path: Path
) -> None:
    build = copy_build("ssrnet", ".onnx")
    contract = build.manifest.contract
    contract = replace(contract, crops=(replace(contract.crops[0], name=name),))
    hostile = Build(build.folder, replace(build.manifest, contract=contract))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=r"NamedArray\.file"):
        freeze(hostile, CheckSettings())
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_that_fails_leaves_no_earlier_pack(
    copy_build: CopyBuild, agecompact: Agecompact
) -> None:
    build = copy_build("ssrnet", ".onnx")
    (build.folder / golden.FOLDER).mkdir()
    (build.folder / golden.FOLDER / golden.FILE_NAME).write_text("{}")
    build.weights.write_text("no weights")
    assert agecompact("parity", "freeze", build.folder).returncode != 0
    assert not (build.folder / golden.FOLDER).exists()
