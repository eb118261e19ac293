"""The golden pack: inputs, and PyTorch's answers to them, that every bench replays.

`export` knows how an artefact was made and a phone does not; the pack is what both have. Its files
are little-endian arrays without a header, which any language reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agecompact.checked import AtLeastOne, Checked, NotNegative, Sha256, Text
from agecompact.contract import Layout, Unit
from agecompact.errors import UsageError
from agecompact.files import read_json
from agecompact.serialization import structure

SCHEMA_VERSION = 1
FOLDER = "golden"
FILE_NAME = "golden.json"

# Width of the table: the levels of a pixel.
_LEVELS = 256
_DTYPES: Mapping[str, np.dtype[Any]] = {"uint8": np.dtype("u1"), "float32": np.dtype("<f4")}


@dataclass(frozen=True, kw_only=True)
class _Array(Checked):
    """An array in a file of its own."""

    file: Text
    shape: tuple[AtLeastOne, ...]
    dtype: Text
    name: Text = "table"


@dataclass(frozen=True, kw_only=True)
class _Tolerance(Checked):
    """What an artefact's greatest error must keep, in the pack's unit."""

    max: NotNegative


@dataclass(frozen=True, kw_only=True)
class _Index(Checked):
    """`golden.json` as it stands in the file."""

    model: Text
    weights_sha256: Sha256
    unit: Unit
    samples: tuple[Text, ...]
    inputs: tuple[_Array, ...]
    table: _Array
    outputs: tuple[_Array, ...]
    tolerances: Mapping[str, _Tolerance]


@dataclass(frozen=True)
class GoldenPack:
    """Inputs and PyTorch's answers.

    Attributes:
        model: Registered id.
        weights_sha256: The weights whose answers these are.
        unit: Of the answers.
        samples: Names of the inputs, N of them.
        images: By input name, `(N, H, W, 3)` uint8 in the model's colour order.
        table: `(3, 256)` float32: what each level becomes in each channel.
        outputs: By output name, `(N,)` float32.
        tolerances: Greatest error allowed, by artefact file, in `unit`.
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
        """The inputs as a network takes them.

        Args:
            layout: Axis order of the network.

        Returns:
            By input name, `(N, 1, H, W, 3)` or `(N, 1, 3, H, W)`: a batch of one for each sample.
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
        folder: That holds `golden.json`.

    Raises:
        UsageError: It is missing, of another schema version, or its files are not what it says.
    """
    path = folder / FILE_NAME
    content = read_json(path, what="golden pack")
    version = content.pop("schema_version", None)
    if version != SCHEMA_VERSION:
        raise UsageError(
            f"{path} has schema version {version!r}",
            why=f"this agecompact reads version {SCHEMA_VERSION}",
            fix="write it again: agecompact parity",
        )
    index = structure(content, _Index, where=f"golden pack {path}")
    count = len(index.samples)
    for kind, arrays in (("input", index.inputs), ("output", index.outputs)):
        if not arrays or len({array.name for array in arrays}) != len(arrays):
            raise UsageError(f"{path} names an {kind} twice, or none at all")
    return GoldenPack(
        model=index.model,
        weights_sha256=index.weights_sha256,
        unit=index.unit,
        samples=index.samples,
        images={
            a.name: _load(folder, a, "uint8", (count, *a.shape[1:-1], 3), axes=4)
            for a in index.inputs
        },
        table=_load(folder, index.table, "float32", (3, _LEVELS), axes=2),
        outputs={a.name: _load(folder, a, "float32", (count,), axes=1) for a in index.outputs},
        tolerances={file: tolerance.max for file, tolerance in index.tolerances.items()},
    )


def read_if_there(folder: Path) -> GoldenPack | None:
    """The golden pack of a folder; None if it holds none.

    Raises:
        UsageError: It holds one that cannot be read.
    """
    return read(folder) if (folder / FILE_NAME).exists() else None


def _load(folder: Path, array: _Array, dtype: str, shape: tuple[int, ...], *, axes: int) -> Any:
    path = folder / array.file
    if array.dtype != dtype or array.shape != shape or len(shape) != axes:
        raise UsageError(
            f"{path} is said to be {array.dtype} of shape {array.shape}",
            why=f"it should be {dtype} of {axes} axes: {shape}",
        )
    if Path(array.file).name != array.file:
        raise UsageError(f"{path} lies outside the golden pack")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}", why=error.strerror or str(error)) from None
    kind = _DTYPES[dtype]
    wanted = prod(shape) * kind.itemsize
    if len(content) != wanted:
        raise UsageError(f"{path} is {len(content)} bytes", why=f"{shape} {dtype} take {wanted}")
    values = np.frombuffer(content, kind).astype(kind.newbyteorder("=")).reshape(shape)
    if not np.isfinite(values).all():
        raise UsageError(f"{path} holds what is no number")
    return values
