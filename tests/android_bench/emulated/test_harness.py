"""The records of a build, with the emulator stood in for."""

from dataclasses import replace

import pytest

from agecompact.bench.drivers import DRIVERS, Settings
from agecompact.bench.figures import OutputAccuracy
from agecompact.bench.record import Record
from agecompact.bench.validity import validated
from agecompact.errors import BackendMissingError, UsageError
from agecompact.serialization import structure, unstructure
from android_bench.emulated import emulator, harness, stored
from android_bench.emulated.counts import InstructionCounts
from android_bench.emulated.measure import EmulatedRun
from android_bench.emulated.stored import Bundle, Index
from android_bench.native.failure import RunnerFailure

COUNTS = InstructionCounts(
    load=1_000_000,
    store=100_000,
    multiply_accumulate=4_300_000,
    simd=500_000,
    branch=300_000,
    other=900_000,
    macs=17_200_000,
)
RUN = EmulatedRun(
    cpu="cortex-a53",
    instructions=COUNTS,
    totals=(COUNTS.total, COUNTS.total),
    inferences=2,
    init_instructions=4_000_000,
    first_inference_instructions=11_000_000,
    outputs={"age": (30.0,)},
    output_error=OutputAccuracy(
        unit="years",
        samples=1,
        not_finite=0,
        weights_sha256="0" * 64,
        max_error=1e-5,
        mean_error=1e-5,
    ),
    fully_accelerated=True,
    xnnpack=True,
    qemu="7.2.22",
    litert="2.3.0",
    bundle_sha256="1" * 64,
)


@pytest.fixture
def build(copy_build, own_pack):
    made = copy_build("ssrnet")
    own_pack.rename(made.folder / "golden")
    return made


@pytest.fixture
def emulated(monkeypatch, tmp_path):
    index = Index(litert="2.3.0", compiler="gcc", guest_sha256="1" * 64, plugin_sha256="2" * 64)
    monkeypatch.setattr(stored, "load", lambda: Bundle(tmp_path, index))
    monkeypatch.setattr(emulator, "version", lambda _: "7.2.22")

    def answer(run):
        def measure(*_):
            if isinstance(run, RunnerFailure):
                raise run
            return run

        monkeypatch.setattr(harness, "measure", measure)

    return answer


def test_it_is_the_harness_that_bench_knows():
    assert DRIVERS["emulated"].load() is harness.measure_build


def test_a_record_tells_instructions_and_no_time(build, emulated):
    emulated(RUN)
    names = []
    records = harness.measure_build(build, Settings(place="a53"), names.append)
    assert [r.artifact.file for r in records] == ["ssrnet_float32.tflite", "ssrnet_float16.tflite"]
    assert sorted(names) == sorted(r.artifact.file for r in records)
    record = validated(records[0])
    assert record.valid is True
    assert structure(unstructure(record), Record, where="record") == record
    assert record.latency is None
    assert record.startup is None
    assert record.memory is None
    assert record.instructions.total == COUNTS.total
    assert record.instructions.multiply_accumulate == 4_300_000
    assert record.instructions.over_bound == pytest.approx(
        COUNTS.total / (17_078_926 / 4), rel=1e-3
    )
    assert record.machine.cpu == "cortex-a53"
    assert record.machine.emulator == "qemu-user 7.2.22 -cpu cortex-a53, bundle 111111111111"
    assert record.runtime.delegate.fallback_ops == {}


def test_counts_that_do_not_repeat_are_not_believed(build, emulated):
    emulated(replace(RUN, totals=(COUNTS.total, COUNTS.total + 1)))
    (record, _) = harness.measure_build(build, Settings())
    assert [reason.rule for reason in validated(record).reasons] == ["spread-too-wide"]


def test_what_fell_back_is_unknown_where_litert_does_not_say_that_all_was_taken(build, emulated):
    emulated(replace(RUN, fully_accelerated=False))
    (record, _) = harness.measure_build(build, Settings())
    assert record.runtime.delegate.fallback_ops is None


def test_a_file_that_fails_there_says_why(build, emulated):
    emulated(RunnerFailure("crash", "signal SIGILL"))
    records = harness.measure_build(build, Settings())
    assert [r.failure for r in records] == ["crash: signal SIGILL"] * 2
    assert [r.instructions for r in records] == [None] * 2


@pytest.mark.parametrize(
    "settings", [Settings(threads=(2,)), Settings(batches=(8,)), Settings(place="cortex-a35")]
)
def test_what_cannot_be_counted_is_refused(build, emulated, settings):
    emulated(RUN)
    with pytest.raises(UsageError):
        harness.measure_build(build, settings)


def test_without_a_golden_pack_there_are_no_inputs(copy_build, emulated):
    emulated(RUN)
    with pytest.raises(UsageError, match="golden pack"):
        harness.measure_build(copy_build("ssrnet"), Settings())


def test_without_a_bundle_it_says_how_to_make_one(build, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(BackendMissingError) as missing:
        harness.measure_build(build, Settings())
    assert missing.value.fix == "make arm-bundle"
