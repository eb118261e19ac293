"""SSR-Net on an emulated Cortex-A76, and every way in which that can fail."""

import math
import struct
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from agecompact.artifacts import golden
from android_bench.emulated import cpus, emulator
from android_bench.emulated.emulator import Settings
from android_bench.emulated.measure import measure
from android_bench.native.failure import RunnerFailure

from .conftest import SAMPLES

A76 = cpus.named("cortex-a76")
ONE = Settings(samples=1, warmup=0, runs=1, processes=1)


@pytest.fixture(scope="module")
def measured(bundle, artefact, pack):
    return measure(bundle, A76, artefact, pack)


def kind_of(bundle, artefact, pack, cpu=A76, settings=ONE):
    with pytest.raises(RunnerFailure) as failure:
        measure(bundle, cpu, artefact, pack, settings)
    return failure.value.kind


def test_two_processes_count_the_same_to_the_instruction(measured):
    assert len(measured.totals) == 2
    assert set(measured.totals) == {measured.instructions.total}


def test_the_network_is_among_what_is_counted(measured, ssrnet):
    counted = measured.instructions
    assert ssrnet.manifest.macs <= counted.macs < 1.2 * ssrnet.manifest.macs
    bound, _ = A76.bound(ssrnet.manifest.macs, "float32")
    assert bound < counted.multiply_accumulate < counted.total < 3 * bound
    assert measured.first_inference_instructions > counted.total
    assert 1e5 < measured.init_instructions < 1e8


def test_the_answers_are_pytorchs(measured, pack):
    assert measured.output_error.samples == SAMPLES
    assert measured.output_error.max_error < 1e-4
    (expected,) = golden.read(pack).outputs.values()
    (answers,) = measured.outputs.values()
    assert np.abs(np.array(answers) - expected).max() == measured.output_error.max_error


def test_it_says_what_ran(measured, bundle):
    assert measured.xnnpack
    assert measured.fully_accelerated is True
    assert measured.litert == bundle.index.litert
    assert measured.qemu == emulator.version(bundle)


def test_another_processor_takes_other_kernels(measured, bundle, artefact, pack):
    settings = replace(ONE, warmup=1)
    small = measure(bundle, cpus.named("cortex-a53"), artefact, pack, settings)
    assert small.instructions.total > 1.1 * measured.instructions.total
    assert small.output_error.max_error < 1e-4


def test_a_kept_measurement_is_taken_for_what_it_was_of(bundle, artefact, pack, tmp_path):
    first = measure(bundle, A76, artefact, pack, ONE, cache=tmp_path)
    (kept,) = tmp_path.iterdir()
    broken = replace(bundle, folder=tmp_path / "gone")
    assert measure(broken, A76, artefact, pack, ONE, cache=tmp_path) == first
    with pytest.raises(OSError, match="gone"):
        measure(broken, A76, artefact, pack, replace(ONE, samples=2), cache=tmp_path)
    kept.write_text(kept.read_text()[:-100])
    with pytest.raises(OSError, match="gone"):
        measure(broken, A76, artefact, pack, ONE, cache=tmp_path)


def test_a_machine_without_cpuinfo_is_not_tried(bundle, tmp_path):
    with pytest.raises(RunnerFailure) as failure:
        emulator.start(bundle, A76, tmp_path, [], 60)
    assert failure.value.kind == "missing-cpuinfo"


def test_a_run_that_takes_too_long_is_ended(bundle, artefact, pack):
    settings = replace(ONE, timeout_s=0.05)
    assert kind_of(bundle, artefact, pack, settings=settings) == "timeout"


def test_a_guest_that_dies_on_a_signal_is_a_crash(own_bundle, artefact, pack):
    (own_bundle.guest / "runner").write_bytes(_trap((own_bundle.guest / "runner").read_bytes()))
    with pytest.raises(RunnerFailure) as failure:
        measure(own_bundle, A76, artefact, pack, ONE)
    assert failure.value.kind == "crash"
    assert "SIGILL (an instruction that the processor lacks)" in failure.value.reason


def _trap(program):
    """The program with its entry point replaced by an instruction that no processor has."""
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


@pytest.fixture(scope="module")
def ran(bundle, artefact, pack):
    return emulator.run(bundle, A76, artefact, pack, ONE, samples=1)


def test_an_answer_that_is_cut_off_is_refused(monkeypatch, bundle, artefact, pack):
    def cut(*_):
        return subprocess.CompletedProcess([], 0, "agecompact-runner 1\nmodel ssrnet\n", "")

    monkeypatch.setattr(emulator, "start", cut)
    assert kind_of(bundle, artefact, pack) == "truncated"


def test_counts_that_are_missing_are_refused(monkeypatch, bundle, artefact, pack, tmp_path):
    harmless = tmp_path / "plugin.c"
    harmless.write_text("int qemu_plugin_version = 1; int qemu_plugin_install() { return 0; }")
    plugin = tmp_path / "plugin.so"
    subprocess.run(["gcc", "-shared", "-fPIC", harmless, "-o", plugin], check=True)
    monkeypatch.setattr(type(bundle), "plugin", property(lambda _: plugin))
    assert kind_of(bundle, artefact, pack) == "truncated"


def test_an_answer_that_is_no_number_is_refused(monkeypatch, ran, bundle, artefact, pack):
    answer = replace(ran, output=replace(ran.output, outputs={"age": (math.nan,)}))
    monkeypatch.setattr(emulator, "run", lambda *_, **__: answer)
    assert kind_of(bundle, artefact, pack) == "wrong-output"


def test_an_answer_of_another_name_is_refused(monkeypatch, ran, bundle, artefact, own_pack):
    index = (own_pack / "golden.json").read_text()
    (own_pack / "golden.json").write_text(index.replace('"name": "age"', '"name": "years"'))
    monkeypatch.setattr(emulator, "run", lambda *_, **__: ran)
    assert kind_of(bundle, artefact, own_pack) == "wrong-output"


def test_a_wrong_answer_is_told_as_an_error_in_years(monkeypatch, ran, bundle, artefact, own_pack):
    answers = np.fromfile(own_pack / "answers.f32", "<f4")
    (answers + 5).astype("<f4").tofile(own_pack / "answers.f32")
    monkeypatch.setattr(emulator, "run", lambda *_, **__: ran)
    run = measure(bundle, A76, artefact, own_pack, ONE)
    assert run.output_error.max_error == pytest.approx(5, abs=1e-3)


def test_a_file_that_is_no_model_is_the_files_fault(bundle, pack, tmp_path):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"no FlatBuffer" * 100)
    assert kind_of(bundle, broken, pack) == "model"


def test_a_model_that_is_cut_off_crashes_litert(bundle, artefact, pack, tmp_path):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(artefact.read_bytes()[:1000])
    with pytest.raises(RunnerFailure) as failure:
        measure(bundle, A76, broken, pack, ONE)
    assert failure.value.kind == "crash"
    assert "SIGSEGV (bad memory)" in failure.value.reason
