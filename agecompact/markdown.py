"""GitHub's Markdown, in which foreign text stays text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from agecompact.tables import Column
from agecompact.text import one_line

# An underscore inside a word, as in a file name, has no meaning.
_SPECIAL = re.compile(r"[\\`*\[\]<>|&~]|(?<!\w)_|_(?!\w)")
_FENCE = "```"


def escape(text: str) -> str:
    """Text on one line, without links, emphasis, HTML or the end of a table's cell."""
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", one_line(text))


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table; its cells are Markdown."""
    return [
        _line([column.heading for column in columns]),
        _line(["---:" if column.kind == "number" else "---" for column in columns]),
        *map(_line, rows),
    ]


def block(lines: Iterable[str]) -> list[str]:
    """Lines to show as they are."""
    # A line of backticks would end the block.
    return [_FENCE, *(one_line(line).replace(_FENCE, r"\x60``") for line in lines), _FENCE]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
