"""Reads the layers of Keras' HDF5 weights files, and the architecture if it is stored.

There are two forms: `save_weights` has the layers at the root, `save` has them under
`model_weights`, beside the architecture as JSON. Both list the layers in an order of their own.
Nothing is unpickled and no Lambda is run.

HDF5 can name data in other files, and declare far more data than a file holds. Both are refused,
and the file is parsed in a process of its own.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agecompact import isolation
from agecompact.errors import UsageError
from agecompact.files import json_value, sha256_of
from agecompact.filetypes import unreadable
from agecompact.scratch import scratch_folder
from agecompact.serialization import structure
from agecompact.weights.importers import wiring
from agecompact.weights.importers.topology import Array, Found, Layer

# 300 times the largest known layout.
_MOST_BYTES = 2**26
_MEMORY_BYTES = 2**29

# 30 times as many as the largest known layout has.
_MOST_ARRAYS = 4096

_KERNEL_NAMES = {"kernel": "weight", "bias": "bias"}
_NORM_NAMES = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


@dataclass(frozen=True)
class KerasFile:
    """Content of a weights file.

    Attributes:
        path: Path of the file.
        sha256: Hash of the file.
        found: Its layers.
        classes: Class of each layer in the stored architecture; empty if there is none.
    """

    path: Path
    sha256: str
    found: Found
    classes: Mapping[str, str]


@dataclass(frozen=True)
class Contents:
    """What a file contains, beside its arrays.

    Attributes:
        names: The arrays' paths in the file, `layer[/scope ...]/variable:0`.
        ordered: Whether they are in the order in which the file lists its layers.
        classes: Class of each layer in the stored architecture.
        wiring: The stored architecture.
    """

    names: tuple[str, ...]
    ordered: bool
    classes: Mapping[str, str]
    wiring: wiring.Wiring


def read(path: Path) -> KerasFile:
    """Reads a file's layers. Needs h5py.

    Raises:
        UsageError: The file is missing, damaged or not HDF5, has no layers, or contains NaN or Inf.
    """
    if not path.is_file():
        raise UsageError(f"no weights at {path}", fix="check the path")
    with scratch_folder() as scratch:
        arrays = scratch / "arrays.npz"
        try:
            reply = isolation.call(
                f"{__name__}:extract", path, arrays, seconds=60, memory_bytes=_MEMORY_BYTES
            )
        except isolation.IsolationFailure as failure:
            raise unreadable(path, failure, wanted="keras") from None
        contents = structure(reply, Contents, where=f"the layers of {path}")
        with np.load(arrays, allow_pickle=False) as stored:
            variables = {name: stored[str(i)] for i, name in enumerate(contents.names)}
    if not variables:
        raise UsageError(
            f"{path} contains no Keras layers",
            fix="name a file that Keras save or save_weights wrote",
        )
    for name, array in variables.items():
        if not np.isfinite(array).all():
            raise UsageError(
                f"{path} is not usable",
                why=f"'{name}' contains NaN or Inf",
                fix="download it again, or use another file",
            )
    found = Found(str(path), _layers(variables), contents.ordered, contents.wiring)
    return KerasFile(path, sha256_of(path), found, contents.classes)


def extract(path: str, target: str) -> Contents:
    """Reads a file in this process.

    Args:
        path: The file.
        target: The `.npz` file to write, with the arrays `0`, `1`, ...

    Raises:
        UsageError: The file names data in other files, or declares too much.
    """
    import h5py

    with h5py.File(path, "r") as file:
        if link := file.visititems_links(_soft_link):
            raise _elsewhere(path, link)
        root = file.get("model_weights", file)
        variables = _variables(path, root)
        listed = _listed(root)
        ordered = sorted(listed) == sorted(variables)
        names = tuple(listed if ordered else variables)
        model = json_value(file.attrs.get("model_config", "{}"))
        arrays = {str(i): variables[name] for i, name in enumerate(names)}
        np.savez(target, **arrays)  # type: ignore[arg-type]
    return Contents(names, ordered, dict(_classes(model)), wiring.of_keras(model))


def _soft_link(name: str, link: Any) -> str | None:
    """The name of a link that may leave the file; the first one ends the visit."""
    import h5py

    return None if isinstance(link, h5py.HardLink) else name


def _elsewhere(path: str, name: str) -> UsageError:
    return UsageError(
        f"{path} is not self-contained",
        why=f"'{name}' is a link, or its data is in another file",
        fix="save the weights again with Keras, as one file",
    )


def _variables(path: str, root: Any) -> dict[str, Array]:
    """All float arrays of a group by path."""
    import h5py

    variables: dict[str, Array] = {}
    bytes_left = _MOST_BYTES

    def collect(name: str, node: Any) -> None:
        nonlocal bytes_left
        if not isinstance(node, h5py.Dataset) or node.dtype.kind != "f" or "/" not in name:
            return
        if node.external or node.is_virtual:
            raise _elsewhere(path, name)
        # A chunk is allocated whole, even for an array that is smaller.
        bytes_left -= max(node.size, math.prod(node.chunks or ())) * node.dtype.itemsize
        if bytes_left < 0:
            raise UsageError(
                f"{path} is too large",
                why=f"its layers declare more than {_MOST_BYTES:,} bytes",
                fix="use a file of a compact network",
            )
        if len(variables) == _MOST_ARRAYS:
            raise UsageError(
                f"{path} is too large",
                why=f"it has more than {_MOST_ARRAYS:,} arrays",
                fix="use a file of a compact network",
            )
        variables[name] = node[()].astype(np.float32)

    root.visititems(collect)
    return variables


def _listed(root: Any) -> list[str]:
    """Paths of the arrays in the order in which Keras listed them."""
    listed = []
    for layer in _texts(root, "layer_names"):
        listed += [f"{layer}/{name}" for name in _texts(root.get(layer), "weight_names")]
    return listed


def _texts(node: Any, attribute: str) -> list[str]:
    stored = [] if node is None else node.attrs.get(attribute, [])
    return [text.decode() if isinstance(text, bytes) else str(text) for text in stored]


def _classes(model: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Layer names and classes of an architecture and its nested models."""
    for layer in model.get("config", {}).get("layers", []):
        yield layer["config"]["name"], layer["class_name"]
        yield from _classes(layer)


def _layers(variables: Mapping[str, Array]) -> tuple[Layer, ...]:
    """Layers by the name of their group, or inside a submodel's group that of the scope."""
    split = {name: tuple(name.split("/")) for name in variables}
    scopes: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for parts in split.values():
        scopes[parts[0]].add(parts[:-1])
    layers: dict[tuple[str, ...], dict[str, Array]] = defaultdict(dict)
    for name, parts in split.items():
        layers[parts[:-1]][parts[-1].removesuffix(":0")] = variables[name]
    return tuple(
        # Outside a submodel the scope may have a suffix of the TensorFlow session, the group not.
        Layer(scope[0] if len(scopes[scope[0]]) == 1 else scope[-1], _in_torch(arrays))
        for scope, arrays in layers.items()
    )


def _in_torch(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Names and order of torch: kernels HWIO -> OIHW and in x out -> out x in."""
    known = _KERNEL_NAMES if "kernel" in arrays else _NORM_NAMES
    return {
        known.get(name, name): array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
        for name, array in arrays.items()
    }
