"""Faults planted in real artefacts: localisation reports the op where each originates, and why."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from _pytest.mark.structures import ParameterSet
from torch import nn

from agecompact.contract import Contract
from agecompact.formats import RUNTIMES, format_of
from agecompact.runtimes.base import Trace
from agecompact.runtimes.reading import read_metadata
from agecompact.runtimes.registry import load
from agecompact.weights import checkpoints
from export import to_coreml, to_onnx
from export.job import Job
from parity_tests import inputs
from parity_tests.localisation.graph import with_inputs
from parity_tests.localisation.localise import localise
from parity_tests.localisation.report import Localisation
from parity_tests.localisation.rounding import ReferenceRun, run_reference
from tests.marks import by_model
from tests.parity_tests.editing import in_onnx, in_tflite
from tests.parity_tests.faults import mil_edits
from tests.parity_tests.localisation.faults import IN_EXPORTS, IN_FILES, Fault
from tests.support import BuildOf, random_network

SAMPLES = ("face, wide", "noise 3")


def tensors(contract: Contract) -> list[dict[str, Any]]:
    chosen = [s for s in inputs.standard(contract) if s.name in SAMPLES]
    return [contract.tensors(sample.crops) for sample in chosen]


def traced(path: Path, contract: Contract | None = None) -> list[Trace]:
    """An artefact's traces, with inputs by its own contract or by another."""
    runtime = (
        RUNTIMES["mil-float32"] if path.suffix == ".mlpackage" else format_of(path).runtimes[0]
    )
    session = load(runtime).open_session(str(path), 1)
    samples = tensors(contract or read_metadata(path).contract)
    return [with_inputs(session.trace(sample), sample) for sample in samples]


@cache
def reference_run(weights: Path, precision: str = "float32") -> ReferenceRun:
    return run_reference(weights, tensors(checkpoints.read(weights).contract), precision)


def localised(
    traces: Sequence[Trace], run: ReferenceRun, precision: str = "float32"
) -> Localisation:
    return localise(run.traces, traces, precision=precision, known=run.known)


def planted(file: str, fault: Fault, build_of: BuildOf, folder: Path) -> tuple[Path, Path]:
    """The weights of a build, and a copy of one of its files with a fault."""
    model, _, format_ = file.partition(".")
    build = build_of(model)
    path = Path(shutil.copy(build.folder / f"{model}_float32.{format_}", folder))
    edit = in_onnx if format_ == "onnx" else in_tflite
    edit(fault.plant)(path)
    return build.weights, path


def exported(weights: Path, plant: Callable[[nn.Module], Any], format_: str, folder: Path) -> Path:
    """Exports a network with a fault, which the weights file does not have."""
    right = checkpoints.Weights.network

    def wrong(self: checkpoints.Weights) -> nn.Module:
        network = right(self)
        plant(network)
        return network

    convert = to_onnx.convert if format_ == "onnx" else to_coreml.convert
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints.Weights, "network", wrong)
        convert(Job(weights, ("float32",), folder))
    return next(folder.glob(f"*_float32.{format_}"))


def assert_located(found: Localisation, fault: Fault) -> None:
    origin = found.origin
    assert origin is not None, found.summary
    assert (origin.scope, origin.cause) == (fault.scope, fault.cause), found.summary
    assert fault.evidence in origin.evidence
    assert fault.op in ("", origin.candidate_op)
    row = found.rows[origin.row]
    assert (row.candidate_op, row.candidate_tensor) == (
        origin.candidate_op,
        origin.candidate_tensor,
    )


def names_in(faults: Mapping[str, Mapping[str, Fault]]) -> list[ParameterSet]:
    return by_model(*((file, name) for file, by_name in faults.items() for name in by_name))


@pytest.mark.parametrize(("file", "name"), names_in(IN_FILES))
def test_a_fault_in_a_file_is_located(
    file: str, name: str, build_of: BuildOf, tmp_path: Path
) -> None:
    fault = IN_FILES[file][name]
    weights, path = planted(file, fault, build_of, tmp_path)
    assert_located(localised(traced(path), reference_run(weights)), fault)


@pytest.mark.parametrize(("file", "name"), names_in(IN_EXPORTS))
def test_a_fault_of_an_export_is_located(
    file: str, name: str, build_of: BuildOf, tmp_path: Path
) -> None:
    fault = IN_EXPORTS[file][name]
    model, _, format_ = file.partition(".")
    weights = build_of(model).weights
    path = exported(weights, fault.plant, format_, tmp_path)
    assert_located(localised(traced(path), reference_run(weights)), fault)


