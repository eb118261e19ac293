"""A verb with verbs of its own, one of which is meant where none is named."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click


class DefaultGroup(click.Group):
    """`verb BUILD` means `verb <default> BUILD`; `verb other` stays what it is.

    Args:
        default: The command that is meant where none is named.
        elsewhere: By name: `module:attribute` of commands that are loaded when they are called.
        implied: By option: the command that is meant where that option is given and none is named.
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
        """Every command's name."""
        return [*self.commands, *self._elsewhere]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of a name, loaded if it lies elsewhere."""
        if name not in self._elsewhere:
            return super().get_command(ctx, name)
        module, attribute = self._elsewhere[name].split(":")
        loaded: click.Command = getattr(importlib.import_module(module), attribute)
        return loaded

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Names the command that is meant."""
        if not args or (args[0] not in {*self.list_commands(ctx), *ctx.help_option_names}):
            given = {argument.partition("=")[0] for argument in args}
            meant = next((self._implied[o] for o in self._implied if o in given), self._default)
            args = [meant, *args]
        return super().parse_args(ctx, args)
