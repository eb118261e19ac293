"""Text that may come from a file, a file's name or another program, made safe to print.

Raw, it could move the cursor, colour or hide other lines, add lines that look like ours, or give
commands to a CI system that reads the log.
"""

from __future__ import annotations

import re

# What GitHub Actions, at the start of a line, and Azure Pipelines take for a command.
_COMMAND = re.compile(r"^(\s*):(?=:)|#(?=#(?:vso)?\[)")


def one_line(text: str) -> str:
    r"""The text as one line: what is not printable becomes an escape, such as `\x1b` or `\n`.

    Bytes of a file name that are not UTF-8 become escapes as well, such as `\udcff`.
    """
    printable = text if text.isprintable() else "".join(map(_escaped, text))
    return _COMMAND.sub(lambda found: f"{found[1] or ''}\\x{ord(found[0][-1]):02x}", printable)


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode()
