"""Progress moves while a stage runs, and advances only when it has ended."""

import io
import time
from collections.abc import Callable

from rich.console import Console

from agecompact.console.common import progress


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_terminal_shows_the_running_stage_and_keeps_moving() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, color_system=None)
    with progress(console, "export", 2) as stages:
        stages.start("ssrnet: onnx [float32]")
        wait_for(lambda: "ssrnet: onnx [float32]" in screen.getvalue())
        drawn = len(screen.getvalue())
        wait_for(lambda: len(screen.getvalue()) > 2 * drawn)
        assert "0/2" in screen.getvalue()
        assert "1/2" not in screen.getvalue()
        stages.done("ssrnet: onnx [float32]")
        wait_for(lambda: "1/2" in screen.getvalue())


def test_elsewhere_each_stage_that_ended_is_a_line() -> None:
    log = io.StringIO()
    with progress(Console(file=log, width=80), "export", 2) as stages:
        stages.start("first")
        assert log.getvalue() == ""
        stages.done("first [took 3 s]")
        assert log.getvalue() == "first [took 3 s]\n"
