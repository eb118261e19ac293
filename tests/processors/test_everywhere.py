"""A released network gives PyTorch's ages on every processor, and parity notices where not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import helper, numpy_helper

from agecompact.artifacts.manifest import Build
from agecompact.errors import BackendMissingError, ConversionError
from agecompact.formats import RUNTIMES, opened_by
from agecompact.runtimes import ncnn_graph
from agecompact.runtimes.process import RuntimeFailure, RuntimeProcess
from agecompact.runtimes.registry import load
from agecompact.weights import checkpoints
from export import pipeline, targets
from export.command import compile_file
from parity_tests import verdict
from parity_tests.check import check_builds
from parity_tests.inputs import fixed
from parity_tests.results import Failure, Result
from parity_tests.settings import CheckSettings
from tests.processors.conftest import MODEL
from tests.reused_conversions import made_again

pytestmark = pytest.mark.slow

Needs = Callable[[str], None]
_EVERYWHERE = [n for n, each in RUNTIMES.items() if each.run == "everywhere"]
_OTHERS = ["coreai", "executorch", "htp-v79", "ncnn"]
# In these an image takes most of a second in some precisions, so that each is a case.
_SLOW = {
    "executorch-arm": ("float32", "int8"),
    "litert-arm": ("float32", "int8"),
    "litert-wgpu": ("float32", "int8"),
    "ncnn-arm": ("float32", "float16"),
    "ort-arm": ("float32", "int8", "int16"),
    "ort-wasm": ("float32", "int8", "int16"),
    "ort-wgpu": ("float32", "int8", "int16"),
}


def checked(build: Build, *runtimes: str, localise: bool = False) -> tuple[Result, ...]:
    settings = CheckSettings(
        budget=None, runtimes=runtimes, localise="mismatch" if localise else "never", jobs=2
    )
    return check_builds([build], settings)


def only(build: Build, folder: Path, suffix: str) -> Build:
    """A copy of a build with one artefact, which a test may change."""
    (entry,) = [e for e in build.manifest.artifacts if e.file.endswith(suffix)]
    shutil.copytree(build.folder, folder / MODEL)
    made = replace(build.manifest, artifacts=(entry,))
    return Build(folder / MODEL, made)


@pytest.mark.parametrize(
    ("runtime", "precision"),
    [
        *((name, "all") for name in (*_EVERYWHERE, *_OTHERS) if name not in _SLOW),
        *((name, precision) for name, made in _SLOW.items() for precision in made),
    ],
)
def test_every_file_gives_pytorchs_ages(
    runtime: str, precision: str, build: Build, needs: Needs
) -> None:
    needs(runtime)
    files = [
        e
        for e in build.manifest.artifacts
        if e.format == opened_by(runtime).name and precision in ("all", e.precision)
    ]
    made = replace(build.manifest, artifacts=tuple(files))
    results = checked(replace(build, manifest=made), runtime)
    assert len(results) == len(files) > 0
    assert {r.artifact: (r.status, r.reason) for r in results} == {
        e.file: ("passed", "") for e in files
    }
    assert all(r.samples and r.runtime_version for r in results)


def test_what_is_not_installed_says_how_to_install_it() -> None:
    gone = replace(RUNTIMES["htp-v75"], module="no_such_module")
    with pytest.raises(BackendMissingError, match=r"no_such_module[\s\S]*\.\[npu\]"):
        load(gone)


def test_an_overflow_that_only_the_npu_has_is_found_and_named(
    build: Build, needs: Needs, tmp_path: Path
) -> None:
    """Numbers beyond 65,504 fit float32, and not the half precision of the NPU."""
    needs("htp-v75")
    copy = only(build, tmp_path, "float32.onnx")
    path = copy.path(copy.manifest.artifacts[0])
    model = onnx.load(path)
    relu = next(node for node in model.graph.node if node.op_type == "Relu")
    inner, at = relu.output[0], list(model.graph.node).index(relu)
    relu.output[0] = f"{inner}_kept"
    for name, factor in (("large", 1e6), ("small", 1e-6)):
        array = np.array(factor, np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    model.graph.node.insert(
        at + 1, helper.make_node("Mul", [relu.output[0], "large"], [f"{inner}_large"], "large/Mul")
    )
    model.graph.node.insert(
        at + 2, helper.make_node("Mul", [f"{inner}_large", "small"], [inner], "small/Mul")
    )
    onnx.save(model, path)
    on_cpu, on_npu = checked(copy, "onnxruntime", "htp-v75", localise=True)
    # The CPU computes the right ages with it; only its hash is not the one that was built.
    assert on_cpu.kind == "integrity"
    # It stays at the greatest number of half precision, or becomes infinite.
    assert on_npu.kind in ("degenerate", "mismatch", "not-finite")
    assert on_npu.localisation is not None
    assert "large" in on_npu.localisation["summary"]


def test_ops_that_the_gpu_refuses_are_named(build: Build, needs: Needs, tmp_path: Path) -> None:
    """It takes no weights that an op restores from int8."""
    needs("litert-gpu")
    chosen = targets.select(("tflite",), ("int8-weights",))
    pipeline.export(pipeline.Request(build.weights, chosen, tmp_path))
    made = pipeline_build(tmp_path)
    results = checked(made, "litert", "litert-gpu")
    on_cpu, on_gpu = (
        next(r for r in results if (r.precision, r.runtime) == ("int8-weights", name))
        for name in ("litert", "litert-gpu")
    )
    assert (on_cpu.status, on_gpu.kind) == ("passed", "fallback")
    assert "the GPU leaves ops to the CPU: " in on_gpu.reason
    assert "CONV_2D" in on_gpu.reason or "FULLY_CONNECTED" in on_gpu.reason


def pipeline_build(folder: Path) -> Build:
    from agecompact.artifacts import manifest

    return manifest.read_builds(folder / MODEL)[0]


@pytest.mark.parametrize(
    ("runtime", "file"),
    [
        ("coreai", f"{MODEL}_float32.aimodel/main.mlirb"),
        ("executorch", f"{MODEL}_float32.pte"),
        ("ncnn", f"{MODEL}_float32.ncnn/model.ncnn.bin"),
        ("ncnn", f"{MODEL}_float32.ncnn/model.ncnn.param"),
        ("ort-wasm", f"{MODEL}_float32.onnx"),
        ("litert-wasm", f"{MODEL}_float32.tflite"),
        ("litert-gpu", f"{MODEL}_float32.tflite"),
        ("htp-v75", f"{MODEL}_float32.onnx"),
    ],
)
def test_a_truncated_file_is_a_row_with_a_reason(
    runtime: str, file: str, build: Build, needs: Needs, tmp_path: Path
) -> None:
    needs(runtime)
    copy = only(build, tmp_path, file.partition("/")[0])
    path = copy.folder / file
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (result,) = checked(copy, runtime)
    assert (result.status, bool(result.reason)) == ("failed", True)
    assert result.kind in ("load", "crash", "metadata")


@pytest.mark.parametrize("runtime", ["coreai", "executorch", "ncnn"])
def test_wrong_weights_are_noticed(
    runtime: str, build: Build, needs: Needs, tmp_path: Path
) -> None:
    """The last layer's weights, which are stored as they are, become half as large again."""
    needs(runtime)
    copy = only(build, tmp_path, f"float32{opened_by(runtime).suffix}")
    path = copy.path(copy.manifest.artifacts[0])
    if path.is_dir():
        path = next(path / n for n in ("main.mlirb", "model.ncnn.bin") if (path / n).is_file())
    right = checkpoint_weight(build.weights).tobytes()
    content = path.read_bytes()
    assert right in content
    path.write_bytes(content.replace(right, (checkpoint_weight(build.weights) * 1.5).tobytes()))
    (result,) = checked(copy, runtime)
    assert (result.status, result.kind) == ("failed", "mismatch")


