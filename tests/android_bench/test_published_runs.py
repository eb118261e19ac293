"""The parser on figures of real runs that the tools' users published.

`published_runs.toml` holds the figures and their sources. The output is composed from them in the
words of the tools' sources (TensorFlow's and LiteRT's benchmark_model.cc, stats_calculator.cc,
benchmark_litert_model.h).
"""

import tomllib

import pytest

from android_bench.benchmark_model import delegation
from android_bench.benchmark_model.output import parse
from android_bench.failure import MeasurementFailure
from tests.android_bench.saved_outputs import FOLDER

_FILE = FOLDER / "published_runs.toml"
_RUNS = {run["name"]: run for run in tomllib.loads(_FILE.read_text())["run"]}
_MIB = 1024 * 1024
_FIELDS = ("first", "curr", "min", "max", "avg", "std", "p5", "median", "p95")

_FIELDS_OF_ONE = ("curr", "p5", "median", "p95")


def _number(value):
    # C++ streams six digits of a float and all of an integer.
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _row(figures):
    count, *values = figures
    names = _FIELDS if count > 1 else _FIELDS_OF_ONE
    words = [f"{name}={_number(value)}" for name, value in zip(names, values, strict=False)]
    return " ".join([f"count={count}", *words])


def _mean(figures):
    return float(figures[1] if figures[0] == 1 else figures[5])


def _lines(run):
    if run["form"] == "litert":
        return _litert(run)
    warmup, timed = run["warmup"], run["timed"]
    means = [f"{_mean(row):.6g}" for row in (warmup, timed)]
    if run["form"] == "tflite-1":
        timings = f"Average inference timings in us: Warmup: {means[0]}, Init: {run['init']}"
        timings += f", no stats: {means[1]}"
    else:
        timings = f"Inference timings in us: Init: {run['init']}, First inference: {warmup[1]}"
        timings += f", Warmup (avg): {means[0]}, Inference (avg): {means[1]}"
    lines = ["STARTING!", *run.get("log", ()), _row(warmup), "", _row(timed), "", timings]
    if "footprint" in run:
        init, overall = run["footprint_mb"]
        lines.append(f"{run['footprint']} (MB): init={init} overall={overall}")
    for row in run.get("profiled", ()):
        lines += [f"Timings (microseconds): {_row(row)}", "Memory (bytes): count=0"]
    return lines


def _litert(run):
    (warmups, first), timed = run["warmup"], run["timed"]
    return [
        "",
        "========== BENCHMARK RESULTS ==========",
        f"Model initialization: {run['init']:.2f} ms",
        f"Warmup (first):       {first:.2f} ms",
        f"Warmup (avg):         {first:.2f} ms ({warmups} runs)",
        f"Inference (avg):      {timed[5]:.2f} ms ({timed[0]} runs)",
        f"Inference (min):      {timed[3]:.2f} ms",
        f"Inference (max):      {timed[4]:.2f} ms",
        f"Inference (std):      {timed[6]:.2f}",
        f"Overall footprint:    {run['footprint_mb'][1]:.2f} MB",
        "======================================",
    ]


def _text(run):
    return "".join(f"{run.get('prefix', '')}{line}\n" for line in _lines(run))


def test_every_run_names_its_source():
    assert len(_RUNS) >= 10
    assert {run["form"] for run in _RUNS.values()} == {"tflite-1", "tflite-2", "litert"}
    assert all(run["source"].startswith("https://github.com/") for run in _RUNS.values())


@pytest.mark.parametrize("name", _RUNS)
def test_its_figures_are_parsed(name):
    run = _RUNS[name]
    output = parse(_text(run))
    per_ms = 1.0 if run["form"] == "litert" else 1e3
    assert output.form == run["form"]
    assert output.init_ms == pytest.approx(run["init"] / per_ms)
    assert output.first_inference_ms == pytest.approx(run["warmup"][1] / per_ms)
    assert (output.warmup.count, output.timed.count) == (run["warmup"][0], run["timed"][0])
    assert output.warmup.mean_ms == pytest.approx(_mean(run["warmup"]) / per_ms, rel=1e-5)
    assert output.timed.mean_ms == pytest.approx(_mean(run["timed"]) / per_ms, rel=1e-5)
    least, most = run["timed"][3:5]
    assert (output.timed.min_ms, output.timed.max_ms) == pytest.approx(
        (least / per_ms, most / per_ms)
    )
    median = run["timed"][8] / per_ms if len(run["timed"]) > 7 else None
    assert output.timed.median_ms == (None if median is None else pytest.approx(median))
    footprint = run["footprint_mb"][1] if "footprint_mb" in run else None
    assert output.footprint_bytes == (None if footprint is None else round(footprint * _MIB))


@pytest.mark.parametrize("name", [name for name, run in _RUNS.items() if "requested" in run])
def test_its_delegate_is_parsed(name):
    run = _RUNS[name]
    requested = run["requested"]
    flags = () if requested == "none" else (f"use_{requested}",)
    outcome = delegation.outcome_of(requested, flags, parse(_text(run)).delegates)
    assert (outcome.got, outcome.partitions) == (run["got"], run.get("partitions"))
    assert outcome.refusal is None


@pytest.mark.parametrize("name", [name for name, run in _RUNS.items() if "profiled" in run])
def test_rows_of_a_profile_are_not_those_of_the_run(name):
    run = _RUNS[name]
    # They come last, and only their prefix distinguishes them.
    rows = [line.removeprefix("Timings (microseconds): ") for line in _lines(run)]
    with pytest.raises(MeasurementFailure, match="took"):
        parse("\n".join(rows) + "\n")
