"""Variations that change a file and not its answers: none may be flagged.

A gate that cries wolf is switched off. All variations lie in one build, so that PyTorch is asked
once; each is a file that a tool or a colleague could hand over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import helper, version_converter

from agecompact.artifacts import manifest
from agecompact.files import sha256_of, size_of
from parity_tests.check import check_builds
from parity_tests.plan import Plan
from parity_tests.results import Result
from tests.support import BuildOf

Change = Callable[[Path], None]
MODEL = "ssrnet"


def in_onnx(change: Callable[[onnx.ModelProto], onnx.ModelProto | None]) -> Change:
    def apply(path: Path) -> None:
        model = onnx.load_model(path)
        path.write_bytes((change(model) or model).SerializeToString())

    return apply


def in_tflite(change: Callable[[Any], None]) -> Change:
    def apply(path: Path) -> None:
        import flatbuffers
        from ai_edge_litert import schema_py_generated as schema

        model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
        change(model)
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))

    return apply


def in_coreml(change: Callable[[Any], None]) -> Change:
    def apply(path: Path) -> None:
        from agecompact.runtimes import coreml

        specification = coreml.read_specification(str(path))
        change(specification)
        (path / coreml.MODEL_FILE).write_bytes(specification.SerializeToString())

    return apply


def rename_nodes(model: onnx.ModelProto) -> None:
    for i, node in enumerate(model.graph.node):
        node.name = f"op_{i}"


def rename_values(model: onnx.ModelProto) -> None:
    kept = {v.name for v in (*model.graph.input, *model.graph.output)}

    def renamed(name: str) -> str:
        return name if name in kept or not name else f"t/{name}"

    for node in model.graph.node:
        node.input[:] = [renamed(name) for name in node.input]
        node.output[:] = [renamed(name) for name in node.output]
    for value in (*model.graph.initializer, *model.graph.value_info):
        value.name = renamed(value.name)


def comment(model: onnx.ModelProto) -> None:
    model.doc_string = "made on a Tuesday"
    for node in model.graph.node:
        node.doc_string = "see above"


def another_producer(model: onnx.ModelProto) -> None:
    model.producer_name, model.producer_version, model.domain = "somebody", "9", "org.example"


def no_shapes(model: onnx.ModelProto) -> None:
    del model.graph.value_info[:]


def older_ir(model: onnx.ModelProto) -> None:
    model.ir_version = 9


def constants_as_nodes(model: onnx.ModelProto) -> None:
    graph = model.graph
    nodes = [helper.make_node("Constant", [], [i.name], value=i) for i in graph.initializer]
    nodes += [onnx.NodeProto.FromString(node.SerializeToString()) for node in graph.node]
    del graph.initializer[:]
    del graph.node[:]
    graph.node.extend(nodes)


def another_order(model: onnx.ModelProto) -> None:
    """Any order will do in which each node follows those that it reads."""
    graph = model.graph
    ready = {v.name for v in (*graph.input, *graph.initializer)} | {""}
    waiting = list(reversed(graph.node))
    ordered = []
    while waiting:
        node = next(n for n in waiting if set(n.input) <= ready)
        waiting.remove(node)
        ready |= set(node.output)
        ordered.append(onnx.NodeProto.FromString(node.SerializeToString()))
    assert [n.output[0] for n in ordered] != [n.output[0] for n in graph.node]
    del graph.node[:]
    graph.node.extend(ordered)


def identities(model: onnx.ModelProto) -> None:
    """An Identity behind every convolution, as exporters leave them."""
    graph = model.graph
    nodes = []
    for node in graph.node:
        copied = onnx.NodeProto.FromString(node.SerializeToString())
        nodes.append(copied)
        if copied.op_type == "Conv":
            inner = f"{copied.output[0]}/inner"
            nodes.append(helper.make_node("Identity", [inner], [copied.output[0]]))
            copied.output[0] = inner
    assert len(nodes) > len(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)


def unused_initializer(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(helper.make_tensor("unused", 1, [2], [1.0, 2.0]))


def more_metadata(model: onnx.ModelProto) -> None:
    model.metadata_props.add(key="team", value="faces")


def optimised(path: Path) -> None:
    """As ONNX Runtime saves it after its own basic passes."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    described = list(onnx.load_model(path).metadata_props)
    ort.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    model = onnx.load_model(path)
    del model.metadata_props[:]
    model.metadata_props.extend(described)
    path.write_bytes(model.SerializeToString())


def rename_tensors(model: Any) -> None:
    graph = model.subgraphs[0]
    kept = {int(i) for i in (*graph.inputs, *graph.outputs)}
    for i, tensor in enumerate(graph.tensors):
        if i not in kept:
            tensor.name = f"t{i}".encode()


def describe(model: Any) -> None:
    model.description = b"another description"
    model.subgraphs[0].name = b"another name"


def spare_buffer(model: Any) -> None:
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    spare = schema.BufferT()
    spare.data = np.arange(64, dtype=np.uint8)
    model.buffers.append(spare)


def more_signature(model: Any) -> None:
    """A second name for the same signature, as some converters write."""
    import copy

    second = copy.deepcopy(model.signatureDefs[0])
    second.signatureKey = b"predict"
    model.signatureDefs.append(second)


