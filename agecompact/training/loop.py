"""The training loop: one model, one recipe, one process; killed, it goes on from its last epoch."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from agecompact.checkpoints import Weights
from agecompact.contract import Contract
from agecompact.data import batches
from agecompact.data.batches import Chips
from agecompact.data.splits import Split
from agecompact.errors import UsageError
from agecompact.evaluation import labels, measure, target_of_contract
from agecompact.metrics import AgeMetrics
from agecompact.models import registry
from agecompact.training import losses
from agecompact.training.augment import augment
from agecompact.training.recipes import Phase, Recipe
from agecompact.training.state import State

SEED = 42


@dataclass(frozen=True)
class Epoch:
    """One pass over the training part.

    Attributes:
        loss: Its mean loss.
        val: MAE in years, or gender accuracy, on the validation part afterwards, at the input
            size of the epoch's last step.
        seconds: Wall time, validation included.
    """

    loss: float
    val: float
    seconds: float


@dataclass(frozen=True)
class Trained:
    """What came of a training.

    Attributes:
        network: The network after the last epoch, in evaluation mode.
        history: Every epoch, those before a resumption too.
        unreadable: Files of the training part that were no image.
    """

    network: nn.Module
    history: tuple[Epoch, ...]
    unreadable: int

    @property
    def seconds(self) -> float:
        """Wall time of all epochs."""
        return sum(epoch.seconds for epoch in self.history)


def train(
    model_id: str,
    recipe: Recipe,
    split: Split,
    state_file: Path,
    *,
    say: Callable[[str], None],
    start: Weights | None = None,
    seed: int = SEED,
) -> Trained:
    """Trains a model, storing its state after each epoch.

    Args:
        model_id: A registered id.
        recipe: How; its `epochs` are the training's length.
        split: The faces.
        state_file: Where the state is kept; if it is there, the training goes on from it.
        say: Takes a line for people, an epoch each.
        start: Weights to go on from; None starts from random ones.
        seed: Of the weights, the order of faces, augmentation and dropout.

    Raises:
        UsageError: The loss became NaN or Inf, the state is another training's, the training part
            holds no image, or `start` does not fit the model.
        OutputError: The state cannot be written.
    """
    contract = registry.get(model_id).contract
    chips = batches.load(split.train)
    if not len(chips):
        raise UsageError("no face to train on", why=f"{chips.unreadable} files are no image")
    targets = labels(chips.faces, target_of_contract(contract))

    torch.manual_seed(seed)
    if start is None:
        network = registry.build(model_id, recipe.config)
        losses.start_at(network, float(targets.mean()))
    else:
        network = start.network()
    if recipe.norm_momentum is not None:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = recipe.norm_momentum
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay
    )
    identity = {
        "model": model_id,
        "start": start.sha256 if start else None,
        "seed": seed,
        "split": split.sha256,
        "recipe": asdict(recipe),
    }
    state = State(state_file, identity)
    history = [Epoch(**epoch) for epoch in state.restore(network, optimiser)]
    if history:
        say(f"resuming after epoch {len(history)}")

    for epoch in range(len(history), recipe.epochs):
        started = time.perf_counter()
        # Seeded anew each epoch, so that a resumed training repeats what an unbroken one does.
        torch.manual_seed(seed + epoch)
        random = np.random.default_rng((seed, epoch))
        loss = _epoch(network, optimiser, recipe, contract, chips, targets, epoch, random)
        # At the size just trained at: a network in its phase of small images is lost on large ones.
        phase, _ = recipe.at((epoch + 1 - 1e-6) / recipe.epochs)
        metrics, _ = measure(network, _sized(contract, phase), split.val)
        val = metrics.mae_years if isinstance(metrics, AgeMetrics) else metrics.accuracy
        history.append(Epoch(loss, val, time.perf_counter() - started))
        state.store(network, optimiser, [asdict(entry) for entry in history])
        say(
            f"epoch {epoch + 1}/{recipe.epochs}: loss {loss:.4f}, validation "
            + (f"MAE {val:.3f} years" if isinstance(metrics, AgeMetrics) else f"accuracy {val:.4f}")
            + f", {history[-1].seconds:.0f} s"
        )
    return Trained(network.eval(), tuple(history), chips.unreadable)


def _epoch(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    recipe: Recipe,
    contract: Contract,
    chips: Chips,
    targets: npt.NDArray[np.float32],
    epoch: int,
    random: np.random.Generator,
) -> float:
    """Trains for one epoch and returns its mean loss."""
    network.train()
    order = random.permutation(len(chips))
    # A last batch of one face would leave BN without a variance.
    starts = [s for s in range(0, len(order), recipe.batch) if len(order) - s > 1]
    total = 0.0
    for step, start in enumerate(starts):
        # Mid-step, so that no step has a rate of 0.
        phase, rate = recipe.at((epoch + (step + 0.5) / len(starts)) / recipe.epochs)
        for group in optimiser.param_groups:
            group["lr"] = rate
        chosen = order[start : start + recipe.batch]
        images = [augment(chips.images[i], recipe.augmentation, random) for i in chosen]
        loss = losses.LOSSES[recipe.loss](
            network,
            batches.inputs(_sized(contract, phase), images),
            torch.from_numpy(targets[chosen]).unsqueeze(1),
        )
        if not torch.isfinite(loss):
            raise UsageError(
                f"the loss became {loss.item()} in epoch {epoch + 1}, step {step + 1}",
                why="a step was too large; the state of the epoch before is kept",
                fix="lower the recipe's rate in agecompact/training/recipes.py",
            )
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_norm)
        optimiser.step()
        total += loss.item() * len(chosen)
    return total / len(order)


def _sized(contract: Contract, phase: Phase) -> Contract:
    if phase.side is None:
        return contract
    return dataclasses.replace(contract, height=phase.side, width=phase.side)
