"""The training loop, on Lightning Fabric: one process or many, on a CPU or GPUs.

Killed, it goes on after its last whole epoch, and ends where an unbroken training does.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from agecompact.contract import Contract
from agecompact.data import batches
from agecompact.data.splits import Split
from agecompact.errors import UsageError
from agecompact.evaluation.evaluate import labels, measure, target_of_contract
from agecompact.files import atomic_path, canonical_json
from agecompact.models import registry
from agecompact.training.augment import Augmentation
from agecompact.training.distillation import Hints, Teacher, answers
from agecompact.training.feed import Batch, Plan, Views, loader, sized
from agecompact.training.history import Epoch, Trained
from agecompact.training.objective import Objective
from agecompact.training.precision import keep_float32
from agecompact.training.recipe import Recipe, Stage
from agecompact.training.schedules import relative_rate, since_best
from agecompact.training.state import State, moments, with_moments
from agecompact.training.watch import QUIET, Watch
from agecompact.weights import checkpoints

if TYPE_CHECKING:
    from lightning_fabric import Fabric

SEED = 42


class DivergedError(UsageError):
    """The loss or its gradient became NaN or Inf."""


def train(
    network: nn.Module,
    recipe: Recipe,
    split: Split,
    out: Path,
    fabric: Fabric,
    *,
    watch: Watch = QUIET,
    teacher: Teacher | None = None,
    origin: Mapping[str, Any] | None = None,
    seed: int = SEED,
    workers: int = 0,
    cache: Path | None = None,
) -> Trained:
    """Trains a network, storing its state after each epoch.

    Leaves in `out`: `best.safetensors` and `last.safetensors`, weights with short cards, and
    `state.safetensors`, from which a training that is called again goes on.

    Args:
        network: The network to start from; it is changed.
        recipe: How; its `epochs` are the training's length.
        split: The faces.
        out: A folder.
        fabric: Where to compute, launched.
        watch: How the training is followed.
        teacher: Whom to learn from, where the recipe distils.
        origin: What the network started from, as JSON values; a state from elsewhere is refused.
        seed: Of the order of faces, augmentation and dropout.
        workers: Processes that prepare batches.
        cache: Folder of decoded chips.

    Raises:
        DivergedError: The loss or its gradient became NaN or Inf (the batch is saved).
        UsageError: The state is another training's, the training part holds no image or too few,
            or the recipe lacks its teacher or names layers that are not there.
        OutputError: A file cannot be written.
    """
    contract = registry.get(recipe.model).contract
    chips = batches.load(split.train, cache)
    if not len(chips):
        raise UsageError("no face to train on", why=f"{chips.unreadable} files are no image")
    if recipe.distillation and teacher is None:
        raise UsageError(
            "the recipe learns from a teacher", fix="name its weights file with --teacher"
        )
    # As many for each process.
    parts = math.ceil(recipe.parts / fabric.world_size) * fabric.world_size
    if min(recipe.batch, len(chips)) < 2 * parts:
        raise UsageError(
            f"steps of {min(recipe.batch, len(chips))} faces are too small",
            why=f"batch norm needs 2 faces in each of a step's {parts} parts",
            fix="train on more faces, or in fewer parts or processes",
        )
    _check_prefixes(network, recipe)
    targets = np.clip(labels(chips.faces, target_of_contract(contract)), *recipe.labels)
    if recipe.norm_momentum:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = recipe.norm_momentum
    _place(network, fabric.device)
    # Before the next line: a copy of the changed layers would still call the originals.
    average = _average(network, recipe)
    if recipe.precision != "32-true":
        keep_float32(network, fabric.device)
    hints = None
    if teacher and any(stage.hints for stage in recipe.stages):
        _place(teacher.network, fabric.device)
        hints = Hints(network, contract, teacher)

    identity = {
        "origin": dict(origin or {}),
        "teacher": teacher.sha256 if teacher else None,
        "seed": seed,
        "split": split.sha256,
        "recipe": asdict(recipe),
    }
    run = _Run(
        fabric=fabric,
        recipe=recipe,
        contract=contract,
        chips=chips,
        targets=targets,
        objective=Objective(network, recipe, hints),
        average=average,
        teacher=teacher,
        split_sha256=split.sha256,
        state=State(out / "state.safetensors", identity),
        out=out,
        watch=watch,
        seed=seed,
        workers=workers,
        parts=parts,
    )
    return run.all_epochs(split)


def _check_prefixes(network: nn.Module, recipe: Recipe) -> None:
    names = [name for name, _ in network.named_parameters()]
    for prefix in (p for stage in recipe.stages for p in (*stage.frozen, *stage.rates)):
        if not any(_begins(name, [prefix]) for name in names):
            raise UsageError(
                f"'{recipe.model}' has no '{prefix}'",
                why="a stage of the recipe freezes it, or gives it a rate",
            )


def _begins(name: str, prefixes: Iterable[str]) -> bool:
    """Whether a module's or parameter's name is one of the prefixes or lies in one."""
    return any(f"{name}.".startswith(f"{prefix}.") for prefix in prefixes)


def _place(network: nn.Module, device: torch.device) -> None:
    network.to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _average(network: nn.Module, recipe: Recipe) -> AveragedModel | None:
    if not recipe.ema:
        return None
    decay = get_ema_multi_avg_fn(recipe.ema)  # type: ignore[no-untyped-call]
    return AveragedModel(network, multi_avg_fn=decay, use_buffers=True)


@dataclass
class _Run:
    """A training at work."""

    fabric: Fabric
    recipe: Recipe
    contract: Contract
    chips: batches.Chips
    targets: npt.NDArray[np.float32]
    objective: Objective
    average: AveragedModel | None
    teacher: Teacher | None
    split_sha256: str
    state: State
    out: Path
    watch: Watch
    seed: int
    workers: int
    parts: int

    @property
    def network(self) -> nn.Module:
        return self.objective.network

    @property
    def kept_network(self) -> nn.Module:
        """The network that is measured and kept."""
        average: nn.Module | None = self.average.module if self.average else None
        return average or self.network

    def all_epochs(self, split: Split) -> Trained:
        recipe, fabric = self.recipe, self.fabric
        groups, stored = self.state.restore()
        history = [Epoch(**epoch) for epoch in stored]
        if history:
            self.network.load_state_dict(groups["network"])
            if self.average:
                self.average.load_state_dict(groups["average"])
            self.watch.say(f"resuming after epoch {len(history)}")
            # Killed between the two, a training has stored an epoch and not reported it.
            self.watch.report(history)
        wrapped = optimiser = None
        entered = -1
        while len(history) < recipe.epochs and not self._waited(history):
            epoch = len(history)
            index, first, _ = recipe.stage_at(epoch)
            stage = recipe.stages[index]
            if index != entered:
                wrapped, optimiser = self._enter(stage)
                if epoch > first and epoch == len(stored):
                    restored = with_moments(optimiser.state_dict(), groups["optimiser"])
                    optimiser.load_state_dict(restored)
                entered = index
            started = time.perf_counter()
            # Seeded anew each epoch, so that a resumed training repeats what an unbroken one does.
            torch.manual_seed((self.seed * 1_000 + epoch) * 1_000 + fabric.global_rank)
            loss, rate = self._epoch(wrapped, optimiser, epoch, history)
            # At the size just trained at: a network in its stage of small images is lost on others.
            contract = sized(self.contract, stage.side)
            val = 0.0
            if fabric.is_global_zero:
                metrics, _ = measure(self.kept_network, contract, split.val)
                val = metrics.headline.value
            val = fabric.broadcast(val)
            history.append(Epoch(loss, val, rate, time.perf_counter() - started))
            if fabric.is_global_zero:
                self._keep(history, optimiser)
            fabric.barrier()
            self.watch.say(self._line(history))
            self.watch.report(history)
        return Trained(tuple(history), self._best(history), self.chips.unreadable)

    def _enter(self, stage: Stage) -> tuple[Any, Any]:
        """Sets up a stage: what learns, how fast, in which wrappers."""
        groups: dict[float, list[Tensor]] = {}
        for name, parameter in self.network.named_parameters():
            learns = not _begins(name, stage.frozen)
            parameter.requires_grad_(learns)
            relative = next((r for p, r in stage.rates.items() if _begins(name, [p])), 1.0)
            if learns:
                groups.setdefault(relative, []).append(parameter)
        if not groups:
            raise UsageError("nothing is left to learn", why="a stage of the recipe freezes all")
        optimiser = torch.optim.AdamW(
            [{"params": params, "relative": relative} for relative, params in groups.items()],
            lr=stage.rate,
            weight_decay=stage.weight_decay,
        )
        self.objective.hint_weight = stage.hints
        wrapped: tuple[Any, Any] = self.fabric.setup(self.objective, optimiser)
        return wrapped

    def _epoch(
        self, objective: Any, optimiser: Any, epoch: int, history: Sequence[Epoch]
    ) -> tuple[float, float]:
        """Trains for one epoch and returns its mean loss and last rate."""
        recipe, fabric = self.recipe, self.fabric
        index, first, end = recipe.stage_at(epoch)
        stage = recipe.stages[index]
        self.network.train()
        for name, module in self.network.named_modules():
            if _begins(name, stage.frozen):
                module.eval()
        count = len(self.chips)
        plan = Plan(
            batch=min(recipe.batch, count),
            parts=self.parts,
            rank=fabric.global_rank,
            processes=fabric.world_size,
            seed=self.seed,
            views=recipe.distillation.views if recipe.distillation else 0,
        )
        views = Views(
            self.chips.images, sized(self.contract, stage.side), recipe.augmentation, self.seed
        )
        told = self._told(views, epoch, plan) if not stage.hints else None
        own = self.parts // fabric.world_size
        steps = plan.steps(count)
        validations = self._regrets(history[first:])
        total, rate = 0.0, 0.0
        feed = iter(loader(views, plan, count, epoch, self.workers))
        title = f"epoch {epoch + 1}/{recipe.epochs}"
        best = f", best validation {self._best_value(history)}" if history else ""
        with self.watch.progress(title, steps) as advance:
            for step in range(steps):
                # Mid-step, so that no step has a rate of 0.
                progress = (epoch - first + (step + 0.5) / steps) / (end - first)
                rate = stage.rate * relative_rate(
                    stage.schedule, progress, epoch - first, validations
                )
                for group in optimiser.param_groups:
                    group["lr"] = rate * group["relative"]
                optimiser.zero_grad()
                seen = [next(feed) for _ in range(own)]
                for part, batch in enumerate(seen):
                    with fabric.no_backward_sync(objective, enabled=part + 1 < own):
                        loss = self._loss(objective, batch, told)
                        if not torch.isfinite(loss):
                            raise self._diverged("loss", loss, [batch], told, epoch, step)
                        fabric.backward(loss / own)
                    total += loss.item() / own
                norm = fabric.clip_gradients(
                    objective, optimiser, max_norm=recipe.clip_norm, error_if_nonfinite=False
                )
                assert norm is not None
                if not torch.isfinite(norm):
                    raise self._diverged("gradient", norm, seen, told, epoch, step)
                optimiser.step()
                if self.average:
                    self.average.update_parameters(self.network)
                advance(f"{title}: loss {total / (step + 1):.3f}{best}")
        mean = fabric.all_reduce(torch.tensor(total / steps, dtype=torch.float64))
        assert isinstance(mean, Tensor)
        return float(mean), rate

    def _loss(self, objective: Any, batch: Batch, told: npt.NDArray[np.float32] | None) -> Tensor:
        device = self.fabric.device

        def column(values: npt.NDArray[np.float32]) -> Tensor:
            return torch.from_numpy(values[batch.indices]).unsqueeze(1).to(device)

        inputs = tuple(value.to(device, non_blocking=True) for value in batch.inputs)
        loss: Tensor = objective(
            inputs, column(self.targets), None if told is None else column(told)
        )
        return loss

    def _told(self, views: Views, epoch: int, plan: Plan) -> npt.NDArray[np.float32] | None:
        """The teacher's answers to what this epoch shows."""
        if self.teacher is None or self.recipe.distillation is None:
            return None
        shown, view = views, epoch % plan.views if plan.views else 0
        if not plan.views:
            shown = Views(self.chips.images, self.contract, Augmentation(), self.seed)
        key = {
            "teacher": self.teacher.sha256,
            "split": self.split_sha256,
            "augmentation": asdict(shown.amounts),
            "seed": self.seed,
            "view": view,
        }
        digest = hashlib.sha256(canonical_json(key).encode()).hexdigest()[:12]
        ask = partial(
            answers,
            self.teacher,
            shown,
            len(self.chips),
            view,
            self.out / f"teacher-{digest}.npy",
            self.fabric.device,
        )
        if self.fabric.is_global_zero:
            title = f"teacher, view {view + 1}"
            with self.watch.progress(title, math.ceil(len(self.chips) / 64)) as step:
                ask(partial(step, title))
        self.fabric.barrier()
        return ask(lambda: None)

    def _keep(self, history: Sequence[Epoch], optimiser: Any) -> None:
        """Stores the state, and the weights as the last and, where they are, the best."""
        network = self.kept_network
        groups = {
            "network": self.network.state_dict(),
            "optimiser": moments(optimiser.state_dict()),
        }
        if self.average:
            groups["average"] = self.average.state_dict()
        card = {"epoch": len(history), **asdict(history[-1])}
        names = ["last.safetensors"]
        if self._best(history) == len(history):
            names.append("best.safetensors")
        for name in names:
            checkpoints.write(
                self.out / name,
                network,
                model_id=self.recipe.model,
                config=self.recipe.config,
                card=card,
                half=self.recipe.half,
            )
        self.state.store(groups, [asdict(epoch) for epoch in history])

    def _regrets(self, history: Sequence[Epoch]) -> list[float]:
        """Validations where smaller is better."""
        sign = 1 if self.contract.output.unit == "years" else -1
        return [sign * epoch.val for epoch in history]

    def _best(self, history: Sequence[Epoch]) -> int:
        """The epoch that is kept, from 1; of a last stage only, whose input size is deployed."""
        if self.recipe.keep == "last" or not history:
            return len(history)
        return len(history) - since_best(self._regrets(self._of_stage(history)))

    def _of_stage(self, history: Sequence[Epoch]) -> Sequence[Epoch]:
        """The epochs of the stage that the last one belongs to."""
        return history[self.recipe.stage_at(len(history) - 1)[1] :] if history else ()

    def _waited(self, history: Sequence[Epoch]) -> bool:
        waited = since_best(self._regrets(self._of_stage(history)))
        return bool(self.recipe.early_stop) and waited >= self.recipe.early_stop

    def _best_value(self, history: Sequence[Epoch]) -> str:
        return _told_value(self.contract, history[self._best(history) - 1].val)

    def _line(self, history: Sequence[Epoch]) -> str:
        last = history[-1]
        return (
            f"epoch {len(history)}/{self.recipe.epochs}: loss {last.loss:.4f}, validation "
            f"{_told_value(self.contract, last.val)}, rate {last.rate:.2g}, {last.seconds:.0f} s, "
            f"about {last.seconds * (self.recipe.epochs - len(history)) / 60:.0f} min to go"
        )

    def _diverged(
        self,
        what: str,
        value: Tensor,
        seen: Sequence[Batch],
        told: npt.NDArray[np.float32] | None,
        epoch: int,
        step: int,
    ) -> DivergedError:
        """Saves the faces that broke the training, and makes the error that says where they are."""
        rank = self.fabric.global_rank
        path = self.out / f"nan-batch{f'-{rank}' if rank else ''}.safetensors"
        crops = zip(*(batch.inputs for batch in seen), strict=True)
        tensors = {f"input.{i}": torch.cat(crop).contiguous() for i, crop in enumerate(crops)}
        indices = np.concatenate([batch.indices for batch in seen])
        tensors["target"] = torch.from_numpy(self.targets[indices])
        if told is not None:
            tensors["told"] = torch.from_numpy(told[indices])
        tensors |= {
            f"network.{name}": value.cpu().contiguous()
            for name, value in self.network.state_dict().items()
        }
        names = [self.chips.faces[i].name for i in indices]
        header = {"epoch": str(epoch + 1), "step": str(step + 1), "faces": canonical_json(names)}
        with atomic_path(path) as temporary:
            temporary.write_bytes(save(tensors, header))
        return DivergedError(
            f"the {what} became {value.item()} in epoch {epoch + 1}, step {step + 1}",
            why=f"a step was too large, or an input is broken; the batch and the weights that met "
            f"it are in {path}, and the state of the epoch before is kept",
            fix="lower the rate: --set stages.0.rate=...",
        )


def _told_value(contract: Contract, value: float) -> str:
    return f"MAE {value:.3f} years" if contract.output.unit == "years" else f"accuracy {value:.4f}"
