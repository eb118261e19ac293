"""The files that a training leaves after each epoch: its state, and its last and best weights.

The state is a safetensors file: nothing is pickled or unpickled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from agecompact.errors import UsageError
from agecompact.files import atomic_path, canonical_json
from agecompact.serialization import parse_json, unstructure
from agecompact.training.history import Epoch
from agecompact.training.recipe import Recipe
from agecompact.weights import checkpoints

_METADATA_KEY = "agecompact-training"
_HISTORY_KEY = "history"
_FIX = "start over with --restart, or choose another --out"

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Restored:
    """A training's progress, as stored; empty if it is new.

    Attributes:
        history: Its epochs.
        moments: The optimiser's tensors after the last of them.
    """

    history: tuple[Epoch, ...]
    moments: dict[str, Any]

    def load_moments(self, optimiser: Any) -> None:
        """Loads the moments into a new optimiser of the same stage, in place."""
        optimiser.load_state_dict(with_moments(optimiser.state_dict(), self.moments))


@dataclass(frozen=True)
class Checkpoints:
    """The files of a training.

    Attributes:
        folder: Where they are.
        recipe: The recipe.
        state: The state file, from which a training resumes.
    """

    folder: Path
    recipe: Recipe
    state: State

    def save(
        self,
        network: nn.Module,
        average: AveragedModel | None,
        optimiser: Any,
        history: Sequence[Epoch],
        *,
        best: bool,
    ) -> None:
        """Writes the weights as the last and perhaps the best, then the state.

        Args:
            network: The network.
            average: The moving average of its weights, which is then what is kept.
            optimiser: The optimiser.
            history: All epochs so far.
            best: Whether the last of them is the best.

        Raises:
            OutputError: A file cannot be written.
        """
        groups = {"network": network.state_dict(), "optimiser": moments(optimiser.state_dict())}
        if average:
            groups["average"] = average.state_dict()
        for name in ("last", "best") if best else ("last",):
            checkpoints.write(
                self.folder / f"{name}.safetensors",
                average.module if average else network,
                model_id=self.recipe.model,
                config=self.recipe.config,
                card={"epoch": len(history), **asdict(history[-1])},
                half=self.recipe.half,
            )
        self.state.store(groups, history)

    def restore(self, network: nn.Module, average: AveragedModel | None) -> Restored:
        """Loads the stored weights, if there are any, in place.

        Raises:
            UsageError: The state is another training's, or cannot be read.
        """
        groups, history = self.state.restore()
        if history:
            network.load_state_dict(groups["network"])
            if average:
                average.load_state_dict(groups["average"])
        return Restored(history, groups.get("optimiser", {}))


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
