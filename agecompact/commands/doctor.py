"""The verb `doctor`: what this machine has of all that the verbs need."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

import click

from agecompact import __version__
from agecompact.console.common import STDOUT, emit, json_option
from agecompact.diagnosis.checks import Finding, Settings, checks, examine
from agecompact.errors import BackendMissingError
from agecompact.text import one_line

_SCHEMA_VERSION = 1
_MAIN_JOB = "export, parity and predict"
_WIDTH = 13


@click.command()
@click.option(
    "--thorough",
    is_flag=True,
    help="Import the packages of the extras too, in other processes: about half a minute.",
)
@json_option
def command(thorough: bool, json_target: str | None) -> None:
    """List what is installed, what is missing, what that costs, and the command that cures it.

    Exits with 3 if something is missing that export, parity and predict need in every format. What
    is missing of an extra, or of a place to measure on, does not fail.
    """
    # On a broken installation the console of the other verbs may not work.
    printed_to_stderr = json_target == STDOUT
    findings = []
    for check in checks(Settings(thorough)):
        finding = examine(check)
        findings.append(finding)
        for line in _lines(finding):
            click.echo(one_line(line), err=printed_to_stderr)
    emit(_json(findings), json_target)
    broken = [f for f in findings if f.problem and f.check.core]
    if broken:
        raise BackendMissingError(
            f"{_MAIN_JOB} do not work here",
            why="\n".join(f.problem.what for f in broken if f.problem),
            fix=next(f.problem.fix for f in broken if f.problem),
        )
    click.echo(f"{_MAIN_JOB} work", err=printed_to_stderr)


def _lines(finding: Finding) -> list[str]:
    name = f"{finding.check.name:{_WIDTH}}"
    problem = finding.problem
    if problem is None:
        return [f"ok       {name} {finding.found}"]
    indent = " " * (len("missing  ") + _WIDTH + 1)
    lines = [f"missing  {name} {problem.what}"]
    lines += [f"{indent}why: {line}" for line in problem.why.splitlines()]
    lines.append(f"{indent}costs: {'; '.join(finding.check.costs)}")
    return lines + [f"{indent}fix: {line}" for line in problem.fix.splitlines()]


def _json(findings: Sequence[Finding]) -> dict[str, Any]:
    return {
        "schema_version": _SCHEMA_VERSION,
        "agecompact": __version__,
        "platform": platform.platform(),
        "works": not any(f.problem and f.check.core for f in findings),
        "checks": [
            {
                "name": f.check.name,
                "core": f.check.core,
                "ok": f.problem is None,
                "found": f.found or None,
                "what": f.problem.what if f.problem else None,
                "why": f.problem.why if f.problem else None,
                "fix": f.problem.fix if f.problem else None,
                "costs": list(f.check.costs),
            }
            for f in findings
        ],
    }