def test_the_layer_of_an_ncnn_model_that_is_wrong_is_named(
    build: Build, needs: Needs, tmp_path: Path
) -> None:
    needs("ncnn")
    copy = only(build, tmp_path, "float32.ncnn")
    path = copy.path(copy.manifest.artifacts[0]) / "model.ncnn.param"
    text = path.read_text()
    # The second convolution loses its ReLU.
    before, second = text.split("9=1", 1)[0], text.split("9=1", 1)[1]
    path.write_text(before + "9=1" + second.replace("9=1", "9=0", 1))
    (result,) = checked(copy, "ncnn", localise=True)
    assert (result.status, result.kind) == ("failed", "mismatch")
    assert result.localisation is not None
    assert "trunk.1" in result.localisation["summary"]


def test_what_a_network_does_not_suit_is_left_out(needs: Needs, tmp_path: Path) -> None:
    """ncnn has no batch, on which C3AE stacks the crops of a face."""
    needs("ncnn")
    asked = pipeline.Request(
        checkpoints.released_path("c3ae"), targets.select(("ncnn",), ("fp32",)), tmp_path
    )
    with pytest.raises(ConversionError, match=r"ncnn cannot run this network: cat along"):
        pipeline.export(asked)
    both = targets.select(("onnx", "ncnn"), ("fp32",))
    made = pipeline.export(replace(asked, targets=both, optional=frozenset({"ncnn"}))).manifest
    assert [entry.format for entry in made.artifacts] == ["onnx"]
    assert made.not_made == ()


