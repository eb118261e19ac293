"""The options that choose faces, and the survey and split that they mean."""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agecompact.console.common import progress, say
from agecompact.console.groups import PATH, grouped_options
from agecompact.data import registry, splits
from agecompact.errors import OutputError, UsageError, unknown_name
from agecompact.files import make_folder, user_cache

if TYPE_CHECKING:
    from rich.console import Console

    from agecompact.data.face import Face, Target
    from agecompact.data.listing import Listing
    from agecompact.data.protocols import Folds
    from agecompact.data.splitfile import SplitFile
    from agecompact.data.splits import Split
    from agecompact.data.survey import Survey


@dataclass(frozen=True)
class DataChoice:
    """The values of the data options.

    Attributes:
        dataset: Key of `registry.DATASETS`.
        folder: Folder of the data set.
        protocol: Id of one of its protocols; None for the default.
        fold: Name of one of the protocol's folds; None if the protocol has only one.
        split_file: A split file to use instead of a protocol.
        cache: Folder of cached chips; None for no cache.
        split_seed: Seed of the split.
    """

    dataset: str
    folder: Path
    protocol: str | None = None
    fold: str | None = None
    split_file: Path | None = None
    cache: Path | None = None
    split_seed: int = splits.SEED


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
        type=PATH,
        envvar="AGECOMPACT_DATA",
        required=True,
        help="Folder of the data set; default: the environment variable AGECOMPACT_DATA.",
    ),
    click.option(
        "--cache",
        type=PATH,
        help="Keep decoded images in this folder, to reuse them. Without it only thumbnails are "
        "kept, in ~/.cache/agecompact/surveys, so that a second survey decodes nothing.",
    ),
)
_SPLIT_OPTIONS = (
    click.option(
        "--protocol",
        metavar="ID",
        help="How to split the data; default: the first protocol of the data set.",
    ),
    click.option("--fold", metavar="NAME", help="The fold, if the protocol has several."),
    click.option(
        "--split-seed",
        type=int,
        default=splits.SEED,
        show_default=True,
        metavar="N",
        help="Seed of the split.",
    ),
)
_SPLIT_FILE_OPTION = click.option(
    "--split-file", type=PATH, help="A split written by `agecompact data split`."
)

source_options = grouped_options(DataChoice, "choice", _SOURCE_OPTIONS)
making_options = grouped_options(DataChoice, "choice", (*_SOURCE_OPTIONS, *_SPLIT_OPTIONS))
data_options = grouped_options(
    DataChoice, "choice", (*_SOURCE_OPTIONS, *_SPLIT_OPTIONS, _SPLIT_FILE_OPTION)
)


def load(choice: DataChoice, target: Target, console: Console) -> tuple[Survey, Split]:
    """Surveys a data set and splits it, by a protocol or a split file.

    Args:
        choice: The options' values.
        target: The label that a face needs.
        console: Where to show progress.

    Raises:
        UsageError: The data set, the protocol, the fold or the split file cannot be used.
        OutputError: The cache cannot be written.
    """
    from agecompact.data import splitfile

    if choice.split_file is None:
        # Before the survey, which takes minutes.
        listing = read_listing(choice, target)
        pick_fold(choice, fold_names(choice, listing))
        survey = load_survey(choice, listing, target, console)
        folds = make_folds(choice, survey)
        return survey, folds[pick_fold(choice, folds)]
    if choice.protocol or choice.fold:
        raise UsageError(
            "a split file already has a protocol and a fold",
            fix="leave out --protocol and --fold, or leave out --split-file",
        )
    content = splitfile.read(choice.split_file)
    splitfile.check(content, choice.dataset, target, str(choice.split_file))
    survey = load_survey(choice, read_listing(choice, target), target, console)
    return survey, splitfile.resolve(content, survey, str(choice.split_file))


