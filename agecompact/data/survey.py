"""A data set before it is split: which files can be used, which were dropped, and why.

Every picture counts once. Files with the same bytes, and near duplicates, show one picture: one of
them is kept if all their labels agree, none otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agecompact.data import duplicates, fingerprints, registry
from agecompact.data.cache import Say, to_stderr
from agecompact.data.face import Face, Target, target_of
from agecompact.data.fingerprints import Fingerprint
from agecompact.data.listing import Listing, Record
from agecompact.errors import OutputError, UsageError
from agecompact.faces.complaints import Complaints
from agecompact.faces.framing import DETECT, Framing

_AT_ONCE = 1024
# Of copies of a picture in several parts of a data set's own split, the first of these is kept.
_KEPT_FIRST = ("test", "val", "train", None)


@dataclass(frozen=True)
class Survey:
    """A data set, read and without duplicates.

    Attributes:
        dataset: Key of `registry.DATASETS`.
        target: What the labels had to agree on.
        faces: One face per distinct picture, sorted by name.
        dropped: Names of the other entries by reason: `rejected: ...` by the reader; `unlabelled`,
            the label lacks the target; `unreadable`, not a whole image, or damaged; `faceless`, no
            face to frame; `not_square`, so it is no chip, where the pictures should be chips;
            `duplicates` and `near_duplicates` of a kept file; `conflicting` and `near_conflicting`,
            one picture with different labels.
        conflicts: Groups of files with the same bytes and different labels.
        near_conflicts: Groups of near duplicates with different labels.
    """

    dataset: str
    target: Target
    faces: tuple[Face, ...]
    dropped: Mapping[str, tuple[str, ...]]
    conflicts: tuple[tuple[str, ...], ...] = ()
    near_conflicts: tuple[tuple[str, ...], ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Number of `entries`, of `kept` ones, and of dropped ones by reason."""
        dropped = {reason: len(names) for reason, names in self.dropped.items()}
        kept = len(self.faces)
        return {"entries": kept + sum(dropped.values()), "kept": kept, **dropped}

    @property
    def framings(self) -> dict[str, int]:
        """Number of faces by the kind of their framing."""
        return dict(sorted(Counter(face.framing.kind for face in self.faces).items()))


def survey(
    listing: Listing,
    target: Target,
    *,
    framing: Framing | None = None,
    step: Callable[[], None] = lambda: None,
    cache: Path | None = None,
    say: Say = to_stderr,
) -> Survey:
    """Reads every file of a listing once, and keeps one file per picture.

    Needs 8 kB of memory per file: 0.2 GB for UTKFace, about 5 GB for IMDB-WIKI.

    Args:
        listing: The files.
        target: The label that a face needs, and that files of one picture must agree on.
        framing: How pictures without a box become chips; None for the data set's own framing, or
            the detector if it has none. `chips.choose` looks at some pictures to tell.
        step: Called after each file.
        cache: Folder of fingerprints: pictures of an earlier survey are not decoded again, and new
            ones are added.
        say: Reports a cache that is damaged or cannot be written.

    Raises:
        UsageError: No face is left.
    """
    framing = framing or registry.get(listing.dataset).framing or DETECT
    labelled = [r for r in listing.records if target_of(r.label, target) is not None]
    framings = [framing if r.box is None else Framing("box", box=r.box) for r in labelled]
    faces: list[Face] = []
    without_chip: dict[str, list[str]] = {"unreadable": [], "faceless": [], "not_square": []}
    thumbnails = np.empty((len(labelled), duplicates.PIXELS), np.float32)
    taken = _fingerprints(labelled, listing.dataset, framings, cache, say, step)
    for record, framed, fingerprint in zip(labelled, framings, taken, strict=True):
        if fingerprint.state == "read":
            thumbnails[len(faces)] = fingerprint.thumbnail
            sha256 = fingerprint.sha256
            faces.append(Face(record.name, record.path, sha256, record.label, framed))
        else:
            without_chip[fingerprint.state].append(record.name)
    del taken

    def value(index: int) -> int | None:
        return target_of(faces[index].label, target)

    def rank(index: int) -> tuple[int, int]:
        return _KEPT_FIRST.index(faces[index].label.part), index

    same: dict[str, list[int]] = {}
    for index, face in enumerate(faces):
        same.setdefault(face.sha256, []).append(index)
    exact, exact_conflicts = _resolve(same.values(), value, rank)
    kept = [group[0] for group in exact]
    pairs = duplicates.similar_pairs(thumbnails[kept])
    pictures = duplicates.groups(len(kept), ((i, j) for i, j, _ in pairs))
    near, near_conflicts = _resolve(([kept[i] for i in group] for group in pictures), value, rank)

    def names(indices: Iterable[int]) -> tuple[str, ...]:
        return tuple(faces[i].name for i in indices)

    if not near:
        unreadable, faceless, oblong = map(len, without_chip.values())
        raise UsageError(
            f"no {target} to learn in the {listing.dataset} data",
            why=f"{len(listing.records)} labelled files, {unreadable} of them not images, "
            f"{faceless} without a face, {oblong} not square; "
            f"{listing.rejections} entries rejected",
            fix="find the faces with --framing detect"
            if oblong
            else "check that the images and their labels were unpacked completely",
        )
    conflicts = tuple(names(group) for group in exact_conflicts)
    similar_conflicts = tuple(names(group) for group in near_conflicts)
    return Survey(
        dataset=listing.dataset,
        target=target,
        faces=tuple(faces[group[0]] for group in sorted(near)),
        dropped={
            **{f"rejected: {reason}": entries for reason, entries in listing.rejected.items()},
            "unlabelled": tuple(
                r.name for r in listing.records if target_of(r.label, target) is None
            ),
            **{state: tuple(entries) for state, entries in without_chip.items()},
            "duplicates": names(i for group in exact for i in group[1:]),
            "near_duplicates": names(i for group in near for i in group[1:]),
            "conflicting": tuple(name for group in conflicts for name in group),
            "near_conflicting": tuple(name for group in similar_conflicts for name in group),
        },
        conflicts=conflicts,
        near_conflicts=similar_conflicts,
    )


