import json
import os
import shutil
import sys
from dataclasses import replace

import pytest

from agecompact.bench import host, pairing, tables
from agecompact.bench.drivers import Settings
from agecompact.bench.pairing import TimedRounds
from agecompact.bench.validity import MIN_TIMED_RUNS, validated
from agecompact.files import sha256_of
from agecompact.runtimes.litert import _placement
from export import to_onnx
from export.job import Job
from tests.golden_pack import write_noise_pack, write_picture_pack
from tests.pictures import as_pictures

_TOLERANCE_YEARS = 0.5


@pytest.fixture(scope="module")
def measured(build_of):
    return host.measure_build(build_of("ssrnet"), Settings(rounds=3))


@pytest.fixture(scope="module")
def records(measured):
    return {r.artifact.file: r for r in measured}


def test_every_file_has_a_record_of_what_was_measured(records, build_of):
    build = build_of("ssrnet")
    assert len(records) == 1 + len(build.manifest.artifacts)
    record = records["ssrnet_float32.onnx"]
    assert record.latency.timed_runs == len(record.latency.samples_ms) >= MIN_TIMED_RUNS
    assert record.latency.rounds == 3
    assert 2 <= record.latency.warmup_runs <= 11
    assert record.latency.elapsed_s > sum(record.latency.samples_ms) / 1e3
    artifact = record.artifact
    assert artifact.sha256 == sha256_of(build.folder / "ssrnet_float32.onnx")
    assert artifact.file_bytes == (build.folder / "ssrnet_float32.onnx").stat().st_size
    assert (artifact.parameters, artifact.macs) == (40_531, 17_078_926)
    assert (record.source, record.runtime.threads, record.runtime.batch) == ("host", 1, 1)
    assert record.runtime.version.startswith("onnxruntime ")


def test_memory_and_startup_are_measured(records):
    record = records["ssrnet_float32.tflite"]
    assert record.memory.peak_rss_bytes > record.memory.model_rss_bytes > 0
    startup = record.startup
    assert startup.cold_start_ms > startup.init_ms + startup.first_inference_ms


def test_the_reference_is_the_float32_tflite_file_and_its_ratio_is_one(records):
    record = records["ssrnet_float32.tflite"]
    ratio = record.ratio
    assert ratio.reference == record.artifact.file
    assert ratio.reference_sha256 == record.artifact.sha256
    assert (ratio.median, ratio.low, ratio.high, ratio.reference_threads) == (1, 1, 1, 1)


def test_eager_pytorch_is_slower_than_tflite(records):
    # Measured: 6 to 17 times slower, on these small networks.
    assert records["ssrnet.safetensors"].ratio.median > 1.5


def test_tflite_files_are_one_partition_without_fallback_ops(records):
    for name in ("ssrnet_float32.tflite", "ssrnet_float16.tflite"):
        delegate = records[name].runtime.delegate
        assert (delegate.asked, delegate.got) == ("xnnpack", "xnnpack")
        assert delegate.partitions == 1
        assert delegate.fallback_ops == {}


@pytest.mark.skipif(sys.platform == "darwin", reason="Core ML runs here")
def test_what_does_not_run_here_has_a_reason_and_no_figures(records):
    record = records["ssrnet_float32.mlpackage"]
    assert (record.latency, record.ratio, record.memory) == (None, None, None)
    assert "macOS" in record.failure
    assert [reason.rule for reason in validated(record).reasons] == ["not-measured"]


def test_a_table_of_times_names_its_machine(measured):
    (table,) = tables.measured([validated(record) for record in measured])
    machine = measured[0].machine
    assert machine.cpu in table.title
    assert machine.os in table.title


def test_a_broken_file_is_a_record_with_a_reason(copy_build):
    build = copy_build("ssrnet", "float32.tflite", "float32.onnx")
    broken = build.folder / "ssrnet_float32.onnx"
    broken.write_bytes(broken.read_bytes()[:1000])
    records = {r.artifact.file: r for r in host.measure_build(build, Settings(rounds=2))}
    assert records["ssrnet_float32.onnx"].latency is None
    assert records["ssrnet_float32.onnx"].artifact.size is None
    assert "ssrnet_float32.onnx" in records["ssrnet_float32.onnx"].failure
    assert records["ssrnet_float32.tflite"].latency is not None


