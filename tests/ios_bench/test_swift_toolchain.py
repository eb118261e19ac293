"""Checks that need a Swift compiler, but no Mac: the core's own tests, and everything else with a
fake Core ML (`fake_coreml`), from the command line to the record that Python reads.

`AGECOMPACT_SWIFT` is a prefix for `swift` and its products, such as a container's command.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from agecompact.bench import schema, store
from agecompact.bench.files import measured_files
from agecompact.bench.validity import validated
from agecompact.files import sha256_of
from ios_bench import mac
from ios_bench.settings import Request
from tests.ios_bench import fixtures
from tests.ios_bench.swift_source import PACKAGE, ROOT

_PREFIX = shlex.split(os.environ.get("AGECOMPACT_SWIFT", ""))
_TIMEOUT_S = 1500

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not _PREFIX and shutil.which("swiftc") is None, reason="there is no Swift compiler"
    ),
]

_METADATA = {
    "agecompact": json.dumps(
        {
            "model": "c3ae",
            "precision": "float16",
            "weights_sha256": "0" * 64,
            "contract": {"color_order": "BGR"},
        }
    )
}
_GOOD = {
    "inputs": {"face": [1, 3, 2, 3]},
    "answers": [31.5, 64.25],
    "metadata": _METADATA,
    "plan": [["ios16.cast", "cpu"], ["ios16.conv", "neuralEngine"], ["const", "nowhere"]],
}


def _swift(*command, **variables):
    return subprocess.run(
        [*_PREFIX, *map(str, command)],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        env={**os.environ, **variables},
        check=False,
    )


def test_the_cores_own_tests(tmp_path):
    keep = tmp_path / "latency.json"
    command = ["swift", "test", "--package-path", PACKAGE, "--scratch-path", tmp_path / "build"]
    completed = _swift(*command, AGECOMPACT_KEEP_RECORD=str(keep))
    assert completed.returncode == 0, (completed.stdout + completed.stderr)[-4000:]
    Draft202012Validator(schema.generate()).validate(json.loads(keep.read_text()))
    assert store.read(keep) == (fixtures.full_record(), fixtures.hung_record())


@pytest.fixture(scope="session")
def runner(tmp_path_factory):
    """The runner, built with the fake Core ML."""
    if sys.platform == "darwin":
        pytest.skip("CI runs the real Core ML on a Mac")
    folder = tmp_path_factory.mktemp("fake")
    built = _swift("sh", ROOT / "tests/ios_bench/fake_coreml/build.sh", folder)
    assert built.returncode == 0, built.stderr[-4000:]
    path = folder / "run"
    command = shlex.join([*_PREFIX, str(folder / mac.RUNNER)])
    path.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def measure(runner, build):
    """Measures the build's first package, whose `fake.json` says how it behaves."""
    file = measured_files(build)[1]
    machine = fixtures.full_record().machine

    def run(unit="cpuOnly", golden=True, timeout_s=60, **behaviour):
        (file.path / "fake.json").write_text(json.dumps(_GOOD | behaviour))
        index = json.loads((build.folder / "golden/golden.json").read_text())
        index["tolerances"] = {file.path.name: {"max": 0.1}}
        (build.folder / "golden/golden.json").write_text(json.dumps(index))
        if not golden:
            shutil.rmtree(build.folder / "golden")
        request = Request(runs=40, warmup_runs=3, timeout_s=timeout_s)
        return mac.Mac(runner, machine).measure(build, file, unit, request)

    return run


