import json
from dataclasses import replace

import pytest

from agecompact.bench import store
from agecompact.bench.circumstances import Conditions
from agecompact.bench.diff import compare
from agecompact.bench.figures import Instructions
from agecompact.bench.timing import Latency
from agecompact.errors import ExitCode
from tests import records


def _verdicts(a, b, threshold=0.05, **options):
    return {c.figure: c.verdict for c in compare([a], [b], threshold, **options)}


def _slower(record, factor):
    samples_ms = tuple(factor * sample for sample in records.SAMPLES_MS)
    return replace(record, latency=Latency.of(samples_ms, warmup_runs=1))


def _ratio(factor):
    scaled = {n: factor * getattr(records.RATIO, n) for n in ("low", "median", "high")}
    return replace(records.HOST, ratio=replace(records.RATIO, **scaled))


def _larger(record, extra):
    size = replace(
        records.SIZE,
        graph_bytes=records.SIZE.graph_bytes + extra,
        deflated_bytes=records.SIZE.deflated_bytes + extra,
    )
    file_bytes = records.ARTIFACT.file_bytes + extra
    return replace(record, artifact=replace(records.ARTIFACT, size=size, file_bytes=file_bytes))


def _counted(total, threads=1):
    return replace(
        records.EMULATED,
        instructions=Instructions(total=total, totals=(total, total)),
        runtime=replace(records.RUNTIME, threads=threads),
    )


@pytest.mark.parametrize("record", records.ALL)
def test_a_record_against_itself_is_the_same(record):
    verdicts = set(_verdicts(record, record, absolute=True).values())
    assert verdicts == {"same"}


def test_ratios_compare_beyond_the_threshold_and_beyond_the_noise():
    assert _verdicts(records.HOST, _ratio(1.04))["ratio"] == "same"
    assert _verdicts(records.HOST, _ratio(1.2))["ratio"] == "regression"
    assert _verdicts(records.HOST, _ratio(0.8))["ratio"] == "better"
    assert _verdicts(records.HOST, _ratio(1.2), threshold=0.25)["ratio"] == "same"


def _between(low, median, high):
    ratio = replace(records.RATIO, low=low, median=median, high=high)
    return replace(records.HOST, ratio=ratio)


@pytest.mark.parametrize(
    ("interval", "verdict", "reason"),
    [
        # The median grew by 10 %, and may not have grown at all.
        ((0.8, 0.88, 0.96), "refused", "the intervals of A and B overlap"),
        ((0.82, 0.88, 0.94), "regression", ""),
        # The median is the same, and may have grown by 10 %.
        ((0.72, 0.8, 0.88), "refused", "noise of 10.1% either way would hide a growth of 5.0%"),
        ((0.77, 0.8, 0.83), "same", ""),
        # It fell by 10 %: even with that noise it has not grown by 5 %. By 6 %, it may have.
        ((0.65, 0.72, 0.79), "same", "the intervals of A and B overlap"),
        ((0.66, 0.752, 0.844), "refused", "noise of 12.3% either way would hide a growth of 5.0%"),
        ((0.7, 0.72, 0.74), "better", ""),
    ],
)
def test_noise_never_passes_in_silence(interval, verdict, reason):
    rows = compare([records.HOST], [_between(*interval)], 0.05)
    [row] = [c for c in rows if c.figure == "ratio"]
    assert (row.verdict, row.reason) == (verdict, reason)


def test_a_pair_without_a_comparable_cost_is_refused():
    bare = replace(records.HOST, ratio=None)
    [cost] = [c for c in compare([bare], [bare], 0.05) if c.figure == "cost"]
    assert (cost.verdict, cost.reason) == (
        "refused",
        "host times; compare them with --absolute",
    )
    assert "cost" not in _verdicts(bare, bare, absolute=True)
    # A core is part of the machine, not of what was measured.
    other = replace(records.EMULATED, machine=replace(records.EMULATED.machine, cpu="cortex-a53"))
    assert _verdicts(records.EMULATED, other)["cost"] == "refused"
    failed = replace(records.HOST, latency=None, ratio=None, failure="crash: signal SIGABRT")
    assert _verdicts(failed, records.HOST)["cost"] == "refused"
    assert _verdicts(failed, failed)["cost"] == "refused"
    assert "cost" not in _verdicts(records.HOST, failed)


