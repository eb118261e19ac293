"""FG-NET: 1,002 photos of 82 people aged 0 to 69; file names hold person and age.

Panis et al., Overview of research on facial ageing using the FG-NET ageing database, IET Biometrics
2016; yanweifu.github.io/FG_NET_data. The layout is `images/001A02.JPG`: person 001 at age 2; a
letter after the age distinguishes photos of one person at one age. Gender is not published.
"""

from __future__ import annotations

import re
from pathlib import Path

from agecompact.data.face import Label
from agecompact.data.listing import MAXIMUM_AGE, Collector, Listing, contents

UNNAMED = "the name tells no person and age"

_LABEL = re.compile(r"(\d{3})A(\d{1,3})[a-z]?\.jpe?g", re.IGNORECASE)


def parse_name(name: str) -> Label | None:
    """The person and age in a file name; None if it is not an FG-NET name."""
    match = _LABEL.fullmatch(name)
    if not match or int(match[2]) > MAXIMUM_AGE:
        return None
    return Label(int(match[2]), subject=match[1])


def read(folder: Path) -> Listing:
    """Lists the photos of the folder with `images/` in it, or of `images/` itself.

    Raises:
        UsageError: The folder does not exist, or has no labelled photo.
    """
    entries = contents(folder, "FG-NET")
    images = next((p for p in entries if p.name.lower() == "images" and p.is_dir()), None)
    found = Collector("fgnet", folder)
    for path in contents(images, "FG-NET") if images else entries:
        found.add_named(path, parse_name(path.name), UNNAMED)
    return found.listing(folder, "images/001A02.JPG, person and age")
