import json
import sys

import pytest

from agecompact.files import sha256_of
from agecompact.runtimes.litert import _placement
from android_bench import host


@pytest.fixture(scope="module")
def records(build_of):
    return {r.artifact: r for r in host.measure(build_of("ssrnet"), host.Settings(rounds=3))}


def test_every_file_has_a_record_of_what_was_really_done(records, build_of):
    build = build_of("ssrnet")
    assert len(records) == 1 + len(build.manifest.artifacts)
    record = records["ssrnet_float32.onnx"]
    assert record.latency_ms is not None
    assert record.timed_runs == len(record.latency_ms.samples) >= 3
    assert record.sha256 == sha256_of(build.folder / "ssrnet_float32.onnx")
    assert record.file_bytes == (build.folder / "ssrnet_float32.onnx").stat().st_size
    assert (record.parameters, record.macs) == (40_531, 17_078_926)
    assert record.source == "host"


def test_the_reference_is_the_float32_tflite_file_and_its_ratio_is_one(records):
    record = records["ssrnet_float32.tflite"]
    assert record.reference == record.artifact
    assert (record.ratio_to_reference, record.ratio_p10, record.ratio_p90) == (1, 1, 1)


def test_eager_pytorch_is_slower_than_tflite(records):
    # Measured 6 to 17 times, on these small networks.
    assert records["ssrnet.safetensors"].ratio_to_reference > 1.5


def test_tflite_files_are_one_partition_with_nothing_fallen_back(records):
    for name in ("ssrnet_float32.tflite", "ssrnet_float16.tflite"):
        assert records[name].delegate_partitions == 1
        assert records[name].fallback_ops == {}


@pytest.mark.skipif(sys.platform == "darwin", reason="Core ML runs here")
def test_what_does_not_run_here_has_a_reason_and_no_figures(records):
    record = records["ssrnet_float32.mlpackage"]
    assert record.latency_ms is None
    assert record.ratio_to_reference is None
    assert record.timed_runs == 0
    assert "macOS" in record.reason


def test_a_broken_file_is_a_record_with_a_reason(copy_build):
    build = copy_build("ssrnet", "float32.tflite", "float32.onnx")
    broken = build.folder / "ssrnet_float32.onnx"
    broken.write_bytes(broken.read_bytes()[:1000])
    records = {r.artifact: r for r in host.measure(build, host.Settings(rounds=2))}
    assert records["ssrnet_float32.onnx"].latency_ms is None
    assert "ssrnet_float32.onnx" in records["ssrnet_float32.onnx"].reason
    assert records["ssrnet_float32.tflite"].latency_ms is not None


def test_the_command_writes_latency_json(agecompact, copy_build):
    build = copy_build("ssrnet", ".onnx", ".tflite")
    root = build.folder.parent
    run = agecompact("bench", root, "--on", "host", "--rounds", 2, "--json", "-")
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told == json.loads((root / "latency.json").read_text())
    assert told["schema_version"] == 1
    record = next(r for r in told["records"] if r["artifact"] == "ssrnet_float32.onnx")
    assert {"p50", "p90", "samples"} <= set(record["latency_ms"])
    assert record["ratio_to_reference"] > 0


def test_an_unknown_place_suggests_the_nearest(agecompact, copy_build):
    run = agecompact("bench", copy_build("ssrnet").folder.parent, "--on", "hots")
    assert run.returncode == 2
    assert "did you mean 'host'" in run.stderr


def _op(index, name, inputs, outputs):
    return {"index": index, "op_name": name, "inputs": inputs, "outputs": outputs}


def test_ops_that_fell_back_are_told_from_those_a_delegate_took():
    # conv -> odd -> conv, of which the delegate takes both convolutions as partitions of their own.
    ops = [
        _op(0, "CONV_2D", [0], [1]),
        _op(1, "ODD_OP", [1], [2]),
        _op(2, "CONV_2D", [2], [3]),
        _op(3, "DELEGATE", [0], [1]),
        _op(4, "DELEGATE", [2], [3]),
    ]
    placement = _placement(ops, outputs=[3])
    assert placement.partitions == 2
    assert placement.fallback_ops == {"ODD_OP": 1}
