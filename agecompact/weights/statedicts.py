"""Reads state dicts of other programs: the tensors of a PyTorch or safetensors file, by name.

What a file is follows from its bytes. A PyTorch file is a pickle, so it is read in a process of its
own, with limits of time and memory, and without running code of the file. `fitting` matches the
tensors to a network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agecompact import filetypes, isolation
from agecompact.errors import UsageError
from agecompact.files import sha256_of
from agecompact.scratch import scratch_folder

if TYPE_CHECKING:
    from torch import Tensor

# More than 250 million float32 weights.
MOST_BYTES = 2**30
# Imports torch, which takes seconds; a gigabyte takes a few more.
_SECONDS = 120.0
# What torch needs by itself, and how often a tensor is in memory at a time: as read, as copied and
# as written.
_BASE_BYTES = 2**30
_COPIES = 3


@dataclass(frozen=True)
class Part:
    """Tensors that a file keeps in one place.

    Attributes:
        keys: Keys from the top of the file to the place; none for the top itself.
        tensors: Tensors by name, as stored.
    """

    keys: tuple[str, ...]
    tensors: Mapping[str, Tensor]

    @property
    def place(self) -> str:
        """The keys as text."""
        return ".".join(self.keys)


@dataclass(frozen=True)
class StateDict:
    """The tensors of a file, wherever it keeps them.

    Attributes:
        path: Path of the file.
        sha256: Hash of the file; for one that was downloaded by another program, its address.
        parts: Places that hold tensors by name, from the top down.
        others: Names of what else there is at the top, such as `epoch` and `optimizer`.
        ordered: Whether tensors are in the order in which the file's writer listed them.
    """

    path: Path
    sha256: str
    parts: tuple[Part, ...]
    others: tuple[str, ...] = ()
    ordered: bool = True


def read_state_dict(path: Path) -> StateDict:
    """Reads the tensors of a safetensors or PyTorch file.

    Raises:
        UsageError: The file is missing, damaged, too large or of another type, or it is a pickle
            that could run code; the fix says how to get its tensors.
    """
    if not path.is_file():
        raise UsageError(f"no weights at {path}", fix="check the path")
    if path.stat().st_size > MOST_BYTES:
        raise too_large(path)
    kind = filetypes.kind_of(path)
    if kind == "pytorch":
        # The format lists tensors by their names.
        return StateDict(path, sha256_of(path), (Part((), _safetensors(path)),), ordered=False)
    if kind == "torch":
        parts, others = _unpickled(path)
        return StateDict(path, sha256_of(path), parts, others)
    raise filetypes.unreadable(path, ValueError(), wanted="state dict")


def too_large(path: Path | str) -> UsageError:
    """The error for a file whose tensors take more than `MOST_BYTES`."""
    return UsageError(
        f"{path} is too large for the weights of a compact network",
        why=f"its tensors take more than {MOST_BYTES:,} bytes",
        fix="save the network alone: torch.save(network.state_dict(), FILE)",
    )


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as stream:
            return {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    # torch raises a RuntimeError for a tensor of too many dimensions.
    except (SafetensorError, OSError, RuntimeError) as error:
        raise filetypes.unreadable(path, error, wanted="pytorch") from None


def _unpickled(path: Path) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    with scratch_folder() as scratch:
        target = scratch / "tensors.safetensors"
        memory = _BASE_BYTES + _COPIES * path.stat().st_size
        try:
            parts, others = isolation.call(
                "agecompact.weights.unpickling:extract",
                path,
                target,
                seconds=_SECONDS,
                memory_bytes=memory,
            )
        except isolation.IsolationFailure as failure:
            raise UsageError(
                f"cannot read {path} as a state dict",
                why=failure.reason,
                fix="copy or download it again, or save it again with torch.save",
            ) from None
        tensors = _safetensors(target)
    numbers = iter(range(len(tensors)))
    return (
        tuple(
            Part(tuple(keys), {name: tensors[str(next(numbers))] for name in names})
            for keys, names in parts
        ),
        tuple(others),
    )
