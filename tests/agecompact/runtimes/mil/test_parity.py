"""Built packages on the reference runtime, compared with PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agecompact.artifacts.manifest import Build
from agecompact.runtimes import mil, pytorch
from agecompact.runtimes.base import Backend
from parity_tests import inputs
from parity_tests.compare import Outputs
from parity_tests.weights import compare_weights
from tests.marks import by_model
from tests.support import BuildOf

MODELS = by_model("ssrnet", "c3ae-plain", "c3ae", "mobileagenet")


def outputs(backend: Backend, path: Path, build: Build) -> Outputs:
    contract = build.manifest.contract
    session = backend.open_session(str(path), 1)
    batches = [contract.tensors(sample.crops) for sample in inputs.standard(contract)]
    found = [session.infer(batch)[contract.outputs[0].name].item() for batch in batches]
    return np.asarray(found, np.float64)


def package(build: Build, precision: str) -> Path:
    pytest.importorskip("coremltools")
    return build.folder / f"{build.manifest.model}_{precision}.mlpackage"


@pytest.mark.parametrize("model", MODELS)
def test_float32_packages_give_the_outputs_of_pytorch(model: str, build_of: BuildOf) -> None:
    build = build_of(model)
    path = package(build, "float32")
    reference = outputs(pytorch.FLOAT32, build.weights, build)
    for backend in (mil.MIL, mil.FLOAT32):
        assert np.abs(outputs(backend, path, build) - reference).max() <= 1e-3


@pytest.mark.parametrize("model", MODELS)
def test_float16_packages_stay_close_to_pytorch(model: str, build_of: BuildOf) -> None:
    """Random networks are not as well conditioned as trained ones."""
    build = build_of(model)
    path = package(build, "float16")
    reference = outputs(pytorch.FLOAT32, build.weights, build)
    rounded, exact = (np.abs(outputs(b, path, build) - reference) for b in (mil.MIL, mil.FLOAT32))
    assert 0 < rounded.max() < 1
    assert 0 < exact.max() < 1
    assert rounded.mean() != exact.mean()


@pytest.mark.parametrize("model", MODELS)
def test_float16_packages_have_the_float32_weights(model: str, build_of: BuildOf) -> None:
    build = build_of(model)
    assert compare_weights(package(build, "float16"), package(build, "float32")) == ()


def test_the_last_step_of_a_trace_is_the_output(build_of: BuildOf) -> None:
    build = build_of("ssrnet")
    path = package(build, "float32")
    contract = build.manifest.contract
    batch = contract.tensors(inputs.standard(contract)[0].crops)
    session = mil.MIL.open_session(str(path), 1)
    steps = session.trace(batch)
    assert steps[-1].output == contract.outputs[0].name
    np.testing.assert_array_equal(steps[-1].value, session.infer(batch)[contract.outputs[0].name])
    assert len(steps) >= len(mil.read_graph(path).nodes)
