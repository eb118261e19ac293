"""The state of a training between two epochs, in safetensors: nothing is pickled or unpickled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from agecompact.errors import UsageError
from agecompact.files import atomic_path, canonical_json
from agecompact.serialization import parse_json, unstructure
from agecompact.training.history import Epoch

_METADATA_KEY = "agecompact-training"
_HISTORY_KEY = "history"
_FIX = "start over with --restart, or choose another --out"

Tensors = Mapping[str, Tensor]


class State:
    """A state file: groups of tensors, and the history.

    Args:
        path: The file.
        identity: What distinguishes this training from others, as JSON values.
    """

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self._path = path
        self._identity = canonical_json(identity)

    def store(self, groups: Mapping[str, Tensors], history: Sequence[Epoch]) -> None:
        """Writes groups of tensors by name and the history, whole or not at all.

        Raises:
            OutputError: The file cannot be written, or the disk is full.
        """
        tensors = {
            f"{group}.{name}": value.detach().cpu().contiguous()
            for group, values in groups.items()
            for name, value in values.items()
        }
        header = {
            _METADATA_KEY: self._identity,
            _HISTORY_KEY: canonical_json(unstructure(tuple(history))),
        }
        with atomic_path(self._path) as temporary:
            temporary.write_bytes(save(tensors, header))

    def restore(self) -> tuple[dict[str, dict[str, Tensor]], tuple[Epoch, ...]]:
        """Returns the groups and the history as stored, both empty if there is no file.

        Raises:
            UsageError: The file is another training's, or cannot be read.
        """
        if not self._path.is_file():
            return {}, ()
        what = f"cannot resume from {self._path}"
        try:
            with safe_open(self._path, framework="pt") as stream:
                header = stream.metadata() or {}
                tensors = {key: stream.get_tensor(key) for key in stream.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise UsageError(what, why=str(error), fix=_FIX) from None
        if header.get(_METADATA_KEY) != self._identity:
            raise UsageError(
                what,
                why="it belongs to a training with another recipe, length, seed, split, teacher or "
                "start",
                fix=_FIX,
            )
        groups: dict[str, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            group, _, name = key.partition(".")
            groups.setdefault(group, {})[name] = tensor
        where = f"the history in {self._path}"
        return groups, parse_json(
            header.get(_HISTORY_KEY, ""), tuple[Epoch, ...], where=where, fix=_FIX
        )


def moments(state_dict: Mapping[str, Any]) -> dict[str, Tensor]:
    """Returns an optimiser's state as named tensors."""
    return {
        f"{index}.{name}": value
        for index, values in state_dict["state"].items()
        for name, value in values.items()
    }


def with_moments(state_dict: Mapping[str, Any], tensors: Tensors) -> dict[str, Any]:
    """Returns an optimiser's state dict with the tensors that `moments` returned."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = tensor
    return {"state": state, "param_groups": state_dict["param_groups"]}