def test_ratios_of_different_machines_are_compared_and_times_are_not():
    elsewhere = replace(_ratio(1.2), machine=replace(records.HOST_MACHINE, cpu="another"))
    verdicts = _verdicts(records.HOST, elsewhere, absolute=True)
    assert verdicts["ratio"] == "regression"
    assert verdicts["p50 ms"] == "not comparable"


def test_times_of_one_host_are_compared_only_on_request():
    slower = _slower(records.HOST, 1.5)
    assert _verdicts(records.HOST, slower)["p50 ms"] == "not comparable"
    assert _verdicts(records.HOST, slower, absolute=True)["p50 ms"] == "regression"


def test_times_of_one_device_are_compared():
    assert _verdicts(records.DEVICE, _slower(records.DEVICE, 1.5))["p50 ms"] == "regression"
    assert _verdicts(records.DEVICE, _slower(records.DEVICE, 0.5))["p50 ms"] == "better"
    assert _verdicts(records.DEVICE, _slower(records.DEVICE, 1.03))["p50 ms"] == "same"


def test_instructions_of_one_thread_are_compared_exactly():
    assert _verdicts(_counted(1_000_000), _counted(1_000_001))["instructions"] == "regression"
    assert _verdicts(_counted(1_000_000), _counted(999_999))["instructions"] == "better"
    two = (_counted(1_000_000, 2), _counted(1_015_000, 2))
    assert _verdicts(*two)["instructions"] == "same"


def test_only_the_size_of_an_invalid_record_is_compared():
    few = replace(_ratio(1.5), latency=Latency.of((1.0,) * 3, warmup_runs=1))
    rows = compare([records.HOST], [few], 0.05, absolute=True)
    assert {r.figure: r.verdict for r in rows} == {
        "bytes": "same",
        "bytes, deflated": "same",
        "ratio": "refused",
        "p50 ms": "refused",
    }
    assert all("B is invalid: too-few-runs" in r.reason for r in rows if r.verdict == "refused")


def test_a_larger_file_is_a_regression_on_any_machine():
    elsewhere = replace(records.HOST, machine=replace(records.HOST_MACHINE, cpu="another"))
    verdicts = _verdicts(records.HOST, _larger(elsewhere, 200))
    assert verdicts["bytes"] == verdicts["bytes, deflated"] == "regression"
    assert _verdicts(records.HOST, _larger(elsewhere, 10))["bytes"] == "same"


@pytest.mark.parametrize(
    "broken",
    [
        replace(records.HOST, output_error=replace(records.OUTPUT_ERROR, max_error=3.0)),
        replace(records.HOST, latency=None, ratio=None, failure="crash: signal SIGABRT"),
    ],
)
def test_a_file_that_broke_is_a_regression(broken):
    assert _verdicts(records.HOST, broken)["verdict"] == "regression"
    assert "verdict" not in _verdicts(broken, broken)


def test_a_record_of_one_side_only_is_reported():
    rows = compare([records.HOST, records.DEVICE], [records.HOST, records.EMULATED], 0.05)
    assert {r.subject.source: r.verdict for r in rows if r.figure == "record"} == {
        "device": "only in A",
        "emulated-instructions": "only in B",
    }


def test_records_of_several_machines_pair_by_machine():
    fast = replace(records.DEVICE, machine=replace(records.DEVICE.machine, name="another phone"))
    rows = compare([records.DEVICE, fast], [fast, _slower(records.DEVICE, 1.5)], 0.05)
    assert sorted(r.verdict for r in rows if r.figure == "p50 ms") == ["regression", "same"]


# The command.


