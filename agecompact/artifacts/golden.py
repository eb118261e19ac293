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
from agecompact.contract import OLD_UNITS, ColorOrder, Contract, Layout, Output, Reading
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

# What an output of version 1 has besides its name and its unit.
_PLAIN: Mapping[str, Any] = {"minimum": None, "maximum": None}
_COLOURS = 3
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
    """The array of an input."""

    name: Text


@dataclass(frozen=True, kw_only=True)
class OutputArray(StoredArray):
    """The array of an output, and how its answers are read."""

    output: Output


@dataclass(frozen=True, kw_only=True)
class PackIndex(Checked):
    """The content of `golden.json`.

    Version 1 holds one output of one value, which is the answer itself, and images in colour. A
    pack that needs no more is written as version 1, which the benches of iOS read.

    Attributes:
        model: Registered id.
        weights_sha256: Hash of the weights that computed the outputs.
        samples: Names of the inputs, N of them.
        inputs: By input, `(N, H, W, C)` uint8.
        table: `(C, 256)` float32.
        outputs: By output, `(N, size)` float32.
        tolerances: By artefact file and output, the largest allowed error in the output's unit.
        color_order: Of the images; None in the packs of older versions of agecompact.
    """

    SCHEMA_VERSION: ClassVar[int] = 2

    model: FileName
    weights_sha256: Sha256
    samples: tuple[Text, ...]
    inputs: tuple[NamedArray, ...]
    table: StoredArray
    outputs: tuple[OutputArray, ...]
    tolerances: Mapping[str, Mapping[str, NotNegative]]
    color_order: ColorOrder | None = None

    @property
    def channels(self) -> int:
        """Number of channels of the images."""
        return self.table.shape[0]

    @property
    def is_plain(self) -> bool:
        """Whether version 1 holds it."""
        first, *others = self.outputs
        output = first.output
        plain = output.size == 1 and output.reading == Reading() and output.unit in OLD_UNITS
        return plain and not others and self.channels == _COLOURS

    @staticmethod
    def of_version(version: Any, fields: Mapping[str, Any]) -> dict[str, Any] | None:
        """The fields of version 1 as those of the present one; None for any other."""
        if version != 1 or not isinstance(fields.get("outputs"), list):
            return None
        made = {name: value for name, value in fields.items() if name != "unit"}
        unit = fields.get("unit")
        made["outputs"] = [_of_version_1(array, unit) for array in fields["outputs"]]
        names = [array["output"]["name"] for array in made["outputs"]]
        made["tolerances"] = {
            file: dict.fromkeys(names, gates["max"]) for file, gates in fields["tolerances"].items()
        }
        return made

    def to_version(self, fields: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Version 1 if that holds it, else the present one."""
        if not self.is_plain:
            return self.SCHEMA_VERSION, dict(fields)
        output = self.outputs[0].output
        array = {k: v for k, v in fields["outputs"][0].items() if k != "output"}
        return 1, {
            **fields,
            "unit": output.unit,
            "outputs": [{**array, "name": output.name, "shape": array["shape"][:1]}],
            "tolerances": {
                file: {"max": gates[output.name]} for file, gates in self.tolerances.items()
            },
        }


def _of_version_1(array: Mapping[str, Any], unit: Any) -> dict[str, Any]:
    kept = {name: value for name, value in array.items() if name != "name"}
    shape = [*array["shape"], 1]
    return {**kept, "shape": shape, "output": {**_PLAIN, "name": array["name"], "unit": unit}}


@dataclass(frozen=True)
class GoldenPack:
    """Inputs and PyTorch's outputs.

    Attributes:
        model: Registered id.
        weights_sha256: Hash of the weights that computed the outputs.
        samples: Names of the inputs, N of them.
        images: By input name, `(N, H, W, C)` uint8 in the model's colour order.
        table: `(C, 256)` float32, the input value of each pixel level in each channel.
        outputs: By output name, `(N, size)` float32.
        specs: The outputs by name, which say how answers are read.
        tolerances: By artefact file and output, the largest allowed error in the output's unit.
        color_order: Of the images; None if the pack does not say it.
    """

    model: str
    weights_sha256: str
    samples: tuple[str, ...]
    images: Mapping[str, npt.NDArray[np.uint8]]
    table: npt.NDArray[np.float32]
    outputs: Mapping[str, npt.NDArray[np.float32]]
    specs: Mapping[str, Output]
    tolerances: Mapping[str, Mapping[str, float]]
    color_order: ColorOrder | None = None

    def inputs(self, contract: Contract) -> Mapping[str, npt.NDArray[Any]]:
        """What an artefact of the network takes.

        Args:
            contract: The artefact's own.

        Returns:
            By input name, `(N, 1, ...)`, one batch per sample: float32 tensors, or uint8 pictures
            if the artefact takes levels.

        Raises:
            UsageError: It takes levels, and the pack does not say the order of its colours.
        """
        if not contract.takes_levels:
            return self.tensors(contract.layout)
        if self.color_order is None:
            raise UsageError("the golden pack does not say the order of its colours", fix=_FIX)
        turn = 1 if self.color_order == contract.color_order else -1
        return {
            name: _laid_out(images[:, np.newaxis, :, :, ::turn], contract.layout)
            for name, images in self.images.items()
        }

    def tensors(self, layout: Layout) -> dict[str, npt.NDArray[np.float32]]:
        """The network's input tensors.

        Args:
            layout: Axis order of the network's inputs.

        Returns:
            By input name, float32 `(N, 1, H, W, C)` or `(N, 1, C, H, W)`, one batch per sample.
        """
        channels = np.arange(len(self.table))
        return {
            name: _laid_out(self.table[channels, images][:, np.newaxis], layout)
            for name, images in self.images.items()
        }


def _laid_out(batches: npt.NDArray[Any], layout: Layout) -> npt.NDArray[Any]:
    """Batches of NHWC in a layout."""
    axes = (0, 1, 4, 2, 3) if layout == "NCHW" else (0, 1, 2, 3, 4)
    return np.ascontiguousarray(batches.transpose(axes))


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
    channels = 1 if index.channels == 1 else _COLOURS
    named = {
        "input": [array.name for array in index.inputs],
        "output": [array.output.name for array in index.outputs],
    }
    for kind, names in named.items():
        if not names or len(set(names)) != len(names):
            raise UsageError(f"{path} needs at least one {kind}, each with its own name", fix=_FIX)
    pack = GoldenPack(
        model=index.model,
        weights_sha256=index.weights_sha256,
        samples=index.samples,
        images={
            a.name: _load(folder, a, "uint8", (count, *a.shape[1:3], channels))
            for a in index.inputs
        },
        table=_load(folder, index.table, "float32", (channels, _LEVELS)),
        outputs={
            a.output.name: _load(folder, a, "float32", (count, a.output.size))
            for a in index.outputs
        },
        specs={a.output.name: a.output for a in index.outputs},
        tolerances=index.tolerances,
        color_order=index.color_order,
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