def test_a_file_of_pictures_replays_the_pack_in_its_own_colours(copy_build):
    build = copy_build("ssrnet", "float32.tflite")
    path = build.folder / "ssrnet_float32.tflite"
    as_pictures(path)
    write_picture_pack(build, 2, "BGR")
    (_, record) = host.measure_build(build, Settings(rounds=1))
    assert record.output_error.max_error < 1e-4
    write_picture_pack(build, 2, "RGB")
    (_, record) = host.measure_build(build, Settings(rounds=1))
    assert record.output_error.max_error > 1e-2
    write_picture_pack(build, 2, None)
    (_, record) = host.measure_build(build, Settings(rounds=1))
    assert record.output_error is None
    assert "colours" in record.unknown["output_error"]
    assert record.latency is not None


@pytest.mark.slow
def test_outputs_are_checked_against_the_golden_pack_at_every_batch(copy_build):
    build = copy_build("ssrnet", "float32.tflite", "float16.tflite")
    tolerances = {"ssrnet_float32.tflite": _TOLERANCE_YEARS, "ssrnet_float16.tflite": 1e-9}
    write_noise_pack(build, 4, tolerances)
    measured = host.measure_build(build, Settings(batches=(1, 4), rounds=2))
    variants = [(r.artifact.file, r.runtime.threads, r.runtime.batch) for r in measured]
    assert variants == [
        ("ssrnet.safetensors", 1, 1),
        ("ssrnet.safetensors", 1, 4),
        ("ssrnet_float32.tflite", 1, 1),
        ("ssrnet_float32.tflite", 1, 4),
        ("ssrnet_float16.tflite", 1, 1),
        ("ssrnet_float16.tflite", 1, 4),
    ]
    ran = [record for record in measured if record.failure is None]
    # TFLite files take one face an inference.
    assert [r.runtime.batch for r in measured if r.failure is not None] == [4, 4]
    for record in ran:
        error = record.output_error
        assert (error.unit, error.samples, error.not_finite) == ("years", 4, 0)
        assert error.max_error < _TOLERANCE_YEARS
        assert record.ratio.reference_threads == 1
    half = validated(ran[-1])
    assert "wrong-output" in {reason.rule for reason in half.reasons}
    assert "wrong-output" not in {reason.rule for reason in validated(ran[2]).reasons}


@pytest.fixture
def open_batch(copy_build, tmp_path):
    """A build with an ONNX file that takes any batch, and the reference."""
    build = copy_build("ssrnet", "float32.onnx", "float32.tflite")
    made = tmp_path / "open"
    made.mkdir()
    to_onnx.convert(Job(build.weights, ("float32",), made, dynamic_batch=True))
    shutil.copy(made / "ssrnet_float32.onnx", build.folder)
    return build


@pytest.mark.slow
def test_an_open_batch_is_measured_per_face(open_batch):
    write_noise_pack(open_batch, 4, {"ssrnet_float32.onnx": _TOLERANCE_YEARS})
    measured = host.measure_build(open_batch, Settings(batches=(1, 2, 4), rounds=3))
    scaled = [r for r in measured if r.artifact.format == "onnx"]
    assert [r.runtime.batch for r in scaled] == [1, 2, 4]
    for record in scaled:
        assert record.failure is None
        batch, latency = record.runtime.batch, record.latency
        assert latency.timed_runs == len(latency.samples_ms) >= MIN_TIMED_RUNS
        assert record.p50_face_ms == latency.p50_ms / batch
        # Every face of the batch is compared with PyTorch's output.
        assert record.output_error.max_error < _TOLERANCE_YEARS
    # More faces take longer.
    one, two, four = (r.latency.p50_ms for r in scaled)
    assert one < two < four
    # Ratios are per face: that of four faces is near that of one.
    assert scaled[2].ratio.median < 2 * scaled[0].ratio.median
    (table,) = (t for t in tables.measured([validated(r) for r in measured]))
    assert "ms/face" in [column.heading for column in table.columns]


