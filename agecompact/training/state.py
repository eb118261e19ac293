"""The state of a training between two epochs, in safetensors: nothing is pickled or unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from agecompact.errors import UsageError
from agecompact.files import atomic_path, canonical_json

_METADATA_KEY = "agecompact-training"
_FIX = "start over with --restart, or choose another --out"

Tensors = Mapping[str, Tensor]


class State:
    """A state file: groups of tensors, and the history.

    Args:
        path: The file.
        identity: What makes a training this one and no other, as JSON values.
    """

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self.path = path
        self._identity = canonical_json(identity)

    def store(self, groups: Mapping[str, Tensors], history: list[dict[str, Any]]) -> None:
        """Writes groups of tensors by name and the history, whole or not at all.

        Raises:
            OutputError: The place cannot be written to or is full.
        """
        tensors = {
            f"{group}.{name}": value.detach().cpu().contiguous()
            for group, values in groups.items()
            for name, value in values.items()
        }
        header = {_METADATA_KEY: self._identity, "history": canonical_json(history)}
        with atomic_path(self.path) as temporary:
            temporary.write_bytes(save(tensors, header))

    def restore(self) -> tuple[dict[str, dict[str, Tensor]], list[dict[str, Any]]]:
        """The groups and the history as stored, both empty if there is no file.

        Raises:
            UsageError: The file is another training's, or cannot be read.
        """
        if not self.path.is_file():
            return {}, []
        try:
            with safe_open(self.path, framework="pt") as stream:
                header = stream.metadata() or {}
                tensors = {key: stream.get_tensor(key) for key in stream.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise UsageError(f"cannot resume from {self.path}", why=str(error), fix=_FIX) from None
        if header.get(_METADATA_KEY) != self._identity:
            raise UsageError(
                f"cannot resume from {self.path}",
                why="it was trained by another recipe, for other epochs, from other weights or on "
                "another split",
                fix=_FIX,
            )
        groups: dict[str, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            group, _, name = key.partition(".")
            groups.setdefault(group, {})[name] = tensor
        history: list[dict[str, Any]] = json.loads(header["history"])
        return groups, history


def moments(state_dict: Mapping[str, Any]) -> dict[str, Tensor]:
    """An optimiser's state as named tensors."""
    return {
        f"{index}.{name}": value
        for index, values in state_dict["state"].items()
        for name, value in values.items()
    }


def with_moments(state_dict: Mapping[str, Any], tensors: Tensors) -> dict[str, Any]:
    """An optimiser's state dict with the moments that `moments` named."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = tensor
    return {"state": state, "param_groups": state_dict["param_groups"]}
