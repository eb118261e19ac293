"""The golden pack: inputs and PyTorch's outputs for them, which every bench replays.

The benches on phones check artefacts against it without PyTorch. Its files are little-endian arrays
without a header, which any language can read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from agecompact.artifacts.confined import FileName, regular
from agecompact.checked import AtLeastOne, Checked, NotNegative, Sha256, Text
from agecompact.contract import Layout, Unit
from agecompact.errors import UsageError
from agecompact.files import read_bytes
from agecompact.serialization import read_versioned

FOLDER = "golden"
FILE_NAME = "golden.json"
# The index again, in lines that a C program parses.
LINES_NAME = "golden.txt"

# Its lines that end with the name of a file.
_FILE_LINES = frozenset({"input", "table", "output"})

_FIX = "write the pack again: agecompact parity freeze BUILD"

# Levels of a pixel: the width of the table.
_LEVELS = 256
_DTYPES: Mapping[str, np.dtype[Any]] = {"uint8": np.dtype("u1"), "float32": np.dtype("<f4")}


@dataclass(frozen=True, kw_only=True)
class StoredArray(Checked):
    """An array, stored in its own file."""

    file: FileName
    shape: tuple[AtLeastOne, ...]
    dtype: Text


@dataclass(frozen=True, kw_only=True)
class NamedArray(StoredArray):
    """The array of an input or output."""

    name: Text


@dataclass(frozen=True, kw_only=True)
class PackTolerance(Checked):
    """Limit of an artefact's maximum error, in the pack's unit."""

    max: NotNegative


@dataclass(frozen=True, kw_only=True)
class PackIndex(Checked):
    """The content of `golden.json`."""

    SCHEMA_VERSION: ClassVar[int] = 1

    model: FileName
    weights_sha256: Sha256
    unit: Unit
    samples: tuple[Text, ...]
    inputs: tuple[NamedArray, ...]
    table: StoredArray
    outputs: tuple[NamedArray, ...]
    tolerances: Mapping[str, PackTolerance]


@dataclass(frozen=True)
class GoldenPack:
    """Inputs and PyTorch's outputs.

    Attributes:
        model: Registered id.
        weights_sha256: Hash of the weights that computed the outputs.
        unit: Unit of the outputs.
        samples: Names of the inputs, N of them.
        images: By input name, `(N, H, W, 3)` uint8 in the model's colour order.
        table: `(3, 256)` float32, the input value of each pixel level in each channel.
        outputs: By output name, `(N,)` float32.
        tolerances: Largest allowed error by artefact file, in `unit`.
    """

    model: str
    weights_sha256: str
    unit: Unit
    samples: tuple[str, ...]
    images: Mapping[str, npt.NDArray[np.uint8]]
    table: npt.NDArray[np.float32]
    outputs: Mapping[str, npt.NDArray[np.float32]]
    tolerances: Mapping[str, float]

    def tensors(self, layout: Layout) -> dict[str, npt.NDArray[np.float32]]:
        """The network's input tensors.

        Args:
            layout: Axis order of the network's inputs.

        Returns:
            By input name, float32 `(N, 1, H, W, 3)` or `(N, 1, 3, H, W)`, one batch per sample.
        """
        channels = np.arange(3)
        laid_out = {}
        for name, images in self.images.items():
            batches = self.table[channels, images][:, np.newaxis]
            axes = (0, 1, 4, 2, 3) if layout == "NCHW" else (0, 1, 2, 3, 4)
            laid_out[name] = np.ascontiguousarray(batches.transpose(axes))
        return laid_out


def read(folder: Path) -> GoldenPack:
    """Reads a golden pack.

    Args:
        folder: The folder of `golden.json`.

    Raises:
        UsageError: It is missing, has another schema version, or its files do not match its index.
    """
    path = folder / FILE_NAME
    index = _index(folder)
    count = len(index.samples)
    for kind, arrays in (("input", index.inputs), ("output", index.outputs)):
        if not arrays or len({array.name for array in arrays}) != len(arrays):
            raise UsageError(f"{path} needs at least one {kind}, each with its own name", fix=_FIX)
    pack = GoldenPack(
        model=index.model,
        weights_sha256=index.weights_sha256,
        unit=index.unit,
        samples=index.samples,
        images={a.name: _load(folder, a, "uint8", (count, *a.shape[1:3], 3)) for a in index.inputs},
        table=_load(folder, index.table, "float32", (3, _LEVELS)),
        outputs={a.name: _load(folder, a, "float32", (count,)) for a in index.outputs},
        tolerances={file: tolerance.max for file, tolerance in index.tolerances.items()},
    )
    _check_lines(folder / LINES_NAME, _array_files(index))
    return pack


def files(folder: Path) -> frozenset[str]:
    """Names of the files of a golden pack.

    Raises:
        UsageError: The pack's index cannot be read.
    """
    return _array_files(_index(folder)) | {FILE_NAME, LINES_NAME}


def read_if_there(folder: Path) -> GoldenPack | None:
    """Reads the golden pack of a folder; None if there is none.

    Raises:
        UsageError: There is one, but it cannot be read.
    """
    return read(folder) if (folder / FILE_NAME).exists() else None


def _index(folder: Path) -> PackIndex:
    if (folder / FILE_NAME).exists():
        regular(folder, fix=_FIX)
    return read_versioned(folder / FILE_NAME, PackIndex, what="golden pack", fix=_FIX)


def _array_files(index: PackIndex) -> frozenset[str]:
    return frozenset(array.file for array in (*index.inputs, index.table, *index.outputs))


def _check_lines(path: Path, arrays: frozenset[str]) -> None:
    """Refuses lines that name other files than the index: a C program opens whatever they name."""
    if not path.exists():
        return
    lines = read_bytes(path, fix=_FIX).decode("utf-8", "replace").splitlines()
    words = [line.split(" ") for line in lines]
    if {each[-1] for each in words if each[0] in _FILE_LINES} - arrays:
        raise UsageError(f"{path} names other files than {FILE_NAME}", fix=_FIX)


def _load(folder: Path, array: StoredArray, dtype: str, shape: tuple[int, ...]) -> Any:
    path = folder / array.file
    if array.dtype != dtype or array.shape != shape:
        raise UsageError(
            f"{path} is listed as {array.dtype} of shape {array.shape}",
            why=f"it must be {dtype} of shape {shape}",
            fix=_FIX,
        )
    content = read_bytes(path, fix=_FIX)
    kind = _DTYPES[dtype]
    wanted = prod(shape) * kind.itemsize
    if len(content) != wanted:
        why = f"shape {shape} of {dtype} takes {wanted}"
        raise UsageError(f"{path} is {len(content)} bytes", why=why, fix=_FIX)
    values = np.frombuffer(content, kind).astype(kind.newbyteorder("=")).reshape(shape)
    if not np.isfinite(values).all():
        raise UsageError(f"{path} contains NaN or Inf", fix=_FIX)
    return values
