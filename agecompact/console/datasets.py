"""The options that say which faces a verb works on, and the survey and split that they ask for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agecompact.console.common import progress
from agecompact.data import registry, splits
from agecompact.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from rich.console import Console

    from agecompact.data.face import Target
    from agecompact.data.protocols import Folds
    from agecompact.data.splitfile import SplitFile
    from agecompact.data.splits import Split
    from agecompact.data.survey import Survey


@dataclass(frozen=True)
class DataChoice:
    """What the options asked for.

    Attributes:
        dataset: Key of `registry.DATASETS`.
        folder: Where the data set lies.
        protocol: Id of one of its protocols; None is its default.
        fold: Name of one of the protocol's folds; None for a protocol of a single split.
        split_file: A split to read in place of making one.
        cache: Folder of what was decoded before; None decodes anew.
        seed: Of the split.
    """

    dataset: str
    folder: Path
    protocol: str | None = None
    fold: str | None = None
    split_file: Path | None = None
    cache: Path | None = None
    seed: int = splits.SEED


_PATH = click.Path(path_type=Path)

_SOURCE_OPTIONS = (
    click.option(
        "--dataset",
        default="utkface",
        show_default=True,
        metavar="ID",
        help=f"One of {', '.join(registry.DATASETS)}.",
    ),
    click.option(
        "--data",
        "folder",
        type=_PATH,
        envvar="AGECOMPACT_DATA",
        required=True,
        help="The data set's folder; by default the environment's AGECOMPACT_DATA.",
    ),
    click.option("--cache", type=_PATH, help="Keep decoded images in this folder, for next time."),
)

_SPLIT_OPTIONS = (
    click.option("--protocol", metavar="ID", help="How to split; by default the data set's first."),
    click.option("--fold", metavar="NAME", help="Which fold of a protocol that has several."),
    click.option(
        "--split-seed", "seed", type=int, default=splits.SEED, show_default=True, metavar="N"
    ),
)

_SPLIT_FILE_OPTION = click.option(
    "--split-file", type=_PATH, help="A split that `agecompact data split` wrote."
)


def data_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of a verb that works on a split; it gets them as `choice: DataChoice`."""
    return _collected(function, (*_SOURCE_OPTIONS, *_SPLIT_OPTIONS, _SPLIT_FILE_OPTION))


def source_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of a verb that works on a whole data set, as `choice: DataChoice`."""
    return _collected(function, _SOURCE_OPTIONS)


def making_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of a verb that makes a split, as `choice: DataChoice`."""
    return _collected(function, (*_SOURCE_OPTIONS, *_SPLIT_OPTIONS))


def _collected(
    function: Callable[..., Any], options: tuple[Callable[..., Any], ...]
) -> Callable[..., Any]:
    names = ("dataset", "folder", "protocol", "fold", "split_file", "cache", "seed")

    @functools.wraps(function)
    def command(**arguments: Any) -> Any:
        chosen = {name: arguments.pop(name) for name in names if name in arguments}
        return function(choice=DataChoice(**chosen), **arguments)

    for option in reversed(options):
        command = option(command)
    return command


def load(
    choice: DataChoice, target: Target, console: Console | None = None
) -> tuple[Survey, Split]:
    """Surveys a data set and splits it, or takes the split that a file names.

    Args:
        choice: What the options asked for.
        target: What must be known of a face.
        console: Where to show progress, if anywhere.

    Raises:
        UsageError: The data set, the protocol, the fold or the split file cannot be used.
        OutputError: The cache cannot be written.
    """
    if choice.split_file is None:
        # A wrong name should not cost a survey.
        registry.get(choice.dataset).protocol(choice.protocol)
        survey = load_survey(choice, target, console)
        folds = make_folds(choice, survey)
        return survey, folds[pick_fold(choice, folds)]

    from agecompact.data import splitfile

    if choice.protocol or choice.fold:
        raise UsageError(
            "a split file says its protocol and fold itself",
            fix="leave out --protocol and --fold, or leave out --split-file",
        )
    content = splitfile.read(choice.split_file)
    survey = load_survey(choice, target, console)
    return survey, splitfile.resolve(content, survey, str(choice.split_file))


def split_file_of(choice: DataChoice, survey: Survey, split: Split) -> SplitFile:
    """What a file of the split that `load` gave says.

    Raises:
        UsageError: The split file that was named cannot be read any more.
    """
    from agecompact.data import splitfile

    if choice.split_file is not None:
        return splitfile.read(choice.split_file)
    protocol = registry.get(choice.dataset).protocol(choice.protocol).id
    fold = choice.fold or next(iter(make_folds(choice, survey)))
    return splitfile.of_split(split, survey, protocol=protocol, fold=fold, seed=choice.seed)


def load_survey(choice: DataChoice, target: Target, console: Console | None = None) -> Survey:
    """Surveys a data set, with progress."""
    from agecompact.data.face import target_of
    from agecompact.data.survey import survey

    listing = registry.read(choice.dataset, choice.folder)
    if console is None:
        return survey(listing, target, cache=choice.cache)
    total = sum(target_of(record.label, target) is not None for record in listing.records)
    # A bar can move with every hundredth; a log should not grow by more than a few lines.
    every = -(-total // (100 if console.is_terminal else 4))
    done = 0

    def say(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    with progress(console, f"reading {total} files", -(-total // max(1, every))) as report:

        def step() -> None:
            nonlocal done
            done += 1
            if done % every == 0 or done == total:
                report(f"read {done} of {total} files")

        return survey(listing, target, step=step, cache=choice.cache, say=say)


def make_folds(choice: DataChoice, survey: Survey) -> Folds:
    """The splits of the protocol that was chosen, by fold.

    Raises:
        UsageError: No such protocol, or it cannot part this data set.
    """
    protocol = registry.get(choice.dataset).protocol(choice.protocol)
    return protocol.folds(survey.faces, choice.seed)


def pick_fold(choice: DataChoice, folds: Folds) -> str:
    """The name of the fold that was chosen, or of the only one.

    Raises:
        UsageError: No such fold, or none was chosen and there are several.
    """
    if choice.fold is not None:
        if choice.fold not in folds:
            raise unknown_name("fold", choice.fold, folds)
        return choice.fold
    if len(folds) > 1:
        names = list(folds)
        raise UsageError(
            f"this protocol has {len(names)} folds",
            why=f"they are {', '.join(names[:3])}, … {names[-1]}",
            fix=f"choose one, such as --fold {names[0]}",
        )
    return next(iter(folds))
