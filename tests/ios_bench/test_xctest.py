import subprocess
import sys

import pytest

from agecompact.errors import UsageError
from ios_bench import xctest


def test_a_real_log_of_swift_on_linux(saved):
    load, prediction = xctest.parse(saved("xctest_linux.log"))
    assert load.test == "PredictionPerformanceTests.testLoad"
    assert (load.metric, load.unit, load.average) == ("Time", "seconds", 0.030)
    assert load.relative_standard_deviation_percent == 33.072
    assert len(load.values) == len(prediction.values) == 10
    assert prediction.values[0] == 0.337921


def test_the_average_is_of_the_values(saved):
    for told in xctest.parse(saved("xctest_linux.log")):
        assert told.average == pytest.approx(sum(told.values) / len(told.values), abs=5e-4)


def test_apples_form_and_its_other_metrics(saved):
    clock, memory, time = xctest.parse(saved("xctest_apple.log"))
    assert (clock.metric, clock.unit) == ("Clock Monotonic Time", "s")
    assert clock.test == "-[BenchPerformanceTests.PredictionPerformanceTests testPrediction]"
    assert (memory.metric, memory.unit, memory.average) == ("Memory Peak Physical", "kB", 20480)
    assert (time.metric, time.unit) == ("Time", "seconds")


def test_a_log_without_figures():
    assert xctest.parse("Test Suite 'All tests' passed\n") == ()


@pytest.mark.parametrize("cut", [190, 160, 120, 90])
def test_a_figure_that_is_cut_off(saved, cut):
    line = next(text for text in saved("xctest_linux.log").splitlines() if "measured" in text)
    with pytest.raises(UsageError, match="cut off"):
        xctest.parse(line[:cut])


def test_a_figure_that_is_no_number(saved):
    with pytest.raises(UsageError):
        xctest.parse(saved("xctest_linux.log").replace("0.025211", "nought"))


def test_the_command_prints_a_line_a_figure(saved):
    command = [sys.executable, "-m", "ios_bench.xctest"]
    told = subprocess.run(
        command, input=saved("xctest_linux.log"), capture_output=True, text=True, check=True
    )
    assert len(told.stdout.splitlines()) == 2
