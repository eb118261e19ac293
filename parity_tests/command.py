"""The verb `parity`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agecompact.artifacts.manifest import build_folders, read, read_builds
from agecompact.console.common import STDOUT, emit, json_option, progress, say, screen, show
from agecompact.console.groups import PATH, DefaultGroup
from agecompact.errors import GateError
from agecompact.files import output_errors, size_of, write_text
from agecompact.formats import PRECISIONS
from parity_tests.options import (
    LabelledChoice,
    labelled_faces,
    labelled_options,
    settings_options,
    tolerances_option,
)
from parity_tests.settings import CheckSettings
from parity_tests.tolerances import Tolerances

if TYPE_CHECKING:
    from rich.console import Console

    from parity_tests.results import Result


@click.group(cls=DefaultGroup, default="check", implied={"--reference": "pair"})
def command() -> None:
    """Prove that artefacts give PyTorch's outputs, in years.

    `parity BUILD` means `parity check BUILD`; `parity --reference A --candidate B` means `parity
    pair`.
    """


@command.command()
@click.argument("build", type=PATH, default=Path("build"))
@settings_options
@labelled_options
@click.option(
    "--baseline", type=PATH, metavar="FILE", help="A parity.json: an error grown since then fails."
)
@click.option(
    "--markdown", type=PATH, metavar="FILE", help="Also write a summary for a pull request."
)
@json_option
def check(
    build: Path,
    settings: CheckSettings,
    labelled: LabelledChoice,
    baseline: Path | None,
    markdown: Path | None,
    json_target: str | None,
) -> None:
    """Check every artefact of a build against PyTorch.

    Writes parity.json and parity.xml (JUnit) into the build folder. Exits 1 when an artefact fails.
    """
    from agecompact.evaluation.evaluate import target_of_contract
    from parity_tests import results as records
    from parity_tests.baseline import compare_with_baseline, read_baseline
    from parity_tests.check import candidates, check_builds
    from parity_tests.junit import to_junit
    from parity_tests.markdown import to_markdown

    folders = build_folders(build)
    report, junit = build / records.FILE_NAME, build / "parity.xml"
    outputs = [markdown] if markdown else []
    outputs += [Path(json_target)] if json_target not in (None, STDOUT) else []
    # A run that fails must not leave the results of an earlier one.
    with output_errors(build):
        for path in (report, junit, *outputs):
            # Not a device, such as /dev/null.
            if path.is_file() and (baseline is None or path.resolve() != baseline.resolve()):
                path.unlink()
    builds = tuple(map(read, folders))
    checks = [each for b in builds for each in candidates(b, settings)]
    before = read_baseline(baseline, checks) if baseline else ()
    console = screen(json_target)
    targets = {target_of_contract(each.manifest.contract) for each in builds}
    settings = replace(settings, labelled=labelled_faces(labelled, targets, console))
    total = len(checks) + sum(len(each.manifest.not_made) for each in builds)
    with progress(console, "parity", total) as stages:
        results = check_builds(
            builds,
            settings,
            started=stages.start,
            finished=lambda result: stages.done(f"{result.name}: {result.verdict}"),
        )
    if baseline:
        results = compare_with_baseline(results, before, settings.tolerances.growth)
    records.write(report, results)
    write_text(junit, to_junit(results))
    if markdown:
        write_text(markdown, to_markdown(results))
    emit(records.as_json(results), json_target)
    _show(results, console, reference="PyTorch")


@command.command()
@click.option("--reference", type=PATH, required=True, metavar="FILE", help="The correct model.")
@click.option("--candidate", type=PATH, required=True, metavar="FILE", help="The model to check.")
@click.option(
    "--contract",
    type=PATH,
    metavar="FILE",
    help="JSON contract of both; needed if the files do not contain one.",
)
@click.option(
    "--precision",
    type=click.Choice(tuple(PRECISIONS)),
    default=next(iter(PRECISIONS)),
    show_default=True,
    help="Precision of the candidate's weights, which selects the gates.",
)
@click.option("--runtime", metavar="NAME", help="The runtime for the candidate, such as mil.")
@settings_options
@json_option
def pair(
    reference: Path,
    candidate: Path,
    contract: Path | None,
    precision: str,
    runtime: str | None,
    settings: CheckSettings,
    json_target: str | None,
) -> None:
    """Check any model file against another that should give the same outputs."""
    from agecompact.formats import runtime_named
    from parity_tests import results as records
    from parity_tests.foreign import check_pair

    opener = runtime_named(runtime) if runtime else None
    result = check_pair(
        reference, candidate, contract, settings, runtime=opener, precision=precision
    )
    emit(records.as_json([result]), json_target)
    _show([result], screen(json_target), reference=reference.name)


@command.command()
@click.argument("build", type=PATH, default=Path("build"))
@tolerances_option
@json_option
def freeze(build: Path, tolerances: Tolerances, json_target: str | None) -> None:
    """Write a golden pack beside the artefacts: inputs and PyTorch's outputs.

    Any device can replay it without Python: bench does, on emulated ARM, Android and iOS.
    """
    from agecompact.artifacts import golden
    from parity_tests.golden import discard
    from parity_tests.golden import freeze as write_pack

    builds = read_builds(build)
    settings = CheckSettings(tolerances=tolerances)
    console = screen(json_target)
    written = []
    for each in builds:
        discard(each)
    with progress(console, "freeze", len(builds)) as stages:
        for each in builds:
            stages.start(f"running PyTorch for {each.folder}")
            folder = write_pack(each, settings)
            written.append({"folder": str(folder), "bytes": size_of(folder)})
            inputs = len(golden.read(folder).samples)
            line = f"{folder}: {inputs} inputs, {size_of(folder) / 1e3:,.0f} kB"
            # The bar of a terminal disappears, so the line is printed above it.
            if console.is_terminal:
                say(console, line)
            stages.done(line)
    emit(written, json_target)


def _show(results: Sequence[Result], console: Console, *, reference: str) -> None:
    """Prints the results.

    Raises:
        GateError: A check failed, or nothing ran.
    """
    from parity_tests import coverage
    from parity_tests.localisation.report import table as localisation_table
    from parity_tests.results import passed
    from parity_tests.table import table, task_table

    show(console, table(results, reference))
    for line in coverage.lines(results):
        say(console, line)
    if task := task_table(results, reference):
        show(console, task)
    skipped = {result.label: result.reason for result in results if result.status == "skipped"}
    for label, reason in skipped.items():
        say(console, f"skipped: {label}: {reason}")
    for result in results:
        if result.localisation:
            say(console, "", result.name, result.localisation["summary"])
            show(console, localisation_table(result.localisation))
    if not passed(results):
        failures = [result for result in results if result.status == "failed"]
        lines = [f"{result.name}: {result.kind}: {result.reason}" for result in failures]
        raise GateError(
            f"{len(failures)} of {len(results)} checks fail",
            why="\n     ".join(lines) or "no artefact could be run on this machine",
        )
