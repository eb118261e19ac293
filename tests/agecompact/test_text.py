"""Foreign text is printed as text: in a terminal, in a CI log, in XML and in Markdown."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from agecompact import markdown
from agecompact.console.common import progress, say, show
from agecompact.errors import ExitCode, UsageError
from agecompact.tables import Column, Table
from agecompact.text import one_line
from tests.support import REPOSITORY, Agecompact

_FOREIGN = (
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b2J \x7f",
    "two\nlines\rand\x0bmore\x85of\u2028them",
    "[bold red]markup[/bold red] [/] [link=http://x]y[/link] :bomb:",
    "turned \u202eround\u2066 and invisible \u200b\ufeff",
    os.fsdecode(b"caf\xe9.jpg"),
    "a|b `c` <script>d</script> [e](http://f) **g** ![h](i) &amp;",
    "``` and then",
)


@pytest.mark.parametrize("text", _FOREIGN)
def test_one_line_is_printable_and_can_be_encoded(text: str) -> None:
    line = one_line(text)
    assert line.isprintable()
    assert line.encode("utf-8")
    assert one_line(line) == line


def test_printable_text_stays_as_it_is() -> None:
    text = "Größe 年 é … █ 3.5 % [x] C:\\y a::b ##c"
    assert one_line(text) == text


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("\x1b[1mA\n", r"\x1b[1mA\n"),
        ("\udce9", r"\udce9"),
        ("::error file=a::b", r"\x3a:error file=a::b"),
        ("  ::stop-commands::x", r"  \x3a:stop-commands::x"),
        ("a ##[command]b", r"a \x23#[command]b"),
        ("##vso[task.setvariable]x", r"\x23#vso[task.setvariable]x"),
    ],
)
def test_what_is_not_printable_or_a_command_becomes_an_escape(text: str, printed: str) -> None:
    assert one_line(text) == printed


def _printed(draw: object, terminal: bool) -> str:
    stream = StringIO()
    console = Console(file=stream, width=200, force_terminal=terminal, highlight=False)
    draw(console)
    return stream.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
@settings(deadline=None)
@given(text=st.sampled_from(_FOREIGN) | st.text(st.characters(), min_size=1, max_size=15))
def test_a_console_prints_it_as_it_is_on_one_line(text: str, terminal: bool) -> None:
    line = one_line(text)
    assert _printed(lambda console: say(console, text), terminal) == f"{line}\n"
    table = Table((Column("name", "name"), Column("b")), ((f"> {text}", "x"),))
    drawn = _printed(lambda console: show(console, table), terminal)
    drawn = re.sub(r"\x1b\[[0-9;]*m", "", drawn)
    row = next(row for row in drawn.splitlines() if row.lstrip().startswith(">"))
    # rich aligns by cells, so only the content is compared.
    assert row.split()[:-1] == f"> {line}".split()


def test_progress_off_a_terminal_is_one_line_a_stage() -> None:
    def draw(console: Console) -> None:
        with progress(console, "[title", 2) as stages:
            stages.start("[bold]a\nb")
            stages.done("[bold]a\nb")

    assert _printed(draw, terminal=False) == "[bold]a\\nb\n"


def test_an_error_has_no_lines_but_its_own() -> None:
    error = UsageError("a\nfix: b", why="c\nfix: \x1b[2Jd\n::error::e", fix="f\nwhy: g")
    assert str(error).splitlines() == [
        r"a\nfix: b",
        "why: c",
        r"     fix: \x1b[2Jd",
        r"     \x3a:error::e",
        "fix: f",
        "     why: g",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ("export", "ssrnet", "--format", "onnx", "--out", "file[x]\x1b[31m/out[/x]"),
        ("predict", "--model", "ssrnet", os.fsdecode(b"caf\xe9[bold]\n.jpg")),
        ("pre\x1b[31mdict",),
        ("list", "--x\x1b[31m"),
    ],
)
def test_a_verb_prints_arguments_as_text(
    arguments: tuple[str, ...], agecompact: Agecompact, tmp_path: Path
) -> None:
    (tmp_path / "file[x]\x1b[31m").touch()
    named = [str(tmp_path / a) if a.startswith("file") else a for a in arguments]
    done = agecompact(*named)
    assert done.returncode in (ExitCode.USAGE, ExitCode.ENVIRONMENT), done.stderr
    assert "Traceback" not in done.stderr
    assert all(line.isprintable() for line in done.stderr.splitlines())
    assert "\\x1b" in done.stderr or "\\udce9" in done.stderr


@given(st.sampled_from(_FOREIGN) | st.text(st.characters(), min_size=1))
def test_a_markdown_cell_is_one_cell_of_text(text: str) -> None:
    (_, _, row) = markdown.table((Column("a"), Column("b")), [(markdown.escape(text), "x")])
    # A reader of GitHub's Markdown: cells end at bars without a backslash; escapes are undone.
    cells = re.findall(r"\| ((?:\\.|[^|\\])*) (?=\|)", row)
    assert len(cells) == 2
    unescaped = re.sub(r"\\([^\w\s])", r"\1", cells[0])
    assert unescaped.replace("\\", "") == one_line(text).replace("\\", "")
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*\[\]<>]", cells[0])


def test_a_markdown_block_ends_at_its_end() -> None:
    lines = markdown.block(["```", "a ```` b", "c\n```\nd"])
    assert [line for line in lines if line.lstrip().startswith("```")] == ["```", "```"]
    assert (lines[0], lines[-1]) == ("```", "```")


# Where text may be printed or written to a stream; everywhere else `say`, `show` or `complain`.
_PRINTERS = {
    "agecompact/console/common.py",
    # Before a console exists, or where there is none.
    "agecompact/cli.py",
    "agecompact/lifeline.py",
    "agecompact/data/cache.py",
    # On a broken installation, where a console may not work.
    "agecompact/commands/doctor.py",
    # Tools of `make`, like those of the benches.
    "agecompact/web/__main__.py",
    # Messages between processes.
    "agecompact/diagnosis/importing.py",
    "agecompact/runtimes/worker.py",
    # Into a text.
    "parity_tests/localisation/report.py",
}


_PRINTING = ("print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write")


def _prints(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in _PRINTING or called.endswith(".print"):
                yield node.lineno


def test_nothing_else_prints() -> None:
    stages = ("agecompact", "export", "parity_tests", "android_bench", "ios_bench")
    printing = {
        path.relative_to(REPOSITORY).as_posix(): list(_prints(ast.parse(path.read_text())))
        for stage in stages
        for path in sorted((REPOSITORY / stage).rglob("*.py"))
    }
    assert {
        name: lines for name, lines in printing.items() if lines and name not in _PRINTERS
    } == {}
