"""Faults of the machine have a cure; bugs stay bugs."""

from __future__ import annotations

import errno
import os

import pytest

from agecompact.errors import ExitCode
from agecompact.faults import machine_error

FAULTS: list[tuple[BaseException, str, str]] = [
    (MemoryError(), "not enough memory", "ulimit -v"),
    (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "a disk is full", "TMPDIR"),
    (OSError(errno.EMFILE, os.strerror(errno.EMFILE), "x"), "too many open files", "ulimit -n"),
    (BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)), "process or thread", "ulimit -u"),
    (OSError(errno.ENAMETOOLONG, "File name too long", "a" * 300), "too long", "shorter"),
    (OSError(errno.EROFS, os.strerror(errno.EROFS), "x"), "read-only", "another disk"),
    (PermissionError(errno.EACCES, "Permission denied", "x"), "no permission", "permissions"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "memory", "ulimit -v"),
    (RuntimeError("can't start new thread"), "process or thread", "ulimit -u"),
    (ImportError("x.so: failed to map segment from shared object"), "memory", "ulimit -v"),
    (ImportError("x.so: cannot open: Too many open files"), "open files", "ulimit -n"),
    (RuntimeError("unable to write to file </torch_1>: No space left on device (28)"), "full", ""),
    (RuntimeError("workers are out of shared memory"), "shared memory", "--workers 0"),
]


@pytest.mark.parametrize(("error", "what", "cure"), FAULTS)
def test_a_fault_has_a_cure(error: BaseException, what: str, cure: str) -> None:
    reported = machine_error(error)
    assert reported is not None
    assert reported.exit_code == ExitCode.ENVIRONMENT
    assert what in reported.what
    assert cure in reported.fix
    assert len(str(reported).splitlines()) <= 3


def test_a_name_that_is_not_utf8_is_a_fault() -> None:
    with pytest.raises(UnicodeEncodeError) as raised:
        os.fsdecode(b"\xff.jpg").encode()
    reported = machine_error(raised.value)
    assert reported is not None
    assert "rename" in reported.fix


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        KeyError("x"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "x"),
        OSError(errno.EINVAL, "Invalid argument"),
        UnicodeEncodeError("ascii", "é", 0, 1, "ordinal not in range"),
        AssertionError(),
    ],
)
def test_a_bug_is_none(error: BaseException) -> None:
    assert machine_error(error) is None
