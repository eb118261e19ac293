"""The commands, files and outputs that the pages of the documentation show.

A block of `sh` holds commands that run as they stand, in order, in a folder with the files that
they name. A comment `# exits N` says that a line ends with another code than 0. A block with a
title, such as `sh title="on Linux"`, needs what a test may not have. Of the other languages, one
with a file's name for a title is that file, and `text` after commands is a part of what they print.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import REPOSITORY

PAGES = (
    "README.md",
    *sorted(p.relative_to(REPOSITORY).as_posix() for p in REPOSITORY.glob("docs/*.md")),
)
_BLOCK = re.compile(r"^```(\w*)(?: title=(\"[^\"\n]*\"|\S+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)
_EXITS = re.compile(r"# exits (\d+)$")
_COMMENT = re.compile(r"(?:^|\s)#.*$")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        language: `sh`, `python`, `text`, ...; empty if it has none.
        title: What it needs, or the name of the file that it is; empty if it has none.
        content: Its lines.
    """

    language: str
    title: str
    content: str


@dataclass(frozen=True)
class Command:
    """A line of a shell.

    Attributes:
        words: Program and arguments.
        exit_code: What it ends with.
    """

    words: tuple[str, ...]
    exit_code: int = 0


def blocks(page: str) -> Iterator[Block]:
    """The blocks of a page, in order."""
    for found in _BLOCK.finditer((REPOSITORY / page).read_text(encoding="utf-8")):
        yield Block(found[1], (found[2] or "").strip('"'), found[3])


def commands(block: Block) -> Iterator[Command]:
    """The commands of a block of shell; a backslash continues a line."""
    for line in block.content.replace("\\\n", " ").splitlines():
        exits = _EXITS.search(line)
        words = shlex.split(_COMMENT.sub("", line).partition(" > ")[0])
        if words:
            yield Command(tuple(words), int(exits[1]) if exits else 0)


def files(page: str, folder: Path) -> None:
    """Writes the files that a page shows into a folder."""
    for block in blocks(page):
        if block.title and block.language != "sh" and "." in block.title:
            (folder / block.title).write_text(block.content, encoding="utf-8")
