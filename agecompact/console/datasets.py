"""The options that choose faces, and the survey and split that they mean."""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from agecompact.console.common import progress, say
from agecompact.console.groups import PATH, grouped_options
from agecompact.data import registry, splits
from agecompact.errors import OutputError, UsageError, unknown_name
from agecompact.faces.detection import DETECTORS
from agecompact.files import make_folder, user_cache

if TYPE_CHECKING:
    from rich.console import Console

    from agecompact.data.chips import FramingChoice
    from agecompact.data.face import Face, Target
    from agecompact.data.listing import Listing
    from agecompact.data.protocols import Folds, Labelled, Protocol
    from agecompact.data.splitfile import SplitFile
    from agecompact.data.splits import Part, Split
    from agecompact.data.survey import Survey


@dataclass(frozen=True)
class DataChoice:
    """The values of the data options.

    Attributes:
        dataset: Key of `registry.DATASETS`.
        source: Folder of the data set, or the table of `csv` and `jsonl`.
        protocol: Id of one of its protocols; None for the first that fits its labels.
        fold: Name of one of the protocol's folds; None if the protocol has only one.
        split_file: A split file to use instead of a protocol.
        cache: Folder of cached chips; None for no cache.
        split_seed: Seed of the split.
        framing: How pictures become chips: they are chips, or the detector finds the face; None for
            what fits the data set.
        detector: Name of the detector; None for the best one that is installed.
    """

    dataset: str
    source: Path
    protocol: str | None = None
    fold: str | None = None
    split_file: Path | None = None
    cache: Path | None = None
    split_seed: int = splits.SEED
    framing: FramingChoice | None = None
    detector: str | None = None


framing_option = click.option(
    "--framing",
    type=click.Choice(["chip", "detect"]),
    help="The pictures of --data are square face chips, or photos in which the face must be "
    "detected. Default: as in the published data set; for csv and jsonl as the pictures look. A "
    "box in a table takes precedence.",
)
layout_option = click.option(
    "--dataset",
    default="utkface",
    show_default=True,
    metavar="ID",
    help="Layout of --data; csv or jsonl for a table of your own.",
)
cache_option = click.option(
    "--cache", type=PATH, metavar="DIR", help="Keep what is read of --data in this folder."
)
detector_option = click.option(
    "--detector",
    type=click.Choice(list(DETECTORS)),
    help="The detector that finds faces in photos; default: the first of them that is installed.",
)
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
        "source",
        type=PATH,
        envvar="AGECOMPACT_DATA",
        required=True,
        help="Folder of the data set, or the table of csv and jsonl; default: the environment "
        "variable AGECOMPACT_DATA.",
    ),
    framing_option,
    detector_option,
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
        help="How to split the data; default: the first protocol of the data set that its labels "
        "allow.",
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
        if choice.protocol is None and len(registry.get(choice.dataset).protocols) > 1:
            say(console, f"split by the protocol {protocol_of(choice, survey.faces).id}")
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


def part_of(
    choice: DataChoice, part: Part | Literal["all"], target: Target, console: Console
) -> tuple[tuple[Face, ...], str | None]:
    """The faces of a part, and the hash of the split that they belong to, if there is one.

    Raises:
        UsageError: The data set, the protocol, the fold or the split file cannot be used, or the
            part has no face.
        OutputError: The cache cannot be written.
    """
    if part == "all":
        faces, whole = load_whole(choice, target, console)
        return faces, whole.sha256 if whole else None
    _, split = load(choice, target, console)
    require_parts(split, (part,))
    return split.part(part), split.sha256


def split_file_of(choice: DataChoice, survey: Survey, split: Split) -> SplitFile:
    """The content of a split file for the split that `load` returned.

    Raises:
        UsageError: The chosen split file can no longer be read.
    """
    from agecompact.data import splitfile

    if choice.split_file is not None:
        return splitfile.read(choice.split_file)
    protocol = protocol_of(choice, survey.faces).id
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
    split = load(choice, target, console)[1]
    require_parts(split, ("test",))
    return split.test


def require_parts(split: Split, parts: Sequence[Part]) -> None:
    """Checks that parts of a split have faces: a data set's own split may lack one.

    Raises:
        UsageError: A part has none.
    """
    if empty := [part for part in parts if not split.part(part)]:
        sizes = ", ".join(f"{part} {len(split.part(part))}" for part in splits.PARTS)
        raise UsageError(
            f"the {empty[0]} part of the split has no face",
            why=f"the parts have: {sizes}",
            fix="choose another part, or another split with --protocol, or label more pictures",
        )


def read_listing(choice: DataChoice, target: Target) -> Listing:
    """The entries of a data set; no picture is read.

    Raises:
        UsageError: No such data set, the folder does not hold it, or no entry has the label.
    """
    from agecompact.data.face import target_of

    listing = registry.read(choice.dataset, choice.source)
    if all(target_of(record.label, target) is None for record in listing.records):
        raise UsageError(
            f"the {choice.dataset} data has no {target}",
            why=f"none of its {len(listing.records)} labelled files has one",
            fix="choose another data set with --dataset and --data",
        )
    return listing


def load_survey(choice: DataChoice, listing: Listing, target: Target, console: Console) -> Survey:
    """Surveys a data set and shows progress.

    Raises:
        UsageError: No face is left, or the pictures are not chips, in a data set of chips.
        OutputError: The cache cannot be written.
    """
    from agecompact.data import chips
    from agecompact.data.face import target_of
    from agecompact.data.survey import survey

    report = functools.partial(say, console)
    report(*listing.notes)
    own = registry.get(choice.dataset).framing
    framing = chips.choose(listing.records, own, choice.framing, report, choice.detector)
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

        return survey(listing, target, framing=framing, step=step, cache=cache, say=report)


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
    return protocol_of(choice, listing.records).names(listing.records)


def protocol_of(choice: DataChoice, entries: Sequence[Labelled]) -> Protocol:
    """The chosen protocol, or the first of the data set that fits the entries' labels.

    Raises:
        UsageError: No such protocol.
    """
    return registry.get(choice.dataset).protocol(choice.protocol, entries)


def make_folds(choice: DataChoice, survey: Survey) -> Folds:
    """The splits of the chosen protocol, by fold.

    Raises:
        UsageError: No such protocol, or it cannot split this data set.
    """
    return protocol_of(choice, survey.faces).folds(survey.faces, choice.split_seed)


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
