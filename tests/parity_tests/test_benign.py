"""Variations that change a file and not its outputs: none may fail.

A gate that fails without reason gets switched off. All variations are in one build, so that PyTorch
runs once; each is a file that a tool or a colleague could produce.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, version_converter

from agecompact.artifacts.manifest import Build
from parity_tests.check import check_builds
from parity_tests.results import Result
from parity_tests.settings import CheckSettings
from tests.parity_tests.editing import (
    Edit,
    edited_build,
    in_mlpackage,
    in_onnx,
    in_tflite,
    mil_block,
    renamed,
    unchanged,
)
from tests.support import BuildOf, CopyBuild

MODEL = "ssrnet"


def rename_values(model: onnx.ModelProto) -> None:
    kept = {v.name for v in (*model.graph.input, *model.graph.output)} | {""}
    values = {name for node in model.graph.node for name in (*node.input, *node.output)} - kept
    renamed(model, {name: f"t/{name}" for name in values})
    for value in (*model.graph.initializer, *model.graph.value_info):
        value.name = f"t/{value.name}"


def relabel(model: onnx.ModelProto) -> None:
    """Other names of nodes and of the producer, comments, more metadata, an older IR version."""
    for i, node in enumerate(model.graph.node):
        node.name, node.doc_string = f"op_{i}", "see above"
    model.producer_name, model.producer_version, model.domain = "somebody", "9", "org.example"
    model.metadata_props.add(key="team", value="faces")
    model.ir_version = 9


def with_nodes(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def constants_as_nodes(model: onnx.ModelProto) -> None:
    graph = model.graph
    nodes = [helper.make_node("Constant", [], [i.name], value=i) for i in graph.initializer]
    with_nodes(model, [*nodes, *graph.node])
    del graph.initializer[:]


def another_order(model: onnx.ModelProto) -> None:
    """Any order is valid in which each node follows those that it reads."""
    graph = model.graph
    ready = {v.name for v in (*graph.input, *graph.initializer)} | {""}
    waiting = list(reversed(graph.node))
    ordered = []
    while waiting:
        node = next(n for n in waiting if set(n.input) <= ready)
        waiting.remove(node)
        ready |= set(node.output)
        ordered.append(node)
    assert [n.output[0] for n in ordered] != [n.output[0] for n in graph.node]
    with_nodes(model, ordered)


def identities(model: onnx.ModelProto) -> None:
    """An Identity after every convolution, as exporters leave them."""
    nodes = []
    for node in model.graph.node:
        nodes.append(node)
        if node.op_type == "Conv":
            wrote, node.output[0] = node.output[0], f"{node.output[0]}/inner"
            nodes.append(helper.make_node("Identity", [node.output[0]], [wrote]))
    assert len(nodes) > len(model.graph.node)
    with_nodes(model, nodes)


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
    onnx.save(model, path)


def relabel_tflite(model: Any) -> None:
    """Other names of tensors, another description, a buffer that nothing reads."""
    graph = model.subgraphs[0]
    kept = {int(i) for i in (*graph.inputs, *graph.outputs)}
    for i, tensor in enumerate(graph.tensors):
        if i not in kept:
            tensor.name = f"t{i}".encode()
    graph.name, model.description = b"another name", b"another description"
    spare = copy.deepcopy(model.buffers[0])
    spare.data = np.arange(64, dtype=np.uint8)
    model.buffers.append(spare)


def second_signature(model: Any) -> None:
    """A second name for the same signature, as some converters write."""
    second = copy.deepcopy(model.signatureDefs[0])
    second.signatureKey = b"predict"
    model.signatureDefs.append(second)


def redescribe(specification: Any) -> None:
    """Another author, more metadata, no descriptions of inputs and outputs."""
    description = specification.description
    description.metadata.author = "somebody"
    description.metadata.userDefined["team"] = "faces"
    for feature in (*description.input, *description.output):
        feature.shortDescription = ""


def forget_converter(specification: Any) -> None:
    """What coremltools writes about itself, which changes from day to day."""
    specification.mlProgram.attributes.clear()
    entries = specification.description.metadata.userDefined
    for key in [key for key in entries if key.startswith("com.github.apple")]:
        del entries[key]


def annotate(model: onnx.ModelProto) -> None:
    """Meanings of axes, which ONNX calls denotations, and an import that no node uses."""
    for value in (*model.graph.input, *model.graph.output):
        value.doc_string = "a face or an age"
        value.type.tensor_type.shape.dim[0].denotation = "DATA_BATCH"
    model.opset_import.add(domain="com.microsoft", version=1)


def rename_mil_values(specification: Any) -> None:
    block = mil_block(specification)
    main = specification.mlProgram.functions["main"]
    kept = {f.name for f in main.inputs} | set(block.outputs)
    for op in block.operations:
        read = [each for argument in op.inputs.values() for each in argument.arguments]
        for value in (*op.outputs, *read):
            if value.name and value.name not in kept:
                value.name = f"v_{value.name}"


# By variation and artefact.
VARIATIONS: dict[tuple[str, str], Edit] = {
    ("nothing", "float32.onnx"): unchanged,
    ("labels", "float32.onnx"): in_onnx(relabel),
    ("value-names", "float32.onnx"): in_onnx(rename_values),
    ("no-shapes", "float32.onnx"): in_onnx(lambda model: model.graph.ClearField("value_info")),
    ("constants-as-nodes", "float32.onnx"): in_onnx(constants_as_nodes),
    ("node-order", "float32.onnx"): in_onnx(another_order),
    ("identities", "float32.onnx"): in_onnx(identities),
    ("unused-initializer", "float32.onnx"): in_onnx(
        lambda model: model.graph.initializer.append(helper.make_tensor("unused", 1, [1], [2.0]))
    ),
    ("annotations", "float32.onnx"): in_onnx(annotate),
    ("optimised", "float32.onnx"): optimised,
    ("opset-20", "float32.onnx"): in_onnx(
        lambda model: version_converter.convert_version(model, 20)
    ),
    ("nothing", "float32.tflite"): unchanged,
    ("repacked", "float32.tflite"): in_tflite(lambda _: None),
    ("labels", "float32.tflite"): in_tflite(relabel_tflite),
    ("second-signature", "float32.tflite"): in_tflite(second_signature),
    ("repacked", "float16.tflite"): in_tflite(lambda _: None),
    ("descriptions", "float32.mlpackage"): in_mlpackage(redescribe),
    ("converter", "float32.mlpackage"): in_mlpackage(forget_converter),
    ("value-names", "float32.mlpackage"): in_mlpackage(rename_mil_values),
    ("value-names", "float16.mlpackage"): in_mlpackage(rename_mil_values),
}


@pytest.fixture(scope="module")
def varied(build_of: BuildOf, tmp_path_factory: pytest.TempPathFactory) -> Build:
    edits = {f"{n}_{file}": (f"{MODEL}_{file}", e) for (n, file), e in VARIATIONS.items()}
    return edited_build(build_of(MODEL), tmp_path_factory.mktemp("varied"), edits, rehash=True)


@pytest.fixture(scope="module")
def results(varied: Build) -> tuple[Result, ...]:
    return check_builds([varied], CheckSettings(budget=None, threads=1))


def assert_nothing_failed(results: list[Result]) -> None:
    assert {r.status for r in results} <= {"passed", "skipped"}, [r.reason for r in results]
    assert any(r.status == "passed" for r in results)


@pytest.mark.parametrize("variation", VARIATIONS, ids="-".join)
def test_a_variation_passes(variation: tuple[str, str], results: tuple[Result, ...]) -> None:
    assert_nothing_failed([r for r in results if r.artifact == "_".join(variation)])


def test_every_variation_but_nothing_changes_the_file(varied: Build, build_of: BuildOf) -> None:
    good = {entry.sha256 for entry in build_of(MODEL).manifest.artifacts}
    same = {entry.file for entry in varied.manifest.artifacts if entry.sha256 in good}
    assert same == {"nothing_float32.onnx", "nothing_float32.tflite"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("threads", "suffixes"),
    [
        (2, ("float32.onnx", "float32.tflite")),
        pytest.param(4, (), id="4-all", marks=pytest.mark.slow),
    ],
)
def test_another_number_of_threads_passes(
    threads: int, suffixes: tuple[str, ...], copy_build: CopyBuild
) -> None:
    settings = CheckSettings(budget=None, threads=threads, jobs=1)
    build = copy_build(MODEL, *suffixes)
    assert_nothing_failed([*check_builds([build], settings)])