def _fingerprints(
    records: Sequence[Record],
    dataset: str,
    framings: Sequence[Framing],
    cache: Path | None,
    say: Say,
    step: Callable[[], None],
) -> list[Fingerprint]:
    """The fingerprint of each record's file; only pictures that the cache lacks are decoded."""
    paths = {f.key: fingerprints.path_in(cache, dataset, f) for f in framings} if cache else {}
    known = {key: fingerprints.read(path, say) for key, path in paths.items()}
    taken: list[Fingerprint] = []
    with Complaints() as complaints, ThreadPoolExecutor() as pool:

        def take(path: Path, framing: Framing) -> tuple[Fingerprint, int | None]:
            """A fingerprint, and where complaints begin that may be about its file."""
            before = complaints.size
            fingerprint = fingerprints.take(path, framing, known.get(framing.key, {}))
            return fingerprint, None if complaints.size == before else before

        for start in range(0, len(records), _AT_ONCE):
            files = [record.path for record in records[start : start + _AT_ONCE]]
            framed = framings[start : start + _AT_ONCE]
            batch: list[Fingerprint] = []
            doubtful: list[int] = []
            for fingerprint, complained in pool.map(take, files, framed):
                if complained is not None:
                    doubtful.append(len(batch))
                batch.append(fingerprint)
                step()
            for index in doubtful:
                # Again, while no other thread decodes: now the complaint is about this file.
                _, complained = take(files[index], framed[index])
                if complained is not None and complaints.damage(complained):
                    batch[index] = Fingerprint("unreadable", batch[index].sha256)
            taken += batch
    for key, path in paths.items():
        found = {f.sha256: f for f, by in zip(taken, framings, strict=True) if by.key == key}
        if found.keys() <= known[key].keys() | {""}:
            continue
        try:
            # Keeps pictures that this survey does not use, such as those without a gender.
            fingerprints.write(path, (known[key] | found).values())
        except OutputError as error:
            say(f"the next survey will decode all files again: {error.summary}")
    return taken


def _resolve(
    groups: Iterable[Sequence[int]],
    value: Callable[[int], int | None],
    rank: Callable[[int], tuple[int, int]],
) -> tuple[list[list[int]], list[list[int]]]:
    """Groups whose members agree on the value, and groups whose members do not.

    The members of each are sorted by rank: the first is the one to keep.
    """
    agreeing: list[list[int]] = []
    conflicting: list[list[int]] = []
    for group in groups:
        (agreeing if len({value(i) for i in group}) == 1 else conflicting).append(
            sorted(group, key=rank)
        )
    return agreeing, conflicting
