"""What a file really is, by its content, and how to fix an input of the wrong type."""

from __future__ import annotations

import re
import shlex
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agecompact.errors import UsageError
from agecompact.formats import FORMATS
from agecompact.text import one_line

_HEAD_BYTES = 4096


@dataclass(frozen=True)
class _FileType:
    """A type of file.

    Attributes:
        description: For people, with its article.
        fix: What to do about it where another type is wanted; empty if that depends on the type.
        python: Lines of Python that end the fix: `{old!r}` and `{new!r}` are names of files.
    """

    description: str
    fix: str = ""
    python: tuple[str, ...] = ()


# The first four are the names of `agecompact.formats`.
_TYPES: Mapping[str, _FileType] = {
    "pytorch": _FileType("a safetensors file"),
    "onnx": _FileType("an ONNX model"),
    "tflite": _FileType("a TFLite model"),
    "coreml": _FileType("a Core ML package"),
    "keras": _FileType(
        "a Keras HDF5 file", "agecompact weights import {path} --model FAMILY --out NEW.safetensors"
    ),
    "state dict": _FileType("a state dict"),
    "torch": _FileType(
        "a PyTorch file", "agecompact weights import {path} --model MODEL --out NEW.safetensors"
    ),
    "torchscript": _FileType(
        "a TorchScript archive, which is a program",
        "if you trust it, save its tensors with Python, then name {new}:",
        (
            "import torch; network = torch.jit.load({old!r}, map_location='cpu')",
            "torch.save(network.state_dict(), {new!r})",
        ),
    ),
    "torch.export": _FileType(
        "a torch.export archive, which is a program",
        "if you trust it, save its tensors with Python, then name {new}:",
        (
            "import torch; program = torch.export.load({old!r})",
            "torch.save(program.state_dict, {new!r})",
        ),
    ),
    "old torch": _FileType(
        "a PyTorch file of before 2017, which can run code",
        "if you trust it, save its tensors with Python, then name {new}:",
        (
            "import torch; state = torch.load({old!r}, map_location='cpu', weights_only=False)",
            "torch.save(state, {new!r})",
        ),
    ),
    "executorch": _FileType("an ExecuTorch program", "name the weights that it was made from"),
    "coreai": _FileType("a Core AI model"),
    "ncnn": _FileType("an ncnn model"),
    "pickle": _FileType(
        "a Python pickle, which can run code",
        "if you trust it, save its tensors with Python, then name {new}:",
        (
            "import pickle, torch; found = pickle.load(open({old!r}, 'rb'))",
            "torch.save({{name: torch.as_tensor(value) for name, value in "
            "getattr(found, 'state_dict', lambda: found)().items()}}, {new!r})",
        ),
    ),
    "zip": _FileType("a ZIP archive", "extract it and name a file inside"),
    "tar": _FileType("a tar archive", "extract it and name a file inside"),
    "gzip": _FileType("a compressed file", "extract it and name a file inside"),
    "cut": _FileType("a ZIP archive that is cut short", "copy or download it again"),
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
    # `torch.save` before 1.6 and with `_use_new_zipfile_serialization=False`.
    (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "torch"),
    (b"\x1f\x8b", "gzip"),
    # A tar archive whose first member `torch.save` wrote.
    (b"sys_info\0", "old torch"),
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
# By a file that such a folder has.
_FOLDERS = {"Manifest.json": "coreml", "main.mlirb": "coreai", "model.ncnn.param": "ncnn"}
# By the names in a ZIP archive, below its first folder; the first that fits.
_ARCHIVES = (
    ("torchscript", re.compile(r"constants\.pkl|code/.*")),
    ("torch.export", re.compile(r"archive_format|serialized_exported_program\.\w+")),
    ("torch", re.compile(r"data\.pkl")),
)
# Where to get a file of the wanted type.
_SOURCES = {
    "pytorch": "name a weights file that agecompact train or agecompact weights import wrote",
    "state dict": "name a file that torch.save(network.state_dict(), FILE) wrote, or safetensors",
    "keras": "name the .h5 file that Keras saved",
    "image": "name a JPEG or PNG file",
}


def tensors_path(path: Path) -> Path:
    """Where to save the tensors of a file that cannot be read as it is."""
    return path.with_name(f"{path.stem}-tensors.pth")


def describe(path: Path) -> str:
    """What a file is, with its article: `a Keras HDF5 file`, `a web page`."""
    return _TYPES[kind_of(path)].description


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
        why=str(error) if kind_of(path) == wanted else f"it is {describe(path)}",
        fix=fix_for(path, wanted=wanted),
    )


def fix_for(path: Path, *, wanted: str) -> str:
    """The fix for a file that could not be read.

    Args:
        path: An existing file or folder.
        wanted: What it should be: the name of a format (`pytorch`, `onnx`, ...), `state dict`,
            `keras` or `image`.
    """
    found = kind_of(path)
    if found == wanted:
        return f"copy, download or export {path} again: it is damaged or cut short"
    if fix := _TYPES[found].fix:
        old, new = str(path), str(tensors_path(path))
        first = fix.format(path=one_line(shlex.quote(old)), new=one_line(new))
        return "\n".join((first, *(line.format(old=old, new=new) for line in _TYPES[found].python)))
    if found in FORMATS and wanted in ("pytorch", "state dict"):
        return "name the weights that it was exported from"
    if found in FORMATS and path.suffix != FORMATS[found].suffix:
        return f"rename it to *{FORMATS[found].suffix}"
    return _SOURCES.get(wanted, "agecompact export writes such files")


def kind_of(path: Path) -> str:
    """The type of a file or folder by its content: a format's name, `torch`, `keras`, `text`, ...

    `torch` is what `torch.save` writes, whatever it holds.
    """
    if path.is_dir():
        found = (kind for name, kind in _FOLDERS.items() if (path / name).is_file())
        return next(found, "folder")
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
        return _archive_type(path)
    if head[257:262] == b"ustar":
        return "tar"
    if head[4:8] == b"TFL3":
        return "tflite"
    if head[4:6] == b"ET" and head[6:8].isdigit():
        return "executorch"
    # A JSON header, its length before it in eight bytes.
    if head[8:9] == b"{" and head[6:8] == b"\0\0":
        return "pytorch"
    # Protobuf has no signature. A model begins with its IR version, then its producer, graph or
    # opset.
    if head[0] == 0x08 and head[2:3] in (b"\x12", b"\x1a", b"\x3a", b"\x42"):
        return "onnx"
    return _text_type(head)


def _archive_type(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    # zipfile raises many kinds of exceptions for a damaged directory, which is at the end.
    except Exception:
        return "cut"
    return _type_by_names([name.partition("/")[2] for name in names])


def _type_by_names(names: Sequence[str]) -> str:
    for kind, pattern in _ARCHIVES:
        if any(pattern.fullmatch(name) for name in names):
            return kind
    return "zip"


def _text_type(head: bytes) -> str:
    # The last character may be cut in two.
    text = head.decode("utf-8", "ignore")
    if b"\0" in head or len(text.encode()) < len(head) - 3:
        return "unknown"
    start = text.lstrip().lower()
    return next((name for sign, name in _TEXT_SIGNATURES if start.startswith(sign)), "text")
