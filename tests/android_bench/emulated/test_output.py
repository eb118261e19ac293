"""Parsers of what the runner and the plugin print, complete and damaged."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agecompact.artifacts import golden
from android_bench.emulated import counts
from android_bench.failure import MeasurementFailure
from android_bench.native import output, results
from tests.golden_pack import write_pack

OUTPUT = """agecompact-runner 1
model ssrnet
threads 1
cores f0
init_ns 3508372
fully_accelerated true
first_inference_ns 1424368
samples_ns 434008 396748
output age 0 0x1.39868ap+6
output age 1 -0x1p-3
peak_rss_bytes 11599872
end
"""
COUNTS = """agecompact-counts 1
init 828247 359346 0 9274 939806 2132725 0
inference 10 9 8 7 6 5 32
inference 10 9 8 7 5 5 32
inference 10 9 8 7 5 5 32
end
"""


def test_output_is_parsed():
    parsed = output.parse(OUTPUT)
    assert parsed.model == "ssrnet"
    assert parsed.cores == 0xF0
    assert parsed.init_ns == 3508372
    assert parsed.first_inference_ns == 1424368
    assert parsed.samples_ns == (434008, 396748)
    assert parsed.fully_accelerated is True
    assert parsed.outputs == {"age": (float.fromhex("0x1.39868ap+6"), -0.125)}
    assert parsed.peak_rss_bytes == 11599872


def test_what_the_runner_does_not_know_is_none():
    damaged = OUTPUT.replace("rss_bytes 11599872", "rss_bytes unknown")
    damaged = damaged.replace("cores f0", "cores 0").replace(
        "accelerated true", "accelerated unknown"
    )
    parsed = output.parse(damaged)
    assert parsed.peak_rss_bytes is None
    assert parsed.cores is None
    assert parsed.fully_accelerated is None


def test_outputs_that_are_not_finite_are_parsed():
    parsed = output.parse(OUTPUT.replace("0x1.39868ap+6", "nan").replace("-0x1p-3", "-inf"))
    assert math.isnan(parsed.outputs["age"][0])
    assert parsed.outputs["age"][1] == -math.inf


def test_output_truncated_anywhere_is_refused():
    for length in range(len(OUTPUT)):
        with pytest.raises(MeasurementFailure) as failure:
            output.parse(OUTPUT[:length])
        assert failure.value.kind == "truncated"


@pytest.mark.parametrize("line", [line for line in OUTPUT.splitlines() if "output" not in line])
def test_a_missing_or_repeated_line_is_refused(line):
    for damaged in (OUTPUT.replace(line + "\n", ""), OUTPUT.replace(line, f"{line}\n{line}")):
        with pytest.raises(MeasurementFailure):
            output.parse(damaged)


@pytest.mark.parametrize(
    ("part", "instead"),
    [
        ("init_ns 3508372", "init_ns 3_508"),
        ("init_ns 3508372", "init_ns -1"),
        ("init_ns 3508372", "init_ns 3.5e6"),
        ("init_ns 3508372", "init_ns ٣"),
        ("samples_ns 434008 396748", "samples_ns 434008  396748"),
        ("samples_ns 434008 396748", "samples_ns"),
        ("accelerated true", "accelerated yes"),
        ("cores f0", "cores 0xf0"),
        ("output age 1 ", "output age 2 "),
        ("output age 1 ", "output gender 1 "),
        ("-0x1p-3", "-0.125"),
        ("-0x1p-3", "0x1p+99999"),
        ("peak_rss_bytes 11599872", "peak_rss 11599872"),
        ("agecompact-runner 1", "agecompact-runner 2"),
    ],
)
def test_a_wrong_value_is_refused(part, instead):
    assert part in OUTPUT
    with pytest.raises(MeasurementFailure) as failure:
        output.parse(OUTPUT.replace(part, instead))
    assert failure.value.kind == "malformed"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (2, "usage"),
        (3, "library"),
        (4, "model"),
        (5, "golden"),
        (6, "mismatch"),
        (7, "inference"),
        (8, "cores"),
    ],
)
def test_an_exit_code_is_a_kind_of_failure(code, kind):
    with pytest.raises(MeasurementFailure) as failure:
        output.parse("agecompact-runner 1\nerror it went wrong\n", code)
    assert failure.value.kind == kind
    assert failure.value.reason == "it went wrong"


def test_an_exit_code_without_an_error_is_a_crash():
    with pytest.raises(MeasurementFailure) as failure:
        output.parse(OUTPUT, 127)
    assert failure.value.kind == "crash"


@settings(deadline=None)
@given(st.text())
def test_garbage_is_refused(text):
    for parse in (output.parse, counts.parse):
        with pytest.raises(MeasurementFailure):
            parse(text)


@settings(deadline=None)
@given(st.data())
def test_output_with_a_changed_byte_is_parsed_or_refused(data):
    place = data.draw(st.integers(0, len(OUTPUT) - 1))
    byte = data.draw(st.characters(max_codepoint=255))
    damaged = OUTPUT[:place] + byte + OUTPUT[place + 1 :]
    try:
        parsed = output.parse(damaged)
    except MeasurementFailure:
        return
    assert len(parsed.outputs) == 1
    assert len(parsed.samples_ns) in (1, 2, 3)


def test_counts_are_parsed():
    counted = counts.parse(COUNTS)
    assert counted.init.total == 828247 + 359346 + 9274 + 939806 + 2132725
    assert [each.total for each in counted.inferences] == [45, 44, 44]
    assert counted.inferences[0] == counts.InstructionCounts(
        load=10, store=9, multiply_accumulate=8, simd=7, branch=6, other=5, macs=32
    )


def test_counts_truncated_anywhere_are_refused():
    for length in range(len(COUNTS)):
        with pytest.raises(MeasurementFailure) as failure:
            counts.parse(COUNTS[:length])
        assert failure.value.kind == "truncated"


@pytest.mark.parametrize(
    ("part", "instead"),
    [
        ("init ", "inference "),
        ("init 828247", "init"),
        ("agecompact-counts 1", "agecompact-counts 2"),
        ("inference 10 9 8 7 6 5 32", "inference 10 9 8 7 6 5 32 1"),
        ("inference 10 9 8 7 6 5 32", "init 10 9 8 7 6 5 32"),
        ("inference 10", "inference -10"),
    ],
)
def test_wrong_counts_are_refused(part, instead):
    assert part in COUNTS
    with pytest.raises(MeasurementFailure) as failure:
        counts.parse(COUNTS.replace(part, instead))
    assert failure.value.kind == "malformed"


def test_the_steady_state_comes_after_the_warm_up():
    counted = counts.parse(COUNTS)
    assert counts.steady(counted, skip=1, runs=2).total == 44
    with pytest.raises(MeasurementFailure) as failure:
        counts.steady(counted, skip=0, runs=2)
    assert failure.value.kind == "unsteady"
    with pytest.raises(MeasurementFailure) as failure:
        counts.steady(counted, skip=2, runs=2)
    assert failure.value.kind == "truncated"


def test_one_branch_in_17_million_is_steady_and_two_in_a_million_are_not():
    lines = "inference 0 0 0 0 {} 0 0\n" * 2
    text = "agecompact-counts 1\ninit 1 1 1 1 1 1 1\n" + lines + "end\n"
    near = counts.parse(text.format(17_000_000, 17_000_001))
    assert counts.steady(near, skip=0, runs=2).total == 17_000_000
    with pytest.raises(MeasurementFailure):
        counts.steady(counts.parse(text.format(1_000_000, 1_000_002)), skip=0, runs=2)


def test_ops_that_fell_back_are_unknown_unless_litert_took_all():
    parsed = output.parse(OUTPUT)
    log = "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n"
    delegate = results.delegate(parsed, log)
    assert (delegate.asked, delegate.got, delegate.fallback_ops) == ("xnnpack", "xnnpack", {})
    assert results.delegate(parsed, "").got is None
    assert results.delegate(replace(parsed, fully_accelerated=False), log).fallback_ops is None


@pytest.mark.parametrize(
    "outputs", [{}, {"age": (78.4, -0.1), "gender": (0.0, 0.0)}, {"age": (78.4,)}]
)
def test_outputs_that_are_not_those_of_the_pack_are_refused(tmp_path, outputs):
    images = {"face": np.zeros((2, 4, 4, 3))}
    expected = {"age": [78.4, -0.1]}
    pack = golden.read(write_pack(tmp_path, "0" * 64, images, np.zeros((3, 256)), expected))
    parsed = output.parse(OUTPUT)
    assert results.accuracy(parsed, pack, "a.tflite").max_error < 1
    with pytest.raises(MeasurementFailure) as failure:
        results.accuracy(replace(parsed, outputs=outputs), pack, "a.tflite")
    assert failure.value.kind == "wrong-output"
