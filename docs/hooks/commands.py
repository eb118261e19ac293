"""A page for every verb, from what its `--help` says."""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from agecompact.cli import VERBS, cli

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

FOLDER = "commands"
# Wider than any line: a browser breaks them.
_WIDTH = 10_000
_CODE = re.compile(r"(`[^`]+`)")
_SPECIAL = re.compile(r"([\\*_\[\]#|~])")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Puts the pages into the menu, where its entry for their folder is."""
    pages_of_verbs = [f"{FOLDER}/{verb}.md" for verb in VERBS]
    for section in config.nav or ():
        for entries in section.values():
            for entry in entries if isinstance(entries, list) else ():
                if isinstance(entry, dict) and f"{FOLDER}/index.md" in entry.values():
                    (title,) = entry
                    entry[title] = [f"{FOLDER}/index.md", *pages_of_verbs]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages."""
    from mkdocs.structure.files import File

    for name, content in pages().items():
        files.append(File.generated(config, name, content=content))
    return files


def pages() -> dict[str, str]:
    """The text of each page by its path."""
    with click.Context(cli, info_name="agecompact") as root:
        made = {f"{FOLDER}/{verb}.md": "\n".join(_page(verb, root)) for verb in VERBS}
        return {f"{FOLDER}/index.md": "\n".join(_overview(root)), **made}


def _overview(root: click.Context) -> Iterator[str]:
    yield "# Commands\n"
    yield "What `agecompact VERB --help` says of each verb.\n"
    yield "| verb | |\n|---|---|"
    for verb, lazy in VERBS.items():
        yield f"| [`{verb}`]({verb}.md) | {_escaped(lazy.summary)} |"
    yield "\nWith the options of `agecompact` itself:\n"
    yield from _options(cli, root)


def _page(verb: str, root: click.Context) -> Iterator[str]:
    command = cli.get_command(root, verb)
    assert command is not None
    yield f"---\ntitle: {verb}\n---\n"
    yield from _described(command, verb, root, "#")


def _described(
    command: click.Command, name: str, parent: click.Context, heading: str
) -> Iterator[str]:
    """A verb, and those under it."""
    with click.Context(
        command, info_name=name, parent=parent, terminal_width=_WIDTH, max_content_width=_WIDTH
    ) as context:
        yield f"{heading} {context.command_path}\n"
        usage = " ".join(command.collect_usage_pieces(context))
        yield f"```text\n{context.command_path} {usage}\n```\n"
        for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
            yield f"{_escaped(' '.join(paragraph.split()))}\n"
        yield from _options(command, context)
        if isinstance(command, click.Group):
            for each in command.list_commands(context):
                under = command.get_command(context, each)
                assert under is not None
                yield from _described(under, each, context, f"{heading}#")


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    """A definition list."""
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None and record[1]:
            yield f"`{record[0]}`\n:   {_escaped(' '.join(record[1].split()))}\n"


def _escaped(text: str) -> str:
    """Plain text as Markdown; what is in backquotes is code already."""
    parts = _CODE.split(text.replace("\b", ""))
    return "".join(
        part if place % 2 else _SPECIAL.sub(r"\\\1", html.escape(part, quote=False))
        for place, part in enumerate(parts)
    )
