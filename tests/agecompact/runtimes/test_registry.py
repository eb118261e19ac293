"""The runtime of a file, and the metadata inside it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agecompact.artifacts.metadata import MetadataError
from agecompact.errors import BackendMissingError, UsageError
from agecompact.formats import COMPUTE_UNITS
from agecompact.runtimes.reading import read_metadata
from agecompact.runtimes.registry import load, runtime_of
from parity_tests.check import candidates
from parity_tests.settings import CheckSettings
from tests.support import BuildOf

RUNTIME_OF = {
    ".safetensors": "pytorch",
    ".onnx": "onnxruntime",
    ".tflite": "litert",
    ".mlpackage": "coreml",
}


@pytest.mark.parametrize(("suffix", "name"), RUNTIME_OF.items())
def test_the_suffix_decides_the_runtime(suffix: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    path.touch()
    assert runtime_of(path).name == name


def test_an_unknown_suffix_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        runtime_of(tmp_path / "face.jpg")
    assert all(suffix in error.value.why for suffix in RUNTIME_OF)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no file at .*gone\.onnx"):
        runtime_of(tmp_path / "gone.onnx")


@pytest.mark.parametrize("suffix", RUNTIME_OF)
def test_a_text_file_named_as_an_artefact_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_text("a contract, and metadata of no kind\n")
    with pytest.raises(UsageError, match="a" + suffix) as error:
        read_metadata(path)
    assert not isinstance(error.value, MetadataError)
    assert error.value.fix


def test_all_artefacts_of_a_build_have_the_same_metadata(build_of: BuildOf) -> None:
    build = build_of("ssrnet")
    described = [read_metadata(build.path(entry)) for entry in build.manifest.artifacts]
    described.append(read_metadata(build.weights))
    assert len(described) == 6
    assert {d.model for d in described} == {"ssrnet"}
    assert {d.weights_sha256 for d in described} == {build.manifest.weights_sha256}
    assert {d.contract.color_order for d in described} == {"BGR"}
    layouts = {
        entry.format: read_metadata(build.path(entry)).contract.layout
        for entry in build.manifest.artifacts
    }
    assert layouts == {"onnx": "NCHW", "tflite": "NHWC", "coreml": "NCHW"}


def test_every_compute_unit_is_a_runtime_that_reads_on_every_platform(build_of: BuildOf) -> None:
    package = build_of("ssrnet").folder / "ssrnet_float32.mlpackage"
    for runtime in COMPUTE_UNITS.values():
        backend = load(runtime)
        assert backend.read_metadata(str(package)) is not None
        if sys.platform != "darwin":
            with pytest.raises(BackendMissingError):
                backend.open_session(str(package), 1)


def test_parity_runs_the_requested_compute_units(build_of: BuildOf) -> None:
    def runtimes(*units: str) -> set[str]:
        plan = CheckSettings(compute_units=units)
        return {each.runtime.name for each in candidates(build_of("ssrnet"), plan)}

    assert runtimes("cpuOnly") & {unit.name for unit in COMPUTE_UNITS.values()} == {"coreml"}
    assert runtimes("cpuOnly", "all") - runtimes("cpuOnly") == {"coreml-all"}
    assert {"mil", "mil-float32"} <= runtimes()
