"""What a student learns from a teacher: its answers, and its maps.

Answers are taken from the teacher through its own contract, so that a student of 64 pixels learns
from a teacher that saw 128. Maps, or the features of the two heads, are compared where the two
networks have them of the same shape.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agecompact.contract import Contract
from agecompact.data import batches
from agecompact.errors import UsageError
from agecompact.files import atomic_path
from agecompact.models.efficientnet_lite import EfficientNetLite0
from agecompact.models.mobileagenet import MobileAgeNet
from agecompact.models.mobilenetv1 import MobileNetV1
from agecompact.training.feed import Views
from agecompact.weights.checkpoints import Weights

_BATCH = 64

# MobileAgeNet's features that end a stage, in the order of EfficientNetLite0.STAGE_CHANNELS.
_STUDENT_STAGES = (1, 3, 6, 10, 12)


@dataclass(frozen=True)
class Teacher:
    """A trained network that another learns from.

    Attributes:
        network: In evaluation mode; its parameters take no gradient.
        contract: How images become its inputs, NCHW.
        sha256: Hash of its weights file.
    """

    network: nn.Module
    contract: Contract
    sha256: str


def teacher_of(weights: Weights) -> Teacher:
    """The teacher that a weights file holds.

    Raises:
        UsageError: The file does not fit its model.
    """
    return Teacher(weights.network().requires_grad_(False), weights.contract, weights.sha256)


def answers(
    teacher: Teacher,
    views: Views,
    count: int,
    view: int,
    store: Path,
    device: torch.device,
    step: Callable[[], None],
) -> npt.NDArray[np.float32]:
    """The teacher's answers to one view of every face, `(count,)`, computed once and stored.

    Args:
        teacher: Whose.
        views: The views, as the student will see them.
        count: Faces.
        view: Which view.
        store: File of this view's answers; read if it is there and whole.
        device: Where the teacher runs.
        step: Called after each batch.
    """
    stored = _stored(store)
    if stored is not None and stored.shape == (count,):
        return stored
    network = teacher.network.to(device)
    values = []
    with torch.inference_mode():
        for start in range(0, count, _BATCH):
            images = [views.image(view, i) for i in range(start, min(start + _BATCH, count))]
            inputs = batches.inputs(teacher.contract, images)
            values.append(network(*(value.to(device) for value in inputs)).squeeze(1).cpu().numpy())
            step()
    told = np.concatenate(values).astype(np.float32)
    with atomic_path(store) as temporary, temporary.open("wb") as stream:
        np.save(stream, told)
    return told


def _stored(store: Path) -> npt.NDArray[np.float32] | None:
    if not store.is_file():
        return None
    try:
        stored: npt.NDArray[np.float32] = np.load(store, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        # Broken; a pickle is not opened either.
        return None
    return stored


class Hints:
    """The distance between a student's maps and its teacher's (Romero et al., FitNets, ICLR 2015).

    Args:
        student: A MobileAgeNet; what is compared is recorded at each forward pass.
        student_contract: How its inputs are normalised.
        teacher: With an EfficientNet-Lite0, whose maps have the same channels and strides, or with
            a MobileNetV1, whose head's first layer is as wide.

    Raises:
        UsageError: The networks have nothing of the same shape.
    """

    def __init__(self, student: nn.Module, student_contract: Contract, teacher: Teacher) -> None:
        if not isinstance(student, MobileAgeNet) or not isinstance(
            teacher.network, EfficientNetLite0 | MobileNetV1
        ):
            raise UsageError(
                "no hints for this pair of networks",
                why="maps of the same shapes are known of mobileagenet with efficientnet-lite0 or "
                "faceres only",
                fix="set the stages' hints to 0",
            )
        self._teacher = teacher.network
        self._size = (teacher.contract.height, teacher.contract.width)
        self._normalise = _renormalisation(student_contract, teacher.contract)
        self._maps: dict[int, Tensor] = {}
        modules = [student.head[0]]
        if isinstance(teacher.network, EfficientNetLite0):
            modules = [student.features[index] for index in _STUDENT_STAGES]
        self._count = len(modules)
        for index, module in enumerate(modules):
            module.register_forward_hook(self._recorder(index))

    def _recorder(self, index: int) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def record(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
            self._maps[index] = output

        return record

    def compare(self, face: Tensor) -> tuple[Tensor, Tensor]:
        """Compares the maps of the student's last forward pass with the teacher's.

        Args:
            face: What the student saw.

        Returns:
            The mean over maps of the squared distance relative to the teacher's power, and the
            teacher's answer `(N, 1)`.
        """
        with torch.no_grad():
            maps, told = self._taught(self._normalise(face))
        distances = [
            F.mse_loss(self._maps[index].float(), taught.float()) / taught.float().square().mean()
            for index, taught in enumerate(maps[: self._count])
        ]
        return torch.stack(distances).mean(), told

    def _taught(self, face: Tensor) -> tuple[list[Tensor], Tensor]:
        """The teacher's maps and its answer."""
        if isinstance(self._teacher, EfficientNetLite0):
            maps = self._teacher.stages(face)
            return maps, self._teacher.answer(maps[-1])
        # Features of a head have no size: the teacher sees faces of the one that it was trained on.
        if face.shape[2:] != self._size:
            face = F.interpolate(face, self._size, mode="bilinear", antialias=True)
        hidden = self._teacher.hidden(face)
        return [hidden], self._teacher.answer(hidden)


def _renormalisation(source: Contract, target: Contract) -> Callable[[Tensor], Tensor]:
    """From one contract's tensors, float32 NCHW RGB, to another's."""
    assert source.color_order == target.color_order

    def affine(contract: Contract) -> tuple[Tensor, Tensor]:
        """Scale and shift that take 0..255 to the contract's tensor."""
        low, high = contract.value_range
        mean, std = torch.tensor(contract.mean), torch.tensor(contract.std)
        return (high - low) / 255 / std, (low - mean) / std

    (scale, shift), (to_scale, to_shift) = affine(source), affine(target)
    factor = (to_scale / scale).view(1, 3, 1, 1)
    offset = (to_shift - shift * to_scale / scale).view(1, 3, 1, 1)
    return lambda value: value * factor.to(value.device) + offset.to(value.device)
