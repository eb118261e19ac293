"""Whether pictures are face chips, from a sample of them, before a data set is surveyed.

A network that is given whole photos, squashed to a chip's size, predicts ages without any error
message; the ages are wrong by decades. So the pictures of a data set of chips are looked at, and a
table's pictures are taken for chips only if they look like it.

A chip is square and has its face where UTKFace has it. Of 4,000 chips of UTKFace the detector finds
the face there in 3,956, elsewhere in 4 and nowhere in 40. In square pictures whose face is 0.2 to
0.5 times as large as a chip's it finds it elsewhere in 599 of 600; at 0.6 in 94 %, at 0.8 in 1 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agecompact.contract import Image
from agecompact.data.cache import Say
from agecompact.data.face import spread
from agecompact.data.listing import Record
from agecompact.errors import UsageError
from agecompact.faces import detection
from agecompact.faces.complaints import Complaints
from agecompact.faces.decoding import decode
from agecompact.faces.files import image_bytes, is_square
from agecompact.faces.framing import DETECT, WHOLE, Framing, largest_face

FramingChoice = Literal["chip", "detect"]
Finding = Literal["not_square", "in_place", "elsewhere", "no_face", "unreadable"]

SAMPLE = 32
# A copy of this side is enough for a face as large as a chip: 13 ms.
_SIDE = 64
# The face of a chip reaches its edges; the detector needs some pixels around it.
_MARGIN = _SIDE // 4
# Of 1,500 chips the box has a width of 0.82 to 1.16 sides, and its centre is within 0.05 of the
# usual place in 98 %.
_LEAST, _MOST = 0.7, 1.4
_AWAY = 0.15


@dataclass(frozen=True)
class Look:
    """What a sample of pictures shows; files that cannot be read are not counted.

    Attributes:
        pictures: Number of pictures.
        not_square: Those that are not square.
        in_place: Square ones with a face where a chip has it.
        elsewhere: Square ones with a face somewhere else, or of another size.
    """

    pictures: int
    not_square: int
    in_place: int
    elsewhere: int

    @property
    def chips(self) -> bool:
        """Whether most pictures are chips without doubt."""
        return 2 * self.in_place > self.pictures

    @property
    def photos(self) -> bool:
        """Whether many pictures are photos without doubt: more than chips, and a quarter of all.

        Pictures without any face are neither: the detector does not find every face.
        """
        photos = self.not_square + self.elsewhere
        return photos > self.in_place and 4 * photos >= self.pictures

    def __str__(self) -> str:
        return (
            f"of {self.pictures} pictures {self.not_square} are not square; "
            f"the face is in place in {self.in_place}, elsewhere in {self.elsewhere}"
        )


def choose(
    records: Sequence[Record], own: Framing | None, wanted: FramingChoice | None, say: Say
) -> Framing:
    """How the pictures that have no box become chips.

    Args:
        records: The entries of a data set.
        own: The data set's own framing; None if that depends on the pictures.
        wanted: What the user says that the pictures need; None if the user does not say.
        say: Reports a choice that the pictures made, or a doubt.

    Raises:
        UsageError: The pictures should be chips, but are not.
    """
    if wanted == "detect":
        return DETECT
    if wanted == "chip":
        return WHOLE if own is None or own.kind == "detect" else own
    if own is not None and own.kind != "whole":
        return own
    unboxed = [record for record in records if record.box is None]
    seen = look(spread(unboxed, SAMPLE)) if unboxed else Look(0, 0, 0, 0)
    if not seen.pictures:
        return own or DETECT
    if own is None:
        say(_CHIPS if seen.chips else _PHOTOS)
        say(str(seen))
        return WHOLE if seen.chips else DETECT
    if seen.photos:
        raise UsageError(
            "the pictures are photos, this data set has face chips",
            why=str(seen),
            fix="find the faces with --framing detect, or give the data set's cropped and aligned "
            "files; --framing chip takes square pictures as they are",
        )
    if not seen.chips:
        say("warning: the pictures may not be face chips: few show a face where a chip does")
        say(str(seen))
    return own


_CHIPS = "the pictures are taken for face chips (--framing detect finds faces in photos)"
_PHOTOS = "the detector finds the faces (--framing chip takes square pictures as chips)"


def look(records: Sequence[Record]) -> Look:
    """Looks at the pictures of some entries: at their shape, and at where their faces are."""
    # What libjpeg says about damage is the survey's to report.
    with Complaints(), ThreadPoolExecutor() as pool:
        found = [finding for finding in pool.map(_look_at, records) if finding != "unreadable"]
    return Look(
        len(found),
        not_square=found.count("not_square"),
        in_place=found.count("in_place"),
        elsewhere=found.count("elsewhere"),
    )


def _look_at(record: Record) -> Finding:
    try:
        content = image_bytes(record.path)
    except UsageError:
        return "unreadable"
    image = decode(content)
    if image is None:
        return "unreadable"
    return find(image) if is_square(content) else "not_square"


def find(image: Image) -> Finding:
    """Where a square picture has its face.

    Args:
        image: uint8 HWC BGR.
    """
    import cv2

    small = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    padded = cv2.copyMakeBorder(small, *(_MARGIN,) * 4, cv2.BORDER_REPLICATE)
    faces = detection.detect(np.asarray(padded, np.uint8))
    for face in faces:
        off_x = (face.x + face.width / 2 - _MARGIN) / _SIDE - detection.BOX_CENTRE_X
        off_y = (face.y + face.height / 2 - _MARGIN) / _SIDE - detection.BOX_CENTRE_Y
        if _LEAST <= face.width / _SIDE <= _MOST and max(abs(off_x), abs(off_y)) <= _AWAY:
            return "in_place"
    # A small face shows only in a larger copy.
    return "elsewhere" if faces or largest_face(image) else "no_face"
