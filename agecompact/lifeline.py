"""Starts a program that dies with its parent: `lifeline.py PIPE NAME=VALUE... -- PROGRAM...`.

This process becomes the program. A watcher, forked before, waits for the end of a pipe that the
parent holds open, and then kills the program's process group: the program, what it started, and
itself. So the group ends with the parent, even if that is killed, whatever the program is doing.

The values are those of the program's variables in `OURS`, which would have an effect on this
process itself, or which Python sets.

It runs as a script without site packages, to start in milliseconds, and imports nothing of ours.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

# Where libraries are searched; and the locale, which Python sets if it is C.
OURS = ("LD_", "DYLD_", "LC_CTYPE")

_NOT_STARTED = 127


def main() -> NoReturn:
    """Forks the watcher and becomes the program."""
    separator = sys.argv.index("--")
    pipe, values, command = int(sys.argv[1]), sys.argv[2:separator], sys.argv[separator + 1 :]
    if os.fork() == 0:
        _watch(pipe)
    os.close(pipe)
    for name in [name for name in os.environ if name.startswith(OURS)]:
        del os.environ[name]
    for value in values:
        name, _, text = value.partition("=")
        os.environ[name] = text
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        # Python ignores them, and the program would inherit that.
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        os._exit(_NOT_STARTED)


def _watch(pipe: int) -> NoReturn:
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # An open output would hide the program's end from who reads it.
    null = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(null, stream)
    os.read(pipe, 1)
    os.killpg(0, signal.SIGKILL)
    os._exit(0)


if __name__ == "__main__":
    main()
