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

from agecompact.errors import UsageError, first_line
from agecompact.files import atomic_path, canonical_json
from agecompact.serialization import parse_json, unstructure
from agecompact.training.history import Epoch
from agecompact.training.recipe import Recipe
from agecompact.weights import checkpoints

_METADATA_KEY = "agecompact-training"
_HISTORY_KEY = "history"
_FIX = "start over with --restart, or choose another --out"
_MOMENTS = {"step", "exp_avg", "exp_avg_sq"}


@dataclass(frozen=True)
class Restored:
    """A training's progress, as stored; empty if it is new.

    Attributes:
        history: Its epochs.
        moments: The optimiser's tensors after the last of them.
    """

    history: tuple[Epoch, ...]
    moments: Mapping[str, Tensor]

    def load_moments(self, optimiser: Any) -> None:
        """Loads the moments into a new optimiser of the same stage, in place.

        Raises:
            UsageError: They are not those of such an optimiser.
        """
        groups = optimiser.state_dict()["param_groups"]
        shapes = {
            str(index): parameter.shape
            for group, own in zip(groups, optimiser.param_groups, strict=True)
            for index, parameter in zip(group["params"], own["params"], strict=True)
        }
        state = _nested(self.moments)
        for index, values in state.items():
            fits = (
                v.shape == (() if k == "step" else shapes.get(index)) for k, v in values.items()
            )
            if values.keys() != _MOMENTS or not all(fits):
                raise UsageError(
                    "cannot resume: the optimiser's state is damaged",
                    why=f"the moments of parameter {index} are not Adam's, or have another shape",
                    fix=_FIX,
                )
        numbered = {int(index): values for index, values in state.items()}
        optimiser.load_state_dict({"state": numbered, "param_groups": groups})


@dataclass(frozen=True)
class Checkpoints:
    """The files of a training.

    Attributes:
        folder: Where they are.
        recipe: The recipe.
        identity: What distinguishes this training from others, as JSON values.
    """

    folder: Path
    recipe: Recipe
    identity: Mapping[str, Any]

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
            average: The moving average of its weights, which is then kept instead.
            optimiser: The optimiser.
            history: All epochs so far.
            best: Whether the last of them is the best.

        Raises:
            OutputError: A file cannot be written.
        """
        for name in ("last", "best") if best else ("last",):
            checkpoints.write(
                self.folder / f"{name}.safetensors",
                average.module if average else network,
                model_id=self.recipe.model,
                config=self.recipe.config,
                card={"epoch": len(history), **asdict(history[-1])},
                half=self.recipe.half,
            )
        moments = _flat(optimiser.state_dict()["state"])
        groups = {"network": network.state_dict(), "optimiser": moments}
        if average:
            groups["average"] = average.state_dict()
        tensors = {name: value.detach().cpu().contiguous() for name, value in _flat(groups).items()}
        header = {
            _METADATA_KEY: canonical_json(dict(self.identity)),
            _HISTORY_KEY: canonical_json(unstructure(tuple(history))),
        }
        with atomic_path(self._state) as temporary:
            temporary.write_bytes(save(tensors, header))

    def restore(self, network: nn.Module, average: AveragedModel | None) -> Restored:
        """Loads the stored weights, if there are any, in place.

        Raises:
            UsageError: The state is another training's, or cannot be read.
        """
        if not self._state.is_file():
            return Restored((), {})
        what = f"cannot resume from {self._state}"
        try:
            with safe_open(self._state, framework="pt") as stream:
                header = stream.metadata() or {}
                tensors = {key: stream.get_tensor(key) for key in stream.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, RuntimeError) as error:
            raise UsageError(what, why=str(error), fix=_FIX) from None
        if header.get(_METADATA_KEY) != canonical_json(dict(self.identity)):
            raise UsageError(
                what,
                why="it belongs to a training with another recipe, length, seed, split, teacher or "
                "start",
                fix=_FIX,
            )
        groups = _nested(tensors)
        try:
            network.load_state_dict(groups.get("network", {}))
            if average:
                average.load_state_dict(groups.get("average", {}))
        except RuntimeError as error:
            why = f"its tensors are not those of the network: {first_line(error)}"
            raise UsageError(what, why=why, fix=_FIX) from None
        where = f"the history in {self._state}"
        history = parse_json(header.get(_HISTORY_KEY, ""), tuple[Epoch, ...], where=where, fix=_FIX)
        return Restored(history, groups.get("optimiser", {}))

    @property
    def _state(self) -> Path:
        return self.folder / "state.safetensors"


def _flat(groups: Mapping[Any, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {
        f"{group}.{name}": value
        for group, values in groups.items()
        for name, value in values.items()
    }


def _nested(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    groups: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        group, _, name = key.partition(".")
        groups.setdefault(group, {})[name] = tensor
    return groups
