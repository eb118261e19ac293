"""`agecompact optimise`, on the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from agecompact.artifacts.manifest import read_builds
from agecompact.errors import BackendMissingError, GateError
from agecompact.formats import EXPORTED, FORMATS
from agecompact.models import registry
from agecompact.models.spec import ModelSpec
from agecompact.weights import checkpoints
from android_bench.emulated import bundle
from parity_tests.optimise import candidates
from parity_tests.optimise.measurer import network_hash
from tests.invoking import done, refused, run
from tests.lit_faces import write_lit_faces


@pytest.fixture(scope="module")
def chips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Views of the shipped face in three lights."""
    return write_lit_faces(tmp_path_factory.mktemp("chips"), (0.7, 1.0, 1.3))


def test_candidates_that_need_faces_are_left_out_without_any(tmp_path: Path) -> None:
    without, with_faces = candidates.listed((), None), candidates.listed((), tmp_path)
    assert set(without.left_out) == {"int8"}
    assert not candidates.listed(["int8"], None).tried
    released = candidates.listed(["int8"], None, is_calibrated=True)
    assert {each.calibration for each in released.tried} == {None}
    calibrated = [each for each in with_faces.tried if each.calibration]
    assert [each.name for each in calibrated] == [
        "int8",
        "int8, 6% float32",
        "int8, 12% float32",
        "int8, 25% float32",
    ]
    assert {each.name for each in with_faces.tried} == {
        *(each.name for each in without.tried),
        *(each.name for each in calibrated),
    }
    request = calibrated[0].request(Path("w"), tmp_path, None)
    assert request.calibration == tmp_path
    assert [t.precision.name for t in request.targets] == ["float32", "int8"]


def test_each_pass_is_left_out_in_the_precision_that_shows_what_it_buys(tmp_path: Path) -> None:
    found = {each.name: each for each in candidates.listed((), None).tried if each.without}
    assert list(found) == [
        "float32 without mean in two steps",
        "float32 without tanh after pool",
        "float32 without pool as convolution",
        "float16-arithmetic without centred inputs",
    ]
    for each in found.values():
        request = each.request(Path("w"), tmp_path, None)
        assert request.without == (each.without,)
        assert each.target.precision.flag in {t.precision.flag for t in request.targets}
    narrowed = candidates.listed(["fp16-arith"], None).tried
    assert [each.without for each in narrowed] == ["", "centred inputs"]


def test_other_formats_have_their_precisions_and_no_passes(tmp_path: Path) -> None:
    onnx = candidates.listed((), tmp_path, format_=FORMATS["onnx"])
    assert [each.name for each in onnx.tried] == [
        "float32",
        "float16",
        "int8",
        "int8, 6% float32",
        "int8, 12% float32",
        "int8, 25% float32",
        "int16",
    ]
    assert {each.target.format.name for each in onnx.tried} == {"onnx"}
    coreml = candidates.listed((), tmp_path, format_=FORMATS["coreml"])
    assert {each.name for each in coreml.tried} == set(FORMATS["coreml"].offered)
    # A calibration of int8 has no faces, which mixed palettes need.
    calibrated = candidates.listed((), tmp_path, is_calibrated=True, format_=FORMATS["coreml"])
    assert calibrated.left_out == ("mixed",)


def test_names_of_candidates_are_names_of_folders(tmp_path: Path) -> None:
    for format_ in EXPORTED.values():
        for each in candidates.listed((), tmp_path, format_=format_).tried:
            (tmp_path / each.name).mkdir(exist_ok=True)
            assert re.fullmatch(r"[\w ,%-]+", each.name)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ((), "candidates are judged on faces, of --data or of --images"),
        (("--images", "a", "--data", "b"), "candidates are judged on faces, of --data or"),
        (("--images", "a", "--max-p99", "1"), "a limit chooses nothing by itself"),
        (("--images", "a", "--minimise", "bytes"), "--minimise bytes needs a limit"),
        (
            ("--images", "a", "--minimise", "bytes", "--max-mae-cost", "1"),
            "--max-mae-cost needs labelled faces",
        ),
        (
            ("--format", "onnx", "--images", "a", "--max-p99", "1", "--minimise", "instructions"),
            "the instructions of onnx files are not counted",
        ),
        (("--images", "a", "--on", "moon"), "unknown place to measure 'moon'"),
        (("--images", "a", "--precision", "int3"), "unknown precision 'int3'"),
    ],
)
def test_wishes_that_cannot_be_met_are_refused_at_once(
    options: tuple[str, ...], what: str, tmp_path: Path
) -> None:
    error = refused("optimise", "ssrnet", *options, "--out", tmp_path / "out")
    assert what in error.what
    assert error.fix
    assert not (tmp_path / "out").exists()


