"""Reads Keras' HDF5 weights files and copies their layers into a torch network.

There are two forms: `save_weights` has the layers at the root, `save` has them under
`model_weights`, beside the architecture as JSON. Nothing is unpickled and no Lambda is run.

HDF5 can name data in other files, and declare far more data than a file holds. Both are refused,
and the file is parsed in a process of its own.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from agecompact import isolation
from agecompact.errors import UsageError
from agecompact.files import json_value, sha256_of
from agecompact.filetypes import unreadable
from agecompact.scratch import scratch_folder

if TYPE_CHECKING:
    from torch import nn

Array = npt.NDArray[np.float32]

# 300 times the largest known layout.
_MOST_BYTES = 2**26
_MEMORY_BYTES = 2**29

_SELF_NAMED = re.compile(r"(conv2d|batch_normalization|dense)(?:_(\d+))?")

_TORCH_NAMES = {
    "kernel": "weight",
    "bias": "bias",
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
        layers: Arrays as stored (kernels HWIO or in x out) by layer and variable name. Layers with
            Keras' default names are renumbered `kind_1`, `kind_2`, ... in their order.
        classes: Class of each layer in the stored architecture; empty if there is none.
    """

    path: Path
    sha256: str
    layers: Mapping[str, Mapping[str, Array]]
    classes: Mapping[str, str]


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
            names, classes = isolation.call(
                f"{__name__}:extract", path, arrays, seconds=60, memory_bytes=_MEMORY_BYTES
            )
        except isolation.IsolationFailure as failure:
            raise unreadable(path, failure, wanted="keras") from None
        with np.load(arrays, allow_pickle=False) as stored:
            variables = {name: stored[str(i)] for i, name in enumerate(names)}
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
    return KerasFile(path, sha256_of(path), _by_layer(variables), classes)


def fill(network: nn.Module, source: KerasFile, layers: Mapping[str, str]) -> None:
    """Copies a file's arrays into a network.

    Args:
        network: The network; all its parameters and BN statistics are replaced.
        source: The file.
        layers: The layer in the file, by module of the network.

    Raises:
        UsageError: A layer has a missing or unknown variable, or one of another shape.
    """
    import torch

    wanted = {
        k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")
    }
    found = {
        f"{module}.{_TORCH_NAMES.get(variable, variable)}": (f"{layer}/{variable}", array)
        for module, layer in layers.items()
        for variable, array in source.layers[layer].items()
    }
    if differing := sorted(found.keys() ^ wanted.keys()):
        raise UsageError(
            f"{source.path} has the right layers, but other variables",
            why=f"missing or unknown: {', '.join(differing)}",
            fix="check --model",
        )
    state = {}
    for name, (origin, array) in found.items():
        reordered = _torch_order(array)
        shape = tuple(wanted[name].shape)
        if _as_kernel(reordered.shape) != _as_kernel(shape):
            raise UsageError(
                f"{source.path} has a layer of another size",
                why=f"'{origin}' is {reordered.shape} in torch's order, the network's is {shape}",
                fix="check --model",
            )
        state[name] = torch.from_numpy(np.ascontiguousarray(reordered)).reshape(shape)
    network.load_state_dict(state, strict=False)


def summary(names: Iterable[str]) -> str:
    """Layer names for people: Keras' default names are counted, the others listed."""
    names = list(names)
    matches = [_SELF_NAMED.fullmatch(name) for name in names]
    counts = Counter(match[1] for match in matches if match)
    named = [name for name, match in zip(names, matches, strict=True) if not match]
    return ", ".join([f"{n} x {kind}" for kind, n in sorted(counts.items())] + sorted(named))


def extract(path: str, target: str) -> tuple[list[str], dict[str, str]]:
    """Reads a file in this process.

    Args:
        path: The file.
        target: The `.npz` file to write, with the arrays `0`, `1`, ...

    Returns:
        The arrays' paths in the file, `layer[/scope ...]/variable:0`, and the stored architecture's
        classes by layer.

    Raises:
        UsageError: The file names data in other files, or declares too much.
    """
    import h5py

    with h5py.File(path, "r") as file:
        if link := file.visititems_links(_soft_link):
            raise _elsewhere(path, link)
        variables = _variables(path, file.get("model_weights", file))
        model = json_value(file.attrs.get("model_config", "{}"))
        arrays = {str(i): array for i, array in enumerate(variables.values())}
        np.savez(target, **arrays)  # type: ignore[arg-type]
    return list(variables), dict(_classes(model))


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
        variables[name] = node[()].astype(np.float32)

    root.visititems(collect)
    return variables


def _classes(model: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Layer names and classes of an architecture and its nested models."""
    for layer in model.get("config", {}).get("layers", []):
        yield layer["config"]["name"], layer["class_name"]
        yield from _classes(layer)


def _by_layer(variables: Mapping[str, Array]) -> dict[str, dict[str, Array]]:
    """Variables by layer: the name of the group, or inside a submodel's group that of the scope."""
    split = {name: name.split("/") for name in variables}
    scopes: dict[str, set[str]] = defaultdict(set)
    for parts in split.values():
        scopes[parts[0]].add(parts[-2])
    layers: dict[str, dict[str, Array]] = defaultdict(dict)
    for name, parts in split.items():
        # Outside a submodel the scope may have a suffix of the TensorFlow session, the group not.
        layer = parts[0] if len(scopes[parts[0]]) == 1 else parts[-2]
        layers[layer][parts[-1].removesuffix(":0")] = variables[name]
    return {new: layers[old] for old, new in _renumbered(layers).items()}


def _renumbered(names: Iterable[str]) -> dict[str, str]:
    """New names by old ones: Keras counts on in a session, and tf.keras starts without a number."""
    new = {name: name for name in names}
    kinds: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for name in new:
        if match := _SELF_NAMED.fullmatch(name):
            kinds[match[1]].append((int(match[2] or 0), name))
    for kind, numbered in kinds.items():
        new |= {name: f"{kind}_{rank}" for rank, (_, name) in enumerate(sorted(numbered), start=1)}
    return new


def _torch_order(array: Array) -> Array:
    """Kernels HWIO -> OIHW and in x out -> out x in; vectors unchanged."""
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T


def _as_kernel(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A Linear is a 1x1 convolution: `(out, in)` and `(out, in, 1, 1)` are the same weights."""
    return shape + (1,) * (4 - len(shape))
