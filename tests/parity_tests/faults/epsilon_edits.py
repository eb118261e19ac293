"""A batch norm folded with another epsilon, in every format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
from torch import nn

from agecompact.weights import checkpoints
from tests.parity_tests.editing import Edit, in_onnx, in_tflite, initializer, tflite_weights
from tests.parity_tests.faults import mil_edits

Stretch = Callable[[np.ndarray], np.ndarray]


def _norms(path: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray, float]]:
    """The batch norms of the network beside an artefact: module, variance, bias, epsilon."""
    weights = next(path.parent.glob("*.safetensors"))
    for name, module in checkpoints.read(weights).network().named_modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_var is not None
            yield (
                name,
                module.running_var.double().numpy(),
                module.bias.detach().double().numpy(),
                module.eps,
            )


def _folded(
    variance: np.ndarray, beta: np.ndarray, right: float, wrong: float
) -> tuple[Stretch, Stretch]:
    """Edits of a folded weight, outputs first, and of its bias."""
    stretch = np.sqrt((variance + right) / (variance + wrong))

    def weight(values: np.ndarray) -> np.ndarray:
        return (values * stretch.reshape(-1, *([1] * (values.ndim - 1)))).astype(np.float32)

    def bias(values: np.ndarray) -> np.ndarray:
        return (beta + (values - beta) * stretch).astype(np.float32)

    return weight, bias


def in_onnx_file(wrong: float, *modules: str) -> Edit:
    """Folds some batch norms, or all, with another epsilon."""

    def edit(path: Path) -> None:
        def change(model: onnx.ModelProto) -> None:
            for name, variance, beta, right in _norms(path):
                if not modules or name in modules:
                    weight, bias = _folded(variance, beta, right, wrong)
                    initializer(f"{name}/Conv", weight)(model)
                    initializer(f"{name}/Conv", bias, 2)(model)

        in_onnx(change)(path)

    return edit


def in_tflite_file(wrong: float, module: str, number: int) -> Edit:
    """Folds the batch norm of the n-th convolution with another epsilon."""

    def edit(path: Path) -> None:
        variance, beta, right = next(n[1:] for n in _norms(path) if n[0] == module)
        weight, bias = _folded(variance, beta, right, wrong)
        in_tflite(tflite_weights(number, weight))(path)
        in_tflite(tflite_weights(number, bias, bias=True))(path)

    return edit


def in_mlpackage_file(wrong: float, module: str, convolution: str) -> Edit:
    """Folds the batch norm of a convolution with another epsilon."""

    def edit(path: Path) -> None:
        variance, beta, right = next(n[1:] for n in _norms(path) if n[0] == module)
        weight, bias = _folded(variance, beta, right, wrong)
        mil_edits.weights(f"{convolution}_weight", weight)(path)
        mil_edits.weights(f"{convolution}_bias", bias)(path)

    return edit