def test_an_unknown_output_is_refused(chips: Path, tmp_path: Path) -> None:
    error = refused(
        "optimise", "ssrnet", "--images", chips, "--output", "agee", "--out", tmp_path / "out"
    )
    assert error.fix == "did you mean 'age'?"


def test_the_code_and_the_settings_of_a_network_are_part_of_its_hash(tmp_path: Path) -> None:
    contract = registry.get("ssrnet").contract
    code = tmp_path / "nets.py"
    code.write_text("a = 1")

    def of(**config: int) -> str:
        spec = ModelSpec("own", "Own", f"{code}:build", contract, config=config)
        return network_hash(spec, contract)

    first = of(width=1)
    assert of(width=1) == first != of(width=2)
    code.write_text("a = 2")
    assert of(width=1) != first


def optimised(chips: Path, folder: Path, *precisions: str) -> tuple[list[object], dict[str, Any]]:
    """What a user calls to compare precisions of SSR-Net, and its report."""
    report = folder / "report.json"
    wanted = [word for flag in precisions for word in ("--precision", flag)]
    call: list[object] = ["optimise", "ssrnet", *wanted, "--images", chips]
    call += ["--limit", 6, "--out", folder / "build"]
    done(*call, "--json", report)
    return call, json.loads(report.read_text())


def has_arm_bundle() -> bool:
    try:
        bundle.load()
    except BackendMissingError:
        return False
    return True


@pytest.mark.slow
def test_int8_and_half_precision_are_counted_and_judged(chips: Path, tmp_path: Path) -> None:
    _, content = optimised(chips, tmp_path, "fp32", "int8", "fp16-arith")
    rows = {each["name"]: each for each in content["candidates"]}
    assert rows["int8"]["bytes"] < rows["float32"]["bytes"] / 2
    assert rows["float32"]["p99"] < 1e-3 < rows["int8"]["p99"] < 5
    if not has_arm_bundle():
        assert rows["float16-arithmetic"]["p99"] is None
        return
    counted = [rows[name]["instructions"] for name in ("int8", "int8, 12% float32", "float32")]
    assert counted == sorted(counted)
    assert counted[0] < counted[-1] / 2
    assert rows["float16-arithmetic"]["p99"] > rows["float32"]["p99"]
    # Those of the folder, and the first input of every golden pack.
    assert "measured on 7 faces" in rows["float16-arithmetic"]["note"]


@pytest.mark.slow
def test_from_weights_to_the_chosen_artefact(chips: Path, tmp_path: Path) -> None:
    call, content = optimised(chips, tmp_path, "fp32", "int8-dynamic")
    out = tmp_path / "build"
    rows = {each["name"]: each for each in content["candidates"]}
    assert rows["int8-dynamic"]["bytes"] < rows["float32"]["bytes"] / 2
    assert rows["float32"]["p99"] < 1e-3 < rows["int8-dynamic"]["p99"] < 5
    assert rows["float32"]["front"]
    assert rows["float32"]["mae_cost"] is None
    if has_arm_bundle():
        assert rows["int8-dynamic"]["instructions"] < 0.8 * rows["float32"]["instructions"]
        bare = rows["float32 without pool as convolution"]["instructions"]
        assert bare > rows["float32"]["instructions"]
    else:
        assert content["axes"] == ["p99", "bytes"]
    assert not (out / "ssrnet").exists()

    again = done(*call, "--max-p99", 5, "--minimise", "bytes", "--json", tmp_path / "2.json")
    # SSR-Net has no mean for a pass to split, and no other candidate's file is another's.
    assert "float32 without mean in two steps: the same file as float32" in again.output
    assert len(re.findall("measured by an earlier run", again.output)) == len(rows)
    second = json.loads((tmp_path / "2.json").read_text())
    assert second["candidates"] == content["candidates"]
    cheapest = min(rows.values(), key=lambda row: row["bytes"])["name"]
    assert second["chosen"] == cheapest
    (build,) = read_builds(out)
    sizes = [entry.bytes for entry in build.manifest.artifacts if entry.format == "tflite"]
    assert sizes == [rows[cheapest]["bytes"]]
    assert build.manifest.weights_sha256 == checkpoints.read(build.weights).sha256
    done("verify", out)

    failed = run(*call, "--max-p99", 0, "--minimise", "bytes")
    assert isinstance(failed.exception, GateError)
    assert failed.exception.exit_code == 1
    # Which of them does depends on how a processor rounds.
    assert re.match(r"float32( without .*)? comes nearest: its p99 is ", failed.exception.why)
