"""The parsers, on saved outputs.

`litert_benchmark_2.3.0.txt` is what `litert-benchmark` of ai-edge-litert 2.3.0 printed for the
float32 file of c3ae on a busy x86 host. Google's binaries for Android cannot be run here, so the
files named `composed_*` hold figures that were really measured (ssrnet, float32, on that host, the
50 fastest of 200 inferences; those of `scientific` and the profile are made up) in the words of the
sources that print them. What people published of real runs, on phones and boards, is in
`test_published_runs`: their figures in the same words, for no output of others is copied here. Of a
delegate that fails, and of a flag that nobody consumed, no whole run was found to be published:
what is here of them comes from the sources alone.

- composed_tflite_1: tensorflow v1.13 to v2.1, lite/tools/benchmark/benchmark_model.cc; a real run
  is shown in github.com/yuenshome/yuenshome.github.io issue 77;
- composed_tflite_2, _scientific, _ends_after_warmup: the same since v2.2; real runs are shown in
  github.com/tensorflow/tensorflow issues 42507 and 49158;
- composed_tflite_2_percentiles: google-ai-edge/LiteRT tflite/tools/benchmark/benchmark_model.cc,
  which logs `INFO:` before every line and tells p5, median and p95;
- composed_tflite_2_gpu_*, _nnapi_*, _unconsumed_gpu: tflite/tools/benchmark/
  benchmark_tflite_model.cc of the same; see tensorflow/tensorflow issues 47175 and 56301;
- composed_litert: litert/tools/benchmark_litert_model.h of the same; a real run is shown in
  github.com/mlcommons/mobile_app_open issue 1134;
- composed_profile.csv: tensorflow/core/util/stats_calculator.cc.
"""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from android_bench.benchmark_model import delegation, flags, profile, statistics
from android_bench.benchmark_model.failure import UnreadableOutputError
from android_bench.benchmark_model.output import parse