def checkpoint_weight(path: Path) -> np.ndarray:
    from safetensors.numpy import load_file

    return load_file(path)["age.weight"]


def test_core_ai_files_are_the_same_bytes_each_time_and_hold_no_path(
    build: Build, needs: Needs, tmp_path: Path
) -> None:
    needs("coreai")
    chosen = targets.select(("coreai",), ("fp32", "fp16"))
    with made_again():
        pipeline.export(pipeline.Request(checkpoints.released_path(MODEL), chosen, tmp_path))
    again = tmp_path / MODEL
    for precision in ("float32", "float16"):
        name = f"{MODEL}_{precision}.aimodel"
        files = sorted(p.relative_to(again) for p in (again / name).rglob("*") if p.is_file())
        assert files
        for file in files:
            content = (again / file).read_bytes()
            assert content == (build.folder / file).read_bytes(), file
            assert str(Path.home()).encode() not in content
            assert b"site-packages" not in content


def test_a_file_that_is_compiled_for_the_npu_answers_as_before(
    build: Build, needs: Needs, tmp_path: Path
) -> None:
    needs("htp-v75")
    (entry,) = [e for e in build.manifest.artifacts if e.file.endswith("int8.onnx")]
    made = tmp_path / "compiled.onnx"
    done = CliRunner().invoke(compile_file, [str(build.path(entry)), "--out", str(made)])
    assert done.exit_code == 0, done.exception
    assert [node.op_type for node in onnx.load(made).graph.node].count("EPContext") == 1
    contract = build.manifest.contract
    faces = [sample for sample in fixed(contract) if sample.kind == "face"][:3]
    with RuntimeProcess(build.path(entry), RUNTIMES["htp-v75"]) as right:
        right.open()
        with RuntimeProcess(made, RUNTIMES["htp-v75"]) as compiled:
            compiled.open()
            for face in faces:
                inputs = {n: t[np.newaxis] for n, t in contract.tensors(face.crops).items()}
                for name, answer in right.infer(inputs).items():
                    np.testing.assert_array_equal(compiled.infer(inputs)[name], answer)


