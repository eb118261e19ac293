"""A module that cannot be imported has a reason, and does not hide the ones after it."""

import pytest

from agecompact.diagnosis.importing import failures


@pytest.fixture
def planted(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")

    def plant(name, source):
        (tmp_path / f"{name}.py").write_text(source)
        return name

    return plant


BROKEN = {
    "raise ImportError('libGL.so.1: cannot open shared object file')": "ImportError: libGL.so.1",
    "import nothing_of_that_name": "ModuleNotFoundError: No module named 'nothing_of_that_name'",
    "raise RuntimeError('built for another torch')": "RuntimeError: built for another torch",
    "raise SystemExit(0)": "SystemExit: 0",
    "import os; os.abort()": "its import ends the process with signal SIGABRT",
    "import os; os.write(2, b'no kernel\\n'); os._exit(7)": "exit code 7: no kernel",
    "import os; os._exit(0)": "exit code 0",
}


@pytest.mark.parametrize("source", BROKEN)
def test_a_broken_module_has_a_reason_and_the_others_are_tried(planted, source):
    names = [planted("first", "print('hello')"), planted("bad", source), planted("last", "")]
    found = failures(names)
    assert list(found) == ["bad"]
    assert BROKEN[source] in found["bad"]


def test_a_module_that_hangs_is_stopped(planted):
    names = [planted("fine", ""), planted("hangs", "import time; time.sleep(600)")]
    assert failures(names, timeout_s=5) == {"hangs": "its import takes more than 5 s"}


def test_nothing_to_import_fails_nothing():
    assert failures([]) == {}
