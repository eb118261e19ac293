"""FG-NET: 1,002 photos of 82 people from birth to 69, named by person and age.

Panis et al., Overview of research on facial ageing using the FG-NET ageing database, IET Biometrics
2016. The layout is `images/001A02.JPG`: person 001 at 2 years; a letter behind the age tells apart
photos of one person at one age. Gender is not published.
"""

from __future__ import annotations

import re
from pathlib import Path

from agecompact.data.face import Label
from agecompact.data.listing import MAXIMUM_AGE, Collector, Listing, contents

UNNAMED = "the name tells no person and age"

_LABEL = re.compile(r"(\d{3})A(\d{1,3})[a-z]?\.jpe?g", re.IGNORECASE)


def parse_name(name: str) -> Label | None:
    """Reads person and age out of a file name, or None if it is not FG-NET's."""
    match = _LABEL.fullmatch(name)
    if not match or int(match[2]) > MAXIMUM_AGE:
        return None
    return Label(int(match[2]), subject=match[1])


def read(folder: Path) -> Listing:
    """Lists the photos of the folder that holds `images/`, or of that folder itself.

    Raises:
        UsageError: No such folder, or no labelled photo in it.
    """
    entries = contents(folder, "FG-NET")
    images = next((p for p in entries if p.name.lower() == "images" and p.is_dir()), None)
    found = Collector("fgnet")
    for path in contents(images, "FG-NET") if images else entries:
        label = parse_name(path.name)
        if label is None:
            found.reject(path.name, UNNAMED)
        else:
            found.add(path.name, path, label)
    return found.listing(folder, "images/001A02.JPG, person and age")
