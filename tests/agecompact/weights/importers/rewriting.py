"""Copies of Keras files with other names, another order, or without the architecture."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Rename = Callable[[Sequence[str]], Mapping[str, str]]


def unnamed(names: Sequence[str]) -> dict[str, str]:
    """Names without a number and without a hint, in no alphabetical order."""
    rng = random.Random(0)
    letters = "bcdfghjklmnpqrstvwxz"
    return {name: "".join(rng.choices(letters, k=9)) for name in names}


def shuffled(names: Sequence[str]) -> dict[str, str]:
    """The same names, each for another layer."""
    others = list(names)
    random.Random(1).shuffle(others)
    return dict(zip(names, others, strict=True))


def later(names: Sequence[str]) -> dict[str, str]:
    """Keras' own names from a session that made other layers before."""
    own = re.compile(r"((?:conv2d|batch_normalization|dense)_)(\d+)")
    return {n: own.sub(lambda m: f"{m[1]}{int(m[2]) + 40}", n) for n in names}


def same(names: Sequence[str]) -> dict[str, str]:
    """No change."""
    return {name: name for name in names}


def copied(
    source: Path,
    target: Path,
    *,
    rename: Rename = same,
    permuted: bool = False,
    listed: bool = True,
    architecture: str = "renamed",
) -> Path:
    """Writes a copy.

    Args:
        source: The file.
        target: The copy.
        rename: New names by old ones.
        permuted: Whether the layers are listed in another order.
        listed: Whether they are listed at all; HDF5 itself sorts them by name.
        architecture: What becomes of it: `renamed` with the layers, `kept` as it is, or `dropped`.
    """
    import h5py

    with h5py.File(source) as old, h5py.File(target, "w") as new:
        form = "model_weights" if "model_weights" in old else "/"
        root, groups = new.require_group(form), list(_texts(old[form], "layer_names"))
        names = rename([n for group in groups for n in _layers(old[form][group], group)])
        listing = _permuted(groups) if permuted else groups
        for group in listing:
            place = root.create_group(names.get(group, group))
            arrays = list(_texts(old[form][group], "weight_names"))
            renamed = []
            for path in _permuted(arrays) if permuted else arrays:
                *_, scope, variable = path.split("/")
                renamed.append(f"{names.get(scope, scope)}/{variable}")
                place[renamed[-1]] = old[form][group][path][()]
            if listed:
                place.attrs["weight_names"] = [path.encode() for path in renamed]
        if listed:
            root.attrs["layer_names"] = [names.get(g, g).encode() for g in listing]
        if "model_config" in old.attrs and architecture != "dropped":
            config = json.loads(old.attrs["model_config"])
            config = _renamed(config, names) if architecture == "renamed" else config
            new.attrs["model_config"] = json.dumps(config)
    return target


def _layers(group: Any, name: str) -> list[str]:
    """The layers of a group: its own name, or those of a submodel's scopes."""
    scopes = list(dict.fromkeys(p.split("/")[-2] for p in _texts(group, "weight_names")))
    return scopes if len(scopes) > 1 else [name] * len(scopes)


def _permuted(values: Sequence[str]) -> list[str]:
    others = list(values)
    random.Random(2).shuffle(others)
    return others


def _texts(node: Any, attribute: str) -> Iterator[str]:
    for text in node.attrs[attribute]:
        yield text.decode() if isinstance(text, bytes) else text


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _renamed(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value