def another_author(specification: Any) -> None:
    specification.description.metadata.author = "somebody"
    specification.description.metadata.userDefined["team"] = "faces"


def rename_mil_values(specification: Any) -> None:
    """Every value inside the program under another name."""
    main = specification.mlProgram.functions["main"]
    block = main.block_specializations[main.opset]
    kept = {f.name for f in main.inputs} | set(block.outputs)
    for op in block.operations:
        for output in op.outputs:
            if output.name not in kept:
                output.name = f"v_{output.name}"
        for argument in op.inputs.values():
            for binding in argument.arguments:
                if binding.name and binding.name not in kept:
                    binding.name = f"v_{binding.name}"


def no_descriptions(specification: Any) -> None:
    for feature in (*specification.description.input, *specification.description.output):
        feature.shortDescription = ""


# artefact, what varies: the change.
VARIATIONS: dict[tuple[str, str], Change] = {
    ("float32.onnx", "nothing"): lambda _: None,
    ("float32.onnx", "node-names"): in_onnx(rename_nodes),
    ("float32.onnx", "value-names"): in_onnx(rename_values),
    ("float32.onnx", "comments"): in_onnx(comment),
    ("float32.onnx", "producer"): in_onnx(another_producer),
    ("float32.onnx", "no-shapes"): in_onnx(no_shapes),
    ("float32.onnx", "ir-version"): in_onnx(older_ir),
    ("float32.onnx", "constants-as-nodes"): in_onnx(constants_as_nodes),
    ("float32.onnx", "node-order"): in_onnx(another_order),
    ("float32.onnx", "identities"): in_onnx(identities),
    ("float32.onnx", "unused-initializer"): in_onnx(unused_initializer),
    ("float32.onnx", "more-metadata"): in_onnx(more_metadata),
    ("float32.onnx", "optimised"): optimised,
    ("float32.onnx", "opset-20"): in_onnx(lambda m: version_converter.convert_version(m, 20)),
    ("float32.tflite", "nothing"): lambda _: None,
    ("float32.tflite", "repacked"): in_tflite(lambda _: None),
    ("float32.tflite", "tensor-names"): in_tflite(rename_tensors),
    ("float32.tflite", "descriptions"): in_tflite(describe),
    ("float32.tflite", "spare-buffer"): in_tflite(spare_buffer),
    ("float32.tflite", "second-signature"): in_tflite(more_signature),
    ("float16.tflite", "repacked"): in_tflite(lambda _: None),
    ("float32.mlpackage", "author"): in_coreml(another_author),
    ("float32.mlpackage", "value-names"): in_coreml(rename_mil_values),
    ("float32.mlpackage", "no-descriptions"): in_coreml(no_descriptions),
    ("float16.mlpackage", "value-names"): in_coreml(rename_mil_values),
}


@pytest.fixture(scope="module")
def varied(build_of: BuildOf, tmp_path_factory: pytest.TempPathFactory) -> manifest.Build:
    """A build of one artefact a variation, each with the hash that it now has."""
    import shutil

    good = build_of(MODEL)
    folder = tmp_path_factory.mktemp("varied")
    entries = []
    for (artefact, name), change in VARIATIONS.items():
        entry = next(e for e in good.manifest.artifacts if e.file == f"{MODEL}_{artefact}")
        path = folder / f"{name}_{artefact}"
        source = good.path(entry)
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, path)
        change(path)
        changed = replace(entry, file=path.name, sha256=sha256_of(path), bytes=size_of(path))
        if entry.opset is not None:
            opsets = {o.domain: o.version for o in onnx.load_model(path).opset_import}
            changed = replace(changed, opset=opsets[""])
        entries.append(changed)
    shutil.copyfile(good.weights, folder / good.manifest.weights)
    manifest.write(folder, replace(good.manifest, artifacts=tuple(entries)))
    return manifest.read_builds(folder)[0]


@pytest.fixture(scope="module")
def verdicts(varied: manifest.Build) -> dict[str, list[Result]]:
    told: dict[str, list[Result]] = {}
    for result in check_builds([varied], Plan(budget=None, threads=1)):
        told.setdefault(result.artifact, []).append(result)
    return told


@pytest.mark.parametrize("variation", VARIATIONS, ids="-".join)
def test_it_is_not_flagged(variation: tuple[str, str], verdicts: dict[str, list[Result]]) -> None:
    artefact, name = variation
    results = verdicts[f"{name}_{artefact}"]
    assert {r.status for r in results} <= {"passed", "skipped"}, [r.reason for r in results]
    assert any(r.status == "passed" for r in results)


def test_enough_files_really_differ(varied: manifest.Build, build_of: BuildOf) -> None:
    good = {entry.sha256 for entry in build_of(MODEL).manifest.artifacts}
    assert sum(e.sha256 not in good for e in varied.manifest.artifacts) >= 20


@pytest.mark.parametrize("threads", [2, 4])
def test_another_number_of_threads_is_not_flagged(threads: int, build_of: BuildOf) -> None:
    results = check_builds([build_of(MODEL)], Plan(budget=None, threads=threads, jobs=1))
    assert {r.status for r in results} <= {"passed", "skipped"}, [r.reason for r in results]
