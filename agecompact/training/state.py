"""The state of a training between two epochs, in safetensors: nothing is pickled or unpickled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from agecompact.errors import UsageError
from agecompact.files import atomic_path, canonical_json

_METADATA_KEY = "agecompact-training"


class State:
    """A state file.

    Args:
        path: The file.
        identity: What makes a training this one and no other, as JSON values.
    """

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self.path = path
        self._identity = canonical_json(identity)

    def store(
        self, network: nn.Module, optimiser: torch.optim.Optimizer, history: list[dict[str, Any]]
    ) -> None:
        """Writes the weights, the optimiser's moments and the history, whole or not at all.

        Raises:
            OutputError: The place cannot be written to or is full.
        """
        tensors = {f"network.{k}": v.contiguous() for k, v in network.state_dict().items()}
        for index, moments in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{k}": v.contiguous() for k, v in moments.items()}
        header = {_METADATA_KEY: self._identity, "history": canonical_json(history)}
        with atomic_path(self.path) as temporary:
            temporary.write_bytes(save(tensors, header))

    def restore(self, network: nn.Module, optimiser: torch.optim.Optimizer) -> list[dict[str, Any]]:
        """Puts a stored state into a fresh network and optimiser.

        Returns:
            The history as stored, empty if there is no file.

        Raises:
            UsageError: The file is another training's, or cannot be read.
        """
        if not self.path.is_file():
            return []
        try:
            with safe_open(self.path, framework="pt") as stream:
                header = stream.metadata() or {}
                tensors = {key: stream.get_tensor(key) for key in stream.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise UsageError(f"cannot resume from {self.path}", why=str(error), fix=_FIX) from None
        if header.get(_METADATA_KEY) != self._identity:
            raise UsageError(
                f"cannot resume from {self.path}",
                why="it was trained by another recipe, for other epochs or on another split",
                fix=_FIX,
            )
        moments: dict[int, dict[str, torch.Tensor]] = {}
        weights = {}
        for key, tensor in tensors.items():
            kind, _, name = key.partition(".")
            if kind == "network":
                weights[name] = tensor
            else:
                index, _, moment = name.partition(".")
                moments.setdefault(int(index), {})[moment] = tensor
        network.load_state_dict(weights)
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": moments, "param_groups": groups})
        history: list[dict[str, Any]] = json.loads(header["history"])
        return history


_FIX = "start over with --restart, or choose another --out"
