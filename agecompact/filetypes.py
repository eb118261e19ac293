"""What a file really is, by its content, and how to fix an input of the wrong type."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agecompact.errors import UsageError
from agecompact.formats import FORMATS

_HEAD_BYTES = 4096
_SAVE_AGAIN = "load it in PyTorch and save the network with agecompact.weights.checkpoints.write"


@dataclass(frozen=True)
class _FileType:
    """A type of file.

    Attributes:
        description: For people, with its article.
        fix: What to do about it where another type is wanted; empty if that depends on the type.
    """

    description: str
    fix: str = ""


# The first four are the names of `agecompact.formats`.
_TYPES: Mapping[str, _FileType] = {
    "pytorch": _FileType("a safetensors file"),
    "onnx": _FileType("an ONNX model"),
    "tflite": _FileType("a TFLite model"),
    "coreml": _FileType("a Core ML package"),
    "keras": _FileType(
        "a Keras HDF5 file", "agecompact weights import {path} --model FAMILY --out NEW.safetensors"
    ),
    "torch": _FileType("a PyTorch file", _SAVE_AGAIN),
    "pickle": _FileType("a Python pickle", _SAVE_AGAIN),
    "zip": _FileType("a ZIP archive", "extract it and name a file inside"),
    "image": _FileType("an image", "agecompact predict {path}"),
    "web page": _FileType("a web page", "download the file itself"),
    "lfs": _FileType("a Git LFS pointer", "git lfs pull"),
    "json": _FileType("a JSON file"),
    "text": _FileType("a text file"),
    "empty": _FileType("an empty file", "copy or download it again"),
    "folder": _FileType("a folder", "name a file"),
    "unknown": _FileType("of an unknown type"),
}
_SIGNATURES = (
    (b"\x89HDF\r\n\x1a\n", "keras"),
    (b"\xff\xd8\xff", "image"),
    (b"\x89PNG\r\n\x1a\n", "image"),
    # Protocols 2 to 5.
    *((bytes((0x80, protocol)), "pickle") for protocol in range(2, 6)),
)
_TEXT_SIGNATURES = (
    ("version https://git-lfs.github.com/spec/", "lfs"),
    ("<!doctype html", "web page"),
    ("<html", "web page"),
    ("{", "json"),
    ("[", "json"),
)
# Where to get a file of the wanted type.
_SOURCES = {
    "pytorch": "name a weights file that agecompact train or agecompact weights import wrote",
    "keras": "name the .h5 file that Keras saved",
    "image": "name a JPEG or PNG file",
}


def describe(path: Path) -> str:
    """What a file is, with its article: `a Keras HDF5 file`, `a web page`."""
    return _TYPES[_type_of(path)].description


def unreadable(path: Path, error: Exception, *, wanted: str) -> UsageError:
    """The error for a file that could not be read: what it is instead, and how to fix that.

    Args:
        path: An existing file or folder.
        error: Why it could not be read; reported if the file is of the wanted type.
        wanted: As in `fix_for`.
    """
    # A format without a signature here is described by its name.
    expected = _TYPES.get(wanted, _FileType(f"a {wanted} file"))
    return UsageError(
        f"cannot read {path} as {expected.description}",
        why=str(error) if _type_of(path) == wanted else f"it is {describe(path)}",
        fix=fix_for(path, wanted=wanted),
    )


def fix_for(path: Path, *, wanted: str) -> str:
    """The fix for a file that could not be read.

    Args:
        path: An existing file or folder.
        wanted: What it should be: the name of a format (`pytorch`, `onnx`, ...), `keras` or
            `image`.
    """
    found = _type_of(path)
    if found == wanted:
        return f"copy, download or export {path} again: it is damaged or cut short"
    if fix := _TYPES[found].fix:
        return fix.format(path=path)
    if found in FORMATS and wanted == "pytorch":
        return "name the weights that it was exported from"
    if found in FORMATS and path.suffix != FORMATS[found].suffix:
        return f"rename it to *{FORMATS[found].suffix}"
    return _SOURCES.get(wanted, "agecompact export writes such files")


def _type_of(path: Path) -> str:
    if path.is_dir():
        return "coreml" if (path / "Manifest.json").is_file() else "folder"
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError:
        return "unknown"
    if not head:
        return "empty"
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head.startswith(b"PK\x03\x04"):
        return "torch" if _holds_pickle(path) else "zip"
    if head[4:8] == b"TFL3":
        return "tflite"
    # A JSON header, its length before it in eight bytes.
    if head[8:9] == b"{" and head[6:8] == b"\0\0":
        return "pytorch"
    # Protobuf has no signature. A model begins with its IR version, then its producer, graph or
    # opset.
    if head[0] == 0x08 and head[2:3] in (b"\x12", b"\x1a", b"\x3a", b"\x42"):
        return "onnx"
    return _text_type(head)


def _holds_pickle(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    # zipfile raises many kinds of exceptions for a damaged directory.
    except Exception:
        return False


def _text_type(head: bytes) -> str:
    # The last character may be cut in two.
    text = head.decode("utf-8", "ignore")
    if b"\0" in head or len(text.encode()) < len(head) - 3:
        return "unknown"
    start = text.lstrip().lower()
    return next((name for sign, name in _TEXT_SIGNATURES if start.startswith(sign)), "text")