@pytest.mark.parametrize("format_", ["onnx", "mlpackage"])
def test_weights_cast_before_folding_overflow(format_: str, tmp_path: Path) -> None:
    scope = "x_stream.blocks.0.1"
    network = random_network("ssrnet")
    norm = network.get_submodule(scope)
    with torch.no_grad():
        variance = norm.get_buffer("running_var")
        stretch = 71_233.0 / variance[7]
        variance[7] *= stretch
        norm.get_parameter("weight")[7] *= stretch.sqrt()
    weights = tmp_path / "w.safetensors"
    checkpoints.write(weights, network, model_id="ssrnet")
    folder = tmp_path / "made"
    folder.mkdir()
    fault = Fault(lambda made: made.half().float(), scope, "fp16 overflow", "71,233")
    path = exported(weights, fault.plant, format_, folder)
    assert_located(localised(traced(path), reference_run(weights)), fault)


@pytest.mark.parametrize(
    ("change", "cause", "evidence"),
    [
        ({"color_order": "RGB"}, "RGB/BGR order", "reversed"),
        ({"value_range": (0.0, 1.0)}, "value range / mean / std", "0.003922"),
        ({"mean": (104.0, 117.0, 123.0)}, "value range / mean / std", "-104, -117, -123"),
    ],
)
def test_a_wrong_contract_is_located_at_the_input(
    change: dict[str, Any], cause: str, evidence: str, build_of: BuildOf
) -> None:
    build = build_of("ssrnet")
    path = build.folder / "ssrnet_float32.tflite"
    contract = replace(read_metadata(path).contract, **change)
    origin = localised(traced(path, contract), reference_run(build.weights)).origin
    assert origin is not None
    assert (origin.op, origin.cause) == ("input", cause)
    assert evidence in origin.evidence


MODELS = by_model("ssrnet", "c3ae-plain", "c3ae", "mobileagenet", "ssrnet-gender")


@pytest.mark.parametrize(
    "file",
    ["float32.onnx", "float32.tflite", "float16.tflite", "float32.mlpackage", "float16.mlpackage"],
)
@pytest.mark.parametrize("model_id", MODELS)
def test_a_correct_conversion_has_no_origin(model_id: str, file: str, build_of: BuildOf) -> None:
    build = build_of(model_id)
    precision = file.partition(".")[0]
    run = reference_run(build.weights, precision)
    found = localised(traced(build.folder / f"{model_id}_{file}"), run, precision)
    assert found.origin is None, found.summary
    assert found.summary.startswith("no single op")
    # Tensors of every stage were paired, and the outputs were compared.
    assert len(found.rows) > len(run.traces[0]) / 2
    assert found.rows[-1].tensor == run.traces[0][-1].output


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (mil_edits.retyped("sum_1", "reduce_max"), "reduction replaced: the values are those of"),
        (mil_edits.immediate("var_595", lambda _: [109.0]), "constant differs: it is 109"),
    ],
)
def test_a_fault_that_rounding_nearly_hides_is_located_by_its_cause(
    edit: Callable[[Path], None], said: str, build_of: BuildOf, tmp_path: Path
) -> None:
    """Half precision costs this network about a percent of its answer."""
    build = build_of("ssrnet")
    name = "ssrnet_float16.mlpackage"
    path = tmp_path / name
    shutil.copytree(build.folder / name, path)
    edit(path)
    found = localised(traced(path), reference_run(build.weights, "float16"), "float16")
    assert said in found.summary


@pytest.mark.slow
def test_one_sample_separates_a_linears_weights_from_its_bias(
    build_of: BuildOf, tmp_path: Path
) -> None:
    fault = IN_FILES["c3ae-plain.onnx"]["replaced-linear"]
    weights, path = planted("c3ae-plain.onnx", fault, build_of, tmp_path)
    run = reference_run(weights)
    found = localised(traced(path)[:1], replace(run, traces=run.traces[:1]))
    assert_located(found, fault)


@pytest.mark.slow
def test_without_the_network_only_great_errors_are_reported(
    build_of: BuildOf, tmp_path: Path
) -> None:
    build = build_of("c3ae-plain")
    right, other = (build.folder / f"c3ae-plain_float32.{s}" for s in ("onnx", "tflite"))
    assert localise(traced(right), traced(other), precision="float32").origin is None
    fault = IN_FILES["c3ae-plain.tflite"]["no-relu"]
    _, harmed = planted("c3ae-plain.tflite", fault, build_of, tmp_path)
    assert_located(localise(traced(right), traced(harmed), precision="float32"), fault)
