"""Failures of a device and of the programs on it, over a real adb and adbd."""

import time
from dataclasses import replace

import pytest
from click.testing import CliRunner

from agecompact.bench import store
from android_bench.adb import command
from android_bench.adb.measure import measure
from tests.android_bench.adb.phone import LAUNCH, SERIAL
from tests.android_bench.adb.runs import (
    FEW,
    FOREVER,
    STARTED,
    only,
    reasons,
    runs_forever,
    tool,
    when_started,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("phone")]


@pytest.mark.parametrize("returns", [True, False])
def test_a_lost_device_fails_one_file_and_is_waited_for(phone, build, returns, tmp_path):
    before = f"[ -e /device/once ] || {{ touch /device/once; {STARTED}; }}; sleep 0.1"
    options = tool(tmp_path, before)

    def unplug() -> None:
        phone.unplug()
        if returns:
            time.sleep(1)
            phone.plug_in()

    thread = when_started(phone, unplug)
    first, second = measure(build, replace(options, wait_s=60.0 if returns else 1.0))
    thread.join()
    assert first.failure.startswith("gone: ")
    assert (second.failure is None) == returns
    if not returns:
        assert second.failure.startswith("gone: ")
        # The next run removes what this one left there.
        phone.plug_in()
        measure(build, options)
    assert not runs_forever()


def test_full_storage_fails_and_the_pushed_files_are_removed(phone, small):
    phone.run("shell", "dd if=/dev/zero of=/data/local/tmp/full bs=1M count=40")
    try:
        failure = only(small, FEW).failure
    finally:
        left = phone.run("shell", "ls -A /data/local/tmp; rm -f /data/local/tmp/full").stdout
    assert failure.startswith("no-space: cannot push ")
    assert "No space left on device" in failure
    assert left.split() == ["full"]


def test_truncated_output_is_a_failure(phone, small):
    phone.launch_with(LAUNCH.replace("exec ", "").rstrip() + " | head -c 120\n")
    assert only(small, FEW).failure.startswith("truncated: ")


def test_a_crash_of_the_runner_is_recorded_with_its_signal(phone, small):
    phone.launch_with("#!/usr/bin/dash\necho 'last words' >&2\nkill -SEGV $$\n")
    assert only(small, FEW).failure == "crash: signal 11: last words"


def test_a_runner_that_hangs_is_killed(phone, small):
    phone.launch_with(f"#!/usr/bin/dash\nexec {FOREVER}\n")
    assert only(small, replace(FEW, timeout_s=2.0)).failure.startswith("timeout: ")
    assert not runs_forever()


@pytest.mark.parametrize(("rounds", "hot_round"), [(1, 1), (3, 2)])
def test_a_device_that_was_hot_after_any_round_is_not_valid(small, tmp_path, rounds, hot_round):
    warm = (
        "sleep 0.1; echo ran >> /device/ran; "
        f"[ $(wc -l < /device/ran) = {hot_round} ] && status=3 || status=0; "
        "echo $status > /device/status"
    )
    record = only(small, tool(tmp_path, warm, rounds=rounds))
    assert reasons(record) == {"throttled": "thermal status 'severe' after the run"}


def test_the_warm_up_is_not_taken_for_the_run(small, tmp_path):
    record = only(small, tool(tmp_path, saved_as="ends_after_warmup"))
    assert record.failure.startswith("truncated: it ends after its warm-up")


def test_scientific_notation(small, tmp_path):
    # As long as the reported start, warm-up and three runs together.
    slow = tool(tmp_path, "sleep 5.3", "scientific")
    assert only(small, slow).latency.mean_ms == pytest.approx(1296.25)


# Three runs of 1.3 s in no time at all, and in a time that leaves none for the warm-up.
@pytest.mark.parametrize("before", ["sleep 0.1", "sleep 4.3"])
def test_a_time_in_another_unit_does_not_fit_into_the_run(small, tmp_path, before):
    assert "do not fit into" in only(small, tool(tmp_path, before, "scientific")).failure


@pytest.mark.parametrize(
    ("name", "delegate", "text"),
    [
        ("unconsumed_gpu", "gpu", "the tool does not know --use_gpu"),
        ("nnapi_took_nothing", "nnapi", "nnapi was applied and took no part of the graph"),
    ],
)
def test_a_refused_delegate_is_recorded_as_refused(small, tmp_path, name, delegate, text):
    record = only(small, tool(tmp_path, saved_as=name, delegate=delegate))
    assert record.runtime.delegate.asked == delegate
    assert record.runtime.delegate.got == "none"
    assert record.unknown["delegate"] == f"refused: {text}"
    assert reasons(record)["delegate-refused"] == f"asked for {delegate}, got none"


def test_a_delegate_that_fails_leaves_no_figures(small, tmp_path):
    failed = tool(tmp_path, "trap 'exit 1' EXIT", "gpu_failed", delegate="gpu")
    record = only(small, failed)
    assert record.failure == "the delegate 'gpu' was refused: Failed to apply GPU delegate."
    assert record.latency is None
    assert reasons(record) == {
        "not-measured": record.failure,
        "delegate-refused": "asked for gpu, got none",
    }


@pytest.mark.parametrize("delegate", ["gpu", "nnapi", "none"])
def test_a_delegate_that_the_runner_cannot_use_is_recorded_as_refused(small, delegate):
    root = small.folder.parent
    ran = CliRunner().invoke(command.adb, [str(root), "--serial", SERIAL, "--delegate", delegate])
    # Nothing was measured, so the exit code is 1; the refusal is recorded.
    assert ran.exit_code == 1, ran.output
    (record,) = store.read(root / store.FILE_NAME)
    assert record.valid is False
    assert record.runtime.delegate.asked == delegate
    refused = {} if delegate == "none" else {"delegate-refused": f"asked for {delegate}, got none"}
    assert reasons(record) == {"not-measured": record.failure, **refused}
    assert record.failure.startswith(f"the delegate '{delegate}' was refused: ")
    assert "--engine benchmark-model" in record.failure
