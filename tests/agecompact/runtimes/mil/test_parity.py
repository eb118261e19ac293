"""Built packages on the reference runtime, held to PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agecompact.artifacts.manifest import Build
from agecompact.runtimes import mil, pytorch
from agecompact.runtimes.base import Backend
from agecompact.runtimes.mil.graph import read_graph
from parity_tests import inputs
from parity_tests.compare import Outputs
from parity_tests.weights import compare_weights
from tests.support import BuildOf

MODELS = ("ssrnet", "c3ae-plain", "c3ae", "mobileagenet")


def answers(backend: Backend, path: Path, build: Build) -> Outputs:
    contract = build.manifest.contract
    session = backend.open_session(str(path), 1)
    batches = [contract.tensors(sample.crops) for sample in inputs.standard(contract)]
    found = [session.infer(batch)[contract.output.name].item() for batch in batches]
    return np.asarray(found, np.float64)


def packages_of(build: Build) -> dict[str, Path]:
    pytest.importorskip("coremltools")
    return {
        entry.precision: build.path(entry)
        for entry in build.manifest.artifacts
        if entry.format == "coreml"
    }


@pytest.mark.parametrize("model", MODELS)
def test_float32_packages_answer_as_pytorch_does(model: str, build_of: BuildOf) -> None:
    build = build_of(model)
    path = packages_of(build)["float32"]
    reference = answers(pytorch, build.weights, build)
    for backend in (mil, mil.FLOAT32):
        assert np.abs(answers(backend, path, build) - reference).max() <= 1e-3


@pytest.mark.parametrize("model", MODELS)
def test_float16_packages_stay_near(model: str, build_of: BuildOf) -> None:
    """Random networks are not as well conditioned as trained ones."""
    build = build_of(model)
    path = packages_of(build)["float16"]
    reference = answers(pytorch, build.weights, build)
    off = {b.version(): np.abs(answers(b, path, build) - reference) for b in (mil, mil.FLOAT32)}
    assert all(0 < errors.max() < 1 for errors in off.values()), off
    rounded, exact = (errors.mean() for errors in off.values())
    assert rounded != exact


@pytest.mark.parametrize("model", MODELS)
def test_float16_packages_hold_the_float32_weights(model: str, build_of: BuildOf) -> None:
    paths = packages_of(build_of(model))
    assert compare_weights(paths["float16"], paths["float32"]) == ()


def test_crops_are_bound_by_name(build_of: BuildOf) -> None:
    build = build_of("c3ae")
    contract = build.manifest.contract
    session = mil.open_session(str(packages_of(build)["float32"]), 1)
    random = np.random.default_rng(0)
    crops = {
        name: random.uniform(0, 255, contract.input_shape).astype(np.float32)
        for name in contract.input_names
    }
    backwards = dict(reversed(crops.items()))
    mixed = dict(zip(crops, backwards.values(), strict=True))
    name = contract.output.name
    own = session.infer(crops)[name].item()
    assert session.infer(backwards)[name].item() == own
    assert abs(session.infer(mixed)[name].item() - own) > 0.1


def test_a_trace_ends_with_the_answer(build_of: BuildOf) -> None:
    build = build_of("ssrnet")
    path = packages_of(build)["float32"]
    contract = build.manifest.contract
    batch = contract.tensors(inputs.standard(contract)[0].crops)
    session = mil.open_session(str(path), 1)
    steps = session.trace(batch)
    assert steps[-1].output == contract.output.name
    np.testing.assert_array_equal(steps[-1].value, session.infer(batch)[contract.output.name])
    assert len(steps) >= len(read_graph(path).nodes)
