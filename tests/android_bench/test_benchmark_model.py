"""The parsers, on saved outputs; see `saved_outputs`."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from android_bench.benchmark_model import delegation, flags, profile, statistics
from android_bench.benchmark_model.output import parse
from android_bench.failure import MeasurementFailure
from tests.android_bench.saved_outputs import FOLDER, saved

_COMPLETE = (
    "composed_tflite_1",
    "composed_tflite_2",
    "composed_tflite_2_percentiles",
    "composed_tflite_2_scientific",
    "composed_tflite_2_unconsumed_gpu",
    "composed_tflite_2_gpu_partial",
    "composed_tflite_2_nnapi_took_nothing",
    "composed_litert",
    "litert_benchmark_2.3.0",
)


@pytest.mark.parametrize(
    ("name", "form", "init_ms", "first_ms", "mean_ms", "median_ms", "footprint_mib"),
    [
        ("composed_tflite_1", "tflite-1", 16.66, 0.627, 0.3551, None, None),
        ("composed_tflite_2", "tflite-2", 16.66, 0.627, 0.3551, None, 3.62109),
        ("composed_tflite_2_percentiles", "tflite-2", 16.66, 0.627, 0.3551, 0.356, 3.62109),
        # Not 1.3 us.
        ("composed_tflite_2_scientific", "tflite-2", 16.66, 1312.345, 1296.25, None, 1003.62),
        # LiteRT prints rows in us and results in ms.
        ("composed_litert", "litert", 16.66, 0.63, 0.3551, 0.356, 6.25),
        # Without rows, the results are in hundredths of a millisecond.
        ("litert_benchmark_2.3.0", "litert", 2.11, 0.91, 4.86, 0.72, None),
    ],
)
def test_every_form_is_parsed(name, form, init_ms, first_ms, mean_ms, median_ms, footprint_mib):
    output = parse(saved(name))
    assert output.form == form
    assert output.init_ms == pytest.approx(init_ms)
    assert output.first_inference_ms == pytest.approx(first_ms)
    assert (output.timed.mean_ms, output.timed.median_ms) == pytest.approx((mean_ms, median_ms))
    footprint = None if footprint_mib is None else round(footprint_mib * 1024 * 1024)
    assert output.footprint_bytes == footprint


def test_the_warm_up_is_never_the_result():
    for name in _COMPLETE:
        output = parse(saved(name))
        counts = (1, 3) if "scientific" in name else (5, 50)
        assert (output.warmup.count, output.timed.count) == counts
        assert output.timed.mean_ms != output.warmup.mean_ms


def test_a_run_that_ends_after_its_warm_up_is_truncated():
    with pytest.raises(MeasurementFailure, match="ends after its warm-up") as caught:
        parse(saved("composed_tflite_2_ends_after_warmup"))
    assert caught.value.kind == "truncated"


def test_a_summary_of_the_warm_up_is_a_contradiction():
    # The row of the timed runs is replaced by that of the warm-up.
    text = saved("composed_tflite_2")
    row = next(line for line in text.splitlines() if line.startswith("count=5 "))
    lines = [row if line.startswith("count=50 ") else line for line in text.splitlines()]
    with pytest.raises(MeasurementFailure, match="timed runs took") as caught:
        parse("\n".join(lines) + "\n")
    assert caught.value.kind == "contradictory"


def test_a_failed_delegate_is_reported_with_its_cause():
    with pytest.raises(MeasurementFailure, match="Failed to apply GPU delegate") as caught:
        parse(saved("composed_tflite_2_gpu_failed"))
    assert caught.value.kind == "failed"


@pytest.mark.parametrize("name", _COMPLETE)
def test_output_truncated_anywhere_is_complete_or_refused(name):
    text = saved(name)
    complete = parse(text)
    for end in range(0, len(text), 5):
        try:
            output = parse(text[:end])
        except MeasurementFailure:
            continue
        # Only the footprint, which comes last, may be unknown.
        footprint = output.footprint_bytes
        assert footprint in (None, complete.footprint_bytes)
        assert replace(complete, footprint_bytes=footprint) == output


@pytest.mark.parametrize("prefix", ["", "INFO: ", "07-14 13:14:56.521 22838 22838 I tflite  : "])
def test_prefixes_of_a_logger_are_ignored(prefix):
    text = "".join(prefix + line for line in saved("composed_tflite_2").splitlines(keepends=True))
    assert parse(text).timed == parse(saved("composed_tflite_2")).timed


def test_lines_may_end_as_on_an_old_terminal():
    text = saved("composed_tflite_2").replace("\n", "\r\n")
    assert parse(text) == parse(saved("composed_tflite_2"))


def test_equal_inferences_are_printed_in_short():
    assert statistics.find("count=1 curr=533").mean_ms == pytest.approx(0.533)
    equal = statistics.find("count=4 curr=533(all same)")
    assert (equal.count, equal.std_ms, equal.max_ms) == (4, 0.0, pytest.approx(0.533))
    assert statistics.find("count=0") is None


@given(st.lists(st.integers(1, 10**9), min_size=2, max_size=60))
def test_statistics_are_parsed_as_cpp_streams_print_them(us):
    mean = sum(us) / len(us)
    deviation = math.sqrt(sum((v - mean) ** 2 for v in us) / len(us))
    found = statistics.find(
        f"count={len(us)} first={us[0]} curr={us[-1]} min={min(us)} max={max(us)} "
        f"avg={mean:.6g} std={int(deviation)}"
    )
    assert found.mean_ms == pytest.approx(mean / 1e3, rel=1e-5)
    assert found.min_ms == min(us) / 1e3
    assert found.std_ms >= int(deviation) / 1e3


def test_delegates():
    def of(name, requested, *flag_names):
        return delegation.outcome_of(requested, flag_names, parse(saved(name)).delegates)

    assert of("composed_tflite_2", "xnnpack", "use_xnnpack") == delegation.Outcome("xnnpack", 1)
    partial = of("composed_tflite_2_gpu_partial", "gpu", "use_gpu")
    assert partial == delegation.Outcome("gpu", 3)
    ignored = of("composed_tflite_2_unconsumed_gpu", "gpu", "use_gpu")
    assert (ignored.got, ignored.refusal) == ("none", "the tool does not know --use_gpu")
    nothing = of("composed_tflite_2_nnapi_took_nothing", "nnapi", "use_nnapi")
    assert (nothing.got, nothing.partitions) == ("none", 0)
    assert of("composed_litert", "gpu", "use_gpu") == delegation.Outcome(None)
    # TFLite applies XNNPACK by default.
    assert of("composed_tflite_2", "none").got == "xnnpack"
    assert of("composed_tflite_1", "none").got == "none"


def test_a_failed_delegate_has_its_message():
    log = delegation.find(saved("composed_tflite_2_gpu_failed").splitlines())
    outcome = delegation.outcome_of("gpu", ["use_gpu"], log)
    assert outcome.got == "none"
    assert outcome.refusal == "Failed to apply GPU delegate."


def test_the_profile_is_of_the_timed_runs():
    ops = profile.parse((FOLDER / "composed_profile.csv").read_text())
    assert [op.kind for op in ops] == ["TfLiteXNNPackDelegate", "Convolution (NHWC, F32)", "TILE"]
    assert ops[1].name == "[stream/conv1, pad]:0"
    assert [op.runs for op in ops] == [1, 1, 2]
    assert ops[0].mean_ms == 0.284571


def test_a_truncated_profile_is_refused():
    text = (FOLDER / "composed_profile.csv").read_text()
    for cut in ("Operator-wise", "Run Order ==", "TILE"):
        with pytest.raises(MeasurementFailure):
            profile.parse(text[: text.rindex(cut)])


def test_counts_are_exact_only_without_minimum_durations():
    words = flags.command_line(
        "./tool", "m.tflite", ("--use_gpu=true",), threads=2, runs=50, warmup=5
    )
    assert words[0] == "./tool"
    assert {"--min_secs=0", "--warmup_min_secs=0", "--num_runs=50", "--warmup_runs=5"} <= set(words)


def test_flags_are_known_from_the_help():
    text = "usage: ./benchmark_model\nFlags:\n\t--num_runs=50\tint32\toptional\n\t--use_cpu=1\tbool"
    known = flags.known_flags(text)
    assert known == {"num_runs", "use_cpu"}
    assert flags.family_of(known) == "litert"
    assert flags.family_of(frozenset()) == "tflite"
    assert flags.profiling(known, "p.csv") is None
    assert "--op_profiling_output_file=p.csv" in flags.profiling(frozenset(), "p.csv")
