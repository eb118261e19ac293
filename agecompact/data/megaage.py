"""MegaAge-Asian: 43,945 faces of Asians in two published parts, 0 to 70 years old.

Zhang et al., Quantifying Facial Age by Posterior of Age Comparisons, BMVC 2017. The layout is
`list/train_name.txt` and `list/train_age.txt`, line by line, of images in `train/`; the same of
`test`. Gender and persons are not published.
"""

from __future__ import annotations

from pathlib import Path

from agecompact.data.face import Label
from agecompact.data.listing import BAD_AGE, Collector, Listing, contents, parse_age, read_text
from agecompact.errors import UsageError

_PUBLISHED = ("train", "test")


def read(folder: Path) -> Listing:
    """Lists the images that the four lists name; the part is the first folder of a face's name.

    Raises:
        UsageError: No such folder, a list is missing, or two lists differ in length.
    """
    contents(folder, "MegaAge-Asian")
    found = Collector("megaage")
    for part in _PUBLISHED:
        names, ages = (
            read_text(folder / "list" / f"{part}_{column}.txt").split()
            for column in ("name", "age")
        )
        if len(names) != len(ages):
            # A shift by one line gives every face a wrong age: nothing of it can be used.
            raise UsageError(
                f"the lists of {folder} do not belong together",
                why=f"list/{part}_name.txt has {len(names)} lines, {part}_age.txt {len(ages)}",
                fix="unpack the published archive again",
            )
        for file, text in zip(names, ages, strict=True):
            name, age = f"{part}/{file}", parse_age(text)
            if age is None:
                found.reject(name, BAD_AGE)
            else:
                found.add_existing(name, folder / name, Label(age))
    return found.listing(folder, "list/{train,test}_{name,age}.txt beside train/ and test/")
