"""The verb `parity`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from agecompact.commands.common import emit, json_option, progress, screen
from agecompact.errors import GateError
from agecompact.files import pretty_json, write_text
from agecompact.manifest import read_builds
from parity_tests import check
from parity_tests.junit import to_junit

if TYPE_CHECKING:
    from rich.table import Table

_FIGURES = ("max", "p99", "mean")


@click.command()
@click.argument("build", type=click.Path(path_type=Path), default=Path("build"))
@json_option
def command(build: Path, json_target: str | None) -> None:
    """Hold every artefact of a build to PyTorch float32, in years.

    Writes parity.json and parity.xml (JUnit) into the build folder. Exits 1 when an artefact fails.
    """
    builds = read_builds(build)
    console = screen(json_target)
    results: list[check.Result] = []
    with progress(console, "parity", sum(len(b.manifest.artifacts) for b in builds)) as step:

        def report(result: check.Result) -> None:
            step(f"{result.artifact}: {result.status}")

        for each in builds:
            results.extend(check.check_build(each, report))
    content = check.as_json(results)
    write_text(build / "parity.json", pretty_json(content))
    write_text(build / "parity.xml", to_junit(results))
    emit(content, json_target)
    console.print(_table(results))
    for reason in dict.fromkeys(r.reason for r in results if r.status == "skipped"):
        console.print(f"not run here: {reason.removeprefix('not run here: ')}", markup=False)
    if not check.passed(results):
        failed = [r for r in results if r.status == "failed"]
        lines = [f"{r.artifact}: {r.kind}: {r.reason}" for r in failed]
        raise GateError(
            f"{len(failed)} of {len(results)} artefacts fail parity",
            why="\n     ".join(lines) or "no artefact could be run on this machine",
        )


def _table(results: list[check.Result]) -> Table:
    from rich.table import Table

    table = Table(title="Error against PyTorch float32")
    for heading in ("artefact", "runtime", *_FIGURES, "tolerance", "unit", "verdict"):
        side: Literal["left", "right"] = "right" if heading in _FIGURES else "left"
        table.add_column(heading, justify=side, overflow="fold")
    for r in results:
        figures = [
            "-" if value is None else f"{value:.1e}"
            for value in (r.max_years, r.p99_years, r.mean_years)
        ]
        verdict = r.status if r.kind is None else f"{r.status}: {r.kind}"
        if r.kind == "missing":
            verdict = "not run here"
        table.add_row(
            r.artifact,
            r.runtime_version or r.runtime,
            *figures,
            f"{r.tolerance_years:g}",
            r.unit,
            verdict,
        )
    return table
