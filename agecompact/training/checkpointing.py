"""The files that a training leaves after each epoch: its state, and its last and best weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim.swa_utils import AveragedModel

from agecompact.training.history import Epoch
from agecompact.training.recipe import Recipe
from agecompact.training.state import State, moments, with_moments
from agecompact.weights import checkpoints


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
