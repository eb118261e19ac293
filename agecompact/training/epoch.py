"""One epoch of a training: batches, losses, gradients and steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from agecompact.data import batches
from agecompact.training.divergence import DivergedError, Step, diverged
from agecompact.training.feed import Batch, BatchPlan, Views, loader, sized
from agecompact.training.objective import Objective
from agecompact.training.recipe import Stage
from agecompact.training.run import Run
from agecompact.training.schedules import relative_rate
from agecompact.training.teacher import TeacherTargets


def begins(name: str, prefixes: Iterable[str]) -> bool:
    """Whether a module or parameter is one of the prefixes, or inside one."""
    return any(f"{name}.".startswith(f"{prefix}.") for prefix in prefixes)


@dataclass(frozen=True)
class EpochTrainer:
    """Trains a network, an epoch at a time.

    Attributes:
        run: The training.
        chips: The training faces.
        targets: Their labels, float32 `(faces,)`.
        objective: The network with its loss.
        average: Moving average of the network's weights, or None.
        teacher_targets: The teacher's predictions, or None.
        parts: Number of micro-batches per step, over all processes.
    """

    run: Run
    chips: batches.Chips
    targets: npt.NDArray[np.float32]
    objective: Objective
    average: AveragedModel | None
    teacher_targets: TeacherTargets | None
    parts: int

    @property
    def network(self) -> nn.Module:
        """The network, whose weights change with each step."""
        return self.objective.network

    @property
    def kept_network(self) -> nn.Module:
        """The network that is validated and kept: the moving average, if there is one."""
        average: nn.Module | None = self.average.module if self.average else None
        return average or self.network

    def set_up(self, stage: Stage) -> tuple[Any, Any]:
        """Freezes what the stage freezes; returns the objective and a new optimiser, wrapped."""
        groups: dict[float, list[Tensor]] = {}
        for name, parameter in self.network.named_parameters():
            learns = not begins(name, stage.frozen)
            parameter.requires_grad_(learns)
            relative = next((r for p, r in stage.rates.items() if begins(name, [p])), 1.0)
            if learns:
                groups.setdefault(relative, []).append(parameter)
        optimiser = torch.optim.AdamW(
            [{"params": params, "relative": relative} for relative, params in groups.items()],
            lr=stage.rate,
            weight_decay=stage.weight_decay,
        )
        self.objective.hint_weight = stage.hints
        wrapped: tuple[Any, Any] = self.run.fabric.setup(self.objective, optimiser)
        return wrapped

    def train(
        self, objective: Any, optimiser: Any, epoch: int, errors: Sequence[float], note: str
    ) -> tuple[float, float]:
        """Trains for one epoch.

        Args:
            objective: As `set_up` returned it for the epoch's stage.
            optimiser: Likewise.
            epoch: Which, from 0.
            errors: Validation errors of the stage so far.
            note: Ends each line of progress.

        Returns:
            The mean loss over all processes, and the last learning rate.

        Raises:
            DivergedError: The loss or its gradient became NaN or Inf.
        """
        index, first, end = self.run.recipe.stage_at(epoch)
        stage = self.run.recipe.stages[index]
        self.network.train()
        for name, module in self.network.named_modules():
            if begins(name, stage.frozen):
                module.eval()
        contract = sized(self.run.contract, stage.side)
        views = Views(self.chips.images, contract, self.run.recipe.augmentation, self.run.seed)
        teacher_targets = None
        # Hints run the teacher on each batch anyway.
        if self.teacher_targets and not stage.hints:
            teacher_targets = self.teacher_targets.of_epoch(views, epoch)
        plan, count = self._plan(), len(self.chips)
        own, steps = self.parts // self.run.fabric.world_size, plan.steps(count)
        feed = iter(loader(views, plan, count, epoch, self.run.workers))
        title = f"epoch {epoch + 1}/{self.run.recipe.epochs}"
        total, rate = 0.0, 0.0
        with self.run.watch.progress(title, steps) as advance:
            for number in range(steps):
                # Mid-step, so that no step has a rate of 0.
                progress = (epoch - first + (number + 0.5) / steps) / (end - first)
                rate = stage.rate * relative_rate(stage.schedule, progress, epoch - first, errors)
                for group in optimiser.param_groups:
                    group["lr"] = rate * group["relative"]
                taken = [next(feed) for _ in range(own)]
                step = Step(epoch, number, taken, self.targets, teacher_targets)
                for loss in self._step(objective, optimiser, step):
                    total += loss / own
                advance(f"{title}: loss {total / (number + 1):.3f}{note}")
        mean = self.run.fabric.all_reduce(torch.tensor(total / steps, dtype=torch.float64))
        assert isinstance(mean, Tensor)
        return float(mean), rate

    def _plan(self) -> BatchPlan:
        return BatchPlan(
            batch=min(self.run.recipe.batch, len(self.chips)),
            parts=self.parts,
            rank=self.run.fabric.global_rank,
            processes=self.run.fabric.world_size,
            seed=self.run.seed,
            views=self.run.recipe.distillation.views if self.run.recipe.distillation else 0,
        )

    def _step(self, objective: Any, optimiser: Any, step: Step) -> list[float]:
        """Changes the weights once and returns the losses of the step's parts.

        Raises:
            DivergedError: The loss or its gradient became NaN or Inf; the weights are unchanged.
        """
        own = len(step.batches)
        losses = []
        optimiser.zero_grad()
        for part, batch in enumerate(step.batches):
            with self.run.fabric.no_backward_sync(objective, enabled=part + 1 < own):
                loss = self._loss(objective, batch, step.teacher_targets)
                if not torch.isfinite(loss):
                    raise self._diverged("loss", loss, replace(step, batches=[batch]))
                self.run.fabric.backward(loss / own)
            losses.append(loss.item())
        norm = self.run.fabric.clip_gradients(
            objective, optimiser, max_norm=self.run.recipe.clip_norm, error_if_nonfinite=False
        )
        assert norm is not None
        if not torch.isfinite(norm):
            raise self._diverged("gradient", norm, step)
        optimiser.step()
        if self.average:
            self.average.update_parameters(self.network)
        return losses

    def _loss(
        self, objective: Any, batch: Batch, teacher_targets: npt.NDArray[np.float32] | None
    ) -> Tensor:
        device = self.run.fabric.device

        def column(values: npt.NDArray[np.float32]) -> Tensor:
            return torch.from_numpy(values[batch.indices]).unsqueeze(1).to(device)

        inputs = tuple(value.to(device, non_blocking=True) for value in batch.inputs)
        wanted = None if teacher_targets is None else column(teacher_targets)
        loss: Tensor = objective(inputs, column(self.targets), wanted)
        return loss

    def _diverged(self, what: str, value: Tensor, step: Step) -> DivergedError:
        rank = self.run.fabric.global_rank
        path = self.run.out / f"nan-batch{f'-{rank}' if rank else ''}.safetensors"
        names = [face.name for face in self.chips.faces]
        return diverged(what, value, step, self.network, names, path)
