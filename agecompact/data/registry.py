"""The data sets by id: how to read each, how its pictures become chips, how to split it.

Entries name their reader as text, so that listing data sets imports no reader.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agecompact.data import protocols
from agecompact.data.listing import Listing
from agecompact.data.protocols import Labelled, Protocol
from agecompact.errors import unknown_name
from agecompact.faces.framing import DETECT, WHOLE, Framing
from agecompact.imports import resolve


@dataclass(frozen=True)
class DatasetSpec:
    """A data set.

    Attributes:
        id: The name used on the command line.
        title: The name used in the literature.
        terms: One line of its terms of use, for the cards of weights trained on it.
        reader: `module:function` that maps its folder, or its table, to a `Listing`.
        framing: How its pictures become chips; None if that depends on the pictures.
        protocols: How it can be split; the first that fits the labels is the default.
    """

    id: str
    title: str
    terms: str
    reader: str
    framing: Framing | None
    protocols: tuple[Protocol, ...]

    def protocol(self, protocol_id: str | None, entries: Iterable[Labelled] = ()) -> Protocol:
        """A protocol by id, or the default one.

        Args:
            protocol_id: Its id; None for the default.
            entries: What is to be split; the default depends on their labels.

        Raises:
            UsageError: The data set has no such protocol; the nearest is suggested.
        """
        known = {protocol.id: protocol for protocol in self.protocols}
        if protocol_id is None:
            labels = {entry.label for entry in entries}
            fitting = (each for each in self.protocols if all(map(each.fits, labels)))
            return next(fitting, self.protocols[-1])
        if protocol_id not in known:
            raise unknown_name(f"protocol of {self.title}", protocol_id, known)
        return known[protocol_id]


_STRATIFIED = Protocol("stratified", protocols.stratified)
_OWN_PROTOCOLS = (
    Protocol(
        "own-split",
        protocols.own_split,
        protocols.one_fold_of_own_parts,
        lambda label: label.part is not None,
    ),
    Protocol(
        "subject-disjoint",
        protocols.subject_disjoint,
        protocols.one_fold_of_people,
        lambda label: label.subject is not None,
    ),
    _STRATIFIED,
)

_DATASETS = (
    DatasetSpec(
        id="utkface",
        title="UTKFace",
        terms="UTKFace: non-commercial research use only",
        reader="agecompact.data.utkface:read",
        framing=WHOLE,
        protocols=(_STRATIFIED,),
    ),
    DatasetSpec(
        id="fgnet",
        title="FG-NET",
        terms="FG-NET: research use only",
        reader="agecompact.data.fgnet:read",
        framing=DETECT,
        protocols=(
            Protocol(
                "leave-one-person-out",
                protocols.leave_one_person_out,
                protocols.fold_of_each_person,
            ),
            # As in C3AE, whose seed is unpublished.
            Protocol("random", protocols.stratified),
        ),
    ),
    DatasetSpec(
        id="imdb-wiki",
        title="IMDB-WIKI",
        terms="IMDB-WIKI: academic research use only",
        reader="agecompact.data.imdb_wiki:read",
        framing=DETECT,
        protocols=(_STRATIFIED,),
    ),
    DatasetSpec(
        id="morph2",
        title="MORPH album 2",
        terms="MORPH: under the licence of UNC Wilmington, research use only, no redistribution",
        reader="agecompact.data.morph2:read",
        framing=DETECT,
        protocols=(
            # The usual 80/20, with an eighth of the 80 for validation.
            Protocol("random", protocols.stratified),
            Protocol("subject-disjoint", protocols.subject_disjoint, protocols.one_fold_of_people),
        ),
    ),
    DatasetSpec(
        id="megaage",
        title="MegaAge-Asian",
        terms="MegaAge-Asian: non-commercial research use only",
        reader="agecompact.data.megaage:read",
        # As in SSR-Net's published preprocessing.
        framing=Framing("border", 20),
        protocols=(Protocol("published", protocols.published),),
    ),
    DatasetSpec(
        id="csv",
        title="your CSV table",
        terms="own data: its owner knows the terms",
        reader="agecompact.data.labels:read_csv",
        framing=None,
        protocols=_OWN_PROTOCOLS,
    ),
    DatasetSpec(
        id="jsonl",
        title="your JSON lines",
        terms="own data: its owner knows the terms",
        reader="agecompact.data.labels:read_jsonl",
        framing=None,
        protocols=_OWN_PROTOCOLS,
    ),
)

DATASETS: Mapping[str, DatasetSpec] = {spec.id: spec for spec in _DATASETS}


def get(dataset_id: str) -> DatasetSpec:
    """A data set by id.

    Raises:
        UsageError: No such data set; the nearest is suggested.
    """
    if dataset_id not in DATASETS:
        raise unknown_name("data set", dataset_id, DATASETS)
    return DATASETS[dataset_id]


def read(dataset_id: str, source: Path) -> Listing:
    """Lists a data set's folder, or its table, with its reader.

    Raises:
        UsageError: No such data set, or the folder or file does not hold it.
    """
    listing: Listing = resolve(get(dataset_id).reader)(source)
    return listing
