"""MegaAge-Asian: 43,945 faces of Asians aged 0 to 70, in two published parts.

Zhang et al., Quantifying Facial Age by Posterior of Age Comparisons, BMVC 2017;
mmlab.ie.cuhk.edu.hk/projects/MegaAge. Each line of
`list/train_name.txt` names an image in `train/`, whose age is on the same line of
`list/train_age.txt`; likewise for `test`. Gender and identity are not published.
"""

from __future__ import annotations

from pathlib import Path

from agecompact.data.face import Label
from agecompact.data.listing import BAD_AGE, Collector, Listing, contents, parse_age, read_text
from agecompact.errors import UsageError

_PUBLISHED = ("train", "test")


def read(folder: Path) -> Listing:
    """Lists the images in the four lists; a face's name begins with its part.

    Raises:
        UsageError: The folder or a list does not exist, or two lists differ in length.
    """
    contents(folder, "MegaAge-Asian")
    found = Collector("megaage", folder)
    for part in _PUBLISHED:
        names, ages = (
            read_text(folder / "list" / f"{part}_{column}.txt").split()
            for column in ("name", "age")
        )
        if len(names) != len(ages):
            # A missing line gives every later face a wrong age: nothing of it can be used.
            raise UsageError(
                f"the lists in {folder} do not match",
                why=f"list/{part}_name.txt has {len(names)} lines, {part}_age.txt {len(ages)}",
                fix="unpack the published archive again",
            )
        for file, text in zip(names, ages, strict=True):
            name, age = f"{part}/{file}", parse_age(text)
            if age is None:
                found.reject(name, BAD_AGE)
            else:
                found.add_listed(name, folder / name, Label(age))
    return found.listing(folder, "list/{train,test}_{name,age}.txt beside train/ and test/")