def test_a_record_from_end_to_end(measure, build):
    record = measure("cpuAndNeuralEngine")
    assert record.failure is None
    assert record.source == "device"
    assert record.artifact.sha256 == sha256_of(build.path(build.manifest.artifacts[0]))
    assert record.latency.timed_runs == len(record.latency.samples_ms) == 40
    assert record.latency.warmup_runs == 3
    assert sum(record.latency.samples_ms) / 1e3 <= record.latency.elapsed_s
    assert record.startup.compile_ms + record.startup.load_cold_ms == record.startup.init_ms
    assert record.memory.peak_footprint_bytes == 12_000_000
    assert record.conditions.before.status == record.conditions.after.status == "nominal"
    assert record.conditions.low_power_mode is False
    assert (record.output_error.max_error, record.output_error.tolerance) == (0.0, 0.1)
    delegate = record.runtime.delegate
    assert (delegate.asked, delegate.got) == ("cpuAndNeuralEngine", "cpuAndNeuralEngine")
    assert delegate.ops_by_unit == {"cpu": 1, "neuralEngine": 1}
    assert delegate.fallback_ops == {"ios16.cast": 1}
    assert record.machine.soc == "Apple Fake"
    rules = {reason.rule for reason in validated(replace(record, source="host")).reasons}
    assert rules == set()


def test_an_unused_gpu_is_a_refused_delegate(measure):
    record = measure("cpuAndGPU", plan=[["ios16.conv", "cpu"]])
    assert record.runtime.delegate.got == "cpuOnly"
    assert "delegate-refused" in {reason.rule for reason in validated(record).reasons}


def test_the_delegate_is_unknown_without_a_plan(measure):
    record = measure("all", plan=None)
    assert record.runtime.delegate.got is None
    assert "MLComputePlan" in record.unknown["ops_by_unit"]


def test_outputs_beyond_the_tolerance_are_recorded(measure):
    record = measure(answers=[31.5, 65.0])
    assert record.failure is None
    assert record.output_error.max_error == 0.75
    assert "wrong-output" in {reason.rule for reason in validated(record).reasons}


def test_an_image_input_is_measured(measure):
    assert measure(inputs={"face": [2, 3]}).output_error.max_error == 0.0


def test_no_golden_pack_is_no_error(measure):
    record = measure(golden=False)
    assert record.failure is None
    assert record.output_error is None


@pytest.mark.parametrize(
    ("behaviour", "failure"),
    [
        ({"fault": "compile"}, "it does not compile: it fails to compile"),
        ({"fault": "load"}, "it does not load: it fails to load"),
        ({"fault": "predict"}, "the Core ML prediction failed: it fails to predict"),
        ({"fault": "hang", "timeout_s": 2}, "no answer within 2 s"),
        ({"inputs": {"face": [1, 3, 9, 9]}}, "an input has shape [1, 3, 9, 9]"),
        ({"inputs": {"other": [1, 3, 2, 3]}}, "its inputs are not those of the golden pack"),
        ({"inputs": {"face": [9, 9]}}, "an image input of another size"),
    ],
)
def test_what_fails_is_a_record_with_a_reason(measure, behaviour, failure):
    record = measure(**behaviour)
    assert record.latency is None
    assert failure in record.failure


def test_the_placement_of_each_op_is_written(runner, build, tmp_path):
    package = build.path(build.manifest.artifacts[0])
    (package / "fake.json").write_text(json.dumps(_GOOD))
    out = tmp_path / "placement.json"
    options = ["--out", tmp_path / "r.json", "--runs", "2", "--placement", out]
    subprocess.run([runner, package, *options], check=True, timeout=60)
    cast, conv = json.loads(out.read_text())
    assert (cast["kind"], cast["unit"], cast["cost_share"]) == ("ios16.cast", "cpu", 0.5)
    assert (conv["name"], conv["unit"]) == ("out_1", "neuralEngine")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--help"], 0), (["--machine"], 0), (["--gpu"], 2), ([], 2), (["none", "--out", "x"], 2)],
)
def test_exit_codes(runner, arguments, code, tmp_path):
    completed = subprocess.run(
        [runner, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert completed.returncode == code
    if code:
        assert completed.stderr.startswith("error: ")
    assert not Path(tmp_path / "x").exists()
