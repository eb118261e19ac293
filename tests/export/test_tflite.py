"""Content of the TFLite files, read with LiteRT's schema and interpreter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agecompact.artifacts.manifest import read_builds
from agecompact.artifacts.metadata import ArtifactMetadata
from agecompact.models import registry
from agecompact.runtimes.process import RuntimeProcess
from agecompact.runtimes.reading import Reader
from export import onnx2tf_run, pipeline, targets, to_tflite
from export.job import Job
from export.verify import check
from tests.marks import by_model
from tests.support import BuildOf, leaks, verdicts_on

schema = pytest.importorskip("ai_edge_litert.schema_py_generated", reason="needs 'tflite'")
interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="needs 'tflite'")

MODELS = ("ssrnet", "c3ae-plain", "c3ae", "mobileagenet")
FILES = by_model(
    *(f"{model}.{precision}" for model in MODELS for precision in ("float32", "float16"))
)


@pytest.fixture(scope="module", params=FILES)
def exported(request: pytest.FixtureRequest, build_of: BuildOf) -> Path:
    model_id, precision = request.param.split(".")
    return build_of(model_id).folder / f"{model_id}_{precision}.tflite"


def _ops(model: Any) -> Iterator[int]:
    graph = model.Subgraphs(0)
    for i in range(graph.OperatorsLength()):
        code = model.OperatorCodes(graph.Operators(i).OpcodeIndex())
        yield max(code.BuiltinCode(), code.DeprecatedBuiltinCode())


def test_no_transpose_is_left(exported: Path) -> None:
    ops = list(_ops(schema.Model.GetRootAsModel(exported.read_bytes(), 0)))
    assert schema.BuiltinOperator.CONV_2D in ops
    assert schema.BuiltinOperator.TRANSPOSE not in ops


def test_its_signature_matches_the_contract(exported: Path) -> None:
    contract = registry.get(exported.parent.name).contract
    loaded = interpreter.Interpreter(model_path=str(exported))
    assert loaded.get_signature_list() == {
        "serving_default": {
            # LiteRT sorts them. The order has no meaning: tensors are bound by name.
            "inputs": sorted(contract.input_names),
            "outputs": [contract.outputs[0].name],
        }
    }
    runner = loaded.get_signature_runner("serving_default")
    details = {**runner.get_input_details(), **runner.get_output_details()}
    assert {detail["dtype"] for detail in details.values()} == {np.float32}
    shapes = {tuple(detail["shape"]) for detail in runner.get_input_details().values()}
    assert shapes == {(1, contract.height, contract.width, 3)}


def test_its_buffers_are_aligned(exported: Path) -> None:
    content = exported.read_bytes()
    model = schema.Model.GetRootAsModel(content, 0)
    whole = np.frombuffer(content, np.uint8).__array_interface__["data"][0]
    offsets = [
        buffer.DataAsNumpy().__array_interface__["data"][0] - whole
        for buffer in (model.Buffers(i) for i in range(model.BuffersLength()))
        if buffer.DataLength()
    ]
    assert len(offsets) > 10
    assert [offset for offset in offsets if offset % 16] == []


def test_xnnpack_runs_all_of_it(exported: Path) -> None:
    with RuntimeProcess(exported) as process:
        placement = process.open().placement
    assert placement is not None
    assert (placement.partitions, dict(placement.fallback_ops)) == (1, {})


def test_it_has_metadata_and_no_local_paths(exported: Path) -> None:
    content = exported.read_bytes()
    assert leaks(content) == []
    model = schema.Model.GetRootAsModel(content, 0)
    entries = {model.Metadata(i).Name(): model.Metadata(i) for i in range(model.MetadataLength())}
    text = model.Buffers(entries[b"agecompact"].Buffer()).DataAsNumpy().tobytes().decode()
    described = ArtifactMetadata.from_json(text)
    assert exported.name == f"{described.model}_{described.precision}.tflite"
    assert described.contract.layout == "NHWC"
    assert described.terms == "Random weights, free to use."
    assert {"onnx2tf", "tensorflow"} <= described.versions.keys()


@pytest.mark.slow
def test_an_export_of_pictures_says_so_and_passes(build_of: BuildOf, tmp_path: Path) -> None:
    weights = build_of("c3ae").weights
    chosen = targets.select(["tflite"], ["fp32", "fp16"])
    pipeline.export(pipeline.Request(weights, chosen, tmp_path, input_kind="image"))
    build = read_builds(tmp_path / "c3ae")[0]
    with Reader() as reader:
        assert check(build.folder, reader) == []
        contracts = {
            e.file: reader.metadata(build.path(e)).contract for e in build.manifest.artifacts
        }
    network = build.manifest.contract
    assert contracts.pop("c3ae_float32.onnx") == network
    for contract in contracts.values():
        assert (contract.dtype, contract.layout, contract.color_order) == ("uint8", "NHWC", "RGB")
        assert (contract.value_range, contract.crops) == ((0.0, 255.0), network.crops)
    results = verdicts_on(build)
    assert {result.artifact for result in results} == {"c3ae_float32.onnx", *contracts}
    assert {result.status for result in results} == {"passed"}, results


@pytest.mark.slow
def test_an_open_batch_of_the_onnx_file_is_closed(build_of: BuildOf, tmp_path: Path) -> None:
    build = build_of("c3ae")
    chosen = targets.select(["tflite"], ["fp32"])
    made = pipeline.export(pipeline.Request(build.weights, chosen, tmp_path, dynamic_batch=True))
    assert [entry.batch for entry in made.manifest.artifacts] == [None, 1]
    content = (tmp_path / "c3ae" / "c3ae_float32.tflite").read_bytes()
    graph = schema.Model.GetRootAsModel(content, 0).Subgraphs(0)
    tensors = [graph.Tensors(i) for i in range(graph.TensorsLength())]
    assert not any(tensor.ShapeSignatureLength() for tensor in tensors)
    results = verdicts_on(read_builds(tmp_path / "c3ae")[0])
    assert [result.status for result in results] == ["passed", "passed"], results


def test_formats_of_one_export_share_what_onnx2tf_made(
    build_of: BuildOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build, runs = build_of("ssrnet"), []

    def counted(source: Path, folder: Path, *, simplified: bool) -> bytes:
        assert simplified
        folder.mkdir(parents=True)
        runs.append(source)
        return f"run {len(runs)}".encode()

    monkeypatch.setattr(onnx2tf_run, "run", counted)
    source = build.folder / "ssrnet_float32.onnx"
    shared = tmp_path / "shared"
    shared.mkdir()
    job = Job(build.weights, ("float32",), tmp_path / "job", source, shared=shared)
    assert [to_tflite._converted(job, source) for _ in range(2)] == [b"run 1", b"run 1"]
    alone = replace(job, shared=None)
    assert [to_tflite._converted(alone, source) for _ in range(2)] == [b"run 2", b"run 3"]
