"""The data sets by id: how to read each, how its pictures become chips, how it is parted.

Entries name their reader as text, so that listing data sets imports no reader.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agecompact.data import protocols
from agecompact.data.listing import Listing
from agecompact.data.protocols import Protocol
from agecompact.errors import unknown_name
from agecompact.faces.framing import WHOLE, Framing


@dataclass(frozen=True)
class DatasetSpec:
    """One data set.

    Attributes:
        id: The name used on the command line.
        title: The name used in the literature.
        terms: What its publishers allow, in a line, for the cards of weights trained on it.
        source: Who published it and where.
        reader: `module:function` that takes the folder and returns a `Listing`.
        framing: How its pictures become chips.
        protocols: How it is parted; the first is the default.
    """

    id: str
    title: str
    terms: str
    source: str
    reader: str
    framing: Framing
    protocols: tuple[Protocol, ...]

    def protocol(self, protocol_id: str | None) -> Protocol:
        """A protocol by id, or the default one.

        Raises:
            UsageError: No such protocol for this data set; the message names the nearest.
        """
        known = {protocol.id: protocol for protocol in self.protocols}
        if protocol_id is None:
            return self.protocols[0]
        if protocol_id not in known:
            raise unknown_name(f"protocol of {self.title}", protocol_id, known)
        return known[protocol_id]


_STRATIFIED = Protocol(
    "stratified", "70/10/20 at random within each 5-year bin of age", protocols.stratified
)
_DETECT = Framing("detect")

_DATASETS = (
    DatasetSpec(
        id="utkface",
        title="UTKFace",
        terms="UTKFace: non-commercial research use only",
        source="Zhang et al., CVPR 2017; susanqq.github.io/UTKFace",
        reader="agecompact.data.utkface:read",
        framing=WHOLE,
        protocols=(_STRATIFIED,),
    ),
    DatasetSpec(
        id="fgnet",
        title="FG-NET",
        terms="FG-NET: research use only",
        source="Panis et al., IET Biometrics 2016; yanweifu.github.io/FG_NET_data",
        reader="agecompact.data.fgnet:read",
        framing=_DETECT,
        protocols=(
            Protocol(
                "leave-one-person-out",
                "a fold a person, tested on that one",
                protocols.leave_one_person_out,
            ),
            Protocol(
                "random",
                "70/10/20 at random within 5-year bins, as C3AE splits; its draws are unpublished",
                protocols.stratified,
            ),
        ),
    ),
    DatasetSpec(
        id="imdb-wiki",
        title="IMDB-WIKI",
        terms="IMDB-WIKI: academic research use only",
        source="Rothe et al., ICCV workshops 2015; data.vision.ee.ethz.ch/cvl/rrothe/imdb-wiki",
        reader="agecompact.data.imdb_wiki:read",
        framing=_DETECT,
        protocols=(_STRATIFIED,),
    ),
    DatasetSpec(
        id="morph2",
        title="MORPH album 2",
        terms="MORPH: under the licence of UNC Wilmington, research use only, no redistribution",
        source="Ricanek and Tesafaye, FGR 2006; faceaginggroup.com/morph",
        reader="agecompact.data.morph2:read",
        framing=_DETECT,
        protocols=(
            Protocol(
                "random",
                "80/20 at random within 5-year bins; an eighth of the 80 validates",
                protocols.stratified,
            ),
            Protocol(
                "subject-disjoint",
                "70/10/20 of the pictures, no person in two parts",
                protocols.subject_disjoint,
            ),
        ),
    ),
    DatasetSpec(
        id="megaage",
        title="MegaAge-Asian",
        terms="MegaAge-Asian: non-commercial research use only",
        source="Zhang et al., BMVC 2017; mmlab.ie.cuhk.edu.hk/projects/MegaAge",
        reader="agecompact.data.megaage:read",
        # As SSR-Net's published preparation of it.
        framing=Framing("border", 20),
        protocols=(
            Protocol(
                "published",
                "its own test part; an eighth of its training part validates",
                protocols.published,
            ),
        ),
    ),
)

DATASETS: Mapping[str, DatasetSpec] = {spec.id: spec for spec in _DATASETS}


def get(dataset_id: str) -> DatasetSpec:
    """A data set by id.

    Raises:
        UsageError: No such data set; the message names the nearest one.
    """
    if dataset_id not in DATASETS:
        raise unknown_name("data set", dataset_id, DATASETS)
    return DATASETS[dataset_id]


def read(dataset_id: str, folder: Path) -> Listing:
    """Lists a data set's folder with its reader.

    Raises:
        UsageError: No such data set, or the folder does not hold it.
    """
    module, function = get(dataset_id).reader.split(":")
    listing: Listing = getattr(importlib.import_module(module), function)(folder)
    return listing
