"""The ledger, options, delegates and the AI Benchmark app, which need no device."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from agecompact.bench import store
from agecompact.bench.circumstances import Machine
from agecompact.bench.validity import validated
from agecompact.errors import UsageError
from android_bench.adb import ai_benchmark, command
from android_bench.adb.delegates import DELEGATES, runner_refusal
from android_bench.adb.engine import timed_part_s
from android_bench.adb.ledger import Ledger, LedgerKey
from android_bench.adb.options import Options
from android_bench.failure import MeasurementFailure
from tests.records import DEVICE, SHA256

_KEY = LedgerKey("F00", SHA256, "litert 2.3.0", 1, "c0", "xnnpack", 10, 20)


def test_cores_are_a_mask_or_a_word():
    assert Options(cores="F0").cores == "F0"
    for wrong in ("", "0", "0x3", "big"):
        with pytest.raises(UsageError, match="invalid cores"):
            Options(cores=wrong)


def test_the_users_tool_must_be_named():
    with pytest.raises(UsageError, match="needs the program"):
        Options(engine="benchmark-model")


def test_the_environment_names_the_serial_if_no_option_does():
    assert Options().named_serial({"ANDROID_SERIAL": "E"}) == "E"
    assert Options(serial="O").named_serial({"ANDROID_SERIAL": "E"}) == "O"
    assert Options().named_serial({"ANDROID_SERIAL": ""}) is None


@pytest.mark.parametrize("name", ["none", "gpu", "nnapi"])
def test_the_runner_refuses_the_delegates_that_it_cannot_use(name):
    refusal = runner_refusal(name)
    assert "cannot use it" in refusal
    assert f"--engine benchmark-model --benchmark-model PATH --delegate {name}" in refusal
    assert runner_refusal("xnnpack") is None


def test_the_timed_part_of_a_run_is_what_its_start_and_warm_up_leave():
    assert timed_part_s(1.0, 400.0) == pytest.approx(0.6)
    with pytest.raises(MeasurementFailure, match="1000 ms do not fit into 1 s"):
        timed_part_s(1.0, 1000.0)


def test_flags_that_turn_a_delegate_off_do_not_request_one():
    assert DELEGATES["gpu"].flag_names("litert") == ("use_gpu",)
    assert DELEGATES["none"].flag_names("tflite") == ()


def test_the_ledger_remembers(tmp_path):
    Ledger(tmp_path, "F00").add(_KEY, DEVICE)
    again = Ledger(tmp_path, "F00")
    assert again.find(_KEY) == DEVICE
    assert again.find(replace(_KEY, threads=2)) is None
    assert Ledger(tmp_path, "F01").find(_KEY) is None


def test_the_ledger_remembers_rounds_until_the_measurement_is_finished(tmp_path):
    ledger = Ledger(tmp_path, "F00")
    for number in range(3):
        ledger.add_round(_KEY, number, replace(DEVICE, taken_at=f"round {number}"))
    # A repeated round replaces all rounds after it.
    ledger.add_round(_KEY, 1, replace(DEVICE, taken_at="again"))
    again = Ledger(tmp_path, "F00")
    assert [r.taken_at for r in again.rounds(_KEY)] == ["round 0", "again"]
    assert again.find(_KEY) is None
    again.add(_KEY, DEVICE)
    assert Ledger(tmp_path, "F00").rounds(_KEY) == again.rounds(_KEY) == ()
    again.add_round(_KEY, 0, DEVICE)
    again.discard_rounds(_KEY)
    assert Ledger(tmp_path, "F00").rounds(_KEY) == again.rounds(_KEY) == ()
    assert Ledger(tmp_path, "F00").find(_KEY) == DEVICE


def test_an_incomplete_line_does_not_affect_the_others(tmp_path):
    ledger = Ledger(tmp_path, "F00")
    ledger.add(_KEY, DEVICE)
    ledger.path.write_bytes(ledger.path.read_bytes() + ledger.path.read_bytes()[:90])
    incomplete = Ledger(tmp_path, "F00")
    assert incomplete.find(_KEY) == DEVICE
    other = replace(_KEY, threads=4)
    incomplete.add(other, DEVICE)
    assert Ledger(tmp_path, "F00").find(other) == DEVICE


def _write_edited(folder, edit):
    """Writes a ledger of one line that was edited."""
    ledger = Ledger(folder, "F00")
    ledger.add(_KEY, DEVICE)
    content = json.loads(ledger.path.read_text())
    edit(content)
    ledger.path.write_text(json.dumps(content) + "\n")


@pytest.mark.parametrize("part", ["record", "key"])
def test_a_ledger_with_an_unknown_field_is_refused(tmp_path, part):
    _write_edited(tmp_path, lambda content: content[part].update(surprise=1))
    with pytest.raises(UsageError, match="line 1"):
        Ledger(tmp_path, "F00")


def test_a_ledger_of_another_schema_version_is_ignored(tmp_path):
    _write_edited(tmp_path, lambda content: content.update(schema_version=1))
    assert Ledger(tmp_path, "F00").find(_KEY) is None


def test_a_serial_with_a_colon_is_a_file_name(tmp_path):
    assert Ledger(tmp_path, "192.168.0.7:5555").path.name == "192.168.0.7_5555.jsonl"


def test_ai_benchmark_gets_its_file_and_its_result_is_a_record(copy_build, tmp_path):
    build = copy_build("ssrnet", "float32.tflite")
    folder = ai_benchmark.export(build, tmp_path / "out")
    file = build.folder / "ssrnet_float32.tflite"
    assert (folder / "model.tflite").read_bytes() == file.read_bytes()
    instructions = (folder / "INSTRUCTIONS.txt").read_text()
    assert "Download" in instructions
    assert "ssrnet_float32.tflite" in instructions
    phone = Machine(cpu="unknown", os="Android 14", name="Pixel 6")
    shown = {"acceleration": "nnapi", "runs": 50, "mean_ms": 3.5}
    record = validated(ai_benchmark.entered(build, phone, **shown))
    assert record.latency.mean_ms == 3.5
    assert record.latency.p50_ms is record.latency.samples_ms is record.startup is None
    assert record.runtime.delegate.got == "nnapi"
    assert record.output_error is None
    # Without a known warm-up, the record is not valid.
    assert record.latency.warmup_runs is None
    assert record.unknown["warmup_runs"] == "AI Benchmark did not show it"
    assert [reason.rule for reason in record.reasons] == ["no-warmup"]
    assert validated(ai_benchmark.entered(build, phone, **shown, warmup=5, std_ms=0.1)).valid


def test_ai_benchmark_needs_the_float32_file(copy_build, tmp_path):
    with pytest.raises(UsageError, match="no float32 TFLite"):
        ai_benchmark.export(copy_build("ssrnet", "float16.tflite"), tmp_path)


def test_the_apps_result_is_entered_by_command(copy_build, tmp_path):
    build = copy_build("ssrnet", "float32.tflite")
    out = str(tmp_path / "out")
    run = CliRunner()
    exported = run.invoke(command.ai_benchmark_group, ["export", str(build.folder), "--out", out])
    assert exported.exit_code == 0, exported.output
    words = ["enter", str(build.folder), "--device", "Pixel 6", "--android", "14"]
    words += ["--acceleration", "xnnpack", "--runs", "50", "--mean-ms", "3.5", "--warmup", "5"]
    entered = run.invoke(command.ai_benchmark_group, words)
    assert entered.exit_code == 0, entered.output
    (record,) = store.read(build.folder / store.FILE_NAME)
    assert record.valid
    assert (record.source, record.machine.name) == ("device", "Pixel 6")
