"""The verb `optimise`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from agecompact.bench.drivers import parse_place
from agecompact.console.common import emit, json_option, progress, say, screen, show
from agecompact.console.groups import BUILDS, PATH, grouped_options, weights_option
from agecompact.console.models import model_file
from agecompact.errors import GateError, UsageError
from agecompact.files import claimed, sha256_of, write_text
from agecompact.formats import EXPORTED
from agecompact.models import project, registry
from agecompact.runtimes.registry import stand_in
from export import pipeline
from export.int8.faces import chosen
from export.int8.record import Record
from export.int8.source import of_file, released
from export.source import read as read_source
from parity_tests.optimise import candidates, counting, records, run, table
from parity_tests.optimise.front import Cost, Limits, Row, choose
from parity_tests.optimise.options import FaceChoice, face_options, judged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from agecompact.evaluation.pictures import Picture
    from agecompact.formats import Format

PLOT = "optimise.svg"
# The reference runtime takes 17 ms a face for C3AE-plain, and much longer for large networks.
_MOST_IN_REFERENCE = 500

_LIMIT = click.FloatRange(min=0)


@dataclass(frozen=True)
class Wish:
    """The values of the options that choose a candidate.

    Attributes:
        max_mae_cost: See `front.Limits`.
        max_p99: See `front.Limits`.
        minimise: What the chosen candidate should have the least of; None to choose none.
    """

    max_mae_cost: float | None
    max_p99: float | None
    minimise: Cost | None

    @property
    def limits(self) -> Limits:
        """The limits."""
        return Limits(p99=self.max_p99, mae_cost=self.max_mae_cost)

    def check(self, *, has_labels: bool, format_: Format = candidates.COUNTED) -> None:
        """Refuses a wish that cannot be met, before anything runs.

        Raises:
            UsageError: A limit comes without something to minimise or the other way round, or
                the MAE has a limit and the faces have no labels, or the format's instructions are
                not counted.
        """
        limited = self.limits != Limits()
        if limited and self.minimise is None:
            raise UsageError(
                "a limit chooses nothing by itself", fix="add --minimise instructions, or bytes"
            )
        if self.minimise is not None and not limited:
            raise UsageError(
                f"--minimise {self.minimise} needs a limit",
                why="without one, the cheapest candidate is chosen however wrong it is",
                fix="add --max-p99 0.5, or --max-mae-cost 0.05",
            )
        if self.minimise == "instructions" and format_ != candidates.COUNTED:
            raise UsageError(
                f"the instructions of {format_.name} files are not counted",
                why=f"only {candidates.COUNTED.name} files run on the core that counts them",
                fix="choose by size: --minimise bytes",
            )
        if self.max_mae_cost is not None and not has_labels:
            raise UsageError(
                "--max-mae-cost needs labelled faces",
                why="the MAE of faces without labels is not known",
                fix="name a data set with --data, or use --max-p99",
            )


_wish_options = grouped_options(
    Wish,
    "wish",
    (
        click.option(
            "--max-mae-cost",
            type=_LIMIT,
            metavar="YEARS",
            help="Choose among those whose mean absolute error grows by no more.",
        ),
        click.option(
            "--max-p99",
            type=_LIMIT,
            metavar="YEARS",
            help="Choose among those whose 99th percentile of the error is no more.",
        ),
        click.option(
            "--minimise",
            type=click.Choice(get_args(Cost)),
            help="Choose the one with the fewest, and export it.",
        ),
    ),
)


@click.command()
@click.argument("model", required=False)
@weights_option
@click.option(
    "--format",
    "format_name",
    type=click.Choice(tuple(EXPORTED)),
    default=candidates.COUNTED.name,
    show_default=True,
    help="Format of the candidates. Instructions are counted only for tflite.",
)
@click.option(
    "--precision",
    "precisions",
    multiple=True,
    metavar="FLAG",
    help="Try only this one, as in export; repeatable.",
)
@click.option(
    "--calibration",
    type=PATH,
    metavar="PATH",
    help="A folder of face chips that int8 and int16 are made with, some hundred of all ages, or a "
    "calibration file. Without it they are left out, unless a calibration of the weights is "
    "released.",
)
@face_options
@click.option(
    "--output", metavar="NAME", help="Judge the answers of this output; default: the first."
)
@click.option(
    "--on",
    "place",
    default=counting.DEFAULT,
    show_default=True,
    metavar="PLACE",
    help="Where to count instructions, as in bench.",
)
@click.option(
    "--budget",
    type=click.FloatRange(min=0),
    metavar="MINUTES",
    help="After this time, start no other candidate.",
)
@_wish_options
@click.option("--out", type=PATH, default=BUILDS, show_default=True)
@json_option
def optimise(
    model: str | None,
    weights: Path | None,
    format_name: str,
    precisions: tuple[str, ...],
    calibration: Path | None,
    choice: FaceChoice,
    output: str | None,
    place: str,
    budget: float | None,
    wish: Wish,
    out: Path,
    json_target: str | None,
) -> None:
    """Export a model in many ways, measure each, and choose one.

    MODEL is the name of a model, or a project file. The candidates are every precision of the
    format, int8 with its costliest ops in float32, and TFLite files without one of the graph
    passes. Of each, bytes, the error against the weights on faces, and ARM instructions are
    measured. The table marks the Pareto front. Results and a plot are in OUT/optimise/MODEL/,
    those of other formats in its folders onnx and coreml; a second run, or one after Ctrl-C,
    measures only what is missing. With --minimise and a limit, the best candidate is put into
    OUT/MODEL/ like any export, or the verb exits with 1 and says which comes nearest.
    """
    format_ = EXPORTED[format_name]
    is_counted = format_ == candidates.COUNTED
    wish.check(has_labels=choice.data is not None, format_=format_)
    parse_place(place)
    console = screen(json_target)
    naming = "agecompact optimise {model} --weights {path}"
    opening = model_file(model, weights, None, console, naming=naming)
    path = click.get_current_context().with_resource(opening)
    source = read_source(path)
    owner = project.active().get(source.model_id)
    given = weights or (owner.path if owner else None)
    known = None
    if calibration is None or not calibration.is_dir():
        known = of_file(calibration, source) if calibration else released(source)
    listed = candidates.listed(
        precisions,
        calibration.absolute() if calibration else None,
        is_calibrated=known is not None,
        format_=format_,
    )
    if not listed.tried:
        raise UsageError(
            f"{' and '.join(listed.left_out)} needs faces to calibrate with",
            fix="name a folder of some hundred face chips of all ages with --calibration FOLDER",
        )
    for name in listed.left_out:
        say(console, f"{name} is left out: it needs faces, of --calibration FOLDER")
    from parity_tests.optimise.judging import Judge
    from parity_tests.optimise.measurer import Measurer, network_hash
    from parity_tests.optimise.plot import svg

    hashes = _hashes(calibration) if calibration and calibration.is_dir() else []
    runtime = stand_in(format_)
    by = judged(choice, source.contract, output, console, _MOST_IN_REFERENCE if runtime else None)
    described = f"{by.description}, in the {runtime.label}" if runtime else by.description
    _say_shared(console, hashes, by.pictures)
    unit = by.output.compared_unit
    folder = out / records.FOLDER / source.model_id / ("" if is_counted else format_.name)
    measurer = Measurer(
        source=source,
        given=given,
        network_sha256=network_hash(registry.get(source.model_id), source.contract),
        calibration_sha256=_calibration_hash(hashes, known),
        folder=folder,
        judge=Judge(path, by.output, by.pictures, runtime),
        place=place if is_counted else None,
    )
    effort = run.Effort(
        budget_s=float("inf") if budget is None else 60 * budget,
        must_count=wish.minimise == "instructions",
    )
    with claimed(folder), progress(console, source.model_id, len(listed.tried)) as stages:
        outcome = run.measure(
            listed.tried,
            measurer,
            records.read(folder, source.model_id),
            partial(records.write, folder),
            effort,
            stages,
        )
    rows = run.rows(listed.tried, outcome)
    subject = table.Subject(source.model_id, by.output.name, unit, described, measurer.place)
    write_text(folder / PLOT, svg(rows, subject))
    show(console, table.table(rows, subject))
    say(console, *table.notes(rows))
    if outcome.uncounted:
        say(console, "no instructions were counted:", *str(outcome.uncounted).splitlines())
    say(console, f"plot: {folder / PLOT}; results: {folder / records.FILE_NAME}")
    best = _best(rows, wish)
    emit(table.as_json(rows, subject, best if isinstance(best, Row) else None), json_target)
    if isinstance(best, GateError):
        raise best
    if best is not None:
        winner = next(each for each in listed.tried if each.name == best.name)
        published = pipeline.adopt(measurer.build(winner), out, given)
        file = winner.target.file_name(source.model_id)
        say(console, f"chosen: {out / source.model_id / file}")
        for each in published.removed:
            say(console, f"removed {each.path}: {each.why}")
    if all(row.p99 is None for row in rows):
        raise GateError("no candidate was measured", why="\n     ".join(table.notes(rows)))


def _best(rows: Sequence[Row], wish: Wish) -> Row | GateError | None:
    """The chosen row; the error if none is within the limits; None if none is wished for."""
    if wish.minimise is None:
        return None
    try:
        return choose(rows, wish.limits, wish.minimise)
    except GateError as error:
        return error


def _calibration_hash(hashes: Sequence[str], known: Record | None) -> str | None:
    """Hash of the faces to calibrate with, or of the calibration that is known."""
    if hashes:
        return hashlib.sha256("\n".join(hashes).encode()).hexdigest()
    return known.sha256 if known else None


def _hashes(calibration: Path) -> list[str]:
    """Hashes of the faces to calibrate with.

    Raises:
        UsageError: There are too few.
    """
    return [sha256_of(each) for each in chosen(calibration)]


def _say_shared(console: Console, hashes: Sequence[str], pictures: Sequence[Picture]) -> None:
    """Says how many faces are judged on that were also calibrated with."""
    if shared := len({picture.sha256 for picture in pictures} & set(hashes)):
        say(
            console,
            f"warning: {shared} faces are calibrated with and judged on, so the error of int8 may "
            "look smaller than it is",
        )