def test_what_the_npu_does_not_take_is_not_compiled(
    build: Build, needs: Needs, tmp_path: Path
) -> None:
    """Weights of a float layer that have a scale each channel."""
    needs("htp-v75")
    (entry,) = [e for e in build.manifest.artifacts if e.file.endswith("float32.onnx")]
    model = onnx.load(build.path(entry))
    gemm = next(node for node in model.graph.node if node.op_type == "Gemm")
    weight = next(i for i in model.graph.initializer if i.name == gemm.input[1])
    values = numpy_helper.to_array(weight)
    rows = values.shape[0]
    scales = np.abs(values).max(axis=1).astype(np.float32) / 127
    for name, array in (
        ("stored", np.round(values / scales[:, np.newaxis]).astype(np.int8)),
        ("scales", scales),
        ("zeros", np.zeros(rows, np.int8)),
    ):
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    restore = helper.make_node(
        "DequantizeLinear", ["stored", "scales", "zeros"], ["restored"], "restore", axis=0
    )
    gemm.input[1] = "restored"
    model.graph.node.insert(0, restore)
    path = tmp_path / "stored.onnx"
    onnx.save(model, path)
    out = tmp_path / "out.onnx"
    done = CliRunner().invoke(compile_file, [str(path), "--out", str(out)])
    assert isinstance(done.exception, ConversionError)
    assert not out.exists()


def test_a_smaller_precision_that_is_no_smaller_is_refused(build: Build, needs: Needs) -> None:
    needs("executorch")
    full, small = (
        next(e for e in build.manifest.artifacts if e.file.endswith(f"{precision}.pte"))
        for precision in ("float32", "int8")
    )
    runtime = RUNTIMES["executorch"]
    verdict._check_size(verdict.Candidate(build, small, runtime))
    as_large = replace(small, bytes=full.bytes)
    with pytest.raises(Failure, match=r"100% of the bytes of .*float32\.pte, int8 was requested"):
        verdict._check_size(verdict.Candidate(build, as_large, runtime))


def test_half_precision_that_nobody_asked_for_is_found(
    build: Build, needs: Needs, tmp_path: Path
) -> None:
    """Without the layers' masks, ncnn computes in half precision unless an app forbids it."""
    needs("ncnn-arm")
    copy = only(build, tmp_path, "float32.ncnn")
    path = copy.path(copy.manifest.artifacts[0]) / ncnn_graph.GRAPH_FILE
    layers = ncnn_graph.parse(path.read_text())
    unmasked = [
        replace(layer, settings={k: v for k, v in layer.settings.items() if k != "31"})
        for layer in layers
    ]
    assert unmasked != list(layers)
    path.write_text(ncnn_graph.written(unmasked))
    (on_arm,) = checked(copy, "ncnn-arm")
    assert on_arm.kind == "mismatch"
    assert on_arm.max_error is not None
    assert on_arm.max_error > 0.05


@pytest.mark.parametrize("runtime", ["executorch-arm", "litert-arm"])
def test_a_file_that_is_none_is_a_reason(runtime: str, needs: Needs, tmp_path: Path) -> None:
    needs(runtime)
    path = tmp_path / "model"
    path.write_bytes(b"no model at all")
    with (
        RuntimeProcess(path, RUNTIMES[runtime]) as process,
        pytest.raises(RuntimeFailure) as refused,
    ):
        process.open()
    assert refused.value.kind == "load"
    assert str(path) in refused.value.reason


def test_executorch_for_arm_reads_what_executorch_here_reads(build: Build, needs: Needs) -> None:
    needs("executorch-arm")
    (entry,) = [e for e in build.manifest.artifacts if e.file.endswith("float32.pte")]
    path = build.path(entry)
    with (
        RuntimeProcess(path, RUNTIMES["executorch"]) as here,
        RuntimeProcess(path, RUNTIMES["executorch-arm"]) as on_arm,
    ):
        assert on_arm.metadata() == here.metadata()
        assert on_arm.open().interface == here.open().interface
