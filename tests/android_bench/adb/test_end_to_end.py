"""The ARM runner behind a real adb client and a real adbd; see `phone`."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from click.testing import CliRunner

from agecompact.bench import store, tables
from agecompact.bench.validity import validated
from android_bench.adb import command
from android_bench.adb.measure import measure
from tests.android_bench.adb.phone import LAUNCH, SERIAL
from tests.android_bench.adb.runs import FEW, STARTED, only, runs_forever, tool, when_started
from tests.android_bench.saved_outputs import FOLDER
from tests.golden_pack import write_picture_pack
from tests.pictures import as_pictures

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("phone")]


def test_the_arm_runner_is_pushed_pinned_run_and_recorded(build):
    reported = []
    records = [validated(r) for r in measure(build, FEW, reported.append)]
    assert [r.artifact.file for r in records] == ["ssrnet_float32.tflite", "ssrnet_float16.tflite"]
    assert reported == [r.artifact.file for r in records]
    exact, coarse = records
    assert (exact.latency.timed_runs, exact.latency.warmup_runs) == (1, 1)
    # The phone's fastest core is this machine's last.
    assert exact.runtime.core_mask == f"{1 << max(os.sched_getaffinity(0)):x}"
    assert exact.runtime.delegate.got == "xnnpack"
    assert exact.machine.name == "Debian adbd on loopback"
    assert exact.conditions.governor == "schedutil"
    assert exact.conditions.before.battery_temperature_c == 31.2
    assert exact.conditions.after.cpu_frequency_mhz == 2802
    assert exact.memory.peak_rss_bytes > 1e6
    assert exact.output_error.max_error < 1e-4
    assert "wrong-output" not in {reason.rule for reason in exact.reasons}
    # The float16 file exceeds its tolerance.
    assert "wrong-output" in {reason.rule for reason in coarse.reasons}


def test_a_file_of_pictures_gets_them(small):
    as_pictures(small.folder / "ssrnet_float32.tflite")
    write_picture_pack(small, 2, "BGR")
    record = only(small, FEW)
    assert record.output_error.max_error < 1e-4
    assert record.runtime.delegate.got == "xnnpack"


def test_files_alternate_each_time_in_a_new_process(phone, build):
    started = phone.device / "started"
    noting = LAUNCH.replace("exec ", 'echo "$@" >> /device/started\nexec ', 1)
    phone.launch_with(noting)
    records = measure(build, replace(FEW, runs=4, rounds=2))
    ran = [line.split("--model ")[1].split(" ")[0] for line in started.read_text().splitlines()]
    assert ran == ["ssrnet_float32.tflite", "ssrnet_float16.tflite"] * 2
    reference, half = records
    for record in records:
        assert (record.latency.rounds, record.latency.timed_runs) == (2, 4)
        assert record.latency.elapsed_s > sum(record.latency.samples_ms) / 1e3
        assert record.conditions.before.status == record.conditions.after.status == "none"
    assert (reference.ratio.median, reference.ratio.low, reference.ratio.high) == (1, 1, 1)
    assert half.ratio.reference == "ssrnet_float32.tflite"
    assert half.ratio.low <= half.ratio.median <= half.ratio.high
    (table,) = tables.measured([validated(record) for record in records])
    ratio = [column.heading for column in table.columns].index("ratio")
    assert [row[ratio] for row in table.rows] == [f"{r.ratio.median:.2f}" for r in records]
    assert "-" in table.rows[1][ratio + 1]


def test_rounds_that_lost_their_device_resume(phone, build, tmp_path):
    ran = phone.device / "ran"
    # The device is lost in the fifth run, the reference's third round.
    before = (
        "sleep 0.1; echo ran >> /device/ran; "
        f"[ $(wc -l < /device/ran) = 5 ] && {{ {STARTED}; }}; true"
    )
    options = tool(tmp_path, before, rounds=3, ledger=tmp_path / "ledger", wait_s=1.0)
    when = when_started(phone, phone.unplug)
    first = measure(build, options)
    when.join()
    phone.plug_in()
    assert all(record.failure.startswith("gone: ") for record in first)
    second = measure(build, options)
    assert len(ran.read_text().split()) == 5 + 2
    for record in second:
        assert validated(record).valid, record
        assert (record.latency.rounds, record.latency.timed_runs) == (3, 150)
    assert measure(build, options) == second
    assert len(ran.read_text().split()) == 5 + 2


def test_the_command_writes_latency_json(small):
    root = small.folder.parent
    words = [str(root), "--serial", SERIAL, "--runs", "1", "--warmup", "1", "--rounds", "1"]
    ran = CliRunner().invoke(command.adb, words)
    assert ran.exit_code == 0, ran.output
    (record,) = store.read(root / store.FILE_NAME)
    assert record.source == "device"
    # One run is too few for percentiles.
    assert "too-few-runs" in {reason.rule for reason in record.reasons}


def test_a_failed_file_is_measured_again_beside_the_reference(phone, build, tmp_path):
    ran = phone.device / "ran"
    # The tool fails on the second file.
    before = "sleep 0.1; echo ran >> /device/ran; [ $(wc -l < /device/ran) = 2 ] && exit 9"
    options = tool(tmp_path, before, ledger=tmp_path / "ledger")
    first = measure(build, options)
    assert first[0].failure is None
    assert first[1].failure.endswith("(exit code 9)")
    second = measure(build, options)
    assert [record.failure for record in second] == [None, None]
    # The reference ran again beside it, so their ratio is of this run.
    assert second[1].ratio.reference_sha256 == second[0].artifact.sha256
    assert ran.read_text().split() == ["ran"] * 4
    assert measure(build, options) == second
    assert ran.read_text().split() == ["ran"] * 4


def test_the_users_benchmark_model(small, tmp_path):
    record = only(small, tool(tmp_path, saved_as="percentiles"))
    assert record.valid, record.reasons
    assert record.runtime.name == "benchmark_model"
    assert (record.latency.timed_runs, record.latency.warmup_runs) == (50, 5)
    assert (record.latency.mean_ms, record.latency.p50_ms) == pytest.approx((0.3551, 0.356))
    assert record.startup.first_inference_ms == pytest.approx(0.627)
    assert record.runtime.delegate.partitions == 1
    assert record.unknown["output_error"]


def test_the_profile_is_pulled(small, tmp_path):
    csv = (FOLDER / "composed_profile.csv").read_text()
    before = (
        'sleep 0.1; for flag; do case "$flag" in --op_profiling_output_file=*) '
        f"cat > \"${{flag#*=}}\" <<'CSV'\n{csv}CSV\n;; esac; done"
    )
    options = tool(tmp_path, before, profile=True)
    # Its help lists no profiling flags.
    assert "no profile" in only(small, options).unknown["profile"]
    options.benchmark_model.write_text(
        options.benchmark_model.read_text()
        .replace("Flags: --graph=", "no flags")
        .replace("--use_xnnpack= --use_gpu=", "listed")
    )
    record = only(small, options)
    assert [op.kind for op in record.profile][:1] == ["TfLiteXNNPackDelegate"]


def test_ctrl_c_leaves_nothing_behind(phone, small):
    phone.launch_with(f"#!/usr/bin/dash\n{STARTED}\n")
    run = subprocess.Popen(
        [sys.executable, "-m", "agecompact", "bench", str(small.folder.parent), "--on", "adb"],
        env={**os.environ, "ADB": str(phone.adb)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    when_started(phone, lambda: run.send_signal(signal.SIGINT)).join()
    run.communicate(timeout=60)
    assert run.returncode == 130
    assert phone.run("shell", "ls -A /data/local/tmp").stdout == ""
    assert not runs_forever()
