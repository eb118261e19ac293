"""Whether pictures are face chips, from a sample of them, before a data set is surveyed.

A network that is given whole photos, squashed to a chip's size, predicts ages without any error
message; the ages are wrong by decades. So the pictures of a data set of chips are looked at, and a
table's pictures are taken for chips only if they look like it.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

from agecompact.data.cache import Say
from agecompact.data.face import spread
from agecompact.data.listing import Record
from agecompact.errors import UsageError
from agecompact.faces import detection
from agecompact.faces.complaints import Complaints
from agecompact.faces.decoding import decode
from agecompact.faces.files import image_bytes, is_square
from agecompact.faces.framing import DETECT, WHOLE, Framing
from agecompact.faces.placement import Placement, placement

FramingChoice = Literal["chip", "detect"]
Finding = Placement | Literal["unreadable"]

SAMPLE = 32


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
    records: Sequence[Record],
    own: Framing | None,
    wanted: FramingChoice | None,
    say: Say,
    detector: str | None = None,
) -> Framing:
    """How the pictures that have no box become chips.

    Args:
        records: The entries of a data set.
        own: The data set's own framing; None if that depends on the pictures.
        wanted: What the user says that the pictures need; None if the user does not say.
        say: Reports a choice that the pictures made, or a doubt.
        detector: The detector that finds faces in photos; None for the default one.

    Raises:
        UsageError: The pictures should be chips, but are not, or there is no such detector.
        BackendMissingError: The detector is not installed.
    """
    chosen = _chosen(records, own, wanted, say)
    if chosen.kind != "detect":
        return chosen
    detection.detector(detector)
    if note := detection.fallback_note(detector):
        say(f"warning: {note}")
    return replace(chosen, detector=detector)


def _chosen(
    records: Sequence[Record], own: Framing | None, wanted: FramingChoice | None, say: Say
) -> Framing:
    """`choose` without the detector."""
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
    return placement(image) if is_square(content) else "not_square"
