"""Runs verbs in the process of a test."""

from __future__ import annotations

from click.testing import CliRunner, Result

from agecompact import cli
from agecompact.errors import UsageError


def run(*arguments: object) -> Result:
    """A verb's result; what it raises is in `exception`."""
    return CliRunner().invoke(cli.cli, [str(argument) for argument in arguments])


def done(*arguments: object) -> Result:
    """The result of a verb that must succeed."""
    result = run(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def refused(*arguments: object) -> UsageError:
    """The error of a verb that must refuse its arguments."""
    error = run(*arguments).exception
    assert isinstance(error, UsageError), error
    return error
