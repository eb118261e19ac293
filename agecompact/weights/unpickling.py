"""Reads what `torch.save` wrote, without running code of the file; runs in a process of its own.

`torch.load(weights_only=True)` builds tensors, numbers, texts and containers. A few more classes
are common beside state dicts and hold plain values: they are allowed. A file that needs any other
class or function is refused, with the lines of Python that save its tensors.
"""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any
from zipfile import ZipFile

import numpy as np
import torch
from numpy._core import multiarray
from safetensors.torch import save_file
from torch import Tensor

from agecompact.errors import UsageError, first_line
from agecompact.filetypes import tensors_path, unreadable
from agecompact.weights.statedicts import MOST_BYTES, too_large

_DEEPEST = 4
_MOST_TENSORS = 100_000
# Each attempt to find out what a refused file holds names one more class.
_MOST_CLASSES = 200
_SHOWN = 3

_UNKNOWN = re.compile(r"Unsupported global: GLOBAL (\S+)")
_BLOCKED = re.compile(r"unsupported GLOBAL (\S+) whose module")
# The op that begins a pickle of protocol 4 or 5.
_NEWER = "Unsupported operand 149"
_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")


def extract(path: str, target: str) -> tuple[list[tuple[list[str], list[str]]], list[str]]:
    """Reads a file in this process and writes its tensors as safetensors.

    Args:
        path: What `torch.save` wrote.
        target: The file to write, with the tensors `0`, `1`, ... in the order of the result.

    Returns:
        The parts that hold tensors, each as its keys from the top and the names of its tensors; and
        what else there is at the top.

    Raises:
        UsageError: The file holds code, no tensors by name, or more than `MOST_BYTES`; or it is
            damaged.
    """
    found = _loaded(Path(path))
    parts = list(_parts(found, ()))
    if not parts:
        raise UsageError(
            f"{path} is not a state dict",
            why=f"it holds {_described(found)}, not tensors by name",
            fix="save one in PyTorch: torch.save(network.state_dict(), FILE)",
        )
    tensors = [tensor for _, part in parts for tensor in part.values()]
    _check(path, tensors)
    # Views of one storage become copies, which is what safetensors stores.
    copies = {
        str(i): t.detach().clone(memory_format=torch.contiguous_format)
        for i, t in enumerate(tensors)
    }
    save_file(copies, target)
    tops = {keys[0] for keys, _ in parts if keys}
    own = set(parts[0][1]) if not parts[0][0] else set()
    others = [str(key) for key in found if key not in tops | own]
    return [(list(keys), list(part)) for keys, part in parts], others


def _loaded(path: Path) -> Any:
    _check_archive(path)
    try:
        with torch.serialization.safe_globals(_plain_classes()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    # torch raises whatever the archive, the unpickler or the storages run into.
    except Exception as error:
        if blocked := _BLOCKED.search(str(error)):
            raise UsageError(
                f"{path} is not a state dict",
                why=f"it is a pickle that calls {blocked[1]}, which no weights need",
                fix="get the weights from a source that you trust",
            ) from None
        if unknown := _UNKNOWN.search(str(error)):
            raise _refusal(path, unknown[1]) from None
        if _NEWER in str(error):
            raise UsageError(
                f"{path} is not a state dict that can be read without running code",
                why="it is a pickle of protocol 4 or 5; torch.save writes protocol 2",
                fix=_cure(path, None, ()),
            ) from None
        raise UsageError(
            f"cannot read {path} as a state dict",
            why=f"torch.load cannot read it: {_reason(error)}",
            fix="copy or download it again, or save it again with torch.save",
        ) from None


def _reason(error: Exception) -> str:
    """The line of an error that says what is wrong; the unpickler's is below a long advice."""
    _, _, own = str(error).partition("WeightsUnpickler error:")
    return first_line(ValueError(own)) if own.strip() else first_line(error)


def _check_archive(path: Path) -> None:
    """Refuses an archive that is larger than it looks, before anything is extracted."""
    with path.open("rb") as stream:
        if stream.read(2) != b"PK":
            return
    try:
        with ZipFile(path) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
    except Exception as error:  # zipfile raises many kinds of exceptions for a damaged directory.
        raise unreadable(path, error, wanted="state dict") from None
    if total > MOST_BYTES:
        raise too_large(path)


def _plain_classes() -> list[Any]:
    """Classes of plain values, and NumPy's functions that make them."""
    # Their functions are the same ones; a file names the module of its NumPy.
    made = [
        (getattr(multiarray, function), f"{module}.{function}")
        for module in _NUMPY
        for function in ("scalar", "_reconstruct")
    ]
    paths = [
        (PurePath, f"{module}.{name}")
        for module in ("pathlib", "pathlib._local")
        for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
    ]
    dtypes = [getattr(np.dtypes, name) for name in np.dtypes.__all__]
    return [Namespace, np.ndarray, np.dtype, *dtypes, *made, *paths]


def _parts(
    found: Any, keys: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], dict[str, Tensor]]]:
    """The mappings that hold tensors by name, from the top down."""
    if not isinstance(found, Mapping) or len(keys) > _DEEPEST:
        return
    named = {name: value for name, value in found.items() if isinstance(name, str)}
    tensors = {name: _as_tensor(value) for name, value in named.items() if _is_array(value)}
    if tensors:
        yield keys, tensors
    for name, value in named.items():
        yield from _parts(value, (*keys, name))


