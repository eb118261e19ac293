"""The verb `parity`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from agecompact.artifacts.manifest import read_builds
from agecompact.console.common import emit, json_option, progress, screen
from agecompact.console.groups import DefaultGroup
from agecompact.errors import GateError
from agecompact.files import size_of, write_text
from parity_tests.options import labelled, labelled_options, plan_options

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from parity_tests.plan import Plan
    from parity_tests.results import Result

_FIGURES = ("max", "searched", "p99", "mean")
_PATH = click.Path(path_type=Path)


@click.group(cls=DefaultGroup, default="check", implied={"--reference": "pair"})
def command() -> None:
    """Prove artefacts equal to PyTorch, in years.

    `parity BUILD` means `parity check BUILD`; `parity --reference A --candidate B` means `parity
    pair`.
    """


@command.command()
@click.argument("build", type=_PATH, default=Path("build"))
@plan_options
@labelled_options
@click.option(
    "--baseline", type=_PATH, metavar="FILE", help="A parity.json: an error grown since then fails."
)
@click.option("--markdown", type=_PATH, metavar="FILE", help="Also write a pull request's summary.")
@json_option
def check(
    build: Path,
    plan: Plan,
    baseline: Path | None,
    markdown: Path | None,
    json_target: str | None,
    **data: Any,
) -> None:
    """Hold every artefact of a build to PyTorch.

    Writes parity.json and parity.xml (JUnit) into the build folder. Exits 1 when an artefact fails.
    """
    from agecompact.evaluation.evaluate import target_of_contract
    from parity_tests import results as verdicts
    from parity_tests.baseline import held_to
    from parity_tests.check import candidates, check_builds
    from parity_tests.junit import to_junit
    from parity_tests.markdown import to_markdown

    builds = read_builds(build)
    then = verdicts.read(baseline) if baseline else ()
    console = screen(json_target)
    targets = {target_of_contract(each.manifest.contract) for each in builds}
    plan = replace(plan, labelled=labelled(targets, console, **data))
    with progress(console, "parity", sum(len(candidates(each, plan)) for each in builds)) as step:
        found = check_builds(
            builds, plan, lambda r: step(f"{r.artifact} in {r.label}: {_verdict(r)}")
        )
    if baseline:
        found = held_to(found, then, plan.tolerances.growth)
    verdicts.write(build / verdicts.FILE_NAME, found)
    write_text(build / "parity.xml", to_junit(found))
    if markdown:
        write_text(markdown, to_markdown(found))
    emit(verdicts.as_json(found), json_target)
    _show(found, console)


@command.command()
@click.option("--reference", type=_PATH, required=True, metavar="FILE", help="What is right.")
@click.option("--candidate", type=_PATH, required=True, metavar="FILE", help="What is held to it.")
@click.option(
    "--contract",
    type=_PATH,
    metavar="FILE",
    help="JSON contract of both; needed where the files hold none.",
)
@click.option(
    "--precision",
    type=click.Choice(("float32", "float16")),
    default="float32",
    show_default=True,
    help="Of the candidate's weights: chooses the gates.",
)
@click.option("--runtime", metavar="NAME", help="What runs the candidate, such as mil.")
@plan_options
@json_option
def pair(
    reference: Path,
    candidate: Path,
    contract: Path | None,
    precision: Literal["float32", "float16"],
    runtime: str | None,
    plan: Plan,
    json_target: str | None,
) -> None:
    """Hold any model file to any other that should answer alike."""
    from agecompact.formats import runtime_named
    from parity_tests import results as verdicts
    from parity_tests.foreign import check_pair

    opener = runtime_named(runtime) if runtime else None
    found = (check_pair(reference, candidate, contract, plan, runtime=opener, precision=precision),)
    emit(verdicts.as_json(found), json_target)
    _show(found, screen(json_target))


@command.command()
@click.argument("build", type=_PATH, default=Path("build"))
@click.option("--tolerances", type=_PATH, metavar="FILE", help="Your gates, as in tolerances.toml.")
@json_option
def freeze(build: Path, tolerances: Path | None, json_target: str | None) -> None:
    """Write a golden pack beside the artefacts: inputs and PyTorch's answers.

    Any device replays it without Python: bench does, on emulated ARM, Android and iOS.
    """
    from parity_tests import golden
    from parity_tests.plan import Plan
    from parity_tests.tolerances import load

    builds = read_builds(build)
    plan = Plan(tolerances=load(tolerances))
    console = screen(json_target)
    written = []
    with progress(console, "freeze", len(builds)) as step:
        for each in builds:
            folder = golden.freeze(each, plan)
            written.append({"folder": str(folder), "bytes": size_of(folder)})
            step(f"{folder}: {size_of(folder) / 1e3:,.0f} kB")
    emit(written, json_target)


def _show(found: Sequence[Result], console: Console) -> None:
    """Prints the verdicts.

    Raises:
        GateError: One of them is a failure, or nothing ran.
    """
    from parity_tests.results import passed

    console.print(_table([r for r in found if r.status != "skipped"]))
    for label in dict.fromkeys(r.label for r in found if r.status == "skipped"):
        one = next(r for r in found if r.label == label and r.status == "skipped")
        console.print(f"not run here: {label}: {one.reason}", markup=False, soft_wrap=True)
    for result in found:
        if result.localisation:
            console.print(f"\n{result.artifact} in {result.label}", markup=False)
            for line in result.localisation["lines"]:
                console.print(line, markup=False, soft_wrap=True)
    if not passed(found):
        failures = [r for r in found if r.status == "failed"]
        lines = [f"{r.artifact} in {r.label}: {r.kind}: {r.reason}" for r in failures]
        raise GateError(
            f"{len(failures)} of {len(found)} checks fail",
            why="\n     ".join(lines) or "no artefact could be run on this machine",
        )


def _table(found: Sequence[Result]) -> Table:
    from rich.table import Table

    table = Table(title="Error against PyTorch")
    for heading in ("artefact", "runtime", *_FIGURES, "allowed", "unit", "verdict"):
        side: Literal["left", "right"] = "right" if heading in _FIGURES else "left"
        table.add_column(heading, justify=side, overflow="fold")
    for r in found:
        figures = [
            "-" if value is None else f"{value:.1e}"
            for value in (r.max_years, r.searched_years, r.p99_years, r.mean_years)
        ]
        table.add_row(r.artifact, r.label, *figures, f"{r.tolerance.max:g}", r.unit, _verdict(r))
    return table


def _verdict(result: Result) -> str:
    if result.status == "skipped":
        return "not run here"
    return result.status if result.kind is None else f"{result.status}: {result.kind}"