def test_the_ratio_of_a_batch_is_per_face(records):
    single = records["ssrnet_float32.tflite"]
    batch = replace(single, runtime=replace(single.runtime, batch=4))
    ratio = pairing.ratio(
        TimedRounds(batch, ((2.0,), (2.0,))), TimedRounds(single, ((1.0,), (1.0,)))
    )
    assert (ratio.median, ratio.low, ratio.high) == (0.5, 0.5, 0.5)


@pytest.mark.slow
def test_the_command_writes_latency_json_and_keeps_what_it_did_not_measure(agecompact, copy_build):
    build = copy_build("ssrnet", "float32.onnx", "float32.tflite")
    root = build.folder.parent
    run = agecompact("bench", root, "--on", "host", "--rounds", 2, "--profile", "--json", "-")
    assert run.returncode == 0, run.stderr
    content = json.loads(run.stdout)
    assert content == json.loads((root / "latency.json").read_text())
    assert content["schema_version"] == 3
    record = next(r for r in content["records"] if r["artifact"]["file"] == "ssrnet_float32.onnx")
    assert {"p50_ms", "p90_ms", "samples_ms"} <= set(record["latency"])
    assert record["ratio"]["median"] > 0

    assert "by op" in run.stderr
    lite = next(r for r in content["records"] if r["runtime"]["name"] == "litert")
    assert "no profiler" in lite["unknown"]["profile"]

    # Only PyTorch takes four faces here; the other files have a fixed batch.
    run = agecompact("bench", "measure", root, "--rounds", 2, "--batch", 4)
    assert run.returncode == 0, run.stderr
    both = json.loads((root / "latency.json").read_text())["records"]
    assert len(both) == len(content["records"]) + 3
    four = {r["artifact"]["format"]: r for r in both if r["runtime"]["batch"] == 4}
    assert four["pytorch"]["failure"] is None
    fixed = "its batch is fixed: it takes 1 an inference, not 4"
    assert four["tflite"]["failure"] == fixed
    assert four["onnx"]["failure"] == f"{fixed}; fix: agecompact export ssrnet --dynamic-batch"
    assert "its batch is fixed" in run.stdout


def test_the_command_shows_the_size_of_every_file(agecompact, copy_build, tmp_path):
    build = copy_build("ssrnet", ".onnx", ".tflite")
    run = agecompact("bench", "size", build.folder.parent, "--json", tmp_path / "size.json")
    assert run.returncode == 0, run.stderr
    assert "ssrnet_float16.tflite" in run.stdout
    assert "over bound" in run.stdout
    assert (tmp_path / "size.json").exists()


def test_the_help_names_the_commands(agecompact):
    run = agecompact("bench", "--help")
    assert run.returncode == 0
    assert all(name in run.stdout for name in ("adb", "diff", "measure", "size"))


def _op(index, name, inputs, outputs):
    return {"index": index, "op_name": name, "inputs": inputs, "outputs": outputs}


def test_ops_that_fell_back_are_distinguished_from_delegated_ops():
    # conv -> odd -> conv: the delegate takes each convolution as a partition.
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


@pytest.mark.slow
def test_a_file_that_cannot_be_read_does_not_stop_the_others(copy_build, agecompact):
    build = copy_build("ssrnet", "float32.onnx", "float32.tflite")
    (build.folder / "ssrnet_float32.tflite").unlink()
    os.mkfifo(build.folder / "ssrnet_float32.tflite")
    done = agecompact("bench", build.folder, "--rounds", "2")
    assert done.returncode == 1
    assert "ssrnet_float32.tflite is a pipe" in done.stderr
    assert "Traceback" not in done.stderr
    measured = json.loads((build.folder / "latency.json").read_text())["records"]
    files = {record["artifact"]["file"]: record["failure"] for record in measured}
    assert files == {"ssrnet.safetensors": None, "ssrnet_float32.onnx": None}
    sizes = agecompact("bench", "size", build.folder, "--json", "-")
    assert sizes.returncode == 1
    assert len(json.loads(sizes.stdout)["artifacts"]) == 2