_DATA = Path(__file__).parent.parent / "data/benchmark_model"
_WHOLE = (
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


def _saved(name):
    return (_DATA / f"{name}.txt").read_text()


def test_the_second_generation():
    told = parse(_saved("composed_tflite_2"))
    assert told.form == "tflite-2"
    assert told.init_ms == pytest.approx(16.66)
    assert told.first_inference_ms == pytest.approx(0.627)
    assert (told.warmup.count, told.timed.count) == (5, 50)
    assert told.timed.mean_ms == pytest.approx(0.3551)
    assert (told.timed.min_ms, told.timed.max_ms) == pytest.approx((0.345, 0.359))
    assert told.timed.median_ms is None
    assert told.footprint_bytes == round(3.62109 * 1024 * 1024)


def test_the_first_generation_tells_its_first_inference_in_the_warm_up_row_alone():
    told = parse(_saved("composed_tflite_1"))
    assert told.form == "tflite-1"
    assert told.init_ms == pytest.approx(16.66)
    assert told.first_inference_ms == pytest.approx(0.627)
    assert told.timed.mean_ms == pytest.approx(0.3551)
    assert told.footprint_bytes is None


def test_percentiles_of_the_newest():
    timed = parse(_saved("composed_tflite_2_percentiles")).timed
    assert (timed.p5_ms, timed.median_ms, timed.p95_ms) == pytest.approx((0.345, 0.356, 0.359))


def test_litert_tells_rows_in_us_and_results_in_ms():
    told = parse(_saved("composed_litert"))
    assert told.form == "litert"
    assert told.timed.mean_ms == pytest.approx(0.3551)
    assert told.init_ms == pytest.approx(16.66)
    assert told.footprint_bytes == round(6.25 * 1024 * 1024)


def test_litert_without_rows_tells_hundredths_of_a_millisecond():
    told = parse(_saved("litert_benchmark_2.3.0"))
    assert (told.form, told.timed.count, told.warmup.count) == ("litert", 50, 5)
    assert (told.timed.mean_ms, told.timed.median_ms) == (4.86, 0.72)
    assert told.first_inference_ms == 0.91


def test_the_warm_up_is_never_the_result():
    for name in _WHOLE:
        told = parse(_saved(name))
        assert told.timed.count == (3 if "scientific" in name else 50)
        assert told.timed.mean_ms != told.warmup.mean_ms


def test_scientific_notation_is_not_one_microsecond():
    told = parse(_saved("composed_tflite_2_scientific"))
    assert told.timed.mean_ms == pytest.approx(1296.25, rel=1e-3)
    assert told.warmup.mean_ms == pytest.approx(1312.34, rel=1e-5)


def test_a_run_that_ends_after_its_warm_up_is_none():
    with pytest.raises(UnreadableOutputError, match="ends after its warm-up") as caught:
        parse(_saved("composed_tflite_2_ends_after_warmup"))
    assert caught.value.kind == "truncated"


def test_a_summary_of_the_warm_up_is_a_contradiction():
    # The row of the timed runs went missing, and those of two warm-ups are left.
    text = _saved("composed_tflite_2")
    row = next(line for line in text.splitlines() if line.startswith("count=5 "))
    lines = [row if line.startswith("count=50 ") else line for line in text.splitlines()]
    with pytest.raises(UnreadableOutputError, match="timed runs took") as caught:
        parse("\n".join(lines) + "\n")
    assert caught.value.kind == "contradictory"


def test_a_failed_delegate_is_told_with_its_cause():
    with pytest.raises(UnreadableOutputError, match="Failed to apply GPU delegate") as caught:
        parse(_saved("composed_tflite_2_gpu_failed"))
    assert caught.value.kind == "failed"


@pytest.mark.parametrize("name", _WHOLE)
def test_an_output_that_is_cut_anywhere_is_whole_or_refused(name):
    text = _saved(name)
    whole = parse(text)
    for end in range(0, len(text), 5):
        try:
            told = parse(text[:end])
        except UnreadableOutputError:
            continue
        # What is read of it is what it said; only what stood beyond the cut is unknown.
        assert (told.timed, told.warmup, told.init_ms) == (whole.timed, whole.warmup, whole.init_ms)
        assert told.footprint_bytes in (None, whole.footprint_bytes)


@pytest.mark.parametrize("prefix", ["", "INFO: ", "07-14 13:14:56.521 22838 22838 I tflite  : "])
def test_what_a_logger_puts_before_a_line_does_not_matter(prefix):
    text = "".join(prefix + line for line in _saved("composed_tflite_2").splitlines(keepends=True))
    assert parse(text).timed == parse(_saved("composed_tflite_2")).timed


def test_lines_may_end_as_an_old_terminal_ends_them():
    text = _saved("composed_tflite_2").replace("\n", "\r\n")
    assert parse(text) == parse(_saved("composed_tflite_2"))


def test_equal_inferences_are_told_in_short():
    assert statistics.find("count=1 curr=533").mean_ms == pytest.approx(0.533)
    told = statistics.find("count=4 curr=533(all same)")
    assert (told.count, told.std_ms, told.max_ms) == (4, 0.0, pytest.approx(0.533))
    assert statistics.find("count=0") is None


@given(st.lists(st.integers(1, 10**9), min_size=2, max_size=60))
def test_statistics_read_back_what_cpp_streams_print(us):
    mean = sum(us) / len(us)
    deviation = math.sqrt(sum((v - mean) ** 2 for v in us) / len(us))
    told = statistics.find(
        f"count={len(us)} first={us[0]} curr={us[-1]} min={min(us)} max={max(us)} "
        f"avg={mean:.6g} std={int(deviation)}"
    )
    assert told.mean_ms == pytest.approx(mean / 1e3, rel=1e-5)
    assert told.min_ms == min(us) / 1e3
    assert told.std_ms >= int(deviation) / 1e3


def test_delegates():
    def of(name, asked, *names):
        return delegation.settle(asked, names, parse(_saved(name)).delegation)

    assert of("composed_tflite_2", "xnnpack", "use_xnnpack") == delegation.Outcome("xnnpack", 1)
    partial = of("composed_tflite_2_gpu_partial", "gpu", "use_gpu")
    assert partial == delegation.Outcome("gpu", 3)
    ignored = of("composed_tflite_2_unconsumed_gpu", "gpu", "use_gpu")
    assert (ignored.got, ignored.refusal) == ("none", "the tool does not know --use_gpu")
    nothing = of("composed_tflite_2_nnapi_took_nothing", "nnapi", "use_nnapi")
    assert (nothing.got, nothing.partitions) == ("none", 0)
    assert of("composed_litert", "gpu", "use_gpu") == delegation.Outcome(None)
    # TFLite applies XNNPACK by itself, unless it is told not to.
    assert of("composed_tflite_2", "none").got == "xnnpack"
    assert of("composed_tflite_1", "none").got == "none"


def test_a_failed_delegate_has_its_word_for_it():
    told = delegation.find(_saved("composed_tflite_2_gpu_failed").splitlines())
    outcome = delegation.settle("gpu", ["use_gpu"], told)
    assert outcome.got == "none"
    assert outcome.refusal == "Failed to apply GPU delegate."


def test_the_profile_is_of_the_timed_runs():
    ops = profile.parse((_DATA / "composed_profile.csv").read_text())
    assert [op.kind for op in ops] == ["TfLiteXNNPackDelegate", "Convolution (NHWC, F32)", "TILE"]
    assert ops[1].name == "[stream/conv1, pad]:0"
    assert [op.runs for op in ops] == [1, 1, 2]
    assert ops[0].mean_ms == 0.284571


def test_a_profile_that_is_cut_off_is_refused():
    text = (_DATA / "composed_profile.csv").read_text()
    for cut in ("Operator-wise", "Run Order ==", "TILE"):
        with pytest.raises(UnreadableOutputError):
            profile.parse(text[: text.rindex(cut)])


def test_counts_are_exact_only_with_the_seconds_turned_off():
    words = flags.command_line("./tool", "m.tflite", flags.Counts(2, 50, 5), ("--use_gpu=true",))
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
