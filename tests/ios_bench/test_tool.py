import sys
import time

import pytest

from ios_bench import tool


def test_output_and_exit_code():
    completed = tool.run([sys.executable, "-c", "import sys; print('out'); sys.exit(3)"], 30)
    assert (completed.returncode, completed.stdout, completed.timed_out) == (3, "out\n", False)
    assert completed.message == "out"


def test_a_late_program_is_killed_with_its_children(tmp_path):
    mark = tmp_path / "alive"
    child = f"import time, pathlib; time.sleep(3); pathlib.Path({str(mark)!r}).touch()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    started = time.monotonic()
    assert tool.run([sys.executable, "-c", parent], 1).timed_out
    assert time.monotonic() - started < 3
    time.sleep(3)
    assert not mark.exists()


def test_the_output_of_a_late_program_is_kept():
    program = "print('so far'); import time; time.sleep(60)"
    assert tool.run([sys.executable, "-uc", program], 2).stdout == "so far\n"


@pytest.mark.parametrize(
    ("completed", "message"),
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
def test_the_message_of_a_program_is_its_error_or_last_line(completed, message):
    assert completed.message == message


def test_a_missing_program_is_an_error():
    with pytest.raises(FileNotFoundError):
        tool.run(["no-such-program-of-agecompact"], 1)
