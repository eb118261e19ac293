"""The records of a build, without the emulator."""

from dataclasses import replace

import pytest

from agecompact.bench.drivers import Settings
from agecompact.bench.figures import Instructions
from agecompact.bench.record import Record
from agecompact.bench.validity import validated
from agecompact.errors import UsageError
from agecompact.serialization import structure, unstructure
from android_bench.emulated import bundle, driver, emulator
from android_bench.emulated.bundle import Bundle, BundleIndex
from android_bench.emulated.emulator import EmulationSettings
from android_bench.failure import MeasurementFailure

TOTAL = 7_100_000
INSTRUCTIONS = Instructions(
    total=TOTAL,
    totals=(TOTAL, TOTAL),
    inferences=2,
    init=4_000_000,
    first=11_000_000,
    multiply_accumulate=4_300_000,
)


@pytest.fixture
def build(copy_build, own_pack):
    made = copy_build("ssrnet")
    own_pack.rename(made.folder / "golden")
    return made


@pytest.fixture
def emulated(monkeypatch, tmp_path):
    """Sets what is measured: instructions or a failure."""
    index = BundleIndex(
        litert="2.3.0", compiler="gcc", guest_sha256="1" * 64, plugin_sha256="2" * 64
    )
    monkeypatch.setattr(bundle, "load", lambda: Bundle(tmp_path, index))
    monkeypatch.setattr(emulator, "version", lambda _: "7.2.22")

    emulated_amounts = []

    def set_result(result):
        def measure(_bundle, _cpu, _artifact, _pack, blank, amount):
            emulated_amounts.append(amount)
            if isinstance(result, MeasurementFailure):
                raise result
            return replace(blank, failure=None, instructions=result)

        monkeypatch.setattr(driver, "measure", measure)
        return emulated_amounts

    return set_result


def test_a_record_has_instructions_and_no_time(build, emulated):
    emulated(INSTRUCTIONS)
    names = []
    records = driver.measure_build(build, Settings(place="a53"), names.append)
    assert [r.artifact.file for r in records] == ["ssrnet_float32.tflite", "ssrnet_float16.tflite"]
    assert sorted(names) == sorted(r.artifact.file for r in records)
    record = validated(records[0])
    assert record.valid is True
    assert structure(unstructure(record), Record, where="record") == record
    assert (record.latency, record.startup, record.memory) == (None, None, None)
    bound = -(-17_078_926 // 4)
    assert record.instructions == replace(
        INSTRUCTIONS, bound=bound, bound_basis="4 float32 MACs an instruction (FMLA 4S)"
    )
    assert record.instructions.over_bound == pytest.approx(TOTAL / bound)
    assert record.machine.cpu == "cortex-a53"
    assert record.machine.emulator == "qemu-user 7.2.22 -cpu cortex-a53, bundle 111111111111"


def test_as_many_samples_run_as_are_asked_for(build, emulated):
    amounts = emulated(INSTRUCTIONS)
    driver.measure_build(build, Settings(samples=101))
    driver.measure_build(build, Settings())
    assert {amount.samples for amount in amounts} == {101, EmulationSettings().samples}


def test_counts_that_do_not_repeat_are_not_valid(build, emulated):
    emulated(replace(INSTRUCTIONS, totals=(TOTAL, TOTAL + 1)))
    (record, _) = driver.measure_build(build, Settings())
    assert [reason.rule for reason in validated(record).reasons] == ["spread-too-wide"]


def test_a_file_that_fails_has_the_reason(build, emulated):
    emulated(MeasurementFailure("crash", "signal SIGILL"))
    records = driver.measure_build(build, Settings())
    assert [r.failure for r in records] == ["crash: signal SIGILL"] * 2
    assert [r.instructions for r in records] == [None] * 2


@pytest.mark.parametrize(
    "settings", [Settings(threads=(2,)), Settings(batches=(8,)), Settings(place="cortex-a35")]
)
def test_what_cannot_be_counted_is_refused(build, emulated, settings):
    emulated(INSTRUCTIONS)
    with pytest.raises(UsageError):
        driver.measure_build(build, settings)


def test_a_build_without_a_golden_pack_is_refused(copy_build, emulated):
    emulated(INSTRUCTIONS)
    with pytest.raises(UsageError, match="golden pack"):
        driver.measure_build(copy_build("ssrnet"), Settings())
