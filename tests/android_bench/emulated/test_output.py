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
PARSERS = {OUTPUT: output.parse, COUNTS: counts.parse}


def failure_of(function, *arguments, **keywords):
    with pytest.raises(MeasurementFailure) as caught:
        function(*arguments, **keywords)
    return caught.value


def test_output_is_parsed():
    assert output.parse(OUTPUT) == output.RunnerOutput(
        model="ssrnet",
        threads=1,
        cores=0xF0,
        init_ns=3508372,
        first_inference_ns=1424368,
        samples_ns=(434008, 396748),
        fully_accelerated=True,
        outputs={"age": ((float.fromhex("0x1.39868ap+6"),), (-0.125,))},
        peak_rss_bytes=11599872,
    )


@pytest.mark.parametrize(
    ("line", "instead", "field"),
    [
        ("rss_bytes 11599872", "rss_bytes unknown", "peak_rss_bytes"),
        ("cores f0", "cores 0", "cores"),
        ("accelerated true", "accelerated unknown", "fully_accelerated"),
    ],
)
def test_what_the_runner_does_not_know_is_none(line, instead, field):
    assert getattr(output.parse(OUTPUT.replace(line, instead)), field) is None


def test_outputs_that_are_not_finite_are_parsed():
    parsed = output.parse(OUTPUT.replace("0x1.39868ap+6", "nan").replace("-0x1p-3", "-inf"))
    assert math.isnan(parsed.outputs["age"][0][0])
    assert parsed.outputs["age"][1][0] == -math.inf


def test_an_output_of_several_values_is_parsed():
    lines = "output pose 0 0x1p+0 -0x1p-1\noutput pose 1 0x0p+0 nan\npeak"
    ((one, half), (zero, nan)) = output.parse(OUTPUT.replace("peak", lines)).outputs["pose"]
    assert (one, half, zero) == (1.0, -0.5, 0.0)
    assert math.isnan(nan)


@pytest.mark.parametrize(
    "line", ["output pose 0", "output pose 1 0x1p+0", "output pose 0 0x1p+0 x", "output pose 0 1.0"]
)
def test_an_output_that_is_cut_or_out_of_turn_is_malformed(line):
    assert failure_of(output.parse, OUTPUT.replace("peak", f"{line}\npeak")).kind == "malformed"


def test_counts_are_parsed():
    counted = counts.parse(COUNTS)
    assert counted.init.total == 828247 + 359346 + 9274 + 939806 + 2132725
    assert [each.total for each in counted.inferences] == [45, 44, 44]
    assert counted.inferences[0] == counts.InstructionCounts(
        load=10, store=9, multiply_accumulate=8, simd=7, branch=6, other=5, macs=32
    )


@pytest.mark.parametrize("text", PARSERS)
def test_a_text_truncated_anywhere_is_refused(text):
    for length in range(len(text)):
        assert failure_of(PARSERS[text], text[:length]).kind == "truncated"


@pytest.mark.parametrize("line", [line for line in OUTPUT.splitlines() if "output" not in line])
def test_a_missing_or_repeated_line_is_refused(line):
    for instead in ("", f"{line}\n{line}\n"):
        failure_of(output.parse, OUTPUT.replace(line + "\n", instead))


@pytest.mark.parametrize(
    ("text", "part", "instead"),
    [
        (OUTPUT, "init_ns 3508372", "init_ns 3_508"),
        (OUTPUT, "init_ns 3508372", "init_ns -1"),
        (OUTPUT, "init_ns 3508372", "init_ns 3.5e6"),
        (OUTPUT, "init_ns 3508372", "init_ns ٣"),
        (OUTPUT, "samples_ns 434008 396748", "samples_ns 434008  396748"),
        (OUTPUT, "samples_ns 434008 396748", "samples_ns"),
        (OUTPUT, "accelerated true", "accelerated yes"),
        (OUTPUT, "cores f0", "cores 0xf0"),
        (OUTPUT, "output age 1 ", "output age 2 "),
        (OUTPUT, "output age 1 ", "output gender 1 "),
        (OUTPUT, "-0x1p-3", "-0.125"),
        (OUTPUT, "-0x1p-3", "0x1p+99999"),
        (OUTPUT, "peak_rss_bytes 11599872", "peak_rss 11599872"),
        (OUTPUT, "agecompact-runner 1", "agecompact-runner 2"),
        (COUNTS, "init ", "inference "),
        (COUNTS, "init 828247", "init"),
        (COUNTS, "agecompact-counts 1", "agecompact-counts 2"),
        (COUNTS, "inference 10 9 8 7 6 5 32", "inference 10 9 8 7 6 5 32 1"),
        (COUNTS, "inference 10 9 8 7 6 5 32", "init 10 9 8 7 6 5 32"),
        (COUNTS, "inference 10", "inference -10"),
    ],
)
def test_a_wrong_value_is_refused(text, part, instead):
    assert part in text
    assert failure_of(PARSERS[text], text.replace(part, instead)).kind == "malformed"


_KINDS = ("usage", "library", "model", "golden", "mismatch", "inference", "cores")


@pytest.mark.parametrize(("code", "kind"), enumerate(_KINDS, start=2))
def test_an_exit_code_is_a_kind_of_failure(code, kind):
    failure = failure_of(output.parse, "agecompact-runner 1\nerror it went wrong\n", code)
    assert (failure.kind, failure.reason) == (kind, "it went wrong")


def test_an_exit_code_without_an_error_is_a_crash():
    assert failure_of(output.parse, OUTPUT, 127).kind == "crash"


@settings(deadline=None)
@given(st.text())
def test_garbage_is_refused(text):
    for parse in PARSERS.values():
        failure_of(parse, text)


@settings(deadline=None)
@given(st.data())
def test_output_with_a_changed_byte_is_parsed_or_refused(data):
    place = data.draw(st.integers(0, len(OUTPUT) - 1))
    byte = data.draw(st.characters(max_codepoint=255))
    try:
        parsed = output.parse(OUTPUT[:place] + byte + OUTPUT[place + 1 :])
    except MeasurementFailure:
        return
    assert len(parsed.outputs) == 1
    assert len(parsed.samples_ns) in (1, 2, 3)


def test_the_steady_state_comes_after_the_warm_up():
    counted = counts.parse(COUNTS)
    assert counts.steady(counted, skip=1, runs=2).total == 44
    assert failure_of(counts.steady, counted, skip=0, runs=2).kind == "unsteady"
    assert failure_of(counts.steady, counted, skip=2, runs=2).kind == "truncated"


def test_one_branch_in_17_million_is_steady_and_two_in_a_million_are_not():
    lines = "inference 0 0 0 0 {} 0 0\n" * 2
    text = "agecompact-counts 1\ninit 1 1 1 1 1 1 1\n" + lines + "end\n"
    near = counts.parse(text.format(17_000_000, 17_000_001))
    assert counts.steady(near, skip=0, runs=2).total == 17_000_000
    far = counts.parse(text.format(1_000_000, 1_000_002))
    assert failure_of(counts.steady, far, skip=0, runs=2).kind == "unsteady"


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
    changed = replace(parsed, outputs=outputs)
    assert failure_of(results.accuracy, changed, pack, "a.tflite").kind == "wrong-output"