def load_whole(
    choice: DataChoice, target: Target, console: Console
) -> tuple[tuple[Face, ...], Split | None]:
    """Every usable face of a data set, and the split that they make up.

    Args:
        choice: The options' values.
        target: The label that a face needs.
        console: Where to show progress.

    Returns:
        The faces, sorted by part and name. The split is None if the protocol has several folds and
        none was chosen: the whole data set needs none.

    Raises:
        UsageError: The data set, the protocol, the fold or the split file cannot be used.
        OutputError: The cache cannot be written.
    """
    if (choice.split_file, choice.fold) == (None, None):
        listing = read_listing(choice, target)
        if len(fold_names(choice, listing)) > 1:
            return load_survey(choice, listing, target, console).faces, None
    _, split = load(choice, target, console)
    return tuple(face for part in splits.PARTS for face in split.part(part)), split


def split_file_of(choice: DataChoice, survey: Survey, split: Split) -> SplitFile:
    """The content of a split file for the split that `load` returned.

    Raises:
        UsageError: The chosen split file can no longer be read.
    """
    from agecompact.data import splitfile

    if choice.split_file is not None:
        return splitfile.read(choice.split_file)
    protocol = registry.get(choice.dataset).protocol(choice.protocol).id
    fold = choice.fold or next(iter(make_folds(choice, survey)))
    return splitfile.of_split(split, survey, protocol=protocol, fold=fold, seed=choice.split_seed)


def load_tested(choice: DataChoice, target: Target, console: Console) -> tuple[Face, ...]:
    """The test part of a data set; of a protocol with a test part per fold, all of them together.

    Raises:
        UsageError: The data set, the protocol or the fold cannot be used.
        OutputError: The cache cannot be written.
    """
    if choice.fold is None and len(fold_names(choice, read_listing(choice, target))) > 1:
        return load_whole(choice, target, console)[0]
    return load(choice, target, console)[1].test


def read_listing(choice: DataChoice, target: Target) -> Listing:
    """The entries of a data set; no picture is read.

    Raises:
        UsageError: No such data set, the folder does not hold it, or no entry has the label.
    """
    from agecompact.data.face import target_of

    listing = registry.read(choice.dataset, choice.folder)
    if all(target_of(record.label, target) is None for record in listing.records):
        raise UsageError(
            f"the {choice.dataset} data has no {target}",
            why=f"none of its {len(listing.records)} labelled files has one",
            fix="choose another data set with --dataset and --data",
        )
    return listing


def load_survey(choice: DataChoice, listing: Listing, target: Target, console: Console) -> Survey:
    """Surveys a data set and shows progress."""
    from agecompact.data.face import target_of
    from agecompact.data.survey import survey

    total = sum(target_of(record.label, target) is not None for record in listing.records)
    cache = _survey_folder(choice)
    # A bar moves with every hundredth; a log grows by a few lines only.
    every = -(-total // (100 if console.is_terminal else 4))
    done = 0
    with progress(console, f"reading {total} files", -(-total // max(1, every))) as stages:

        def step() -> None:
            nonlocal done
            done += 1
            if done % every == 0 or done == total:
                stages.done(f"read {done} of {total} files")

        return survey(listing, target, step=step, cache=cache, say=functools.partial(say, console))


def _survey_folder(choice: DataChoice) -> Path | None:
    """Where to keep what a survey finds; None if the user's own cache cannot be written.

    Raises:
        OutputError: The chosen cache cannot be written.
    """
    from agecompact.data.cache import cache_errors

    if choice.cache is not None:
        with cache_errors():
            make_folder(choice.cache)
        return choice.cache
    folder = user_cache() / "surveys"
    try:
        make_folder(folder)
    except OutputError:
        return None
    return folder


def fold_names(choice: DataChoice, listing: Listing) -> Sequence[str]:
    """The names of the folds of the chosen protocol, before the pictures are read.

    Raises:
        UsageError: No such protocol, or it cannot split this data set.
    """
    return registry.get(choice.dataset).protocol(choice.protocol).names(listing.records)


def make_folds(choice: DataChoice, survey: Survey) -> Folds:
    """The splits of the chosen protocol, by fold.

    Raises:
        UsageError: No such protocol, or it cannot split this data set.
    """
    protocol = registry.get(choice.dataset).protocol(choice.protocol)
    return protocol.folds(survey.faces, choice.split_seed)


def pick_fold(choice: DataChoice, folds: Collection[str]) -> str:
    """The name of the chosen fold, or of the only one.

    Args:
        choice: The options' values.
        folds: The names of the protocol's folds.

    Raises:
        UsageError: No such fold, or there are several and none was chosen.
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
