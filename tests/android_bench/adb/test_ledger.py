"""Options, delegates, the ledger, and the AI Benchmark app: what needs no device."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from agecompact.bench import store
from agecompact.bench.circumstances import Machine
from agecompact.bench.validity import validated
from agecompact.errors import UsageError
from android_bench.adb import ai_benchmark, command, delegates
from android_bench.adb.ai_benchmark import Typed
from android_bench.adb.engine import EngineFailure, timed_part_s
from android_bench.adb.ledger import Key, Ledger
from android_bench.adb.options import Options
from tests.records import DEVICE, SHA256


def test_cores_are_a_mask_or_a_word():
    assert Options(cores="F0").cores == "F0"
    for wrong in ("", "0", "0x3", "big"):
        with pytest.raises(UsageError, match="no cores"):
            Options(cores=wrong)


def test_the_users_tool_must_be_named():
    with pytest.raises(UsageError, match="needs the program"):
        Options(engine="benchmark-model")


def test_the_serial_of_the_environment_stands_in_for_the_option():
    assert Options().named_serial({"ANDROID_SERIAL": "E"}) == "E"
    assert Options(serial="O").named_serial({"ANDROID_SERIAL": "E"}) == "O"
    assert Options().named_serial({"ANDROID_SERIAL": ""}) is None


@pytest.mark.parametrize("name", ["none", "gpu", "nnapi"])
def test_the_runner_says_which_delegates_it_cannot_have(name):
    refusal = delegates.refusal_by_runner(name)
    assert "cannot have it" in refusal
    assert f"--engine benchmark-model --benchmark-model PATH --delegate {name}" in refusal
    assert delegates.refusal_by_runner("xnnpack") is None


def test_the_timed_part_of_a_run_is_what_its_start_and_warm_up_leave():
    assert timed_part_s(1.0, 400.0) == pytest.approx(0.6)
    with pytest.raises(EngineFailure, match="1000 ms do not fit into 1 s"):
        timed_part_s(1.0, 1000.0)


def test_only_what_asks_for_a_delegate_is_looked_for_among_unknown_flags():
    assert delegates.named("gpu").names_of_flags("litert") == ("use_gpu",)
    assert delegates.named("none").names_of_flags("tflite") == ()


_KEY = Key("F00", SHA256, "litert 2.3.0", 1, "c0", "xnnpack", 10, 20)


def test_the_ledger_remembers(tmp_path):
    record = DEVICE
    Ledger(tmp_path, "F00").add(_KEY, record)
    again = Ledger(tmp_path, "F00")
    assert again.find(_KEY) == record
    assert again.find(replace(_KEY, threads=2)) is None
    assert Ledger(tmp_path, "F01").find(_KEY) is None


def test_the_ledger_remembers_rounds_until_they_are_done_with(tmp_path):
    ledger = Ledger(tmp_path, "F00")
    for number in range(3):
        ledger.add_round(_KEY, number, replace(DEVICE, taken_at=f"round {number}"))
    # A round that is run again takes the place of all that came after it.
    ledger.add_round(_KEY, 1, replace(DEVICE, taken_at="again"))
    again = Ledger(tmp_path, "F00")
    assert [r.taken_at for r in again.rounds(_KEY)] == ["round 0", "again"]
    assert again.find(_KEY) is None
    again.add(_KEY, DEVICE)
    assert Ledger(tmp_path, "F00").rounds(_KEY) == again.rounds(_KEY) == ()
    again.add_round(_KEY, 0, DEVICE)
    again.forget(_KEY)
    assert Ledger(tmp_path, "F00").rounds(_KEY) == again.rounds(_KEY) == ()
    assert Ledger(tmp_path, "F00").find(_KEY) == DEVICE


def test_a_line_that_a_crash_tore_harms_no_other(tmp_path):
    record = DEVICE
    ledger = Ledger(tmp_path, "F00")
    ledger.add(_KEY, record)
    ledger.path.write_bytes(ledger.path.read_bytes() + ledger.path.read_bytes()[:90])
    torn = Ledger(tmp_path, "F00")
    assert torn.find(_KEY) == record
    other = replace(_KEY, threads=4)
    torn.add(other, record)
    assert Ledger(tmp_path, "F00").find(other) == record


def test_a_ledger_of_another_form_is_not_guessed_at(tmp_path):
    ledger = Ledger(tmp_path, "F00")
    ledger.add(_KEY, DEVICE)
    content = json.loads(ledger.path.read_text())
    content["record"]["surprise"] = 1
    ledger.path.write_text(json.dumps(content) + "\n")
    with pytest.raises(UsageError, match="line 1"):
        Ledger(tmp_path, "F00")


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
    typed = Typed(acceleration="nnapi", runs=50, mean_ms=3.5)
    record = validated(ai_benchmark.entered(build, phone, typed))
    assert record.latency.mean_ms == 3.5
    assert record.latency.p50_ms is record.latency.samples_ms is record.startup is None
    assert record.runtime.delegate.got == "nnapi"
    assert record.output_error is None
    # That it warmed up is not known, and so not believed.
    assert record.latency.warmup_runs is None
    assert record.unknown["warmup_runs"] == "AI Benchmark did not tell"
    assert [reason.rule for reason in record.reasons] == ["no-warmup"]
    whole = replace(typed, warmup=5, std_ms=0.1)
    assert validated(ai_benchmark.entered(build, phone, whole)).valid


def test_ai_benchmark_needs_the_float32_file(copy_build, tmp_path):
    with pytest.raises(UsageError, match="no float32 TFLite"):
        ai_benchmark.export(copy_build("ssrnet", "float16.tflite"), tmp_path)


def test_what_the_app_showed_is_entered_by_command(copy_build, tmp_path):
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
