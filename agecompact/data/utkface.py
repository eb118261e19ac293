"""UTKFace: a folder of 200x200 face chips; file names hold the labels.

Zhang et al., CVPR 2017; susanqq.github.io/UTKFace.
"""

from __future__ import annotations

import re
from pathlib import Path

from agecompact.data.face import Label
from agecompact.data.listing import MAXIMUM_AGE, Collector, Listing, contents

UNNAMED = "the name tells no age"

# Published names may lack the race or the dot before "jpg", or contain a space, all after the
# second underscore. So only the start of a name is checked.
_LABEL = re.compile(r"(\d{1,3})_(\d?)_.*\.?jpe?g", re.IGNORECASE)
# UTKFace has 0 male, 1 female; the models have it the other way round.
_GENDERS = {"0": 1, "1": 0}


def parse_name(name: str) -> Label | None:
    """The label in a file name, `[age]_[gender]_[race]_[date]….jpg`.

    Returns:
        The label, or None if it is not a UTKFace name.
    """
    match = _LABEL.fullmatch(name)
    if not match or int(match[1]) > MAXIMUM_AGE:
        return None
    return Label(int(match[1]), _GENDERS.get(match[2]))


def read(folder: Path) -> Listing:
    """Lists a folder of chips, without subfolders.

    Raises:
        UsageError: The folder does not exist, or has no labelled image.
    """
    found = Collector("utkface", folder)
    for path in contents(folder, "UTKFace"):
        found.add_named(path, parse_name(path.name), UNNAMED)
    return found.listing(folder, "[age]_[gender]_[race]_[date].jpg, without subfolders")
