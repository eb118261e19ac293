"""`make bench-peers`, or `python -m tests.bench_peers`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import click

from agecompact.console.common import complain, say, screen, show
from agecompact.console.datasets import DataChoice, load, require_parts
from agecompact.console.groups import PATH
from agecompact.data.face import Face
from agecompact.errors import (
    AgecompactError,
    BackendMissingError,
    ExitCode,
    GateError,
    UsageError,
    unknown_name,
)
from agecompact.evaluation.evaluate import target_of_contract
from agecompact.faces.files import images_in
from agecompact.files import make_folder, write_text
from agecompact.models import registry
from android_bench.emulated import bundle
from tests.bench_peers import faces, rows, table
from tests.bench_peers.comparison import Run
from tests.bench_peers.measure import Instruments
from tests.bench_peers.peers import PEERS
from tests.bench_peers.rows import Comparison
from tests.bench_peers.workshop import Workshop

_MODELS = ("ssrnet", "c3ae-plain", "c3ae", "mobileagenet")
_COUNT = click.IntRange(min=1)


@dataclass(frozen=True)
class _Faces:
    """The faces of a run, and what the table says of them."""

    measured: faces.Faces
    measured_text: str
    calibration: Path
    calibration_text: str


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--data", type=PATH, envvar="AGECOMPACT_DATA", help="Folder of the data set.")
@click.option("--dataset", default="utkface", show_default=True, help="Its id.")
@click.option(
    "--calibration", type=PATH, help="Face chips to calibrate with; default: of the training part."
)
@click.option(
    "--images", type=PATH, help="Face chips to measure on, without labels; default: the test part."
)
@click.option(
    "--faces", "count", type=_COUNT, default=500, show_default=True, help="Faces to measure on."
)
@click.option(
    "--emulated-faces",
    type=_COUNT,
    default=100,
    show_default=True,
    help="Of these, faces for files whose arithmetic only the emulator has.",
)
@click.option("--peer", "names", multiple=True, help="Only this tool; repeatable.")
@click.option("--again", is_flag=True, help="Make and measure rows even if nothing has changed.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/peers"))
def command(
    models: tuple[str, ...],
    data: Path | None,
    dataset: str,
    calibration: Path | None,
    images: Path | None,
    count: int,
    emulated_faces: int,
    names: tuple[str, ...],
    again: bool,
    out: Path,
) -> None:
    """Compare agecompact's files of age models with those of other tools.

    Writes peers.json and peers.md. A row is measured again only if what it depends on has changed:
    weights, faces, versions of the tool, or agecompact's own converters. Exits with 1 if a file of
    agecompact itself failed.
    """
    models = models or _MODELS
    for model in models:
        target_of_contract(registry.get(model).contract, "age")
    for name in names:
        if name not in PEERS:
            raise unknown_name("tool", name, PEERS)
    console = screen()
    make_folder(out)
    chosen = _faces(calibration, images, DataChoice(dataset, data) if data else None, count, out)
    try:
        emulator = bundle.load()
    except BackendMissingError as error:
        say(console, f"no instructions: {error.summary}")
        emulator = None
    run = Run(
        models=models,
        chosen=tuple(PEERS[name] for name in PEERS if not names or name in names),
        workshop=Workshop(out, chosen.calibration),
        instruments=Instruments(chosen.measured, emulated_faces, emulator),
        store=out / "peers.json",
        blank=Comparison(faces=chosen.measured_text, calibration=chosen.calibration_text),
        again=again,
    )
    found = run.compare(lambda line: say(console, line)).ordered(_MODELS, tuple(PEERS))
    rows.write(run.store, found)
    write_text(out / "peers.md", table.document(found))
    show(console, table.terminal(found))
    say(console, f"{run.store}, {out / 'peers.md'}")
    check_own(found)


def check_own(found: Comparison) -> None:
    """Other tools may fail; agecompact may not.

    Raises:
        GateError: One of its own files was not made, or does not run.
    """
    failed = [row for row in found.rows if row.failure and PEERS[row.peer].is_ours]
    if failed:
        raise GateError(
            f"{len(failed)} of agecompact's own files failed",
            why="\n     ".join(
                f"{row.model}: {PEERS[row.peer].title}: {row.failure}" for row in failed
            ),
        )


def _faces(
    calibration: Path | None, images: Path | None, choice: DataChoice | None, count: int, out: Path
) -> _Faces:
    """The faces: of the folders that were named, else of the parts of a data set."""
    train: tuple[Face, ...] = ()
    measured, measured_text = None, "a folder of face chips"
    if images is not None:
        measured = faces.unlabelled(images, count)
    if calibration is None or measured is None:
        if choice is None:
            raise UsageError(
                "there are no faces to compare on",
                why="neither a data set nor both folders were named",
                fix="set AGECOMPACT_DATA to the folder of UTKFace, or name --calibration FOLDER "
                "and --images FOLDER",
            )
        _, split = load(choice, "age", screen())
        require_parts(split, ("train", "test"))
        train = split.train
        if measured is None:
            measured = faces.labelled(split.test, count)
            measured_text = f"the test part of {choice.dataset}"
    if calibration is not None:
        text = f"up to {faces.CALIBRATION} faces of a folder"
        return _Faces(measured, measured_text, calibration, text)
    folder = faces.calibration_folder(faces.over_ages(train), out)
    text = f"{len(images_in(folder, '--calibration'))} faces of the training part, of all ages"
    return _Faces(measured, measured_text, folder, text)


def main() -> int:
    """Runs the command; returns its exit code."""
    try:
        command(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except AgecompactError as error:
        complain(error)
        return error.exit_code
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
