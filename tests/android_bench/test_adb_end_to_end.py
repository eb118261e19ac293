"""A real adb client, a real adbd, and the ARM runner behind it; see `device`.

Where these cannot be set up the tests are skipped with the reason; `AGECOMPACT_REQUIRE_ADB=1`
makes that a failure, for a CI that is to have them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from agecompact.errors import BackendMissingError
from agecompact.latency import store
from agecompact.latency.record import Record
from agecompact.latency.validity import judged
from agecompact.manifest import Build
from android_bench.adb import command
from android_bench.adb.measure import measure
from android_bench.adb.options import Options
from android_bench.emulated import stored
from tests.android_bench import device
from tests.android_bench.adb_fakes import write_runner_pack
from tests.android_bench.device import LAUNCH, Phone
from tests.support import CopyBuild

pytestmark = pytest.mark.usefixtures("phone")

_DATA = Path(__file__).parent.parent / "data/benchmark_model"
_REQUIRED = os.environ.get("AGECOMPACT_REQUIRE_ADB") == "1"
# Emulated, an inference takes a second or two.
_FEW = Options(runs=1, warmup=1, wait_s=10.0)
# So long that no other program's is the same.
_FOREVER = f"sleep {100_000 + os.getpid()}"
_STARTED = f"touch /device/started; exec {_FOREVER}"


@pytest.fixture(scope="module")
def running() -> Iterator[Phone]:
    try:
        phone = Phone(device.fetch(), stored.load())
        phone.__enter__()
    except BackendMissingError as error:
        if _REQUIRED:
            raise
        pytest.skip(f"no adbd on loopback: {error.what}: {error.why}")
    yield phone
    phone.__exit__(None, None, None)


@pytest.fixture
def phone(running: Phone, monkeypatch: pytest.MonkeyPatch) -> Iterator[Phone]:
    monkeypatch.setenv("ADB", str(running.adb))
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    running.launch_with()
    running.set_heat(0)
    running.plug_in()
    yield running
    running.plug_in()
    # Whatever went wrong, nothing stays.
    assert running.run("shell", "ls -A /data/local/tmp").stdout == ""


@pytest.fixture
def build(copy_build: CopyBuild) -> Build:
    copied = copy_build("ssrnet", ".tflite")
    write_runner_pack(copied, {"ssrnet_float32.tflite": 1e-3, "ssrnet_float16.tflite": 1e-9})
    return copied


@pytest.fixture
def small(copy_build: CopyBuild) -> Build:
    """Of one file."""
    copied = copy_build("ssrnet", "float32.tflite")
    write_runner_pack(copied)
    return copied


def _tool(folder: Path, name: str, before: str = "sleep 0.1") -> Options:
    """Options of a `benchmark_model` that prints a saved output, after as long as it tells of."""
    path = folder / "benchmark_model"
    saved = (_DATA / f"{name}.txt").read_text()
    path.write_text(
        "#!/bin/sh\n"
        '[ "$1" = --help ] && { echo "Flags: --graph= --use_xnnpack= --use_gpu="; exit 1; }\n'
        f"{before}\ncat <<'SAVED'\n{saved}SAVED\n"
    )
    return Options(
        engine="benchmark-model", benchmark_model=path, runs=50, warmup=5, wait_s=_FEW.wait_s
    )


def _only(build: Build, options: Options) -> Record:
    (record,) = measure(build, options)
    return judged(record)


def _runs_forever() -> bool:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return _FOREVER in listed.stdout.splitlines()


def _when_started(phone: Phone, action: Callable[[], None]) -> threading.Thread:
    """Does something as soon as a program runs on the phone."""
    started = phone.device / "started"
    started.unlink(missing_ok=True)

    def wait() -> None:
        until = time.monotonic() + 60
        while not started.exists() and time.monotonic() < until:
            time.sleep(0.05)
        action()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_the_arm_runner_is_pushed_pinned_run_and_told(build):
    reported = []
    records = [judged(r) for r in measure(build, _FEW, reported.append)]
    assert [r.artifact.file for r in records] == ["ssrnet_float32.tflite", "ssrnet_float16.tflite"]
    assert {"ssrnet.safetensors", *(r.artifact.file for r in records)} == set(reported)
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
    # The tolerance of the float16 file was set to what it cannot keep.
    assert "wrong-output" in {reason.rule for reason in coarse.reasons}


def test_the_command_writes_latency_json(small):
    root = small.folder.parent
    words = [str(root), "--serial", device.SERIAL, "--runs", "1", "--warmup", "1"]
    ran = CliRunner().invoke(command.adb, words)
    assert ran.exit_code == 0, ran.output
    (record,) = store.read(root / store.FILE_NAME)
    assert record.source == "device"
    # One run is no percentile.
    assert "too-few-runs" in {reason.rule for reason in record.reasons}


def test_a_ledger_goes_on_where_it_was_cut_off(phone, build, tmp_path):
    ran = phone.device / "ran"
    ran.unlink(missing_ok=True)
    # The second file finds its tool broken.
    before = "sleep 0.1; echo ran >> /device/ran; [ $(wc -l < /device/ran) = 2 ] && exit 9"
    options = replace(_tool(tmp_path, "composed_tflite_2", before), ledger=tmp_path / "ledger")
    first = measure(build, options)
    assert first[0].failure is None
    assert first[1].failure.endswith("(exit code 9)")
    second = measure(build, options)
    assert second[0] == first[0]
    assert second[1].failure is None
    assert ran.read_text().split() == ["ran"] * 3


@pytest.mark.parametrize("returns", [True, False])
def test_a_device_that_leaves_midway_is_told_and_outlived(phone, build, returns, tmp_path):
    once = phone.device / "once"
    once.unlink(missing_ok=True)
    before = f"[ -e /device/once ] || {{ touch /device/once; {_STARTED}; }}; sleep 0.1"
    options = _tool(tmp_path, "composed_tflite_2", before)

    def leave() -> None:
        phone.unplug()
        if returns:
            time.sleep(1)
            phone.plug_in()

    thread = _when_started(phone, leave)
    first, second = measure(build, replace(options, wait_s=60.0 if returns else 1.0))
    thread.join()
    assert first.failure.startswith("gone: ")
    assert (second.failure is None) == returns
    if not returns:
        assert second.failure.startswith("gone: ")
        # What it left there is removed by whoever comes next.
        phone.plug_in()
        measure(build, options)
    assert not _runs_forever()


def test_full_storage_is_told_and_what_was_pushed_is_removed(phone, small):
    phone.run("shell", "dd if=/dev/zero of=/data/local/tmp/full bs=1M count=40")
    try:
        failure = _only(small, _FEW).failure
    finally:
        left = phone.run("shell", "ls -A /data/local/tmp; rm -f /data/local/tmp/full").stdout
    assert failure.startswith("no-space: cannot push ")
    assert "No space left on device" in failure
    assert left.split() == ["full"]


def test_truncated_output_is_no_result(phone, small):
    phone.launch_with(LAUNCH.replace("exec ", "").rstrip() + " | head -c 120\n")
    assert _only(small, _FEW).failure.startswith("truncated: ")


def test_a_crash_of_the_runner_is_told_with_its_signal(phone, small):
    phone.launch_with("#!/usr/bin/dash\necho 'last words' >&2\nkill -SEGV $$\n")
    assert _only(small, _FEW).failure == "crash: signal 11: last words"


def test_a_runner_that_hangs_is_killed(phone, small):
    phone.launch_with(f"#!/usr/bin/dash\nexec {_FOREVER}\n")
    assert _only(small, replace(_FEW, timeout_s=2.0)).failure.startswith("timeout: ")
    assert not _runs_forever()


def test_the_users_benchmark_model(small, tmp_path):
    record = _only(small, _tool(tmp_path, "composed_tflite_2_percentiles"))
    assert record.valid, record.reasons
    assert record.runtime.name == "benchmark_model"
    assert (record.latency.timed_runs, record.latency.warmup_runs) == (50, 5)
    assert (record.latency.mean_ms, record.latency.p50_ms) == pytest.approx((0.3551, 0.356))
    assert record.startup.first_inference_ms == pytest.approx(0.627)
    assert record.runtime.delegate.partitions == 1
    assert record.unknown["output_error"]


def test_a_device_that_grows_hot_is_not_believed(small, tmp_path):
    hot = _tool(tmp_path, "composed_tflite_2", "sleep 0.1; echo 3 > /device/heat")
    record = _only(small, hot)
    assert _reasons(record) == {"throttled": "thermal status 'severe' after the run"}


def test_the_warm_up_is_not_taken_for_the_run(small, tmp_path):
    record = _only(small, _tool(tmp_path, "composed_tflite_2_ends_after_warmup"))
    assert record.failure.startswith("truncated: it ends after its warm-up")


def test_scientific_notation(small, tmp_path):
    slow = _tool(tmp_path, "composed_tflite_2_scientific", "sleep 4")
    assert _only(small, slow).latency.mean_ms == pytest.approx(1296.25)


def test_a_time_in_another_unit_does_not_fit_into_the_run(small, tmp_path):
    # Three runs of 1.3 s that took no time at all.
    record = _only(small, _tool(tmp_path, "composed_tflite_2_scientific"))
    assert "do not fit into" in record.failure


@pytest.mark.parametrize(
    ("name", "delegate", "text"),
    [
        ("unconsumed_gpu", "gpu", "the tool does not know --use_gpu"),
        ("nnapi_took_nothing", "nnapi", "nnapi was applied and took no piece of the graph"),
    ],
)
def test_a_refused_delegate_is_recorded_as_refused(small, tmp_path, name, delegate, text):
    options = replace(_tool(tmp_path, f"composed_tflite_2_{name}"), delegate=delegate)
    record = _only(small, options)
    assert record.runtime.delegate.asked == delegate
    assert record.runtime.delegate.got == "none"
    assert record.unknown["delegate"] == f"refused: {text}"
    assert _reasons(record)["delegate-refused"] == f"asked for {delegate}, got none"


def test_a_delegate_that_fails_leaves_no_figure(small, tmp_path):
    failed = _tool(tmp_path, "composed_tflite_2_gpu_failed", "trap 'exit 1' EXIT")
    record = _only(small, replace(failed, delegate="gpu"))
    assert record.failure == "the delegate 'gpu' was refused: Failed to apply GPU delegate."
    assert record.latency is None
    assert record.runtime.delegate.got == "none"


def test_the_profile_is_pulled(small, tmp_path):
    csv = (_DATA / "composed_profile.csv").read_text()
    before = (
        'sleep 0.1; for flag; do case "$flag" in --op_profiling_output_file=*) '
        f"cat > \"${{flag#*=}}\" <<'CSV'\n{csv}CSV\n;; esac; done"
    )
    options = replace(_tool(tmp_path, "composed_tflite_2", before), profile=True)
    # Its help does not tell of profiling.
    assert "no profile" in _only(small, options).unknown["profile"]
    options.benchmark_model.write_text(
        options.benchmark_model.read_text()
        .replace("Flags: --graph=", "no flags")
        .replace("--use_xnnpack= --use_gpu=", "told")
    )
    record = _only(small, options)
    assert [op.kind for op in record.profile][:1] == ["TfLiteXNNPackDelegate"]


def _reasons(record: Record) -> dict[str, str]:
    return {reason.rule: reason.text for reason in record.reasons}


def test_ctrl_c_leaves_nothing_behind(phone, small):
    phone.launch_with(f"#!/usr/bin/dash\n{_STARTED}\n")
    (phone.device / "started").unlink(missing_ok=True)
    run = subprocess.Popen(
        [sys.executable, "-m", "agecompact", "bench", str(small.folder.parent), "--on", "adb"],
        env={**os.environ, "ADB": str(phone.adb)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    _when_started(phone, lambda: run.send_signal(signal.SIGINT)).join()
    run.communicate(timeout=60)
    assert run.returncode == 130
    assert phone.run("shell", "ls -A /data/local/tmp").stdout == ""
    assert not _runs_forever()
