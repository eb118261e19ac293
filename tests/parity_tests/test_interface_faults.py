"""An artefact whose numbers are right and that tells an app something wrong fails by its kind.

All faults of a format are in one build, so that PyTorch runs once. Its manifest has the hashes of
the faulty files, as if a converter had made them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from parity_tests.results import Result
from tests.parity_tests.editing import Edit, edited_build
from tests.parity_tests.faults import in_coreml, in_metadata, in_onnx, in_tflite
from tests.support import BuildOf, CopyBuild, verdicts_on

MODEL = "c3ae"
FORMATS = {
    "float32.mlpackage": in_coreml.FAULTS,
    "float32.onnx": in_onnx.FAULTS,
    "float32.tflite": in_tflite.FAULTS,
}

# By artefact and name: the fault, and the kind of failure that must be reported; none if it must
# pass.
FAULTS: dict[tuple[str, str], tuple[Edit, str]] = {
    (file, name): fault for file, faults in FORMATS.items() for name, fault in faults.items()
}
FAULTS |= {
    (file, f"metadata-{name}"): (edit, "metadata")
    for file in FORMATS
    for name, edit in in_metadata.WRONG_METADATA.items()
}
FAULTS |= {
    (file, "unreduced"): (in_metadata.as_half, "conversion")
    for file in ("float16.tflite", "float16.mlpackage")
}


@pytest.fixture(scope="module")
def results_of(
    build_of: BuildOf, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], dict[str, Result]]:
    @cache
    def results(suffix: str) -> dict[str, Result]:
        edits = {
            f"{name}_{file}": (f"{MODEL}_{file}", edit)
            for (file, name), (edit, _) in FAULTS.items()
            if file.endswith(suffix)
        }
        folder = tmp_path_factory.mktemp("interfaces")
        faulty = edited_build(build_of(MODEL), folder, edits, rehash=True, opsets=False)
        # In the usual runtime of each artefact on this machine.
        ran = [result for result in reversed(verdicts_on(faulty)) if result.status != "skipped"]
        return {result.artifact: result for result in ran}

    return results


@pytest.mark.parametrize(
    "fault",
    [
        # The reference runtime of Core ML takes a second for each.
        pytest.param(
            fault,
            id=f"{fault[1]}-{fault[0]}",
            marks=[pytest.mark.slow] if fault[0].endswith(".mlpackage") else [],
        )
        for fault in FAULTS
    ],
)
def test_a_wrong_interface_fails_by_its_kind(
    fault: tuple[str, str], results_of: Callable[[str], dict[str, Result]]
) -> None:
    file, name = fault
    result = results_of(Path(file).suffix)[f"{name}_{file}"]
    kind = FAULTS[fault][1]
    assert (result.status, result.kind) == (("failed", kind) if kind else ("passed", None))


def test_outputs_outside_the_bounds_of_the_contract_fail(copy_build: CopyBuild) -> None:
    """The artefact and the manifest agree: the contract of the weights was wrong."""
    build = copy_build(MODEL, ".onnx")
    (entry,) = build.manifest.artifacts
    in_metadata.with_field("contract", "output", "maximum", value=5.0)(build.path(entry))
    contract = build.manifest.contract
    narrow = replace(contract, outputs=(replace(contract.outputs[0], maximum=5.0),))
    (result,) = verdicts_on(replace(build, manifest=replace(build.manifest, contract=narrow)))
    assert (result.status, result.kind) == ("failed", "metadata")
    assert "the contract has -inf to 5" in result.reason
