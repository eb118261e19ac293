"""Kinds of options, groups of options, and verbs with sub-verbs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from agecompact.imports import resolve

Option = Callable[..., Any]

PATH = click.Path(path_type=Path)
BUILDS = Path("build")


class _BuildPath(click.Path):
    """A build folder, or a project file: that is activated, and its build is `build/<name>`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        from agecompact.models import project

        path: Path = super().convert(value, param, ctx)  # type: ignore[assignment]
        return BUILDS / project.activate(path).spec.id if project.is_project(path) else path


BUILD = _BuildPath(path_type=Path)


weights_option = click.option(
    "--weights",
    type=PATH,
    help="A weights file, or a state dict of MODEL, instead of its released weights.",
)
artifact_option = click.option(
    "--artifact", type=PATH, help="An exported file; its embedded contract is used."
)


def count_option(flag: str, text: str, *, minimum: int = 1, default: int | None = None) -> Option:
    """An option that takes a whole number.

    Args:
        flag: Such as `--threads`.
        text: Its help.
        minimum: The least value.
        default: Its default; None for none.
    """
    return click.option(
        flag,
        type=click.IntRange(minimum),
        default=default,
        show_default=default is not None,
        metavar="N",
        help=text,
    )


def grouped_options(kind: type, argument: str, options: Sequence[Option]) -> Option:
    """A decorator that adds options to a verb, which gets their values as one dataclass.

    Args:
        kind: The dataclass; its fields are named like the options.
        argument: Name of the verb's argument.
        options: The options, in the order of the help.
    """
    names = [field.name for field in fields(kind)]

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def command(**arguments: Any) -> Any:
            values = {name: arguments.pop(name) for name in names if name in arguments}
            return function(**{argument: kind(**values)}, **arguments)

        for option in reversed(options):
            command = option(command)
        return command

    return decorate


class DefaultGroup(click.Group):
    """A verb with sub-verbs, one of which runs if none is named.

    `verb BUILD` means `verb <default> BUILD`.

    Args:
        default: The sub-verb that runs if none is named.
        elsewhere: `module:attribute` of sub-verbs that are imported when they run, by name.
        implied: By option: the sub-verb that runs if that option is given and none is named.
    """

    def __init__(
        self,
        *arguments: Any,
        default: str,
        elsewhere: Mapping[str, str] | None = None,
        implied: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(*arguments, **more)
        self._default = default
        self._elsewhere = elsewhere or {}
        self._implied = implied or {}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The names of all sub-verbs."""
        return [*self.commands, *self._elsewhere]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The sub-verb of a name."""
        if name not in self._elsewhere:
            return super().get_command(ctx, name)
        command: click.Command = resolve(self._elsewhere[name])
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Inserts the default sub-verb if none is named."""
        if not args or (args[0] not in {*self.list_commands(ctx), *ctx.help_option_names}):
            given = {argument.partition("=")[0] for argument in args}
            verb = next((self._implied[o] for o in self._implied if o in given), self._default)
            args = [verb, *args]
        return super().parse_args(ctx, args)
