"""The faces and weights that made a training diverge, saved for inspection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save
from torch import Tensor, nn

from agecompact.errors import UsageError
from agecompact.files import atomic_path, canonical_json
from agecompact.training.feed import Batch


class DivergedError(UsageError):
    """The loss or its gradient became NaN or Inf."""


@dataclass(frozen=True)
class Step:
    """One step of a training.

    Attributes:
        epoch: From 0.
        number: Within the epoch, from 0.
        batches: The step's micro-batches on this process.
        targets: Labels of all training faces.
        teacher_targets: The teacher's predictions for them, if any.
    """

    epoch: int
    number: int
    batches: Sequence[Batch]
    targets: npt.NDArray[np.float32]
    teacher_targets: npt.NDArray[np.float32] | None


def diverged(
    what: str, value: Tensor, step: Step, network: nn.Module, names: Sequence[str], path: Path
) -> DivergedError:
    """Saves the step's faces and the network's weights, and returns the error to raise.

    Args:
        what: `loss` or `gradient`.
        value: Its value, NaN or Inf.
        step: The step.
        network: The network, with the weights that the step began with.
        names: Names of all training faces.
        path: The file to write.

    Raises:
        OutputError: The file cannot be written.
    """
    crops = zip(*(batch.inputs for batch in step.batches), strict=True)
    tensors = {f"input.{i}": torch.cat(crop).contiguous() for i, crop in enumerate(crops)}
    indices = np.concatenate([batch.indices for batch in step.batches])
    tensors["target"] = torch.from_numpy(step.targets[indices])
    if step.teacher_targets is not None:
        tensors["teacher_target"] = torch.from_numpy(step.teacher_targets[indices])
    for name, weights in network.state_dict().items():
        tensors[f"network.{name}"] = weights.cpu().contiguous()
    header = {
        "epoch": str(step.epoch + 1),
        "step": str(step.number + 1),
        "faces": canonical_json([names[i] for i in indices]),
    }
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(tensors, header))
    return DivergedError(
        f"the {what} became {value.item()} in epoch {step.epoch + 1}, step {step.number + 1}",
        why=f"the step before was too large, or an input is broken; {path} holds the batch and the "
        "weights, and the state of the previous epoch is kept",
        fix="lower the rate: --set stages.0.rate=...",
    )
