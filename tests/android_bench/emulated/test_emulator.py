"""SSR-Net on an emulated Cortex-A76, and every way in which that can fail."""

import math
import struct
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from agecompact.artifacts import golden
from agecompact.bench.circumstances import Delegate
from android_bench.emulated import counts, cpus, emulator
from android_bench.emulated.emulator import EmulationSettings
from android_bench.emulated.measure import measure
from android_bench.failure import MeasurementFailure
from tests.records import EMULATED

from .conftest import SAMPLES

A76 = cpus.named("cortex-a76")
BLANK = replace(EMULATED, instructions=None, output_error=None, failure="not measured yet")
ONE = EmulationSettings(samples=1, warmup=0, runs=1, processes=1)


@pytest.fixture(scope="module")
def measured(bundle, artifact, pack):
    return measure(bundle, A76, artifact, pack, BLANK)


@pytest.fixture(scope="module")
def ran(bundle, artifact, pack):
    return emulator.run(bundle, A76, artifact, pack, ONE)


def failure_of(bundle, artifact, pack, settings=ONE):
    with pytest.raises(MeasurementFailure) as caught:
        measure(bundle, A76, artifact, pack, BLANK, settings)
    return caught.value


def test_two_processes_count_the_same_to_the_instruction(measured):
    assert len(measured.instructions.totals) == 2
    assert set(measured.instructions.totals) == {measured.instructions.total}


def test_the_counts_include_the_network(measured, ran, ssrnet):
    macs = ssrnet.manifest.macs
    assert macs <= counts.steady(ran.counts, 1, 1).macs < 1.2 * macs
    counted = measured.instructions
    bound, _ = A76.bound(macs, "float32")
    assert bound < counted.multiply_accumulate < counted.total < 3 * bound
    assert counted.first > counted.total
    assert 1e5 < counted.init < 1e8


def test_the_outputs_are_pytorchs(measured, ran, pack):
    assert measured.output_error.samples == SAMPLES
    assert measured.output_error.max_error < 1e-4
    (expected,) = golden.read(pack).outputs.values()
    (values,) = ran.output.outputs.values()
    assert abs(values[0] - expected[0]) <= measured.output_error.max_error


@pytest.mark.slow
def test_a_picture_costs_a_hundredth_at_most(measured, bundle, picture_artifact, pack):
    pictures = measure(bundle, A76, picture_artifact, pack, BLANK)
    assert pictures.output_error.max_error < 1e-4
    assert pictures.instructions.total < 1.01 * measured.instructions.total


def test_litert_uses_xnnpack_for_every_op(measured):
    assert measured.runtime.delegate == Delegate(asked="xnnpack", got="xnnpack", fallback_ops={})


def test_another_processor_uses_other_kernels(measured, bundle, artifact, pack):
    settings = replace(ONE, warmup=1)
    small = measure(bundle, cpus.named("cortex-a53"), artifact, pack, BLANK, settings)
    assert small.instructions.total > 1.1 * measured.instructions.total
    assert small.output_error.max_error < 1e-4


def test_a_machine_without_cpuinfo_is_refused(bundle, tmp_path):
    with pytest.raises(MeasurementFailure) as caught:
        emulator.start(bundle, A76, tmp_path, [], 60)
    assert caught.value.kind == "missing-cpuinfo"


def test_a_run_that_takes_too_long_is_ended(bundle, artifact, pack):
    assert failure_of(bundle, artifact, pack, replace(ONE, timeout_s=0.05)).kind == "timeout"


def test_a_guest_that_is_killed_by_a_signal_is_a_crash(own_bundle, artifact, pack):
    (own_bundle.guest / "runner").write_bytes(_trap((own_bundle.guest / "runner").read_bytes()))
    failure = failure_of(own_bundle, artifact, pack)
    assert failure.kind == "crash"
    assert "SIGILL (an instruction that the processor lacks)" in failure.reason


def _trap(program):
    """The program with an instruction that no processor has at its entry point."""
    (entry,) = struct.unpack_from("<Q", program, 24)
    (headers,) = struct.unpack_from("<Q", program, 32)
    size, count = struct.unpack_from("<HH", program, 54)
    for i in range(count):
        kind, _, offset, address, _, length = struct.unpack_from(
            "<IIQQQQ", program, headers + i * size
        )
        if kind == 1 and address <= entry < address + length:
            place = offset + entry - address
            return program[:place] + bytes(4) + program[place + 4 :]
    raise AssertionError("no segment holds the entry point")


def test_truncated_output_is_refused(monkeypatch, bundle, artifact, pack):
    def truncated(*_):
        return subprocess.CompletedProcess([], 0, "agecompact-runner 1\nmodel ssrnet\n", "")

    monkeypatch.setattr(emulator, "start", truncated)
    assert failure_of(bundle, artifact, pack).kind == "truncated"


def test_missing_counts_are_refused(monkeypatch, bundle, artifact, pack, tmp_path):
    source = tmp_path / "plugin.c"
    source.write_text("int qemu_plugin_version = 1; int qemu_plugin_install() { return 0; }")
    plugin = tmp_path / "plugin.so"
    subprocess.run(["gcc", "-shared", "-fPIC", source, "-o", plugin], check=True)
    monkeypatch.setattr(type(bundle), "plugin", property(lambda _: plugin))
    assert failure_of(bundle, artifact, pack).kind == "truncated"


def test_an_output_that_is_not_finite_is_refused(monkeypatch, ran, bundle, artifact, pack):
    not_finite = replace(ran, output=replace(ran.output, outputs={"age": (math.nan,)}))
    monkeypatch.setattr(emulator, "run", lambda *_: not_finite)
    assert failure_of(bundle, artifact, pack).kind == "wrong-output"


def test_a_wrong_output_is_an_error_in_years(monkeypatch, ran, bundle, artifact, own_pack):
    values = np.fromfile(own_pack / "age.f32", "<f4")
    (values + 5).astype("<f4").tofile(own_pack / "age.f32")
    monkeypatch.setattr(emulator, "run", lambda *_: ran)
    run = measure(bundle, A76, artifact, own_pack, BLANK, ONE)
    assert run.output_error.max_error == pytest.approx(5, abs=1e-3)


def test_a_truncated_model_crashes_litert(bundle, artifact, pack, tmp_path):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(artifact.read_bytes()[:1000])
    failure = failure_of(bundle, broken, pack)
    assert failure.kind == "crash"
    assert "SIGSEGV (bad memory)" in failure.reason
