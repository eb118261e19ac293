"""The command line: every verb by name, none of them loaded before it is called."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from dataclasses import dataclass
from typing import NoReturn

import click

from agecompact import __version__
from agecompact.errors import AgecompactError, ExitCode, unknown_name


@dataclass(frozen=True)
class Verb:
    """A verb before it is loaded.

    Attributes:
        target: `module:attribute` of its `click.Command`.
        summary: Its line in `agecompact --help`, here so that the help imports nothing.
    """

    target: str
    summary: str


VERBS = {
    "list": Verb("agecompact.commands.list:command", "List models, released weights, formats."),
    "predict": Verb("agecompact.commands.predict:command", "Tell the age of faces in images."),
    "inspect": Verb("agecompact.commands.inspect:command", "Print what is inside a file."),
    "weights": Verb("agecompact.commands.weights:command", "Import public Keras weights."),
    "data": Verb("agecompact.commands.data:command", "Check a data set, or write its split."),
    "train": Verb("agecompact.commands.train:command", "Train a model by a recipe."),
    "tune": Verb("agecompact.commands.tune:command", "Search a recipe's settings with Optuna."),
    "evaluate": Verb(
        "agecompact.commands.evaluate:command", "Measure the error of weights or artefacts."
    ),
    "lemur": Verb("agecompact.commands.lemur:command", "Export networks for LEMUR (nn-dataset)."),
    "export": Verb("export.command:export", "Convert weights to ONNX, TFLite and Core ML."),
    "verify": Verb("export.command:verify", "Re-check a build folder against its manifests."),
    "parity": Verb("parity_tests.command:command", "Prove artefacts equal to PyTorch, in years."),
    "bench": Verb("agecompact.commands.bench:command", "Measure latency and size of artefacts."),
    "report": Verb("agecompact.commands.report:command", "Print the table of a build folder."),
}


class _LazyGroup(click.Group):
    """A group that knows its verbs' names and summaries, and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        if name not in VERBS:
            raise unknown_name("verb", name, VERBS)
        module, attribute = VERBS[name].target.split(":")
        loaded: click.Command = getattr(importlib.import_module(module), attribute)
        return loaded

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Verbs"):
            formatter.write_dl([(name, verb.summary) for name, verb in VERBS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="agecompact")
def cli() -> None:
    """Take compact face-age networks from PyTorch to a phone, and prove that nothing was lost.

    Exit codes: 0 pass, 1 gate failed, 2 usage, 3 environment or backend missing,
    4 conversion failed.
    """


def main() -> NoReturn:
    """Entry point of the `agecompact` command."""
    # A supervisor's TERM unwinds as Ctrl-C does, so that no partial file stays behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    code = int(ExitCode.OK)
    try:
        # Not cli.main: it calls a reader that left a failure, and tells nobody why it exits.
        with cli.make_context("agecompact", sys.argv[1:]) as context:
            cli.invoke(context)
        sys.stdout.flush()
    except AgecompactError as error:
        click.echo(f"error: {error}", err=True)
        code = error.exit_code
    except click.exceptions.Exit as leave:
        code = leave.exit_code
    except click.ClickException as error:
        error.show()
        code = ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; nothing was left half-written", err=True)
        code = 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader left (`agecompact list | head`): nothing failed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(int(code))


if __name__ == "__main__":
    main()
