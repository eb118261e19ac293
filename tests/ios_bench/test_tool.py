import sys
import time

import pytest

from ios_bench import tool


def test_output_and_exit_code():
    told = tool.run([sys.executable, "-c", "import sys; print('out'); sys.exit(3)"], 30)
    assert (told.returncode, told.stdout, told.timed_out) == (3, "out\n", False)
    assert told.complaint == "out"


def test_a_late_program_is_killed_with_its_children(tmp_path):
    mark = tmp_path / "alive"
    child = f"import time, pathlib; time.sleep(3); pathlib.Path({str(mark)!r}).touch()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    started = time.monotonic()
    told = tool.run([sys.executable, "-c", parent], 1)
    assert told.timed_out
    assert time.monotonic() - started < 3
    time.sleep(3)
    assert not mark.exists()


def test_what_is_left_of_a_late_program():
    told = tool.run([sys.executable, "-uc", "print('so far'); import time; time.sleep(60)"], 2)
    assert told.stdout == "so far\n"


@pytest.mark.parametrize(
    ("completed", "said"),
    [
        (tool.Completed(1, "out\n", "first\n\nlast \n"), "last"),
        (tool.Completed(1, "", "note\nerror: no\nwhy: so\nfix: thus\n"), "no: so"),
        (tool.Completed(1, "", "ERROR: no (error 2)\n  more\n"), "no (error 2)"),
        (tool.Completed(-6, "", ""), "ended by SIGABRT"),
        (tool.Completed(-9, "", "oops\n"), "ended by SIGKILL: oops"),
        (tool.Completed(-99), "ended by signal 99"),
        (tool.Completed(5), "exit code 5, and no message"),
    ],
)
def test_a_complaint(completed, said):
    assert completed.complaint == said


def test_a_program_that_is_not_there():
    with pytest.raises(FileNotFoundError):
        tool.run(["no-such-program-of-agecompact"], 1)
