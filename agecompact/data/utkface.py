"""UTKFace: a folder of 200x200 face chips whose names are their labels.

Zhang et al., CVPR 2017.
"""

from __future__ import annotations

import re
from pathlib import Path

from agecompact.data.face import Label
from agecompact.data.listing import MAXIMUM_AGE, Collector, Listing, contents

UNNAMED = "the name tells no age"

# Only the head of the name is read: published names lack the race, the dot before "jpg", or hold a
# space, all of it behind the second underscore.
_LABEL = re.compile(r"(\d{1,3})_(\d?)_.*\.?jpe?g", re.IGNORECASE)
# UTKFace has 0 male, 1 female; the models have it the other way round.
_GENDERS = {"0": 1, "1": 0}


def parse_name(name: str) -> Label | None:
    """Reads the label `[age]_[gender]_[race]_[date]….jpg` out of a file name.

    Returns:
        The label, or None if the name is not UTKFace's.
    """
    match = _LABEL.fullmatch(name)
    if not match or int(match[1]) > MAXIMUM_AGE:
        return None
    return Label(int(match[1]), _GENDERS.get(match[2]))


def read(folder: Path) -> Listing:
    """Lists a folder of chips.

    Args:
        folder: Where the files lie, without subfolders.

    Raises:
        UsageError: No such folder, or no labelled image in it.
    """
    found = Collector("utkface")
    for path in contents(folder, "UTKFace"):
        label = parse_name(path.name)
        if label is None:
            found.reject(path.name, UNNAMED)
        else:
            found.add(path.name, path, label)
    return found.listing(folder, "[age]_[gender]_[race]_[date].jpg, without subfolders")
