"""Faults of the machine: full disks, limits of the shell, missing rights. Each has a cure.

Only faults that have nothing to do with the code are known here. What is not known is a bug.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import NamedTuple

from agecompact.errors import MachineError


class Fault(NamedTuple):
    """What a fault is, in a few words, and how to cure it."""

    what: str
    fix: str


_FULL = Fault(
    "a disk is full",
    "free some space where the output goes and in the folder for temporary files; TMPDIR and --out "
    "choose other folders",
)
_MEMORY = Fault(
    "not enough memory",
    "end other programs, or raise the limit of this shell: ulimit -v unlimited",
)
_FILES = Fault("too many open files", "raise the limit of this shell: ulimit -n 1024")
_PROCESSES = Fault(
    "no other process or thread can start",
    "end other programs, or raise the limit of this shell: ulimit -u 4096",
)
_RIGHTS = Fault(
    "no permission",
    "change the permissions of that file or folder, or choose another one",
)
_FAILED = Fault("a disk or its connection failed", "check the disk, then run this again")

_FAULTS: Mapping[int, Fault] = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: Fault("a file is too large", "raise the limit of this shell: ulimit -f unlimited"),
    errno.ENOMEM: _MEMORY,
    errno.EMFILE: _FILES,
    errno.ENFILE: _FILES,
    errno.EAGAIN: _PROCESSES,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: Fault("a disk is read-only", "choose a folder on another disk"),
    errno.ENAMETOOLONG: Fault("a name is too long", "choose a shorter name"),
    errno.EIO: _FAILED,
    errno.ESTALE: _FAILED,
}

# Libraries report a fault in exceptions of their own, in their words or the kernel's.
_WORDS: Mapping[str, Fault] = {
    **{
        os.strerror(number): _FAULTS[number]
        for number in (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
    },
    "can't allocate memory": _MEMORY,
    "std::bad_alloc": _MEMORY,
    "failed to map segment from shared object": _MEMORY,
    "database or disk is full": _FULL,
    "can't start new thread": _PROCESSES,
    "out of shared memory": Fault(
        "the shared memory is full",
        "free some space in /dev/shm, or train with --workers 0",
    ),
}


def fault_of(error: BaseException) -> Fault | None:
    """The machine's fault behind an exception; None if it may be a bug."""
    if isinstance(error, MemoryError):
        return _MEMORY
    if isinstance(error, OSError) and (known := _FAULTS.get(error.errno or 0)):
        return known
    if isinstance(error, UnicodeEncodeError) and has_undecoded(error.object):
        return Fault("a name is not valid UTF-8", "rename that file or folder")
    return fault_in(str(error))


def fault_in(text: str) -> Fault | None:
    """The machine's fault that a library's message reports; None if it reports none."""
    return next((fault for words, fault in _WORDS.items() if words in text), None)


def machine_error(error: BaseException) -> MachineError | None:
    """The error to report for an exception; None if it may be a bug."""
    fault = fault_of(error)
    if fault is None:
        return None
    return MachineError(fault.what, why=_why(error), fix=fault.fix)


def _why(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return next(iter(str(error).strip().splitlines()), "")


def has_undecoded(text: str) -> bool:
    """Whether a text holds bytes that Python could not decode, as in names of files."""
    return any("\udc80" <= character <= "\udcff" for character in text)
