"""What ExecuTorch programs are called and hold, whichever build of the runtime loads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agecompact.artifacts.metadata import ArtifactMetadata, MetadataError
from agecompact.errors import UsageError
from agecompact.filetypes import fix_for
from agecompact.runtimes.base import Interface, Port

METHOD = "forward"
# `c10::ScalarType`, in the order of its numbers.
_DTYPES = ("uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")

# Sizes of a tensor, and the number of its dtype.
Described = tuple[Sequence[int], int]


def interface(
    inputs: Sequence[Described], outputs: Sequence[Described], text: str | None, *, where: str
) -> Interface:
    """Inputs and outputs with their names.

    A program has no names for them: they are those of the contract, in its order, where the
    program has agecompact's metadata.

    Args:
        inputs: In the program's order.
        outputs: In the program's order.
        text: The metadata inside the program; None if it has none.
        where: The program, for errors.
    """
    try:
        contract = ArtifactMetadata.from_json(text, where=where).contract if text else None
    except MetadataError:
        contract = None
    return Interface(
        _ports("input", inputs, contract.input_names if contract else ()),
        _ports("output", outputs, contract.output_names if contract else ()),
    )


def _ports(side: str, tensors: Sequence[Described], names: tuple[str, ...]) -> dict[str, Port]:
    if len(names) != len(tensors):
        names = tuple(f"{side}_{place}" for place in range(len(tensors)))
    return {
        name: Port(tuple(map(int, sizes)), _dtype(number))
        for name, (sizes, number) in zip(names, tensors, strict=True)
    }


def _dtype(number: int) -> str:
    return _DTYPES[number] if 0 <= number < len(_DTYPES) else f"type {number}"


def unusable(path: str, why: str) -> UsageError:
    """The error for a file that the runtime does not load."""
    return UsageError(
        f"{path} is not an ExecuTorch program",
        why=why,
        fix=fix_for(Path(path), wanted="executorch"),
    )
