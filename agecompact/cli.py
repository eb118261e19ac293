"""The command line. A verb is imported only when it runs, so that `--help` is fast."""

from __future__ import annotations

import io
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

import click

from agecompact import __version__
from agecompact.errors import AgecompactError, ExitCode, OutputError, unknown_name
from agecompact.faults import machine_error
from agecompact.imports import resolve
from agecompact.startup import Stopped, abandon_broken_streams, output_failure, prepare
from agecompact.text import one_line


@dataclass(frozen=True)
class Verb:
    """A verb before it is imported.

    Attributes:
        target: `module:attribute` of its `click.Command`.
        summary: Its line in `agecompact --help`, here so that the help need not import it.
    """

    target: str
    summary: str


VERBS = {
    "list": Verb("agecompact.commands.list:command", "List models, released weights and recipes."),
    "predict": Verb("agecompact.commands.predict:command", "Predict ages of faces in images."),
    "inspect": Verb("agecompact.commands.inspect:command", "Show what a file is, and its content."),
    "weights": Verb("agecompact.commands.weights:command", "Convert public Keras weights."),
    "data": Verb("agecompact.commands.data:command", "Check a data set, or split it."),
    "train": Verb("agecompact.commands.train:command", "Train a model by a recipe."),
    "tune": Verb("agecompact.commands.tune:command", "Search a recipe's settings with Optuna."),
    "evaluate": Verb(
        "agecompact.commands.evaluate:command", "Measure the error of weights or artefacts."
    ),
    "preprocessing": Verb(
        "agecompact.commands.preprocessing:command",
        "Measure what mistakes in preprocessing cost.",
    ),
    "lemur": Verb("agecompact.commands.lemur:command", "Export networks for LEMUR (nn-dataset)."),
    "init": Verb("agecompact.commands.init:command", "Write a project file for your own network."),
    "check": Verb("parity_tests.project_command:check", "Run a project's network on faces, once."),
    "export": Verb("export.command:export", "Convert weights to ONNX, TFLite and Core ML."),
    "calibrate": Verb("export.int8.command:calibrate", "Find out how a network becomes int8."),
    "verify": Verb("export.command:verify", "Check a build folder against its manifests."),
    "compile": Verb("export.command:compile_file", "Compile an ONNX file for an NPU."),
    "sign": Verb("export.command:sign", "Sign a build folder."),
    "parity": Verb("parity_tests.command:command", "Check artefacts against PyTorch, in years."),
    "bench": Verb("agecompact.commands.bench:command", "Measure latency and size of artefacts."),
    "optimise": Verb(
        "parity_tests.optimise.command:optimise", "Try precisions, and choose by measured cost."
    ),
    "integrate": Verb(
        "agecompact.commands.integrate:command", "Write a project that runs an artefact in an app."
    ),
    "doctor": Verb(
        "agecompact.commands.doctor:command", "List what is installed, and what is missing."
    ),
    "report": Verb("agecompact.commands.report:command", "Print the results of a build folder."),
}


class _LazyGroup(click.Group):
    """A group of verbs that are imported when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        if name not in VERBS:
            raise unknown_name("verb", name, VERBS)
        command: click.Command = resolve(VERBS[name].target)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Verbs"):
            formatter.write_dl([(name, verb.summary) for name, verb in VERBS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="agecompact")
def cli() -> None:
    """Convert compact face-age networks from PyTorch for phones, and prove that nothing was lost.

    Exit codes: 0 success, 1 check failed, 2 usage error, 3 environment or backend missing,
    4 conversion failed, 5 a check cannot tell.
    """


def main() -> NoReturn:
    """The entry point of the `agecompact` command."""
    try:
        code = _run(sys.argv[1:])
    finally:
        abandon_broken_streams()
    sys.exit(int(code))


def _run(arguments: list[str]) -> int:
    """Runs a verb, says what failed, and returns the exit code.

    Raises:
        Exception: A bug.
    """
    try:
        prepare(arguments)
        # Not cli.main: it hides exit codes.
        with cli.make_context("agecompact", arguments) as context:
            cli.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.ClickException as error:
        text = io.StringIO()
        error.show(text)
        for line in text.getvalue().splitlines():
            _say(one_line(line))
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt) as stop:
        _say("interrupted; nothing was left half-written")
        return 128 + (stop.number if isinstance(stop, Stopped) else signal.SIGINT)
    except (Exception, SystemExit) as error:
        if isinstance(output_failure(), BrokenPipeError):
            # The reader closed the pipe (`agecompact list | head`). Like other programs, end
            # without a word; but not with 0, since a check that was cut short has not passed.
            return 128 + signal.SIGPIPE
        reported = _reported(error)
        if reported is None:
            raise
        _say(f"error: {reported}")
        return reported.exit_code
    return ExitCode.OK


def _reported(error: BaseException) -> AgecompactError | None:
    """The error to report for an exception; None if it is a bug."""
    failure = output_failure()
    if failure is not None and failure in (error, error.__cause__):
        return OutputError(
            "cannot write to standard output",
            why=failure.strerror or str(failure),
            fix="redirect it to another file, or free some space there",
        )
    return error if isinstance(error, AgecompactError) else machine_error(error)


def _say(text: str) -> None:
    """Prints to standard error, whose own faults change nothing."""
    with suppress(OSError):
        click.echo(text, err=True)
