"""Hints: a student learns a teacher's intermediate features (Romero et al., FitNets, ICLR 2015)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from agecompact.contract import Contract
from agecompact.errors import UsageError
from agecompact.models.trainable import HasHintLayers
from agecompact.training.teacher import Teacher

_FIX = "set the stages' hints to 0"


class Hints:
    """The distance between a student's features and its teacher's.

    The layers that are compared are those that both networks name alike in `hint_layers`; their
    outputs are recorded at each forward pass.

    Args:
        student: The student.
        student_contract: How its inputs are normalised.
        teacher: The teacher.

    Raises:
        UsageError: The networks have no hint layer of one name, or cannot share an input.
    """

    def __init__(self, student: nn.Module, student_contract: Contract, teacher: Teacher) -> None:
        layers, teacher_layers = _hint_layers(student), _hint_layers(teacher.network)
        self._names = [name for name in layers if name in teacher_layers]
        if not self._names:
            raise UsageError(
                "no hints for this pair of networks",
                why=f"the student names its hint layers {', '.join(layers) or '(none)'}, the "
                f"teacher {', '.join(teacher_layers) or '(none)'}",
                fix=_FIX,
            )
        self._teacher = teacher.network
        self._size = (teacher.contract.height, teacher.contract.width)
        self._normalise = _renormalisation(student_contract, teacher.contract)
        self._features: dict[str, Tensor] = {}
        self._teacher_features: dict[str, Tensor] = {}
        for name in self._names:
            layers[name].register_forward_hook(_recorder(self._features, name))
            teacher_layers[name].register_forward_hook(_recorder(self._teacher_features, name))

    def compare(self, face: Tensor) -> tuple[Tensor, Tensor]:
        """Compares the features of the student's last forward pass with the teacher's.

        Args:
            face: The student's input in that pass.

        Returns:
            The mean over layers of the squared distance relative to the teacher's power, and the
            teacher's prediction `(N, 1)`.

        Raises:
            UsageError: Two layers of one name have outputs of different shapes.
        """
        face = self._normalise(face)
        # Maps have to be on the student's grid. Features without a size are best at the size that
        # the teacher was trained at.
        has_maps = any(self._features[name].ndim == 4 for name in self._names)
        if not has_maps and face.shape[2:] != self._size:
            face = functional.interpolate(face, self._size, mode="bilinear", antialias=True)
        with torch.no_grad():
            prediction: Tensor = self._teacher(face)
        return torch.stack([self._distance(name) for name in self._names]).mean(), prediction

    def _distance(self, name: str) -> Tensor:
        features, wanted = self._features[name].float(), self._teacher_features[name].float()
        if features.shape != wanted.shape:
            raise UsageError(
                f"the hint layers '{name}' do not match",
                why=f"the student's output is {tuple(features.shape)}, the teacher's "
                f"{tuple(wanted.shape)}",
                fix=_FIX,
            )
        return functional.mse_loss(features, wanted) / wanted.square().mean()


def _hint_layers(network: nn.Module) -> Mapping[str, nn.Module]:
    return network.hint_layers() if isinstance(network, HasHintLayers) else {}


def _recorder(
    features: dict[str, Tensor], name: str
) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    def record(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        features[name] = output

    return record


def _renormalisation(source: Contract, target: Contract) -> Callable[[Tensor], Tensor]:
    """Returns a function from one contract's tensors, float32 NCHW, to another's.

    Raises:
        UsageError: The contracts have other crops or colour orders.
    """
    if len(source.crops) > 1 or source.crops != target.crops:
        raise UsageError("hints need one face, cropped alike for student and teacher", fix=_FIX)
    if source.color_order != target.color_order:
        raise UsageError(
            "hints need one colour order",
            why=f"the student's is {source.color_order}, the teacher's {target.color_order}",
            fix=_FIX,
        )

    def affine(contract: Contract) -> tuple[Tensor, Tensor]:
        """Scale and shift that take 0..255 to the contract's tensor."""
        low, high = contract.value_range
        mean, std = torch.tensor(contract.mean), torch.tensor(contract.std)
        return (high - low) / 255 / std, (low - mean) / std

    (scale, shift), (to_scale, to_shift) = affine(source), affine(target)
    factor = (to_scale / scale).view(1, 3, 1, 1)
    offset = (to_shift - shift * to_scale / scale).view(1, 3, 1, 1)
    return lambda value: value * factor.to(value.device) + offset.to(value.device)
