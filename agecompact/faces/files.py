"""Image files, and the face chips in them."""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agecompact.contract import Image
from agecompact.errors import UsageError
from agecompact.faces import headers, pillow
from agecompact.faces.complaints import Complaints
from agecompact.faces.decoding import decode, decode_partial
from agecompact.faces.framing import Framing, frame
from agecompact.faces.placement import is_nearly_square
from agecompact.files import read_bytes

# Stored by position in `data.fingerprints`: append only.
State = Literal["read", "unreadable", "faceless", "not_square"]

# An uncompressed image of the most pixels that are decoded has 201 MB.
_MOST_BYTES = 2**28
_SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jfif", ".png", ".webp", ".avif"),
        *(".heic", ".heif", ".gif", ".tif", ".tiff", ".bmp"),
    )
)
# A path has one slash where a network address has two.
_ADDRESS = re.compile(r"(https?|ftps?|sftp|s3|gs|abfss?|hdfs|smb)://?", re.IGNORECASE)
_DOWNLOADS = {"s3": "aws s3 cp {} .", "gs": "gcloud storage cp {} ."}
_CURL = {"http", "https", "ftp", "ftps", "sftp"}


@dataclass(frozen=True)
class ChipFile:
    """An image file of a data set, read.

    Attributes:
        state: `read`; `unreadable` if it is not a whole image; `faceless` if it has no face to
            frame, or its box is not in the picture; `not_square` if a whole picture should be a
            chip, but is not square.
        sha256: `picture_hash`; empty if it could not be opened.
        chip: uint8 `(200, 200, 3)` BGR; None unless the state is `read`.
    """

    state: State
    sha256: str = ""
    chip: Image | None = None


def images_in(folder: Path, option: str) -> tuple[Path, ...]:
    """The images in a folder and in those inside it, sorted.

    Args:
        folder: The folder.
        option: The option that names it, for the message.

    Raises:
        UsageError: There are none.
    """
    _refuse_address(folder)
    found = tuple(p for p in sorted(folder.rglob("*")) if p.suffix.lower() in _SUFFIXES)
    if not found:
        raise UsageError(
            f"no image in {folder}",
            why=f"looked for {', '.join(sorted(_SUFFIXES))}",
            fix=f"give a folder of images with {option}",
        )
    return found


def read_chip(path: Path, framing: Framing) -> ChipFile:
    """Reads an image file and cuts out its chip. Never raises an error for a bad file."""
    try:
        content = image_bytes(path)
    except UsageError:
        return ChipFile("unreadable")
    return chip_in(content, framing)


def chip_in(content: bytes, framing: Framing) -> ChipFile:
    """Cuts the chip out of the bytes of an image file. Never raises an error for bad bytes."""
    sha256 = picture_hash(content, framing)
    image = decode(content)
    if image is None:
        return ChipFile("unreadable", sha256)
    chip = frame(image, framing)
    return ChipFile("faceless" if chip is None else "read", sha256, chip)


def picture_hash(content: bytes, framing: Framing) -> str:
    """SHA-256 of the bytes of an image file; of the bytes and the box if a box is framed.

    One photo may show several labelled people. Each is a picture of its own.
    """
    whole = hashlib.sha256(content)
    if framing.box is None:
        return whole.hexdigest()
    box = framing.box
    sides = f"{box.x},{box.y},{box.width},{box.height}"
    return hashlib.sha256(f"{whole.hexdigest()}#{sides}".encode()).hexdigest()


def is_square(content: bytes) -> bool:
    """Whether an image file declares sides that differ by at most 5 %.

    Bytes that declare no size are left to the decoder: for them it is true as well.
    """
    size = headers.size(content)
    return size is None or is_nearly_square(*size)


def read_image(path: Path) -> Image:
    """Reads an image as uint8 HWC BGR, as `faces.decoding` does.

    Raises:
        UsageError: The file is missing, is not an image of a known format, is damaged or cut short,
            is too large, or needs a package that is not installed.
    """
    return image_in(image_bytes(path), str(path))


def image_in(content: bytes, name: str) -> Image:
    """The image, uint8 HWC BGR, in the bytes of a file.

    Args:
        content: The bytes.
        name: What the file is called in errors.

    Raises:
        UsageError: As `read_image` raises it.
    """
    header = headers.read(content)
    if header and headers.is_too_large(header.size):
        width, height = header.size
        raise UsageError(
            f"{name} is too large",
            why=f"it has {width} x {height} pixels, the limit is {headers.MOST_PIXELS:,}",
            fix="save a smaller copy of it",
        )
    if header and not pillow.is_installed(header.format):
        raise UsageError(
            f"cannot read {name}",
            why=f"it is a {header.format} picture, and pillow-heif is not installed",
            fix="pip install pillow-heif, or convert the picture to JPEG or PNG",
        )
    with Complaints() as complaints:
        image = decode_partial(content)
        damage = complaints.damage()
    if damage:
        raise UsageError(
            f"{name} is damaged",
            why=f"a part of the picture is lost: {damage}",
            fix="copy or download it again",
        )
    if image is None:
        raise UsageError(
            f"{name} is not an image",
            why=f"it is damaged, or not {headers.FORMATS}",
            fix="convert it to JPEG or PNG",
        )
    return image


def image_bytes(path: Path) -> bytes:
    """Reads the bytes of an image file.

    Raises:
        UsageError: The file is missing, inaccessible, too large or not a regular file.
    """
    _refuse_address(path)
    return read_bytes(path, most=_MOST_BYTES, fix="give the path of an image file")


def _refuse_address(path: Path) -> None:
    address = _ADDRESS.match(str(path))
    if address is None or path.exists():
        return
    scheme = address[1].lower()
    url = shlex.quote(f"{scheme}://{str(path)[address.end() :]}")
    command = _DOWNLOADS.get(scheme, "curl -O {}" if scheme in _CURL else "")
    raise UsageError(
        f"{url} is a network address",
        why="pictures are read from this machine's disks only",
        fix=f"download it first: {command.format(url)}" if command else "download it first",
    )
