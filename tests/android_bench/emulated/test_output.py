"""What the runner and the plugin print, whole and harmed."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from android_bench.emulated import counts
from android_bench.native import output
from android_bench.native.failure import RunnerFailure

ANSWER = """agecompact-runner 1
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


def test_an_answer_is_read():
    told = output.parse(ANSWER)
    assert told.model == "ssrnet"
    assert told.cores == 0xF0
    assert told.init_ns == 3508372
    assert told.first_inference_ns == 1424368
    assert told.samples_ns == (434008, 396748)
    assert told.fully_accelerated is True
    assert told.outputs == {"age": (float.fromhex("0x1.39868ap+6"), -0.125)}
    assert told.peak_rss_bytes == 11599872


def test_what_the_runner_does_not_know_is_none():
    harmed = ANSWER.replace("rss_bytes 11599872", "rss_bytes unknown")
    harmed = harmed.replace("cores f0", "cores 0").replace(
        "accelerated true", "accelerated unknown"
    )
    told = output.parse(harmed)
    assert told.peak_rss_bytes is None
    assert told.cores is None
    assert told.fully_accelerated is None


def test_an_answer_that_is_no_number_is_told():
    told = output.parse(ANSWER.replace("0x1.39868ap+6", "nan").replace("-0x1p-3", "-inf"))
    assert math.isnan(told.outputs["age"][0])
    assert told.outputs["age"][1] == -math.inf


def test_an_answer_cut_off_anywhere_is_refused():
    for length in range(len(ANSWER)):
        with pytest.raises(RunnerFailure) as failure:
            output.parse(ANSWER[:length])
        assert failure.value.kind == "truncated"


@pytest.mark.parametrize("line", [line for line in ANSWER.splitlines() if "output" not in line])
def test_a_line_that_is_missing_or_there_twice_is_refused(line):
    for harmed in (ANSWER.replace(line + "\n", ""), ANSWER.replace(line, f"{line}\n{line}")):
        with pytest.raises(RunnerFailure):
            output.parse(harmed)


@pytest.mark.parametrize(
    ("told", "instead"),
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
def test_a_wrong_value_is_refused(told, instead):
    assert told in ANSWER
    with pytest.raises(RunnerFailure) as failure:
        output.parse(ANSWER.replace(told, instead))
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
    with pytest.raises(RunnerFailure) as failure:
        output.parse("agecompact-runner 1\nerror it went wrong\n", code)
    assert failure.value.kind == kind
    assert failure.value.reason == "it went wrong"


def test_an_exit_code_without_a_word_is_a_crash():
    with pytest.raises(RunnerFailure) as failure:
        output.parse(ANSWER, 127)
    assert failure.value.kind == "crash"


@settings(deadline=None)
@given(st.text())
def test_garbage_is_refused(text):
    for parse in (output.parse, counts.parse):
        with pytest.raises(RunnerFailure):
            parse(text)


@settings(deadline=None)
@given(st.data())
def test_an_answer_with_any_byte_changed_is_read_or_refused(data):
    place = data.draw(st.integers(0, len(ANSWER) - 1))
    byte = data.draw(st.characters(max_codepoint=255))
    harmed = ANSWER[:place] + byte + ANSWER[place + 1 :]
    try:
        told = output.parse(harmed)
    except RunnerFailure:
        return
    assert len(told.outputs) == 1
    assert len(told.samples_ns) in (1, 2, 3)


def test_counts_are_read():
    counted = counts.parse(COUNTS)
    assert counted.init.total == 828247 + 359346 + 9274 + 939806 + 2132725
    assert [each.total for each in counted.inferences] == [45, 44, 44]
    assert counted.inferences[0] == counts.InstructionCounts(
        load=10, store=9, multiply_accumulate=8, simd=7, branch=6, other=5, macs=32
    )


def test_counts_cut_off_anywhere_are_refused():
    for length in range(len(COUNTS)):
        with pytest.raises(RunnerFailure) as failure:
            counts.parse(COUNTS[:length])
        assert failure.value.kind == "truncated"


@pytest.mark.parametrize(
    ("told", "instead"),
    [
        ("init ", "inference "),
        ("init 828247", "init"),
        ("agecompact-counts 1", "agecompact-counts 2"),
        ("inference 10 9 8 7 6 5 32", "inference 10 9 8 7 6 5 32 1"),
        ("inference 10 9 8 7 6 5 32", "init 10 9 8 7 6 5 32"),
        ("inference 10", "inference -10"),
    ],
)
def test_wrong_counts_are_refused(told, instead):
    assert told in COUNTS
    with pytest.raises(RunnerFailure) as failure:
        counts.parse(COUNTS.replace(told, instead))
    assert failure.value.kind == "malformed"


def test_the_steady_state_comes_after_the_warm_up():
    counted = counts.parse(COUNTS)
    assert counts.steady(counted, skip=1, runs=2).total == 44
    with pytest.raises(RunnerFailure) as failure:
        counts.steady(counted, skip=0, runs=2)
    assert failure.value.kind == "unsteady"
    with pytest.raises(RunnerFailure) as failure:
        counts.steady(counted, skip=2, runs=2)
    assert failure.value.kind == "truncated"


def test_a_branch_among_millions_is_steady_and_two_in_a_million_are_not():
    lines = "inference 0 0 0 0 {} 0 0\n" * 2
    text = "agecompact-counts 1\ninit 1 1 1 1 1 1 1\n" + lines + "end\n"
    near = counts.parse(text.format(17_000_000, 17_000_001))
    assert counts.steady(near, skip=0, runs=2).total == 17_000_000
    with pytest.raises(RunnerFailure):
        counts.steady(counts.parse(text.format(1_000_000, 1_000_002)), skip=0, runs=2)