def _is_array(value: Any) -> bool:
    return isinstance(value, Tensor) or (
        isinstance(value, np.ndarray) and value.dtype.kind in "fiub"
    )


def _as_tensor(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else torch.from_numpy(value)


def _check(path: str, tensors: list[Tensor]) -> None:
    if len(tensors) > _MOST_TENSORS:
        raise UsageError(f"{path} is not a state dict", why=f"it holds {len(tensors):,} tensors")
    for tensor in tensors:
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
            raise UsageError(
                f"{path} holds tensors that are not plain numbers",
                why=f"one is {_kind(tensor)}, of shape {tuple(tensor.shape)}",
                fix="save the float32 network: torch.save(network.state_dict(), FILE)",
            )
    # A tensor of any size can be a view of one number.
    if sum(tensor.numel() * tensor.itemsize for tensor in tensors) > MOST_BYTES:
        raise too_large(path)


def _kind(tensor: Tensor) -> str:
    if tensor.is_meta:
        return "empty (on the meta device)"
    return f"quantised ({tensor.dtype})" if tensor.is_quantized else f"{tensor.layout}"


def _described(found: Any) -> str:
    if isinstance(found, Tensor):
        return "one tensor"
    if isinstance(found, Mapping):
        keys = [repr(key) for key in found][:_SHOWN]
        return f"a dict with the keys {', '.join(keys)}" if keys else "an empty dict"
    return f"a {type(found).__name__}"


class _Inert:
    """Stands for an object of a class that is not allowed: keeps its state and does nothing."""

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _refusal(path: Path, unknown: str) -> UsageError:
    """The error for a pickle that needs classes or functions."""
    skeleton, classes = _skeleton(path, unknown)
    network = _network_in(skeleton)
    own = [name for name in classes if not name.startswith(("torch.", "collections."))]
    what = "a whole network" if network and network[1] else "more than tensors"
    return UsageError(
        f"{path} is not a state dict",
        why=f"it is a pickle of {what}, and loading it would run code: it needs "
        f"{', '.join((own or classes)[:_SHOWN])}",
        fix=_cure(path, network, own[:_SHOWN]),
    )


def _cure(path: Path, network: tuple[tuple[str, ...], bool] | None, own: Sequence[str]) -> str:
    """The lines of Python that save the tensors of a pickle.

    Args:
        path: The file.
        network: Where in it a network or a state dict is, as `_network_in` returns it.
        own: Classes and functions that it needs and torch does not have.
    """
    keys, whole = network or ((), False)
    found = "found" + "".join(f"[{key!r}]" for key in keys)
    if network is None:
        state = "getattr(found, 'state_dict', lambda: found)()"
    else:
        state = f"{found}.state_dict()" if whole else found
    old, new = str(path), str(tensors_path(path))
    where = f", in the code that defines {', '.join(own)}" if own else ""
    return "\n".join(
        (
            f"if you trust it, save its tensors with Python{where}, then name {new}:",
            f"import torch; found = torch.load({old!r}, map_location='cpu', weights_only=False)",
            f"torch.save({state}, {new!r})",
        )
    )


def _skeleton(path: Path, unknown: str) -> tuple[Any, list[str]]:
    """What a refused file holds, with inert objects in place of its own; and their classes.

    The result is None if it cannot be told, as for a pickle that calls a blocked module.
    """
    classes = [unknown]
    while len(classes) <= _MOST_CLASSES:
        inert = [(type("Inert", (_Inert,), {}), name) for name in classes]
        inert += [(kind, f"builtins.{name}") for kind, name in inert if "." not in name]
        try:
            with torch.serialization.safe_globals([*_plain_classes(), *inert]):
                return torch.load(path, map_location="cpu", weights_only=True), classes
        except Exception as error:
            another = _UNKNOWN.search(str(error))
            if another is None or another[1] in classes:
                break
            classes.append(another[1])
    return None, classes


def _network_in(found: Any) -> tuple[tuple[str, ...], bool] | None:
    """The keys of the first network or state dict in a skeleton, and whether it is a network."""
    if isinstance(found, _Inert):
        return ((), True) if _is_network(found) else None
    for keys, _ in _parts(found, ()):
        return keys, False
    for name, value in found.items() if isinstance(found, Mapping) else ():
        if isinstance(value, _Inert) and _is_network(value):
            return (name,), True
    return None


def _is_network(found: _Inert) -> bool:
    state = getattr(found, "state", None)
    return isinstance(state, Mapping) and "_parameters" in state