@pytest.fixture
def written(tmp_path):
    def write(name, *held):
        path = tmp_path / name
        path.write_text(json.dumps(store.to_json(held)))
        return path

    return write


def test_no_regression_exits_with_0(agecompact, written, tmp_path):
    a, b = written("a.json", *records.ALL), written("b.json", *records.ALL)
    run = agecompact("bench", "diff", a, b, "--threshold", "5%", "--json", tmp_path / "d.json")
    assert run.returncode == 0, run.stderr
    content = json.loads((tmp_path / "d.json").read_text())
    assert content["threshold"] == 0.05
    assert {row["verdict"] for row in content["rows"]} == {"same", "not comparable"}


@pytest.mark.parametrize("side", ["A", "B"])
def test_a_figure_that_cannot_be_judged_exits_with_5_and_the_cure(agecompact, written, side):
    busy = replace(records.HOST, conditions=Conditions(load_average=99.0))
    sides = {"A": records.HOST, "B": records.HOST, side: busy}
    a, b = (written(f"{name}.json", record) for name, record in sides.items())
    run = agecompact("bench", "diff", a, b)
    assert run.returncode == ExitCode.UNDECIDED == 5
    assert "1 figures cannot be judged" in run.stderr
    assert f"ratio: {side} is invalid: busy, a load average of 99.0" in run.stderr
    assert f"agecompact bench {b.parent} --rounds 60" in run.stderr
    assert f"agecompact bench {b.parent} --on emulated:cortex-a76" in run.stderr
    assert "refused" in run.stdout


def test_a_regression_exits_with_1_and_is_named(agecompact, written):
    a, b = written("a.json", records.HOST), written("b.json", _ratio(1.2))
    run = agecompact("bench", "diff", a, b)
    assert run.returncode == 1
    assert "ssrnet_float16.tflite ratio +20.0%" in run.stderr
    assert "regression" in run.stdout
    assert agecompact("bench", "diff", a, b, "--threshold", "0.5").returncode == 0


def test_a_regression_is_one_even_beside_what_cannot_be_judged(agecompact, written):
    busy = replace(records.HOST, conditions=Conditions(load_average=99.0))
    a = written("a.json", records.HOST, records.DEVICE)
    b = written("b.json", busy, _slower(records.DEVICE, 1.5))
    assert agecompact("bench", "diff", a, b).returncode == ExitCode.GATE_FAILED


def test_what_b_lacks_exits_with_5_and_what_it_adds_with_0(agecompact, written):
    both = written("both.json", records.HOST, records.EMULATED)
    one = written("one.json", records.EMULATED)
    run = agecompact("bench", "diff", both, one)
    assert run.returncode == ExitCode.UNDECIDED
    assert "ssrnet_float16.tflite on host, record: B has no measurement" in run.stderr
    more = agecompact("bench", "diff", one, both)
    assert more.returncode == 0, more.stderr
    assert "only in B" in more.stdout


@pytest.mark.parametrize("held", [(), (records.DEVICE,)])
def test_nothing_to_compare_exits_with_5(agecompact, written, held):
    a, b = written("a.json", *held), written("b.json", records.HOST)
    run = agecompact("bench", "diff", a, b)
    assert run.returncode == ExitCode.UNDECIDED
    assert "A and B have no file, source, runtime and thread count in common" in run.stderr


@pytest.mark.parametrize("threshold", ["five", "-1%", "5%%", "nan"])
def test_an_invalid_threshold_exits_with_2(agecompact, written, threshold):
    a = written("a.json", records.HOST)
    run = agecompact("bench", "diff", a, a, "--threshold", threshold)
    assert run.returncode == 2
    assert "not a threshold such as 5%" in run.stderr


def test_a_file_of_another_schema_exits_with_2(agecompact, written, tmp_path):
    old = tmp_path / "old.json"
    old.write_text('{"schema_version": 1, "records": []}')
    run = agecompact("bench", "diff", old, written("b.json", records.HOST))
    assert run.returncode == 2
    assert "schema version 1" in run.stderr
