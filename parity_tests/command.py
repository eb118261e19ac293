"""The verb `parity`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agecompact.artifacts.manifest import Build, read_builds
from agecompact.console.common import STDOUT, emit, json_option, progress, say, screen, show
from agecompact.console.groups import BUILD, BUILDS, PATH, DefaultGroup
from agecompact.errors import GateError, UsageError
from agecompact.faces.files import images_in
from agecompact.files import output_errors, size_of, write_text
from agecompact.formats import EXPORTED, format_of
from agecompact.precisions import PRECISIONS
from parity_tests.options import (
    LabelledChoice,
    labelled_faces,
    labelled_options,
    processor_options,
    settings_options,
    tolerances_option,
)
from parity_tests.settings import CheckSettings
from parity_tests.tolerances import Tolerances

if TYPE_CHECKING:
    from rich.console import Console

    from parity_tests.results import Result

# Faces in a golden pack: an emulated processor takes seconds for each.
_PACKED = 16


@click.group(cls=DefaultGroup, default="check", implied={"--reference": "pair"})
def command() -> None:
    """Prove that artefacts give PyTorch's outputs, in years.

    `parity BUILD` means `parity check BUILD`; `parity --reference A --candidate B` means `parity
    pair`.
    """


@command.command()
@click.argument("build", type=BUILD, default=BUILDS)
@settings_options
@processor_options
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
    on_all: bool,
    named: tuple[str, ...],
    labelled: LabelledChoice,
    baseline: Path | None,
    markdown: Path | None,
    json_target: str | None,
) -> None:
    """Check every artefact of a build against PyTorch.

    Writes parity.json and parity.xml (JUnit) into the build folder. Exits 1 when an artefact fails.
    """
    from agecompact.evaluation.evaluate import targets_of
    from parity_tests import results as records
    from parity_tests.baseline import compare_with_baseline, read_baseline
    from parity_tests.check import candidates, check_builds
    from parity_tests.junit import to_junit
    from parity_tests.markdown import to_markdown
    from parity_tests.tolerances import with_projects

    report, junit = build / records.FILE_NAME, build / "parity.xml"
    outputs = [markdown] if markdown else []
    outputs += [Path(json_target)] if json_target not in (None, STDOUT) else []
    earlier = [path for path in (report, junit, *outputs) if not _same(path, baseline)]
    try:
        builds = read_builds(build)
    except UsageError:
        _discard(earlier)
        raise
    gates = with_projects(settings.tolerances)
    settings = replace(settings, tolerances=gates, runtimes=named, everywhere=on_all)
    checks = [each for b in builds for each in candidates(b, settings)]
    before = read_baseline(baseline, checks) if baseline else ()
    console = screen(json_target)
    targets = {t for each in builds for t in targets_of(each.manifest.contract)}
    settings = replace(settings, labelled=labelled_faces(labelled, targets, console))
    _discard(earlier)
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
    against = _reference_of(builds)
    records.write(report, results)
    write_text(junit, to_junit(results, against))
    if markdown:
        write_text(markdown, to_markdown(results, against))
    emit(records.as_json(results), json_target)
    _show(results, console, reference=against)


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
    "--reference-contract", type=PATH, metavar="FILE", help="JSON contract of the reference alone."
)
@click.option(
    "--candidate-contract", type=PATH, metavar="FILE", help="JSON contract of the candidate alone."
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
    reference_contract: Path | None,
    candidate_contract: Path | None,
    precision: str,
    runtime: str | None,
    settings: CheckSettings,
    json_target: str | None,
) -> None:
    """Check any model file against another that should give the same outputs.

    A contract says how an image becomes a model's input, and how answers are read from its outputs.
    Layout, dtype and quantisation are taken from the files, as are names that are not in doubt.
    """
    from agecompact.formats import runtime_named
    from parity_tests import results as records
    from parity_tests.foreign import Side, check_pair

    opener = runtime_named(runtime) if runtime else None
    console = screen(json_target)
    results = check_pair(
        Side(reference, reference_contract or contract),
        Side(candidate, candidate_contract or contract, opener),
        settings,
        precision=precision,
        noted=lambda note: say(console, note),
    )
    emit(records.as_json(results), json_target)
    fix = f"see what is wrong with it: agecompact inspect {shlex.quote(str(candidate))}"
    _show(results, console, reference=reference.name, fix=fix)


@command.command()
@click.argument("build", type=BUILD, default=BUILDS)
@tolerances_option
@click.option(
    "--images",
    type=PATH,
    metavar="DIR",
    help=f"Face chips, {_PACKED} of them, instead of noise and pictures of one colour. int8 files "
    "then have the gate of faces, a tight one.",
)
@click.option(
    "--faces", is_flag=True, help="Likewise, with views of the face that agecompact brings."
)
@json_option
def freeze(
    build: Path,
    tolerances: Tolerances,
    images: Path | None,
    *,
    faces: bool,
    json_target: str | None,
) -> None:
    """Write a golden pack beside the artefacts: inputs and PyTorch's outputs.

    Any device can replay it without Python: bench does, on emulated ARM, Android and iOS.
    """
    from agecompact.artifacts import golden
    from agecompact.data.face import spread
    from parity_tests.golden import discard
    from parity_tests.golden import freeze as write_pack
    from parity_tests.inputs import pictures, views
    from parity_tests.tolerances import with_projects

    if faces and images:
        raise UsageError("--faces and --images exclude each other", fix="leave one out")
    builds = read_builds(build)
    chosen = spread(images_in(images, "--images"), _PACKED) if images else ()
    settings = CheckSettings(tolerances=with_projects(tolerances))
    console = screen(json_target)
    written = []
    for each in builds:
        discard(each)
    with progress(console, "freeze", len(builds)) as stages:
        for each in builds:
            stages.start(f"running PyTorch for {each.folder}")
            contract = each.manifest.contract
            shown = views(contract)[1:] if faces else pictures(contract, chosen)
            folder = write_pack(each, settings, shown)
            written.append({"folder": str(folder), "bytes": size_of(folder)})
            inputs = len(golden.read(folder).samples)
            line = f"{folder}: {inputs} inputs, {size_of(folder) / 1e3:,.0f} kB"
            # The bar of a terminal disappears, so the line is printed above it.
            if console.is_terminal:
                say(console, line)
            stages.done(line)
    emit(written, json_target)


def _reference_of(builds: Sequence[Build]) -> str:
    """What the artefacts of builds are compared with, for people."""
    formats = {format_of(each.weights) for each in builds}
    labels = {
        f"{each.runtimes[0].label} (float32)" if each.name in EXPORTED else each.runtimes[0].label
        for each in formats
    }
    return " or ".join(sorted(labels))


def _same(path: Path, baseline: Path | None) -> bool:
    return baseline is not None and path.resolve() == baseline.resolve()


def _discard(paths: Sequence[Path]) -> None:
    """Removes the results of an earlier run, which one that fails must not leave."""
    for path in paths:
        # Not a device, such as /dev/null.
        if path.is_file():
            with output_errors(path):
                path.unlink()


def _show(results: Sequence[Result], console: Console, *, reference: str, fix: str = "") -> None:
    """Prints the results.

    Args:
        results: The results.
        console: Where to.
        reference: What the artefacts were checked against.
        fix: What to do about a file that does not load.

    Raises:
        GateError: A check failed, or nothing ran.
    """
    from parity_tests import coverage, float64
    from parity_tests.localisation.report import table as localisation_table
    from parity_tests.results import passed
    from parity_tests.table import table, task_table

    show(console, table(results, reference))
    for line in (*coverage.lines(results), *float64.lines(results)):
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
            fix=fix if any(result.kind == "load" for result in failures) else "",
        )
